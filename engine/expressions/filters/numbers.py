"""Filters over numbers, and what a value's class would be called in Java."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from engine.errors import ExpressionError
from engine.expressions.decimal_format import format_number
from engine.expressions.registry import filter_named
from engine.expressions.values import Float32, JavaLong, float_text, is_list, kind

_INTEGER: Final = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]{1,32}|#[0-9a-fA-F]{1,32}|[0-9]{1,400})")
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]{1,400}\.?[0-9]{0,400}|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,6})?")


@filter_named("abs")
def _abs(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ExpressionError(f"`abs` needs a number, but got {kind(value)}")
    return abs(value)


@filter_named("numberFormat", "numberformat", takes=("format",))
def _number_format(value: Any, pattern: Any = None) -> Any:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ExpressionError(f"`numberFormat` needs a number, but got {kind(value)}")
    return format_number(value, "#,##0.###" if pattern is None else str(pattern))


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ExpressionError(f"`{text[:50]}` is not an integer")
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    if digits[:2].lower() == "0x" or digits.startswith("#"):
        return sign * int(digits.removeprefix("#").removeprefix("0x").removeprefix("0X"), 16)
    return sign * int(digits, 10)


def _bounded(text: str, bits: int) -> int:
    number = _integer(text)
    if not -(1 << (bits - 1)) <= number < 1 << (bits - 1):
        raise ExpressionError(f"`{text[:50]}` does not fit into {bits} bits")
    return number


def _decimal(text: str) -> Decimal:
    if not _DECIMAL.fullmatch(text):
        raise ExpressionError(
            f"`{text[:50]}` is not a number", hint="check for blanks and for a decimal comma"
        )
    return Decimal(text)


def _any(text: str) -> Any:
    """The smallest type that holds the number, as the dialect chooses it."""
    if text[-1:] in ("f", "F") and _DECIMAL.fullmatch(text[:-1]):
        return Float32(float(text[:-1]))
    if text[-1:] in ("d", "D") and _DECIMAL.fullmatch(text[:-1]):
        return float(text[:-1])
    if text[-1:] in ("l", "L"):
        return JavaLong(_bounded(text[:-1], 64))
    if _INTEGER.fullmatch(text):
        return _integer(text)
    exact = _decimal(text)
    digits = len(exact.normalize().as_tuple().digits)
    if digits <= 7 and Decimal(float_text(Float32(float(exact)))) == exact:
        return Float32(float(exact))
    return float(exact) if digits <= 17 else exact


@filter_named("number", takes=("type",))
def _number(value: Any, target: Any = None) -> Any:
    if value is None:
        return None
    if not isinstance(value, str):
        raise ExpressionError(f"`number` needs a string, but got {kind(value)}")
    match target:
        case "INT":
            return _bounded(value, 32)
        case "LONG":
            return JavaLong(_bounded(value, 64))
        case "FLOAT":
            return Float32(float(_decimal(value)))
        case "DOUBLE":
            return float(_decimal(value))
        case "BIGDECIMAL":
            return _decimal(value)
        case "BIGINTEGER":
            return _integer(value)
    return _any(value)


@filter_named("className")
def _class_name(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, bool):
        return "java.lang.Boolean"
    if isinstance(value, int):
        short = type(value) is not JavaLong and -(1 << 31) <= value < 1 << 31
        return "java.lang.Integer" if short else "java.lang.Long"
    if isinstance(value, float):
        return "java.lang.Float" if type(value) is Float32 else "java.lang.Double"
    return _object_class(value)


def _object_class(value: Any) -> str:
    if isinstance(value, Decimal):
        return "java.math.BigDecimal"
    if isinstance(value, str):
        return "java.lang.String"
    if isinstance(value, Mapping):
        return "java.util.LinkedHashMap"
    if is_list(value):
        return "java.util.ArrayList"
    if isinstance(value, dt.datetime):
        return "java.time.ZonedDateTime"
    return "java.time.LocalDate" if isinstance(value, dt.date) else "java.lang.Object"
