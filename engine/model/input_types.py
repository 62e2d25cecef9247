"""The inputs a flow declares: their types, what each accepts, and when it is asked (dialect, section 1.3).

Pure values; reading what a caller gave is `engine.model.inputs`. Values are JSON: dates, times and durations
stay text in ISO 8601, a FILE is the URI under which the caller has already stored it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, ClassVar, Literal, NoReturn
from urllib.parse import urlsplit

from pydantic import (
    AliasChoices,
    AwareDatetime,
    BeforeValidator,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from engine.model.base import Document, Text
from engine.model.text import nearest
from engine.model.types import problem_at

MAX_TEXT = 1 << 20  # characters of one value: inputs travel with every snapshot of an execution

_INSTANT: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)
_DATE: TypeAdapter[date] = TypeAdapter(date)
_TIME: TypeAdapter[time] = TypeAdapter(time)
_DURATION: TypeAdapter[timedelta] = TypeAdapter(timedelta)
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+")
_YES = frozenset({"true", "1", "on", "yes"})
_NO = frozenset({"false", "0", "off", "no"})


def _refuse(expected: str, value: Any) -> NoReturn:
    shown = str(value)
    shown = shown if len(shown) <= 80 else shown[:77] + "…"
    raise ValueError(f"{expected}, but got `{shown}`")


def as_text(value: Any) -> str:
    """A value as the text a form would have sent: JSON for lists and maps, `true` and `false`."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False, default=str)


class DependsOn(Document):
    """Ask for this input only when `condition` is true; it may look at the `inputs` named."""

    inputs: tuple[str, ...] = Field(min_length=1)
    condition: Any = None


class Input(Document):
    """What all inputs have in common."""

    secret: ClassVar[bool] = False

    id: Text = Field(
        pattern=r"^[a-zA-Z0-9][.a-zA-Z0-9_-]*$", max_length=256, validation_alias=AliasChoices("id", "name")
    )
    type: str
    description: str | None = None
    display_name: str | None = Field(default=None, max_length=64)
    required: bool = True
    defaults: Any = None
    prefill: Any = None
    depends_on: DependsOn | None = None

    @model_validator(mode="after")
    def _one_start(self) -> Input:
        if self.defaults is not None and self.prefill is not None:
            raise ValueError("`prefill` and `defaults` exclude each other; keep one of them")
        return self

    def convert(self, value: Any) -> Any:
        """The typed value of what a caller gave. Raises ValueError saying what was expected."""
        return value


class _Validated(Input):
    validator: str | None = None

    @field_validator("validator")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"`{pattern}` is no regular expression: {error}") from None
        return pattern

    def convert(self, value: Any) -> str:
        text = as_text(value)
        if self.validator is not None and not re.fullmatch(self.validator, text):
            if self.secret:
                raise ValueError(f"it must match the pattern `{self.validator}`")
            _refuse(f"it must match the pattern `{self.validator}`", text)
        return text


class StringInput(_Validated):
    """Any text, or text that a regular expression matches whole."""


class SecretInput(_Validated):
    """Text that is masked wherever it would leave the process."""

    secret: ClassVar[bool] = True


class EmailInput(Input):
    """An e-mail address."""

    def convert(self, value: Any) -> str:
        """The address as it was given."""
        text = as_text(value)
        if not _EMAIL.fullmatch(text):
            _refuse("an e-mail address is expected", text)
        return text


class UriInput(Input):
    """A URI with its scheme."""

    def convert(self, value: Any) -> str:
        """The URI as it was given."""
        text = as_text(value)
        try:
            scheme = urlsplit(text).scheme
        except ValueError:
            scheme = ""
        if not scheme or re.search(r"\s", text):
            _refuse("a URI with a scheme is expected", text)
        return text


class _Number(Input):
    def _within(self, number: float, least: float | None, most: float | None) -> None:
        if least is not None and number < least:
            _refuse(f"it must be at least `{least}`", number)
        if most is not None and number > most:
            _refuse(f"it must be at most `{most}`", number)


class IntInput(_Number):
    """A whole number."""

    min: int | None = None
    max: int | None = None

    def convert(self, value: Any) -> int:
        """The number; digits in text are read."""
        text = as_text(value).strip()
        if isinstance(value, bool) or not re.fullmatch(r"[+-]?\d{1,30}", text):
            _refuse("a whole number is expected", value)
        self._within(int(text), self.min, self.max)
        return int(text)


class FloatInput(_Number):
    """A number."""

    min: float | None = None
    max: float | None = None

    def convert(self, value: Any) -> float:
        """The number; a decimal number in text is read."""
        text = as_text(value).strip()
        if isinstance(value, bool) or not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", text):
            _refuse("a number is expected", value)
        self._within(float(text), self.min, self.max)
        return float(text)


class BoolInput(Input):
    """Yes or no."""

    def convert(self, value: Any) -> bool:
        """The truth of true/false, 1/0, on/off, yes/no in any case."""
        text = as_text(value).strip().lower()
        if text in _YES:
            return True
        if text in _NO:
            return False
        _refuse("true or false is expected", value)


