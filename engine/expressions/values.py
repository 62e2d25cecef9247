"""Values as the dialect shows them: text, JSON, Java's number notation, truth. Knows no template and no filter.

The dialect's engine is Java, so its notation is the reference: `3.0`, `1.0E10`, `true`, lists joined with a blank
after the comma in concatenations (dialect, section 5), compact JSON without null entries everywhere else.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import struct
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from engine.errors import ExpressionError
from engine.expressions import limits

_FALSE = frozenset({"", "false", "0", "-0"})
_quote = json.JSONEncoder(ensure_ascii=False).encode


class Entry(dict[str, Any]):
    """One entry of a map in a loop: has `key` and `value`, shows as `key=value`."""


class Float32(float):
    """A number of single precision, as `number` reads short decimals."""

    def __new__(cls, value: float) -> Float32:
        """The single-precision number nearest to `value`."""
        try:
            return super().__new__(cls, struct.unpack("f", struct.pack("f", value))[0])
        except OverflowError:
            return super().__new__(cls, math.copysign(math.inf, value))


class JavaLong(int):
    """An integer that `number('LONG')` made; only `className` can tell."""


def is_list(value: object) -> bool:
    """Whether the dialect sees a list."""
    return isinstance(value, list | tuple)


def kind(value: object) -> str:
    """What a value is, in a word for messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float | Decimal):
        return "a number"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, Mapping):
        return "a map"
    if is_list(value):
        return "a list"
    if isinstance(value, dt.date):
        return "a date"
    return "an opaque value"


def _decimal(digits: str, sign: str) -> str:
    """Java's notation of shortest decimal digits such as `1.5e-07` (Double.toString)."""
    exponent = Decimal(digits).adjusted()
    figures = "".join(str(figure) for figure in Decimal(digits).as_tuple().digits).rstrip("0") or "0"
    if -3 <= exponent < 7:
        text = format(Decimal(digits), "f")
        whole, _, part = text.partition(".")
        return f"{sign}{whole}.{part.rstrip('0') or '0'}"
    return f"{sign}{figures[0]}.{figures[1:] or '0'}E{exponent}"


def float_text(value: float) -> str:
    """A float as Java writes it."""
    if value != value:
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    single = type(value) is Float32
    plain = _single_digits(value) if single else float.__repr__(value)
    if "e" not in plain and 1e-3 <= abs(value) < 1e7 and "." in plain:
        return plain
    sign = "-" if plain.startswith("-") else ""
    digits = plain.removeprefix("-")
    return f"{sign}0.0" if not value else _decimal(digits, sign)


def _single_digits(value: float) -> str:
    """The fewest digits that read back as the same single-precision number."""
    for precision in range(1, 10):
        digits = f"{float(value):.{precision}g}"
        if Float32(float(digits)) == value:
            return digits
    return float.__repr__(value)


def _moment_text(value: dt.date) -> str:
    text = value.isoformat()
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


def to_text(value: Any) -> str:
    """A value as the output of `{{ … }}`: null is nothing, lists and maps are JSON. Raises ExpressionError."""
    kind_of = type(value)
    if kind_of is str:
        return value  # type: ignore[no-any-return]
    if value is None:
        return ""
    if kind_of is Entry:
        return java_text(value)
    if isinstance(value, Mapping | list | tuple):
        return to_json(value)
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return float_text(value)
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dt.date | dt.time):
        return _moment_text(value) if isinstance(value, dt.date) else value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    raise ExpressionError(f"A value of type {kind_of(value)} cannot be shown", hint="use one of its fields")


def kind_of(value: object) -> str:
    """The bare name of a foreign value's type, for messages."""
    return type(value).__name__


def java_text(value: Any) -> str:
    """A value as Java's `toString` writes it: `[1, a]`, `{k=v}`, `null`."""
    if value is None:
        return "null"
    if type(value) is Entry:
        return f"{java_text(value['key'])}={java_text(value['value'])}"
    if isinstance(value, Mapping):
        text = ", ".join(f"{java_text(key)}={java_text(item)}" for key, item in value.items())
        limits.check_text(len(text))
        return "{" + text + "}"
    if is_list(value):
        text = ", ".join(java_text(item) for item in value)
        limits.check_text(len(text))
        return "[" + text + "]"
    return _scalar(value)


def to_json(value: Any) -> str:
    """Compact JSON; null entries of maps are left out, in lists they stay. Raises ExpressionError."""
    parts: list[str] = []
    size = 0

    def write(text: str) -> None:
        # data may hold one list in many places, so the length has to be watched on the way
        nonlocal size
        size += len(text)
        if size > limits.OUTPUT_CHARS:
            limits.check_text(size)
        parts.append(text)

    _write_json(value, write)
    return "".join(parts)


def _write_json(value: Any, write: Any) -> None:
    if isinstance(value, str):
        write(_quote(str(value)))
    elif value is None:
        write("null")
    elif isinstance(value, Mapping):
        entries = ((value["key"], value["value"]),) if type(value) is Entry else value.items()
        _write_map(entries, write)
    elif is_list(value):
        write("[")
        for index, item in enumerate(value):
            if index:
                write(",")
            _write_json(item, write)
        write("]")
    elif isinstance(value, bool | int | float | Decimal) and not _odd(value):
        write(_scalar(value))
    else:
        write(_quote(_scalar(value)))


def _odd(value: Any) -> bool:
    """Whether a number has no JSON notation."""
    return isinstance(value, float | Decimal) and not math.isfinite(value)


def _write_map(entries: Any, write: Any) -> None:
    write("{")
    first = True
    for key, item in entries:
        if item is None:
            continue
        if not first:
            write(",")
        first = False
        write(_quote(to_text(key)))
        write(":")
        _write_json(item, write)
    write("}")


def truthy(value: Any) -> bool:
    """Whether a rendered condition holds (dialect, section 1.4).

    False are: `false`, `0`, `-0`, null and what is empty after trimming, as value or as text; all else is true.
    """
    if value is None or value is False:
        return False
    if value is True:
        return True
    if isinstance(value, Mapping | list | tuple):
        return True
    return _scalar(value).strip() not in _FALSE


def condition(value: Any, where: str) -> bool:
    """A value as the condition of `if`, `and`, `or`, `not` or a ternary. Raises ExpressionError for lists and maps."""
    if value is True or value is False:
        return bool(value)
    if isinstance(value, str):
        return value != ""
    if isinstance(value, int | float | Decimal):
        return value == value and (math.isinf(value) or int(value) != 0)
    raise ExpressionError(
        f"`{where}` needs a boolean, a number or a string, but got {kind(value)}",
        hint="use a test such as `is not empty` or `is not null`",
    )


def plain(value: Any) -> Any:
    """A value without our own number types, for those who take a template's typed result."""
    if type(value) is Float32:
        return float(float_text(value))
    if type(value) is JavaLong:
        return int(value)
    if type(value) is list:
        return [plain(item) for item in value]
    if type(value) is dict:
        return {key: plain(item) for key, item in value.items()}
    return value
