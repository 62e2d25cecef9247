"""Tasks on the key-value store of a namespace (dialect, sections 2.4 and 6.3).

Reads without a namespace look in the flow's own and then in those above it; writes go to one namespace.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
from pydantic import model_validator

from engine.errors import HeadwaterError, NotFound, NotPermitted, UserError
from engine.model import kv
from engine.model.base import Document, Text
from engine.model.duration import DurationText, seconds_of
from engine.model.input_values import as_text
from engine.model.task import Inline, InlineContext, TaskResult
from engine.tasks.script_files import fits
from engine.tasks.values import names

MAX_VALUE_BYTES = 4 << 20
_TYPES = ("STRING", "NUMBER", "BOOLEAN", "DATETIME", "DATE", "DURATION", "JSON")


class _OfNamespace(Inline):
    namespace: Text | None = None

    def _place(self, context: InlineContext) -> str:
        return (context.render(self.namespace).strip() if self.namespace else "") or context.namespace


class _OfKey(_OfNamespace):
    key: Text

    def _key(self, context: InlineContext) -> str:
        return kv.checked_key(context.render(self.key))


class Set(_OfKey):
    """Sets a value; without `overwrite`, one that is there already is an error."""

    value: Any
    overwrite: Any = True
    ttl: DurationText | None = None
    kv_type: Text | None = None
    kv_description: Text | None = None

    async def run(self, context: InlineContext) -> TaskResult:
        """Write the entry."""
        place, key = self._place(context), self._key(context)
        value, kind = _typed(context.value(self.value), self.kv_type and context.render(self.kv_type))
        if len(msgspec.json.encode(value)) > MAX_VALUE_BYTES:
            raise UserError(
                f"the value of `{key}` has more than {MAX_VALUE_BYTES} bytes",
                hint="keep a file, and its URI here",
            )
        entry = {
            "value": value,
            "type": kind,
            "expires": self._expires(context),
            "description": context.render(self.kv_description) if self.kv_description else None,
            "by": context.key,
        }
        overwrite = context.truthy(self.overwrite)

        def change(there: Mapping[str, Any]) -> Mapping[str, Any]:
            old = there.get(key)
            if not overwrite and kv.alive(old, context.now) and old.get("by") != context.key:
                raise NotPermitted(
                    f"the key `{key}` is set already in the namespace `{place}`",
                    hint="use another key, or set `overwrite: true`",
                )
            return {key: entry}

        await context.control.keep(kv.space(place), change, [key])
        return TaskResult()

    def _expires(self, context: InlineContext) -> str | None:
        if self.ttl is None:
            return None
        try:
            return (context.now + timedelta(seconds=seconds_of(context.render(self.ttl)))).isoformat()
        except OverflowError:
            return None  # later than any calendar: never


class Get(_OfKey):
    """Gives the value of a key, or null."""

    error_on_missing: Any = False

    async def run(self, context: InlineContext) -> TaskResult:
        """Output `value`."""
        key, named = self._key(context), self._place(context)
        for place in (named,) if self.namespace else kv.upwards(named):
            found = (await context.control.kept(kv.space(place), [key])).get(key)
            if kv.alive(found, context.now):
                return TaskResult(outputs={"value": found["value"]})
        if context.truthy(self.error_on_missing):
            raise _missing(key, named)
        return TaskResult(outputs={"value": None})


class GetKeys(_OfNamespace):
    """Gives the keys of a namespace that begin with `prefix`."""

    prefix: Text | None = None

    async def run(self, context: InlineContext) -> TaskResult:
        """Output `keys`, sorted."""
        prefix = context.render(self.prefix) if self.prefix else ""
        entries = await context.control.kept(kv.space(self._place(context)))
        keys = sorted(
            key for key, entry in entries.items() if key.startswith(prefix) and kv.alive(entry, context.now)
        )
        return TaskResult(outputs={"keys": keys})


class Delete(_OfKey):
    """Removes a key."""

    error_on_missing: Any = False

    async def run(self, context: InlineContext) -> TaskResult:
        """Output `deleted`: whether it was there."""
        place, key = self._place(context), self._key(context)
        found: list[bool] = []

        def change(there: Mapping[str, Any]) -> Mapping[str, Any]:
            found.append(kv.alive(there.get(key), context.now))
            return {key: None}

        await context.control.keep(kv.space(place), change, [key])
        if not found[-1] and context.truthy(self.error_on_missing):
            raise _missing(key, place)
        return TaskResult(outputs={"deleted": found[-1]})


class _Behavior(Document):
    type: Text = "key"
    expired_only: Any = True


class PurgeKV(Inline):
    """Removes the keys of some namespaces, by default those that have expired."""

    key_pattern: Text | None = None
    namespaces: list[Text] | Text | None = None
    namespace_pattern: Text | None = None
    include_child_namespaces: Any = True
    behavior: _Behavior = _Behavior()
    expired_only: Any = None

    @model_validator(mode="after")
    def _one_choice(self) -> PurgeKV:
        if self.namespaces is not None and self.namespace_pattern is not None:
            raise ValueError("give `namespaces` or `namespacePattern`, not both")
        return self

    async def run(self, context: InlineContext) -> TaskResult:
        """Output `size`: how many were removed."""
        pattern = context.render(self.key_pattern) if self.key_pattern else "*"
        given = self.behavior.expired_only if self.expired_only is None else self.expired_only
        expired_only = context.truthy(given)
        count = 0

        def change(there: Mapping[str, Any]) -> Mapping[str, Any]:
            nonlocal count
            doomed = [
                key
                for key, entry in there.items()
                if fits(key, pattern) and not (expired_only and kv.alive(entry, context.now))
            ]
            count += len(doomed)
            return dict.fromkeys(doomed)

        for space in await self._spaces(context):
            await context.control.keep(space, change)
        return TaskResult(outputs={"size": count})

    async def _spaces(self, context: InlineContext) -> list[str]:
        known = await context.control.spaces(kv.SPACES)
        if self.namespace_pattern is not None:
            pattern = context.render(self.namespace_pattern)
            return [space for space in known if fits(space.removeprefix(kv.SPACES), pattern)]
        if self.namespaces is None:
            return known
        wanted = names(self.namespaces, "namespaces", context)
        below = context.truthy(self.include_child_namespaces)
        return [
            space
            for space in known
            for name in (space.removeprefix(kv.SPACES),)
            if name in wanted or (below and any(name.startswith(f"{each}.") for each in wanted))
        ]


def _missing(key: str, place: str) -> HeadwaterError:
    return NotFound(
        f"The key '{key}' does not exist in the namespace '{place}'",
        hint="set it, or leave `errorOnMissing` out",
    )


def _typed(value: Any, kind: str | None) -> tuple[Any, str]:
    """The value as its type wants it, and the type. Raises UserError."""
    if kind is None:
        return value, _type_of(value)
    kind = kind.strip().upper()
    if kind not in _TYPES:
        raise UserError(f"`{kind}` is no type of a value", hint=f"use one of {', '.join(_TYPES)}")
    if kind == "STRING":
        return as_text(value), kind
    if not isinstance(value, str):
        return value, kind
    text = value.strip()
    try:
        return _read(text, kind), kind
    except (ValueError, RecursionError, UserError):
        raise UserError(f"`{text[:80]}` is no {kind}", hint="correct the value, or `kvType`") from None


def _read(text: str, kind: Literal["NUMBER", "BOOLEAN", "DATETIME", "DATE", "DURATION", "JSON"] | str) -> Any:
    match kind:
        case "NUMBER":
            number = json.loads(text, parse_constant=_refuse)
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise ValueError(text)
            return number
        case "BOOLEAN":
            return text.lower() == "true"
        case "DATETIME":
            at = datetime.fromisoformat(text)
            return (
                (at if at.tzinfo else at.replace(tzinfo=UTC))
                .astimezone(UTC)
                .isoformat()
                .replace("+00:00", "Z")
            )
        case "DATE":
            return datetime.fromisoformat(text).date().isoformat()
        case "DURATION":
            seconds_of(text)
            return text
        case _:
            return json.loads(text, parse_constant=_refuse)


def _refuse(name: str) -> Any:
    raise ValueError(name)


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "BOOLEAN"
    if isinstance(value, int | float):
        return "NUMBER"
    return "STRING" if isinstance(value, str) or value is None else "JSON"
