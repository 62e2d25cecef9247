"""Filters over dates: formatting, adding, timestamps. They give text or integers, never date objects."""

from __future__ import annotations

import calendar
import datetime as dt
from typing import Any, Final

from engine.errors import ExpressionError
from engine.expressions.java_dates import Moment, find_zone, format_moment
from engine.expressions.locales import ENGLISH, names_of
from engine.expressions.moments import to_moment
from engine.expressions.registry import filter_named

_SECONDS: Final = {"SECONDS": 1, "MINUTES": 60, "HOURS": 3600, "HALF_DAYS": 43200}
_NANOS: Final = {"NANOS": 1, "MICROS": 1_000, "MILLIS": 1_000_000}
_DAYS: Final = {"DAYS": 1, "WEEKS": 7}
_MONTHS: Final = {"MONTHS": 1, "YEARS": 12, "DECADES": 120, "CENTURIES": 1200, "MILLENNIA": 12000}


def show(value: Any, pattern: Any, zone_name: Any, existing: Any, locale: Any) -> str:
    """A date as text. Raises ExpressionError."""
    names = ENGLISH if locale is None else names_of(str(locale))
    zone = "Z" if zone_name is None else str(zone_name)
    moment = value if isinstance(value, Moment) else to_moment(value, zone, existing)
    return format_moment(moment.at(find_zone(zone), zone), "iso" if pattern is None else str(pattern), names)


@filter_named("date", takes=("format", "timeZone", "existingFormat", "locale"))
def _date(value: Any, pattern: Any = None, zone: Any = None, existing: Any = None, locale: Any = None) -> Any:
    return None if value is None else show(value, pattern, zone, existing, locale)


@filter_named(
    "dateAdd", takes=("amount", "unit", "format", "timeZone", "existingFormat", "locale"), required=2
)
def _date_add(
    value: Any,
    amount: Any,
    unit: Any,
    pattern: Any = None,
    zone: Any = None,
    existing: Any = None,
    locale: Any = None,
) -> Any:
    if value is None:
        return None
    if isinstance(amount, bool) or not isinstance(amount, int):
        raise ExpressionError("`dateAdd` needs an integer as `amount`")
    moment = to_moment(value, None if zone is None else str(zone), existing)
    try:
        later = _plus(moment, amount, str(unit))
    except (OverflowError, ValueError):
        raise ExpressionError(f"`dateAdd` of {amount} {unit} leaves the years 1 to 9999") from None
    return show(later, pattern, zone, None, locale)


def _plus(moment: Moment, amount: int, unit: str) -> Moment:
    when, nano, zone = moment
    if unit in _NANOS:
        seconds, nano = divmod(nano + amount * _NANOS[unit], 1_000_000_000)
        return Moment(_later(when, seconds), nano, zone)
    if unit in _SECONDS:
        return Moment(_later(when, amount * _SECONDS[unit]), nano, zone)
    if unit in _DAYS:
        return Moment(when + dt.timedelta(days=amount * _DAYS[unit]), nano, zone)
    if unit in _MONTHS:
        months = when.year * 12 + when.month - 1 + amount * _MONTHS[unit]
        year, month = divmod(months, 12)
        if not 1 <= year <= 9999:
            raise OverflowError
        day = min(when.day, calendar.monthrange(year, month + 1)[1])
        return Moment(when.replace(year=year, month=month + 1, day=day), nano, zone)
    units = ", ".join([*_SECONDS, *_DAYS, *_MONTHS])
    raise ExpressionError(f"`dateAdd` does not know the unit `{unit[:20]}`", hint=f"use one of {units}")


def _later(when: dt.datetime, seconds: int) -> dt.datetime:
    """Seconds are added to the instant, not to the clock on the wall."""
    return (when.astimezone(dt.UTC) + dt.timedelta(seconds=seconds)).astimezone(when.tzinfo)


def _timestamp(name: str, per_second: int) -> None:
    @filter_named(name, takes=("timeZone", "existingFormat"))
    def apply(value: Any, zone: Any = None, existing: Any = None) -> Any:
        if value is None:
            return None
        moment = to_moment(value, None if zone is None else str(zone), existing)
        return (
            calendar.timegm(moment.when.utctimetuple()) * per_second
            + moment.nano * per_second // 1_000_000_000
        )


_timestamp("timestamp", 1)
_timestamp("timestampMilli", 1_000)
_timestamp("timestampMicro", 1_000_000)
_timestamp("timestampNano", 1_000_000_000)
