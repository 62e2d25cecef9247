"""Dates by pattern, as Java's `java.time.format.DateTimeFormatter` writes them.

A `Moment` is a zoned instant with nanoseconds, which `datetime` has not. Knows no template and no clock.
"""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from engine.errors import ExpressionError
from engine.expressions import limits
from engine.expressions.locales import ENGLISH, Names

_OFFSET: Final = re.compile(r"(?:UTC|GMT|UT)?([+-])(\d{1,2})(?::?(\d{2}))?(?::?(\d{2}))?")

PRESETS: Final = {
    "iso": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX",
    "iso_sec": "yyyy-MM-dd'T'HH:mm:ssXXX",
    "sql": "yyyy-MM-dd HH:mm:ss.SSSSSS",
    "sql_seq": "yyyy-MM-dd HH:mm:ss",
    "iso_date_time": "yyyy-MM-dd'T'HH:mm:ss~fXXXXX~r",
    "iso_zoned_date_time": "yyyy-MM-dd'T'HH:mm:ss~fXXXXX~r",
    "iso_offset_date_time": "yyyy-MM-dd'T'HH:mm:ss~fXXXXX",
    "iso_date": "yyyy-MM-ddXXXXX",
    "iso_time": "HH:mm:ss~fXXXXX",
    "iso_local_date": "yyyy-MM-dd",
    "iso_instant": "~z",
    "iso_local_date_time": "yyyy-MM-dd'T'HH:mm:ss~f",
    "iso_local_time": "HH:mm:ss~f",
    "iso_offset_time": "HH:mm:ss~fXXXXX",
    "iso_ordinal_date": "yyyy-DDDXXXXX",
    "iso_week_date": "~wXXXXX",
    "rfc_1123_date_time": "EEE, d MMM yyyy HH:mm:ss ~o",
}
"""Named formats; `~x` are pieces that no Java pattern letter has."""


class Moment(NamedTuple):
    """An instant in a zone.

    Args:
        when: aware, its microseconds are not to be used.
        nano: nanoseconds within the second, 0 to 999,999,999.
        zone: the zone's name as it was given.
    """

    when: dt.datetime
    nano: int
    zone: str

    def at(self, zone: dt.tzinfo, name: str) -> Moment:
        """The same instant in another zone."""
        return Moment(self.when.astimezone(zone), self.nano, name)


def find_zone(name: str) -> dt.tzinfo:
    """A zone by its name or offset. Raises ExpressionError."""
    if name in ("Z", "UTC", "GMT", "UT"):
        return dt.UTC
    match = _OFFSET.fullmatch(name)
    if match:
        hours, minutes, seconds = (int(part or 0) for part in match.groups()[1:])
        offset = dt.timedelta(hours=hours, minutes=minutes, seconds=seconds)
        if offset <= dt.timedelta(hours=18):
            return dt.timezone(-offset if match.group(1) == "-" else offset)
    return _named_zone(name)


