"""Numbers by pattern, as Java's `java.text.DecimalFormat` writes them with English symbols.

Knows no template. Understood are `0 # . , % ‰ E`, quoted text and a negative sub-pattern after `;`.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final, NamedTuple

from engine.errors import ExpressionError
from engine.expressions import limits

_PARTS: Final = re.compile(
    r"(?P<prefix>(?:'[^']*'|[^#0.,;'])*)(?P<number>[#0,]*(?:\.[0#]*)?(?:E0+)?)(?P<suffix>(?:'[^']*'|[^#0.,;'])*)"
    r"(?:;(?P<rest>.*))?",
    re.DOTALL,
)
_CONTEXT: Final = Context(prec=400, rounding=ROUND_HALF_EVEN)


class _Pattern(NamedTuple):
    prefix: str
    suffix: str
    negative: tuple[str, str] | None
    least_whole: int
    most_whole: int
    least_part: int
    most_part: int
    group: int
    scale: int
    exponent: int


def _text(quoted: str) -> str:
    return re.sub(r"'([^']*)'", lambda match: match.group(1) or "'", quoted)


def _read(pattern: str) -> _Pattern:
    if len(pattern) > limits.PATTERN_CHARS:
        raise ExpressionError(f"A number pattern is longer than {limits.PATTERN_CHARS} characters")
    match = _PARTS.fullmatch(pattern)
    number = match.group("number") if match else ""
    digits, _, exponent = number.partition("E")
    whole, _, part = digits.partition(".")
    if (
        not match
        or "0#" in whole.replace(",", "")
        or "#0" in part
        or (pattern and not number and "'" not in pattern)
    ):
        raise ExpressionError(f"`{pattern[:50]}` is no number pattern", hint="write one such as `#,##0.00`")
    negative = None
    if match.group("rest"):
        other = _PARTS.fullmatch(match.group("rest"))
        negative = (_text(other.group("prefix")), _text(other.group("suffix"))) if other else None
    prefix, suffix = match.group("prefix"), match.group("suffix")
    scale = 2 if "%" in prefix + suffix else 3 if "‰" in prefix + suffix else 0
    group = len(whole) - whole.rindex(",") - 1 if "," in whole else 0
    whole = whole.replace(",", "")
    return _Pattern(
        _text(prefix),
        _text(suffix),
        negative,
        whole.count("0"),
        len(whole),
        part.count("0"),
        len(part),
        group,
        scale,
        len(exponent),
    )


def _grouped(whole: str, size: int) -> str:
    if not size:
        return whole
    first = len(whole) % size
    parts = [whole[:first]] if first else []
    return ",".join(parts + [whole[at : at + size] for at in range(first, len(whole), size)])


def _plain(number: Decimal, pattern: _Pattern) -> str:
    rounded = number.quantize(Decimal(1).scaleb(-pattern.most_part), context=_CONTEXT)
    whole, _, part = format(rounded, "f").partition(".")
    whole = whole.lstrip("0").rjust(pattern.least_whole, "0")
    part = part.rstrip("0").ljust(pattern.least_part, "0")
    if not whole and not part:
        whole = "0"
    return _grouped(whole, pattern.group) + ("." + part if part else "")


def _scientific(number: Decimal, pattern: _Pattern) -> str:
    """Mantissa and exponent; with more whole digits than required ones, the exponent is a multiple of their count."""
    wide = pattern.most_whole > pattern.least_whole and pattern.most_whole > 1
    shift = number.adjusted() if number else 0
    shift = (
        (shift // pattern.most_whole) * pattern.most_whole
        if wide
        else shift - max(pattern.least_whole, 1) + 1
    )
    mantissa = number.scaleb(-shift)
    if wide:
        places = max(pattern.most_part + pattern.least_whole - max(mantissa.adjusted() + 1, 1), 0)
        mantissa = mantissa.quantize(Decimal(1).scaleb(-places), context=_CONTEXT).normalize()
        pattern = pattern._replace(most_part=max(places, pattern.least_part))
    sign = "-" if shift < 0 else ""
    return (
        _plain(mantissa, pattern._replace(group=0))
        + "E"
        + sign
        + str(abs(shift)).rjust(pattern.exponent, "0")
    )


def format_number(value: float | Decimal, pattern: str) -> str:
    """A number by a pattern, halves rounded to even.

    Raises:
        ExpressionError: the pattern is malformed.
    """
    read = _read(pattern)
    number = Decimal(float(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        return "NaN" if number.is_nan() else ("-" if number < 0 else "") + "∞"
    minus = number.is_signed()
    number = abs(number).scaleb(read.scale, _CONTEXT)
    text = _scientific(number, read) if read.exponent else _plain(number, read)
    if minus and read.negative is not None:
        return read.negative[0] + text + read.negative[1]
    return ("-" if minus else "") + read.prefix + text + read.suffix
