"""ISO 8601 durations (`PT5M`, `P1D`) as flow files write them."""

from __future__ import annotations

from datetime import timedelta

from pydantic import TypeAdapter, ValidationError

from engine.errors import UserError

_adapter = TypeAdapter(timedelta)


def parse_duration(text: str, what: str) -> timedelta:
    """The duration that a text says. Raises UserError, naming `what` it was for."""
    stripped = text.strip()
    try:
        if not stripped.lstrip("+-").startswith("P"):
            raise ValueError
        return _adapter.validate_python(stripped)
    except (ValidationError, ValueError):
        raise UserError(f"{what}: `{text}` is no duration; write it like `PT5M` or `P1D`") from None