@lru_cache(maxsize=256)
def _named_zone(name: str) -> dt.tzinfo:
    try:
        if re.fullmatch(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*", name):
            return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        pass
    raise ExpressionError(
        f"There is no time zone `{name[:50]}`", hint="use a name such as `Europe/Paris`, or `UTC`"
    )


def offset_text(moment: Moment, style: str) -> str:
    """The offset in one of Java's styles: one to five times `X`, or `x`, which writes no `Z`."""
    seconds = int((moment.when.utcoffset() or dt.timedelta()).total_seconds())
    if seconds == 0 and style[0] == "X":
        return "Z"
    sign, seconds = ("-" if seconds < 0 else "+"), abs(seconds)
    hours, minutes, rest = seconds // 3600, seconds // 60 % 60, seconds % 60
    colon = ":" if len(style) in (3, 5) else ""
    text = f"{sign}{hours:02}"
    if minutes or len(style) > 1:
        text += f"{colon}{minutes:02}"
    return text + (f"{colon}{rest:02}" if rest and len(style) > 3 else "")


def tokens(pattern: str) -> list[tuple[str, str]]:
    """A pattern as (kind, text): runs of one letter (kind is the letter), literal text (kind `'`), own pieces (`~`).

    Raises:
        ExpressionError: the pattern is malformed.
    """
    if len(pattern) > limits.PATTERN_CHARS:
        raise ExpressionError(f"A date pattern is longer than {limits.PATTERN_CHARS} characters")
    return _tokens(PRESETS.get(pattern, pattern.replace("~", "'~'")))


@lru_cache(maxsize=512)
def _tokens(pattern: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for match in re.finditer(
        r"'((?:[^']|'')*)'|~([a-z])|(([A-Za-z])\4*)|([^A-Za-z'~]+)|(.)", pattern, re.DOTALL
    ):
        quoted, piece, run, letter, plain, stray = match.groups()
        if quoted is not None:
            found.append(("'", quoted.replace("''", "'") or "'"))
        elif piece is not None:
            found.append(("~", piece))
        elif run is not None:
            found.append((letter, run))
        elif plain is not None:
            found.append(("'", plain.translate({ord("["): None, ord("]"): None})))
        else:
            raise ExpressionError(f"The date pattern `{pattern[:50]}` is malformed at `{stray}`")
    return found


def format_moment(moment: Moment, pattern: str, names: Names = ENGLISH) -> str:
    """A moment by a style, a preset or a Java pattern. Raises ExpressionError for letters that mean nothing."""
    pattern = names.styles.get(pattern, pattern)
    return "".join(
        text
        if letter == "'"
        else _own(moment, text)
        if letter == "~"
        else _field(moment, letter, len(text), pattern, names)
        for letter, text in tokens(pattern)
    )


def _own(moment: Moment, piece: str) -> str:
    when = moment.when
    if piece == "f":
        return fraction(moment.nano)
    if piece == "w":
        year, week, day = when.isocalendar()
        return f"{year:04}-W{week:02}-{day}"
    if piece == "o":
        return "GMT" if not when.utcoffset() else offset_text(moment, "xx")
    if piece == "r":
        return "" if moment.zone == "Z" or moment.zone[0] in "+-" else f"[{moment.zone}]"
    digits = fraction(moment.nano)
    if digits:
        digits += "0" * (-(len(digits) - 1) % 3)
    return when.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S") + digits + "Z"


def fraction(nano: int) -> str:
    """Nanoseconds as a decimal fraction with its point; nothing for zero."""
    return "" if not nano else "." + f"{nano:09}".rstrip("0")


def _name(names: tuple[tuple[str, ...], ...], index: int, count: int) -> str:
    return names[{3: 1, 5: 2}.get(count, 0)][index]


def _padded(value: int, count: int) -> str:
    return str(value).rjust(count, "0")


def _field(moment: Moment, letter: str, count: int, pattern: str, names: Names) -> str:
    when = moment.when
    if letter in "yu":
        return f"{when.year % 100:02}" if count == 2 else _padded(when.year, count)
    if letter in "ML":
        return _name(names.months, when.month - 1, count) if count > 2 else _padded(when.month, count)
    if letter == "E" or (letter in "ec" and count > 2):
        return _name(names.days, when.weekday(), max(count, 3))
    if letter == "S":
        return f"{moment.nano:09}".ljust(count, "0")[:count]
    if letter == "a":
        return names.halves[when.hour >= 12]
    if letter == "G":
        return "Anno Domini" if count == 4 else "A" if count == 5 else "AD"
    if letter in "Qq":
        quarter = (when.month + 2) // 3
        return f"Q{quarter}" if count == 3 else _ordinal(quarter) if count == 4 else _padded(quarter, count)
    number = _number(moment, letter)
    return _padded(number, count) if number is not None else _zone_field(moment, letter, count, pattern)


def _ordinal(quarter: int) -> str:
    return f"{('1st', '2nd', '3rd', '4th')[quarter - 1]} quarter"


def _number(moment: Moment, letter: str) -> int | None:
    when = moment.when
    seconds = when.hour * 3600 + when.minute * 60 + when.second
    day_of_year = when.timetuple().tm_yday
    # the week of English-speaking America: starts on Sunday, the first one holds 1 January
    sunday_first = (when.weekday() + 1) % 7
    match letter:
        case "d":
            return when.day
        case "D":
            return day_of_year
        case "H":
            return when.hour
        case "k":
            return when.hour or 24
        case "K":
            return when.hour % 12
        case "h":
            return when.hour % 12 or 12
        case "m":
            return when.minute
        case "s":
            return when.second
        case "n":
            return moment.nano
        case "N":
            return seconds * 1_000_000_000 + moment.nano
        case "A":
            return seconds * 1000 + moment.nano // 1_000_000
        case "e" | "c":
            return sunday_first + 1
        case "w":
            return week_of_year(when.date())[1]
        case "Y":
            return week_of_year(when.date())[0]
        case "W":
            return (when.day - 1 + (sunday_first - when.day + 1) % 7) // 7 + 1
        case "F":
            return (when.day - 1) % 7 + 1
    return None


def week_of_year(day: dt.date) -> tuple[int, int]:
    """Year and week of a day where weeks start on Sunday and the first one holds 1 January."""
    sunday = day - dt.timedelta(days=(day.weekday() + 1) % 7)
    saturday = sunday + dt.timedelta(days=6)
    if saturday.year > day.year:
        return saturday.year, 1
    january = dt.date(day.year, 1, 1)
    first = january - dt.timedelta(days=(january.weekday() + 1) % 7)
    return day.year, (sunday - first).days // 7 + 1


def _zone_field(moment: Moment, letter: str, count: int, pattern: str) -> Any:
    if letter in "Xx" and count <= 5:
        return offset_text(moment, letter * count)
    if letter == "Z" and count <= 5:
        long = "GMT" + (offset_text(moment, "xxx") if moment.when.utcoffset() else "")
        return (
            offset_text(moment, "xx") if count < 4 else long if count == 4 else offset_text(moment, "X" * 3)
        )
    if letter == "O":
        return "GMT" + (offset_text(moment, "xxx") if moment.when.utcoffset() else "")
    if letter == "V" and count == 2:
        return moment.zone
    if letter in "zv":
        if count == 4 and moment.when.tzinfo is dt.UTC:
            return "Coordinated Universal Time"
        return moment.when.tzname() or moment.zone
    raise ExpressionError(f"The date pattern `{pattern[:50]}` has `{letter * count}`, which means nothing")
