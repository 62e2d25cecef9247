"""Whether a value is what a test expects. Pure.

Expressions give text where people think of numbers, and JSON where they think of lists: what looks the same is the
same, so `equalTo: 3` holds for the text `3`, and a list for the JSON text of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from engine.model.input_values import as_text


def holds(operator: str, actual: Any, expected: Any) -> bool:
    """Whether `actual` is what an operator of an assertion (`equalTo`, `contains` …) asks for."""
    return _OPERATORS[operator](actual, expected)


def same(actual: Any, expected: Any) -> bool:
    """Whether two values look the same to a person."""
    if isinstance(actual, bool) or isinstance(expected, bool):
        return as_text(actual).strip().lower() == as_text(expected).strip().lower()
    if isinstance(actual, str) != isinstance(expected, str):
        return bool(_parsed(actual) == _parsed(expected))
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        return set(actual) == set(expected) and all(same(actual[key], expected[key]) for key in expected)
    if isinstance(actual, list | tuple) and isinstance(expected, list | tuple):
        return len(actual) == len(expected) and all(map(same, actual, expected))
    return bool(actual == expected)


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _contains(actual: Any, expected: Any) -> bool:
    if isinstance(actual, str) and isinstance(_parsed(actual), list):
        actual = _parsed(actual) if as_text(expected) not in actual else actual
    if isinstance(actual, Mapping):
        return as_text(expected) in actual
    if isinstance(actual, list | tuple):
        return any(same(each, expected) for each in actual)
    return actual is not None and as_text(expected) in as_text(actual)


def _among(actual: Any, expected: Any) -> bool:
    found = _parsed(expected)
    choices = found if isinstance(found, list | tuple) else [found]
    return any(same(actual, each) for each in choices)


def _ordered(fits: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """Numbers as numbers, all else (dates in ISO 8601 above all) as text."""

    def compare(actual: Any, expected: Any) -> bool:
        if actual is None or expected is None:
            return False
        try:
            return fits(float(actual), float(expected))
        except (TypeError, ValueError):
            return fits(as_text(actual), as_text(expected))

    return compare


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "isNull": lambda actual, expected: (actual is None) == (expected is not False),
    "isNotNull": lambda actual, expected: (actual is not None) == (expected is not False),
    "equalTo": same,
    "notEqualTo": lambda actual, expected: not same(actual, expected),
    "startsWith": lambda actual, expected: as_text(actual).startswith(as_text(expected)),
    "endsWith": lambda actual, expected: as_text(actual).endswith(as_text(expected)),
    "contains": _contains,
    "greaterThan": _ordered(lambda actual, expected: bool(actual > expected)),
    "greaterThanOrEqualTo": _ordered(lambda actual, expected: bool(actual >= expected)),
    "lessThan": _ordered(lambda actual, expected: bool(actual < expected)),
    "lessThanOrEqualTo": _ordered(lambda actual, expected: bool(actual <= expected)),
    "in": _among,
    "notIn": lambda actual, expected: not _among(actual, expected),
}
