"""Every type of input a flow can declare: those with choices, lists and forms, and the table of all of them.

Inputs of one value are in `engine.model.input_values`; reading what a caller gave is `engine.model.inputs`.
Source: dialect, section 1.3. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field, PlainValidator, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from engine.model.base import Document, Text
from engine.model.input_values import (
    BoolInput,
    DateInput,
    DatetimeInput,
    DurationInput,
    EmailInput,
    FileInput,
    FloatInput,
    Input,
    IntInput,
    JsonInput,
    SecretInput,
    StringInput,
    TimeInput,
    UriInput,
    YamlInput,
    as_text,
    refuse,
)
from engine.model.text import nearest
from engine.model.types import problem_at


class Choice(Document):
    """One of the values of a SELECT, with the text that a form shows for it."""

    label: Text
    value: Text


def _choice(value: Any) -> Any:
    return value if isinstance(value, Mapping) else {"label": value, "value": value}


Choices = Annotated[tuple[Annotated[Choice, BeforeValidator(_choice)], ...] | None, Field(default=None)]


class Chosen(Input):
    """Has values to choose from: given, or by an expression that is rendered when the input is read."""

    expression: Any = None
    allow_custom_value: bool = False
    auto_select_first: bool = False
    values: Choices

    @model_validator(mode="after")
    def _has_values(self) -> Chosen:
        if (self.values is None) == (self.expression is None):
            raise ValueError("one of `values` and `expression` is needed")
        return self

    def resolved(self, choices: Any) -> Chosen:
        """This input with the values that its `expression` gave. Raises ValueError."""
        if isinstance(choices, str):
            try:
                choices = json.loads(choices)
            except ValueError:
                refuse("the expression must give a list", choices)
        if not isinstance(choices, list | tuple):
            refuse("the expression must give a list", choices)
        found = tuple(Choice.model_validate(_choice(choice)) for choice in choices)
        return self.model_copy(update={"values": found})

    def _one(self, value: Any) -> str:
        text = as_text(value)
        known = [choice.value for choice in self.values or ()]
        if not self.allow_custom_value and text not in known:
            refuse(f"it must be one of {', '.join(f'`{each}`' for each in known)}", text)
        return text


class SelectInput(Chosen):
    """One of several values."""

    is_radio: bool = False

    def convert(self, value: Any) -> str:
        """The value chosen."""
        return self._one(value)


ItemType = Literal[
    "STRING", "INT", "FLOAT", "BOOL", "BOOLEAN", "DATETIME", "DATE", "TIME", "DURATION", "FILE", "JSON",
    "YAML", "URI", "SECRET", "EMAIL",
]  # fmt: skip


def _list(value: Any) -> list[Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            refuse("a JSON list is expected", value)
    if not isinstance(value, list | tuple):
        refuse("a list is expected", value)
    return list(value)


class MultiselectInput(Chosen):
    """Some of several values."""

    values: Choices = Field(default=None, validation_alias=AliasChoices("values", "options"))
    item_type: ItemType = "STRING"

    def convert(self, value: Any) -> list[Any]:
        """The values chosen, each of `itemType`."""
        item = _item(self.id, self.item_type)
        return [item.convert(self._one(each)) for each in _list(value)]


class ArrayInput(Input):
    """A list of values of one type."""

    item_type: ItemType

    def convert(self, value: Any) -> list[Any]:
        """The list, each item of `itemType`."""
        item = _item(self.id, self.item_type)
        return [item.convert(each) for each in _list(value)]


class FormInput(Input):
    """Groups inputs in a form; each of them is an input of the flow like any other."""

    id: Text = Field(default="form", validation_alias=AliasChoices("id", "name"))
    inputs: tuple[AnyInput, ...]


TYPES: dict[str, type[Input]] = {
    "STRING": StringInput,
    "SELECT": SelectInput,
    "ENUM": SelectInput,
    "MULTISELECT": MultiselectInput,
    "INT": IntInput,
    "FLOAT": FloatInput,
    "BOOL": BoolInput,
    "BOOLEAN": BoolInput,
    "DATETIME": DatetimeInput,
    "DATE": DateInput,
    "TIME": TimeInput,
    "DURATION": DurationInput,
    "FILE": FileInput,
    "JSON": JsonInput,
    "YAML": YamlInput,
    "URI": UriInput,
    "SECRET": SecretInput,
    "ARRAY": ArrayInput,
    "EMAIL": EmailInput,
    "FORM": FormInput,
}


OLD_TYPES = {"ENUM": "SELECT", "BOOLEAN": "BOOL"}
"""Outdated names of input types, and what replaced them."""


def check_type(value: Any) -> str:
    """The name of an input type as it stands in the table. Raises an error that offers the nearest one."""
    if isinstance(value, str) and value in TYPES:
        return value
    near = nearest(str(value).upper(), TYPES)
    hint = f"; did you mean `{near}`?" if near else f"; it is one of {', '.join(TYPES)}"
    raise PydanticCustomError("ours", "{message}", {"message": f"unknown input type `{value}`{hint}"})


def _resolve(value: Any, info: ValidationInfo) -> Input:
    if isinstance(value, Input):
        return value
    if not isinstance(value, Mapping):
        raise PydanticCustomError("ours", "{message}", {"message": "an input is a map of properties"})
    if "type" not in value:
        raise problem_at((), "missing_type", "this input has no `type`", value)
    try:
        name = check_type(value["type"])
    except PydanticCustomError as error:
        raise problem_at(("type",), "unknown_type", error.message(), value["type"]) from None
    return TYPES[name].model_validate(value, context=info.context)


AnyInput = Annotated[Input, PlainValidator(_resolve)]
FormInput.model_rebuild()


def _item(name: str, type_name: str) -> Input:
    return TYPES[type_name].model_validate({"id": name, "type": type_name})
