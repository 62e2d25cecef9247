"""Values to moments: what the dialect takes for a date, by ISO 8601 or by a given pattern. Knows no clock.

Dates and times without a zone are taken in the zone of the call, which is UTC unless it says otherwise.
"""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache
from typing import Any, Final

from engine.errors import ExpressionError
from engine.expressions.java_dates import Moment, find_zone, tokens
from engine.expressions.locales import ENGLISH
from engine.expressions.values import kind

_ISO: Final = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})"
    r"(?:T(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(Z|[+-]\d{2}(?::?\d{2}(?::?\d{2})?)?)?(?:\[([^\]]{1,60})\])?)?"
)
_MATCHERS: Final = {
    "y": r"\d{1,9}",
    "u": r"\d{1,9}",
    "d": r"\d{1,2}",
    "D": r"\d{1,3}",
    "H": r"\d{1,2}",
    "k": r"\d{1,2}",
    "K": r"\d{1,2}",
    "h": r"\d{1,2}",
    "m": r"\d{1,2}",
    "s": r"\d{1,2}",
    "S": r"\d{1,9}",
    "n": r"\d{1,9}",
    "a": r"[AaPp][Mm]",
    "X": r"Z|[+-]\d{2}(?::?\d{2}(?::?\d{2})?)?",
    "x": r"[+-]\d{2}(?::?\d{2}(?::?\d{2})?)?",
    "Z": r"(?:GMT)?[+-]\d{2}:?\d{2}|GMT|Z",
    "O": r"GMT(?:[+-]\d{1,2}(?::\d{2})?)?",
    "V": r"[A-Za-z][A-Za-z0-9_/+-]*|[+-]\d{2}:\d{2}",
    "z": r"[A-Za-z][A-Za-z0-9_/+-]*",
}
_OWN: Final = {
    "f": ("S", r"(?:\.(\d{1,9}))?"),
    "o": ("Z", r"(GMT|[+-]\d{4})"),
    "z": ("i", r"(.+)"),
}


def to_moment(value: Any, zone_name: str | None = None, existing: str | None = None) -> Moment:
    """What the dialect takes for a date: a date or datetime, seconds since 1970, or text.

    Args:
        value: the value.
        zone_name: the zone of values that have none; UTC if not given.
        existing: the pattern or preset to read text by; ISO 8601 if not given.

    Raises:
        ExpressionError: it is none of these.
    """
    name = zone_name or "Z"
    zone = find_zone(name)
    try:
        if isinstance(value, dt.datetime):
            aware = value if value.tzinfo else value.replace(tzinfo=zone)
            return Moment(aware.replace(microsecond=0), aware.microsecond * 1000, str(aware.tzinfo))
        if isinstance(value, dt.date):
            return Moment(dt.datetime(value.year, value.month, value.day, 12, tzinfo=zone), 0, name)
        if isinstance(value, int) and not isinstance(value, bool):
            return Moment(dt.datetime.fromtimestamp(value, zone), 0, name)
        if isinstance(value, str):
            return _parsed(value, zone, name, existing) if existing else _iso(value, zone, name)
    except (ValueError, OverflowError, OSError) as error:
        raise ExpressionError(f"`{str(value)[:60]}` is no date: {error}") from None
    raise ExpressionError(f"A date was expected, but got {kind(value)}")


def _iso(text: str, zone: dt.tzinfo, name: str) -> Moment:
    match = _ISO.fullmatch(text)
    if match is None:
        raise ExpressionError(
            f"`{text[:60]}` is no date",
            hint="write it as 2024-12-31T23:59:59Z, or say how it is written: existingFormat",
        )
    year, month, day, hour, minute, second, digits, offset, region = match.groups()
    if region or offset:
        name = region or offset
        zone = find_zone(name)
    when = dt.datetime(
        int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=zone
    )
    return Moment(when, int((digits or "0").ljust(9, "0")), name)


@lru_cache(maxsize=256)
def _reader(pattern: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """A regular expression for a Java pattern, and the letter behind each of its groups."""
    letters: list[str] = []
    made = ""
    for letter, text in tokens(pattern):
        if letter == "'":
            made += re.escape(text)
            continue
        if letter == "~":
            if text not in _OWN:
                raise ExpressionError(f"Dates cannot be read by `{pattern[:50]}`")
            letters.append(_OWN[text][0])
            made += _OWN[text][1]
            continue
        letters.append(letter)
        made += f"({_matcher(letter, len(text), pattern)})"
    return re.compile(made, re.DOTALL), tuple(letters)


def _matcher(letter: str, count: int, pattern: str) -> str:
    if letter in "ML" and count > 2:
        return "|".join(name for name in ENGLISH.months[count == 3])
    if letter in "ML":
        return r"\d{2}" if count == 2 else r"\d{1,2}"
    if letter in "Ee":
        return "|".join(name for name in ENGLISH.days[count <= 3])
    if letter in "yudDHkKhmsS" and count > 1:
        return rf"\d{{{count}}}"
    if letter not in _MATCHERS:
        raise ExpressionError(f"Dates cannot be read by `{pattern[:50]}`: `{letter}` is not supported")
    return _MATCHERS[letter]


def _parsed(text: str, zone: dt.tzinfo, name: str, pattern: str) -> Moment:
    reader, letters = _reader(pattern)
    match = reader.fullmatch(text)
    if match is None:
        raise ExpressionError(f"`{text[:60]}` is no date of the form `{pattern[:60]}`")
    found = {
        letter: group for letter, group in zip(letters, match.groups(), strict=True) if group is not None
    }
    if "i" in found:
        return _iso(found["i"], zone, name)
    place = next((found[letter] for letter in "VXxZOz" if letter in found), None)
    if place:
        name = place.removeprefix("GMT") or "GMT"
        zone = find_zone(name)
    year = int(found.get("y") or found.get("u") or 0)
    if len(found.get("y", found.get("u", "    "))) == 2:
        year += 2000
    day = _day(found, year)
    when = dt.datetime(
        day.year,
        day.month,
        day.day,
        _hour(found),
        int(found.get("m", 0)),
        int(found.get("s", 0)),
        tzinfo=zone,
    )
    nano = int(found["n"]) if "n" in found else int(found.get("S", "0").ljust(9, "0"))
    return Moment(when, nano, name)


def _day(found: dict[str, str], year: int) -> dt.date:
    if "D" in found:
        return dt.date(year, 1, 1) + dt.timedelta(days=int(found["D"]) - 1)
    month = found.get("M") or found.get("L") or "1"
    if not month.isdigit():
        month = str(next(index for index, full in enumerate(ENGLISH.months[0], 1) if full.startswith(month)))
    return dt.date(year, int(month), int(found.get("d", 1)))


def _hour(found: dict[str, str]) -> int:
    if "H" in found:
        return int(found["H"])
    if "k" in found:
        return int(found["k"]) % 24
    half = int(found.get("h") or found.get("K") or 0) % 12
    return half + 12 * (found.get("a", "").upper() == "PM")
