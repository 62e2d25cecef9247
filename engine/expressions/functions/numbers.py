"""Functions over numbers: `max`, `min`, `range`, random ones."""

from __future__ import annotations

import secrets
from typing import Any, Final

from engine.errors import ExpressionError
from engine.expressions.operators import order, span
from engine.expressions.registry import function_named

_FIRST_PRIVATE_PORT: Final = 49152


@function_named("max", variadic=True)
def _max(*values: Any) -> Any:
    best = None
    for value in values:
        best = value if best is None or order(">", value, best) else best
    return best


@function_named("min", variadic=True)
def _min(*values: Any) -> Any:
    best = None
    for value in values:
        best = value if best is None or order("<", value, best) else best
    return best


@function_named("range", takes=("start", "end", "increment"), required=2)
def _range(start: Any, end: Any, increment: Any = None) -> list[Any]:
    return span(start, end, 1 if increment is None else increment)


@function_named("randomInt", takes=("lower", "upper"), required=2)
def _random_int(lower: Any, upper: Any) -> int:
    if any(isinstance(bound, bool) or not isinstance(bound, int) for bound in (lower, upper)):
        raise ExpressionError("`randomInt` needs two integers")
    if upper < lower:
        raise ExpressionError("`randomInt` needs an upper bound that is not below its lower bound")
    return int(lower) + (secrets.randbelow(upper - lower) if upper > lower else 0)


@function_named("randomPort")
def _random_port() -> int:
    """A port of the range for private use (RFC 6335); whether it is free only the machine of the task can tell."""
    return _FIRST_PRIVATE_PORT + secrets.randbelow(65536 - _FIRST_PRIVATE_PORT)
