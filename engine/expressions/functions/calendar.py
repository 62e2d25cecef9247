"""Functions over dates: `now`, and the questions that conditions ask of a day (dialect, section 5.4)."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from functools import lru_cache
from typing import Any, Final

from engine.errors import ExpressionError
from engine.expressions.filters.dates import show
from engine.expressions.locales import ENGLISH
from engine.expressions.moments import to_moment
from engine.expressions.registry import function_named
from engine.expressions.scope import Frame

_DAY_NAMES: Final = tuple(name.upper() for name in ENGLISH.days[0])
_POSITIONS: Final = ("FIRST", "SECOND", "THIRD", "FOURTH")
_WEEKDAYS: Final = frozenset(_DAY_NAMES[:5])
_NEEDS_OFFSET: Final = re.compile(r"(?:Z|[+-]\d{2}:?\d{2}|\])$")


def present(frame: Frame) -> dt.datetime:
    """The present instant: the host's, or the machine's where the host gives none."""
    host = frame.functions.get("now")
    return dt.datetime.now(dt.UTC) if host is None else host()


@function_named("now", takes=("format", "timeZone", "existingFormat", "locale"), context=True)
def _now(
    frame: Frame, pattern: Any = None, zone: Any = None, existing: Any = None, locale: Any = None
) -> str:
    return show(present(frame), pattern, zone, existing, locale)


def _day(value: Any, name: str) -> dt.date:
    """The day of a date, in the zone that it is written in."""
    if value is None:
        raise ExpressionError(f"`{name}` needs a date, but got null")
    return to_moment(value).when.date()


@function_named("isWeekend", takes=("date",), required=1)
def _is_weekend(date: Any) -> bool:
    return _day(date, "isWeekend").weekday() >= 5


@function_named("dayOfWeek", takes=("date",), required=1)
def _day_of_week(date: Any) -> str:
    return _DAY_NAMES[_day(date, "dayOfWeek").weekday()]


@function_named("dayOfMonth", takes=("date",), required=1)
def _day_of_month(date: Any) -> int:
    return _day(date, "dayOfMonth").day


@function_named("monthOfYear", takes=("date",), required=1)
def _month_of_year(date: Any) -> int:
    return _day(date, "monthOfYear").month


@function_named("hourOfDay", takes=("date",), required=1)
def _hour_of_day(date: Any) -> int:
    return to_moment(date).when.hour


@function_named("isDayWeekInMonth", takes=("date", "dayOfWeek", "position"), required=3)
def _is_day_week_in_month(date: Any, day_of_week: Any, position: Any) -> bool:
    day = _day(date, "isDayWeekInMonth")
    name, place = str(day_of_week).upper(), str(position).upper()
    if name not in _DAY_NAMES:
        raise ExpressionError(f"`{name[:20]}` is no day of the week", hint="use MONDAY to SUNDAY")
    if place not in (*_POSITIONS, "LAST"):
        raise ExpressionError(f"`{place[:20]}` is no position", hint=f"use {', '.join(_POSITIONS)} or LAST")
    if _DAY_NAMES[day.weekday()] != name:
        return False
    if place == "LAST":
        return day.day + 7 > calendar.monthrange(day.year, day.month)[1]
    return (day.day - 1) // 7 == _POSITIONS.index(place)


@function_named("isLastWorkingDay", takes=("date", "workingDays"), required=1)
def _is_last_working_day(date: Any, working_days: Any = None) -> bool:
    day = _day(date, "isLastWorkingDay")
    names = frozenset(str(working_days or "").upper().replace(",", " ").split()) or _WEEKDAYS
    unknown = names - set(_DAY_NAMES)
    if unknown:
        raise ExpressionError(f"`{min(unknown)[:20]}` is no day of the week", hint="use MONDAY to SUNDAY")
    last = day.replace(day=calendar.monthrange(day.year, day.month)[1])
    while _DAY_NAMES[last.weekday()] not in names:
        last -= dt.timedelta(days=1)
    return day == last


@lru_cache(maxsize=64)
def _holidays(country: str, subdivision: str | None, year: int) -> frozenset[dt.date]:
    # the import takes longer than most renderings, and hardly any template needs it
    import holidays

    try:
        return frozenset(holidays.country_holidays(country, subdiv=subdivision, years=year))
    except NotImplementedError:
        where = country if subdivision is None else f"{country}, {subdivision}"
        raise ExpressionError(
            f"There are no public holidays known for `{where[:30]}`", hint="use ISO 3166 codes such as FR"
        ) from None


@function_named("isPublicHoliday", takes=("date", "countryCode", "subDivision"), required=2)
def _is_public_holiday(date: Any, country: Any, subdivision: Any = None) -> bool:
    day = _day(date, "isPublicHoliday")
    part = str(subdivision).strip() if subdivision is not None else ""
    return day in _holidays(str(country).upper(), part or None, day.year)


def _instant(value: Any, name: str) -> dt.datetime:
    if isinstance(value, str) and not _NEEDS_OFFSET.search(value):
        raise ExpressionError(f"`{name}` needs a date with an offset, such as 2024-12-31T23:59:59Z")
    moment = to_moment(value)
    return moment.when.replace(microsecond=moment.nano // 1000)


@function_named("isDateBefore", takes=("date", "before"), required=2)
def _is_date_before(date: Any, before: Any) -> bool:
    return _instant(date, "isDateBefore") < _instant(before, "isDateBefore")


@function_named("isDateAfter", takes=("date", "after"), required=2)
def _is_date_after(date: Any, after: Any) -> bool:
    return _instant(date, "isDateAfter") > _instant(after, "isDateAfter")


@function_named("isDateBetween", takes=("date", "after", "before"), required=3)
def _is_date_between(date: Any, after: Any, before: Any) -> bool:
    return (
        _instant(after, "isDateBetween") < _instant(date, "isDateBetween") < _instant(before, "isDateBetween")
    )
