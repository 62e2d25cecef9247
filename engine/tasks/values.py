"""What several tasks read their properties as: lists of names, numbers, dates, URIs of files. Raises UserError."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from engine.errors import UserError
from engine.model.input_values import as_text
from engine.model.state import State
from engine.model.task import Context


def names(given: Any, word: str, context: Context) -> list[str]:
    """A list of text; one text alone, or JSON of a list, will do. None is none at all."""
    found = context.value(given) if given is not None else []
    if isinstance(found, str):
        try:
            listed = json.loads(found) if found.lstrip().startswith("[") else None
        except (ValueError, RecursionError):
            listed = None
        found = listed if isinstance(listed, list) else [found]
    if not isinstance(found, list | tuple) or any(
        isinstance(each, dict | list) or each is None for each in found
    ):
        raise UserError(f"`{word}` is no list of text", hint="give a list")
    return [as_text(each) for each in found]


def whole(given: Any, word: str, context: Context, *, least: int) -> int:
    """A whole number that is not less than `least`."""
    found = context.value(given)
    try:
        if isinstance(found, bool) or int(found) != float(found) or int(found) < least:
            raise ValueError(found)
        return int(found)
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"`{word}` is no whole number from {least}: `{as_text(found)[:80]}`") from None


def instant(given: Any, word: str, context: Context) -> datetime | None:
    """A date with a time, in UTC where it names no zone; none when it is left out or empty."""
    text = context.render(as_text(given)).strip() if given is not None else ""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text.partition("[")[0])
    except ValueError:
        raise UserError(
            f"`{word}` is no date: `{text[:80]}`", hint="write ISO 8601 such as `2026-01-31T00:00:00Z`"
        ) from None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def states(given: Any, word: str, context: Context) -> tuple[State, ...]:
    """States of executions."""
    found = [name.strip().upper() for name in names(given, word, context)]
    unknown = next((name for name in found if name not in State.__members__), None)
    if unknown is not None:
        raise UserError(
            f"`{unknown[:80]}` in `{word}` is no state", hint=f"use {', '.join(State.__members__)}"
        )
    return tuple(State[name] for name in found)
