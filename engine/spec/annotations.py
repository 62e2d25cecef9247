"""The JSON Schema (draft-07) of a property, from its annotation. Pure.

Where a validator of ours reads more than the annotation says (a bare number as text, nothing as an empty list), what
it takes is found by trying it on a sample of each kind. An editor must never refuse what the engine accepts; the
other way round, a few rules are known to the engine only. It must not know which types of tasks there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel, BeforeValidator, PlainValidator, TypeAdapter, WrapValidator
from pydantic.fields import FieldInfo

Schema = dict[str, Any]
Refer = Callable[[type[BaseModel]], Schema]
"""Gives the reference to a model's own schema."""

_YES_OR_NO = "^([Tt]rue|TRUE|[Ff]alse|FALSE|[Yy]es|YES|[Nn]o|NO|[Oo]n|ON|[Oo]ff|OFF|[YyNnTtFf01])$"
_LEAVES: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": ["integer", "string"], "pattern": r"^\s*[+-]?[0-9_]+\s*$"},
    float: {"type": ["number", "string"], "pattern": r"^\s*[+-]?[0-9_.]+([eE][+-]?[0-9]+)?\s*$"},
    bool: {"type": ["boolean", "string"], "pattern": _YES_OR_NO},
    timedelta: {"type": ["string", "number"]},
    datetime: {"type": ["string", "number"]},
    date: {"type": ["string", "number"]},
    time: {"type": ["string", "number"]},
    dict: {"type": "object"},
    list: {"type": "array"},
    tuple: {"type": "array"},
}
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_LENGTHS = {"min_length": ("minLength", "minItems"), "max_length": ("maxLength", "maxItems")}
_SAMPLES: dict[str, tuple[Any, ...]] = {
    "null": (None,),
    "string": ("", "a", "1", "PT1M", "[]", "{}", "{{ a }}"),
    "number": (1, 1.5),
    "boolean": (True,),
    "array": ([], ["a"]),
    "object": ({}, {"a": "b"}),
}


def of_field(field: FieldInfo, refer: Refer) -> Schema:
    """The schema of a field's values."""
    return _of(field.annotation, tuple(field.metadata), refer)


def names(name: str, field: FieldInfo) -> tuple[str, ...]:
    """How a file may call a field; its present name first."""
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return tuple(str(choice) for choice in alias.choices)
    return (alias if isinstance(alias, str) else name,)


def described(schema: Schema, text: str, **more: Any) -> Schema:
    """The schema with words for people; beside a `$ref` draft-07 would not see them."""
    extra = {**({"description": text} if text else {}), **more}
    if not extra:
        return schema
    return {"allOf": [schema], **extra} if "$ref" in schema else {**schema, **extra}


def _of(annotation: Any, metadata: tuple[Any, ...], refer: Refer) -> Schema:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _of(arguments[0], (*arguments[1:], *metadata), refer)
    if any(isinstance(each, PlainValidator) for each in metadata):
        is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
        return refer(annotation) if is_model else {}
    schema = _bounded(_plain(annotation, origin, arguments, refer), metadata)
    if any(isinstance(each, BeforeValidator | WrapValidator) for each in metadata):
        return _widened(schema, Annotated[annotation, *metadata])
    return schema


def _plain(annotation: Any, origin: Any, arguments: tuple[Any, ...], refer: Refer) -> Schema:
    if origin in (Union, UnionType):
        return _any_of([_of(each, (), refer) for each in arguments])
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is dict or origin is Mapping:
        inner = _of(arguments[1], (), refer)
        return {"type": "object", **({"additionalProperties": inner} if inner else {})}
    if origin in (tuple, list, set, frozenset):
        inner = _of(arguments[0], (), refer) if arguments else {}
        return {"type": "array", **({"items": inner} if inner else {})}
    if annotation is type(None):
        return {"type": "null"}
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return refer(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return {"enum": [each.value for each in annotation]}
    return dict(_LEAVES.get(annotation, {}))


def _any_of(parts: list[Schema]) -> Schema:
    if {} in parts:
        return {}
    nothing = {"type": "null"}
    some = [part for part in parts if part != nothing]
    if len(some) == len(parts):
        return {"anyOf": some}
    if len(some) == 1:
        return _or_kinds(some[0], ["null"])
    return {"anyOf": [*some, nothing]}


def _bounded(schema: Schema, metadata: tuple[Any, ...]) -> Schema:
    found = dict(schema)
    for each in (part for item in metadata for part in (getattr(item, "metadata", None) or [item])):
        for name, keyword in _BOUNDS.items():
            if isinstance(getattr(each, name, None), int | float):
                found[keyword] = getattr(each, name)
        for name, (text, items) in _LENGTHS.items():
            if isinstance(getattr(each, name, None), int):
                found[items if found.get("type") == "array" else text] = getattr(each, name)
        if isinstance(getattr(each, "pattern", None), str):
            found["pattern"] = each.pattern
    return found


def _widened(schema: Schema, annotation: Any) -> Schema:
    """The schema, and the kinds of values besides that a validator makes something of."""
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    known = _kinds(schema)
    if known is None:
        return schema
    more = [
        kind
        for kind, samples in _SAMPLES.items()
        if kind not in known and any(_takes(adapter, sample) for sample in samples)
    ]
    return _or_kinds(schema, more)


def _takes(adapter: TypeAdapter[Any], sample: Any) -> bool:
    try:
        adapter.validate_python(sample)
    except Exception:  # whatever a validator does with what it was not made for, it does not take it
        return False
    return True


def _kinds(schema: Schema) -> set[str] | None:
    """The kinds of values a schema allows; none for all."""
    if "anyOf" in schema:
        inner = [_kinds(each) for each in schema["anyOf"]]
        return None if None in inner else {kind for each in inner if each for kind in each}
    kinds = schema.get("type", ["object"] if "$ref" in schema else None)
    if kinds is None:
        return {"string"} if "enum" in schema else None
    return {kinds} if isinstance(kinds, str) else set(kinds)


def _or_kinds(schema: Schema, more: list[str]) -> Schema:
    if not more or not schema:
        return schema
    if "anyOf" in schema:
        return {**schema, "anyOf": [*schema["anyOf"], {"type": more[0] if len(more) == 1 else more}]}
    if "type" in schema:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        return {**schema, "type": [*kinds, *more]}
    return {"anyOf": [schema, {"type": more[0] if len(more) == 1 else more}]}
