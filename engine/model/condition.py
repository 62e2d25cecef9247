"""What a trigger may ask before it fires: the base of all conditions (dialect, section 3.6).

Conditions are pure: they see the variables of the fire and a callable that renders expressions. The condition
types live in `engine.triggers.conditions`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import PlainValidator

from engine.model.base import Document
from engine.model.types import resolver

Render = Callable[[Any, Mapping[str, Any]], Any]
"""Renders a template (or a list or map of templates), typed, against variables. Raises ExpressionError."""


class Condition(Document):
    """One question with the answer yes or no."""

    type: str
    version: str | None = None

    def holds(self, variables: Mapping[str, Any], render: Render) -> bool:
        """Whether it is met for these expression variables. Raises UserError when it cannot be told."""
        raise NotImplementedError


AnyCondition = Annotated[Condition, PlainValidator(resolver("conditions", Condition))]


def is_true(value: Any) -> bool:
    """The dialect's truth (section 1.4): false, 0, -0, blank and null are false, all else is true."""
    if value is None or value is False:
        return False
    text = str(value).strip()
    return text not in {"", "0", "-0", "false"}
