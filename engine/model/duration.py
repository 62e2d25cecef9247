"""Durations as flow files write them: ISO 8601 (`PT5M`), perhaps a template. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, TypeAdapter, ValidationError

from engine.errors import UserError
from engine.model.base import Text

_ADAPTER: TypeAdapter[timedelta] = TypeAdapter(timedelta)


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) and value[:1] in "pP+-" else value


Duration = Annotated[timedelta, BeforeValidator(_upper)]
"""A duration that cannot be a template; ISO 8601 in either case of letters, as the dialect reads it."""


def seconds_of(value: Any) -> float:
    """The seconds of a rendered duration; a bare number counts as seconds. Raises UserError."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    text = str(value).strip()
    try:
        if text[:1] not in ("P", "p") and text[:2] not in ("-P", "+P"):
            raise ValueError(text)
        return _ADAPTER.validate_python(text.upper()).total_seconds()
    except (ValidationError, ValueError):
        raise UserError(f"`{text[:80]}` is no duration", hint="write ISO 8601 such as `PT5M`") from None


def _parses(text: str) -> str:
    if "{{" not in text and "{%" not in text:
        try:
            seconds_of(text)
        except UserError:
            raise ValueError(f"expected a duration in ISO 8601 such as `PT5M`, got `{text[:80]}`") from None
    return text


DurationText = Annotated[Text, AfterValidator(_parses)]
"""A duration, or a template that renders to one; `seconds_of` reads what it rendered to."""
