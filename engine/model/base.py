"""The common base of everything a flow file can say: strict, frozen, camelCase outside, snake_case inside."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic.alias_generators import to_camel


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return value


Text = Annotated[str, BeforeValidator(_text)]
"""Text, also when the file gives a bare number or boolean: `message: 42` means `message: "42"`."""


class Document(BaseModel):
    """A part of a flow file; unknown properties are errors (dialect, section 1.1)."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=False,
        validate_by_alias=True,
        defer_build=True,  # most commands use few of all the types
    )
