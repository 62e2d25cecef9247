"""Validation errors of pydantic, said for people. Pure; knows the shape of the models, no file and no YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import AliasChoices, BaseModel
from pydantic_core import ErrorDetails

from engine.errors import PluginError
from engine.model.condition import Condition
from engine.model.input_types import TYPES
from engine.model.input_values import Input
from engine.model.task import Task
from engine.model.text import nearest
from engine.model.trigger import Trigger
from engine.model.types import Group, Types
from engine.spec.marks import Path

_GROUPS: dict[type[BaseModel], Group] = {Task: "tasks", Trigger: "triggers", Condition: "conditions"}
_DURATION = "a duration in ISO 8601 such as `PT5M`"
_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "time_delta_type": _DURATION,
    "time_delta_parsing": _DURATION,
    "dict_type": "a map",
    "model_type": "a map",
    "model_attributes_type": "a map",
    "mapping_type": "a map",
    "tuple_type": "a list",
    "list_type": "a list",
    "date_type": "a date such as `2042-04-02`",
    "date_parsing": "a date such as `2042-04-02`",
}


def known_path(location: tuple[int | str, ...], data: Any, missing: bool) -> Path:
    """The location without the parts that pydantic adds (names of union members), as far as the data goes."""
    path: list[str | int] = []
    place = data
    for part in location:
        found = _key_for(part, place)
        if found is None:
            continue
        path.append(found)
        place = place[found]
    if missing:
        path.append(location[-1])
    return tuple(path)


def _key_for(part: int | str, place: Any) -> int | str | None:
    if isinstance(place, list):
        return part if isinstance(part, int) and part < len(place) else None
    if not isinstance(place, Mapping):
        return None
    if part in place:
        return part
    return int(part) if isinstance(part, str) and part.isdigit() and int(part) in place else None


def say(error: ErrorDetails, path: Path, data: Any, root: type[BaseModel], types: Types) -> str | None:
    """One sentence for one error; none when the error only follows from others."""
    kind, given, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "ours":
        return str(context["message"])
    if kind == "value_error":
        return str(context["error"])
    if kind == "missing":
        return f"`{path[-1]}` is required"
    if kind == "extra_forbidden":
        names = properties(path[:-1], data, root, types)
        near = nearest(str(path[-1]), names)
        hint = (
            f"; did you mean `{near}`?"
            if near
            else f"; known here: {', '.join(sorted(names))}"
            if names
            else ""
        )
        return f"unknown property `{path[-1]}`{hint}"
    if kind in ("literal_error", "enum"):
        return _one_of(given, str(context["expected"]).replace(" or ", ", ").replace("'", "").split(", "))
    if kind == "union_tag_invalid":
        return _one_of(context["tag"], str(context["expected_tags"]).replace("'", "").split(", "))
    if kind == "union_tag_not_found":
        return f"`{str(context['discriminator']).strip(chr(39))}` is required"
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, got {shown(given)}"
    if kind == "too_short":
        return None if given else "must not be empty"
    if kind == "string_pattern_mismatch":
        return f"{shown(given)} does not fit; it must match {context['pattern']}"
    return f"{error['msg'][:1].lower()}{error['msg'][1:]}, got {shown(given)}"


def shown(value: Any) -> str:
    """A wrong value for a message: scalars as they are, the rest by kind."""
    if isinstance(value, Mapping):
        return "a map"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
    return f"`{text if len(text) <= 80 else text[:79] + '…'}`"


def _one_of(given: Any, known: list[str]) -> str:
    near = nearest(given, known) if isinstance(given, str) else ""
    return f"{shown(given)} is not one of {', '.join(known)}" + (f"; did you mean `{near}`?" if near else "")


def properties(path: Path, data: Any, root: type[BaseModel], types: Types) -> tuple[str, ...]:
    """The names of the properties that are known at a path of the data, old spellings left out."""
    classes: tuple[type[BaseModel], ...] = (_resolved(root, data, types),)
    place = data
    for part in path:
        place = place[part]
        if isinstance(part, str):
            annotations = [_field(each, part) for each in classes]
            classes = tuple(found for annotation in annotations for found in _models(annotation))
        classes = tuple(_resolved(each, place, types) for each in classes)
    return tuple(dict.fromkeys(name for each in classes for name in _names(each)))


def _names(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        alias = field.validation_alias
        if isinstance(alias, AliasChoices):
            alias = str(alias.choices[0])
        yield alias if isinstance(alias, str) else name


def _field(model: type[BaseModel], key: str) -> Any:
    for name, field in model.model_fields.items():
        alias = field.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias or name]
        if key in choices:
            return field.annotation
    return None


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _resolved(model: type[BaseModel], place: Any, types: Types) -> type[BaseModel]:
    name = place.get("type") if isinstance(place, Mapping) else None
    if not isinstance(name, str):
        return model
    if model is Input:
        return TYPES.get(name, model)
    group = _GROUPS.get(model)
    if group is None:
        return model
    try:
        return types.find(group, name) or model
    except PluginError:
        return model
