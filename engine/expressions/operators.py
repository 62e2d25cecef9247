"""What the operators do to values: arithmetic of 64-bit integers and floats, equality, order, membership.

Knows no template. Arithmetic follows Java's binary numeric promotion (dialect, section 5.1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from engine.errors import ExpressionError
from engine.expressions import limits
from engine.expressions.values import Float32, is_list, java_text, kind

_SIGN: Final = 1 << 63
_WIDTH: Final = 1 << 64


def wrap64(number: int) -> int:
    """An integer as 64 bits hold it."""
    return number if -_SIGN <= number < _SIGN else (number + _SIGN) % _WIDTH - _SIGN


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _truncated(left: int, right: int) -> int:
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _int_divide(left: int, right: int) -> int:
    if right == 0:
        raise ExpressionError("Division by zero")
    return _truncated(left, right)


def _int_modulo(left: int, right: int) -> int:
    if right == 0:
        raise ExpressionError("Division by zero")
    return left - right * _truncated(left, right)


def _float_divide(left: float, right: float) -> float:
    if right:
        return left / right
    return math.nan if not left or left != left else math.copysign(math.inf, left) * math.copysign(1, right)


def _float_modulo(left: float, right: float) -> float:
    return math.nan if not right or math.isinf(left) else math.fmod(left, right)


_INTEGER: Final[dict[str, Callable[[int, int], int]]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _int_divide,
    "%": _int_modulo,
}
_FLOAT: Final[dict[str, Callable[[float, float], float]]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _float_divide,
    "%": _float_modulo,
}


def calculate(operator: str, left: Any, right: Any) -> Any:
    """`+ - * / %` of two numbers. Raises ExpressionError for anything else."""
    if not (_is_number(left) and _is_number(right)):
        raise ExpressionError(
            f"`{operator}` needs two numbers, but got {kind(left)} and {kind(right)}",
            hint="turn text into a number with the filter `number`",
        )
    if isinstance(left, int) and isinstance(right, int):
        return wrap64(_INTEGER[operator](left, right))
    try:
        result = _FLOAT[operator](float(left), float(right))
    except OverflowError:
        return math.inf
    single = {type(left), type(right)} <= {int, Float32}
    return Float32(result) if single else result


def add(left: Any, right: Any) -> Any:
    """`+`: joins text when either side is text, adds to a list, else adds numbers."""
    if isinstance(left, str) or isinstance(right, str):
        text = java_text(left) + java_text(right)
        limits.check_text(len(text))
        return text
    if is_list(left):
        joined = [*left, *(right if is_list(right) else (right,))]
        limits.check_items(len(joined))
        return joined
    return calculate("+", left, right)


def subtract(left: Any, right: Any) -> Any:
    """`-`: takes elements off a list, else subtracts numbers."""
    if not is_list(left):
        return calculate("-", left, right)
    if is_list(right):
        limits.check_work(len(left) * len(right))
        return [item for item in left if not any(same(item, other) for other in right)]
    for index, item in enumerate(left):
        if same(item, right):
            return [*left[:index], *left[index + 1 :]]
    return list(left)


def concatenate(left: Any, right: Any) -> str:
    """`~`: the text of both sides; null is nothing."""
    text = ("" if left is None else java_text(left)) + ("" if right is None else java_text(right))
    limits.check_text(len(text))
    return text


def same(left: Any, right: Any) -> bool:
    """`==`: numbers by value, lists and maps by content, everything else only within its own type."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if is_list(left) and is_list(right):
        return len(left) == len(right) and all(
            same(one, other) for one, other in zip(left, right, strict=True)
        )
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return len(left) == len(right) and all(
            key in right and same(item, right[key]) for key, item in left.items()
        )
    if type(left) is Float32 or type(right) is Float32:
        return _is_number(left) and _is_number(right) and java_text(left) == java_text(right)
    return bool(left == right)


_ORDER: Final[dict[str, Callable[[Any, Any], bool]]] = {
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
}


def order(operator: str, left: Any, right: Any) -> bool:
    """`> >= < <=`: numbers, or two strings; false when a side is null. Raises ExpressionError for anything else."""
    if left is None or right is None:
        return False
    if (_is_number(left) and _is_number(right)) or (isinstance(left, str) and isinstance(right, str)):
        return _ORDER[operator](left, right)
    raise ExpressionError(
        f"`{operator}` cannot compare {kind(left)} with {kind(right)}",
        hint="turn text into a number with the filter `number`",
    )


def contains(left: Any, right: Any) -> bool:
    """`contains`: an element, or every element, of a list; a key of a map; a part of a text."""
    if left is None:
        return False
    if isinstance(left, str):
        return java_text(right) in left
    if isinstance(left, Mapping):
        return isinstance(right, str | int | float | bool) and right in left
    if is_list(left):
        wanted = right if is_list(right) else (right,)
        limits.check_work(len(left) * len(wanted))
        return all(any(same(item, want) for item in left) for want in wanted)
    raise ExpressionError(f"`contains` needs a list, a map or a string on its left, but got {kind(left)}")


def is_in(left: Any, right: Any) -> bool:
    """`isIn`: whether a list has an element, or a map a key or value, with the same text."""
    if left is None or right is None:
        return False
    text = java_text(left)
    if is_list(right):
        return any(java_text(item) == text for item in right)
    if isinstance(right, Mapping):
        return any(text in (java_text(key), java_text(item)) for key, item in right.items())
    return False


def span(first: Any, last: Any, step: Any = 1) -> list[Any]:
    """`a..b` and `range()`: integers or single letters, the end included. Raises ExpressionError."""
    if isinstance(first, str) and isinstance(last, str) and len(first) == len(last) == 1:
        return [chr(code) for code in span(ord(first), ord(last), step)]
    if not (_is_number(first) and _is_number(last) and _is_number(step)):
        raise ExpressionError("A range needs two numbers or two single letters")
    start, end, stride = int(first), int(last), int(step)
    if stride == 0:
        raise ExpressionError("The step of a range cannot be 0")
    numbers = range(start, end + (1 if stride > 0 else -1), stride)
    if (end - start) // stride >= limits.ITEMS:
        limits.check_items(limits.ITEMS + 1)
    return list(numbers)
