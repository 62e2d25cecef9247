"""Names of months and days in the languages of the Unicode locale data; English without loading any of it."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Literal, NamedTuple

from engine.errors import ExpressionError

STYLES: Final = ("full", "long", "medium", "short")


class Names(NamedTuple):
    """What a language calls things. Tuples of three are wide, abbreviated and narrow names.

    Args:
        months: from January.
        days: from Monday.
        halves: before and after noon.
        styles: the patterns of the localised styles.
    """

    months: tuple[tuple[str, ...], ...]
    days: tuple[tuple[str, ...], ...]
    halves: tuple[str, str]
    styles: dict[str, str]


def _three(text: str) -> tuple[tuple[str, ...], ...]:
    wide = tuple(text.split())
    return wide, tuple(name[:3] for name in wide), tuple(name[:1] for name in wide)


ENGLISH: Final = Names(
    _three("January February March April May June July August September October November December"),
    _three("Monday Tuesday Wednesday Thursday Friday Saturday Sunday"),
    ("AM", "PM"),
    {
        "full": "EEEE, MMMM d, yyyy 'at' h:mm:ss a zzzz",
        "long": "MMMM d, yyyy 'at' h:mm:ss a z",
        "medium": "MMM d, yyyy, h:mm:ss a",
        "short": "M/d/yy, h:mm a",
    },
)


@lru_cache(maxsize=32)
def names_of(tag: str) -> Names:
    """The names of a language tag such as `fr` or `pt_BR`. Raises ExpressionError."""
    if tag.lower() in ("en", "en_us", "en-us"):
        return ENGLISH
    # the import takes longer than most renderings, and hardly any template needs it
    from babel.core import Locale, UnknownLocaleError
    from babel.dates import get_day_names, get_month_names

    try:
        locale = Locale.parse(tag.replace("-", "_"))
    except (ValueError, TypeError, UnknownLocaleError):
        raise ExpressionError(
            f"There is no language `{tag[:20]}`", hint="use a code such as `fr` or `pt_BR`"
        ) from None
    widths: tuple[Literal["wide", "abbreviated", "narrow"], ...] = ("wide", "abbreviated", "narrow")
    months = tuple(
        tuple(get_month_names(width, locale=locale)[month] for month in range(1, 13)) for width in widths
    )
    days = tuple(tuple(get_day_names(width, locale=locale)[day] for day in range(7)) for width in widths)
    periods = locale.day_periods.get("format", {}).get("abbreviated", {})
    halves = (periods.get("am", "AM"), periods.get("pm", "PM"))
    styles = {
        style: str(locale.datetime_formats[style])
        .replace("{1}", locale.date_formats[style].pattern)
        .replace("{0}", locale.time_formats[style].pattern)
        for style in STYLES
    }
    return Names(months, days, halves, styles)