class _Moment(Input):
    _adapter: ClassVar[TypeAdapter[Any]]
    _expected: ClassVar[str]
    _low: ClassVar[str] = "after"
    _high: ClassVar[str] = "before"

    def _read(self, value: Any) -> Any:
        if not isinstance(value, str):
            _refuse(self._expected, value)
        try:
            return self._adapter.validate_strings(value.strip())
        except ValidationError:
            _refuse(self._expected, value)

    def convert(self, value: Any) -> str:
        moment = self._read(value.isoformat() if isinstance(value, date | time) else value)
        for name in (self._low, self._high):
            bound = getattr(self, name)
            if bound is None:
                continue
            limit = self._read(bound)
            if moment < limit if name == self._low else moment > limit:
                word = {"min": "at least", "max": "at most"}.get(name, name)
                _refuse(f"it must be {word} `{bound}`", value)
        return self._write(moment, str(value).strip())

    def _write(self, moment: Any, given: str) -> str:
        return given


class _Ranged(_Moment):
    after: str | None = None
    before: str | None = None


class DatetimeInput(_Ranged):
    """An instant with its zone, given back in UTC: `2042-04-02T04:20:42Z`."""

    _adapter = _INSTANT
    _expected = "a date and time with a zone such as `2042-04-02T04:20:42Z` is expected"

    def _read(self, value: Any) -> Any:
        if isinstance(value, str) and "T" not in value.upper():
            _refuse(self._expected, value)
        return super()._read(value)

    def _write(self, moment: Any, given: str) -> str:
        offset = moment.utcoffset()
        text: str = (moment.replace(tzinfo=None) - offset).isoformat()
        return text + "Z"


class DateInput(_Ranged):
    """A day: `2042-04-02`."""

    _adapter = _DATE
    _expected = "a date such as `2042-04-02` is expected"

    def _read(self, value: Any) -> Any:
        if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d", value.strip()):
            _refuse(self._expected, value)
        return super()._read(value)


class TimeInput(_Ranged):
    """A time of day: `04:20` or `04:20:42`."""

    _adapter = _TIME
    _expected = "a time such as `04:20:42` is expected"

    def _read(self, value: Any) -> Any:
        if not isinstance(value, str) or not re.fullmatch(r"\d\d:\d\d(:\d\d(\.\d{1,9})?)?", value.strip()):
            _refuse(self._expected, value)
        return super()._read(value)


class DurationInput(_Moment):
    """A span of time: `PT5M`."""

    _adapter = _DURATION
    _expected = "a duration such as `PT5M` is expected"
    _low = "min"
    _high = "max"

    min: str | None = None
    max: str | None = None

    def _read(self, value: Any) -> Any:
        if not isinstance(value, str) or not re.match(r"[+-]?P", value.strip(), re.IGNORECASE):
            _refuse(self._expected, value)
        return super()._read(value)


class FileInput(Input):
    """A file the caller has stored; the value is its URI."""

    extension: str | None = Field(default=None, pattern=r"^\..+")
    allowed_file_extensions: tuple[Annotated[str, Field(pattern=r"^\..+")], ...] = ()
    accept: tuple[str, ...] = ()

    def convert(self, value: Any) -> str:
        """The URI as it was given."""
        text = as_text(value)
        allowed = self.allowed_file_extensions
        if allowed and not text.lower().endswith(tuple(ending.lower() for ending in allowed)):
            _refuse(f"a file that ends in {', '.join(allowed)} is expected", text.rsplit("/", 1)[-1])
        return text


class JsonInput(Input):
    """Any JSON."""

    json_schema: Any = None

    def convert(self, value: Any) -> Any:
        """The value; text is parsed."""
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            _refuse("JSON is expected", value)


class YamlInput(Input):
    """Any YAML."""

    def convert(self, value: Any) -> Any:
        """The value; text is parsed by the YAML 1.2 core schema, without tags or aliases."""
        if not isinstance(value, str):
            return value
        if re.search(r"(?m)(^|[\s\[,{])[&*!]\w", value):
            _refuse("YAML without anchors and tags is expected", value)
        from yaml12 import parse_yaml

        try:
            return json.loads(json.dumps(parse_yaml(value), allow_nan=False))
        except (ValueError, TypeError, RecursionError):
            _refuse("YAML is expected", value)


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
                _refuse("the expression must give a list", choices)
        if not isinstance(choices, list | tuple):
            _refuse("the expression must give a list", choices)
        found = tuple(Choice.model_validate(_choice(choice)) for choice in choices)
        return self.model_copy(update={"values": found})

    def _one(self, value: Any) -> str:
        text = as_text(value)
        known = [choice.value for choice in self.values or ()]
        if not self.allow_custom_value and text not in known:
            _refuse(f"it must be one of {', '.join(f'`{each}`' for each in known)}", text)
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
            _refuse("a JSON list is expected", value)
    if not isinstance(value, list | tuple):
        _refuse("a list is expected", value)
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
