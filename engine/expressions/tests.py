"""The tests of the dialect (section 5.1): what may stand after `is`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from engine.errors import ExpressionError
from engine.expressions.registry import test_named
from engine.expressions.values import is_list, kind


@test_named("defined")
def _defined(value: Any) -> bool:
    # an undefined operand arrives as null, and null counts as not defined
    return value is not None


@test_named("null")
def _null(value: Any) -> bool:
    return value is None


@test_named("empty")
def _empty(value: Any) -> bool:
    if value is None:
        return True
    if isinstance(value, str):
        return not value.strip()
    return (isinstance(value, Mapping) or is_list(value)) and not len(value)


@test_named("even")
def _even(value: Any) -> bool:
    return _integer(value, "even") % 2 == 0


@test_named("odd")
def _odd(value: Any) -> bool:
    return _integer(value, "odd") % 2 == 1


def _integer(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ExpressionError(f"`is {name}` needs an integer, but got {kind(value)}")
    return value


@test_named("iterable")
def _iterable(value: Any) -> bool:
    return is_list(value)


@test_named("map")
def _map(value: Any) -> bool:
    return isinstance(value, Mapping)


@test_named("json")
def _json(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return False
    return True
