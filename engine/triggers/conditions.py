"""The conditions of schedules and webhooks, and those that combine others (dialect, section 3.6). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any, Literal

from pydantic import AliasChoices, Field

from engine.errors import UserError
from engine.model.condition import AnyCondition, Condition, Render, is_true

Day = Literal["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]
_DAYS: tuple[Day, ...] = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
_NTH = {"FIRST": 0, "SECOND": 1, "THIRD": 2, "FOURTH": 3}


class Expression(Condition):
    """Its expression renders to something true."""

    expression: Any

    def holds(self, variables: Mapping[str, Any], render: Render) -> bool:
        """Whether it is met."""
        return is_true(render(self.expression, variables))


class Not(Condition):
    """None of its conditions is met."""

    conditions: tuple[AnyCondition, ...] = Field(min_length=1)

    def holds(self, variables: Mapping[str, Any], render: Render) -> bool:
        """Whether it is met."""
        return not any(condition.holds(variables, render) for condition in self.conditions)


class Or(Condition):
    """At least one of its conditions is met."""

    conditions: tuple[AnyCondition, ...] = Field(min_length=1)

    def holds(self, variables: Mapping[str, Any], render: Render) -> bool:
        """Whether it is met."""
        return any(condition.holds(variables, render) for condition in self.conditions)


class _OnDate(Condition):
    date: Any = "{{ trigger.date }}"

    def _when(self, variables: Mapping[str, Any], render: Render) -> datetime:
        return _instant(render(self.date, variables), "date")


class DateTimeBetween(_OnDate):
    """Its date lies strictly between `after` and `before`; one of the two may be left out."""

    before: Any = None
    after: Any = None

    def holds(self, variables: Mapping[str, Any], render: Render) -> bool:
        """Whether it is met."""
        when = _aware(self._when(variables, render))
        after, before = render(self.after, variables), render(self.before, variables)
        return (after is None or when > _aware(_instant(after, "after"))) and (
            before is None or when < _aware(_instant(before, "before"))
        )


class TimeBetween(_OnDate):
    """The time of its date lies strictly between the offset times `after` and `before`."""

    before: Any = None
    after: Any = None

    def holds(self, variables: Mapping[str, Any], render: Render) -> bool:
        """Whether it is met."""
        when = _aware(self._when(variables, render))
        after, before = render(self.after, variables), render(self.before, variables)
        return (after is None or when > _at(when, after, "after")) and (
            before is None or when < _at(when, before, "before")
        )


class DayWeek(_OnDate):
    """Its date is that day of the week."""

    day_of_week: Day

    def holds(self, variables: Mapping[str, Any], render: Render) -> bool:
        """Whether it is met."""
        return _DAYS[self._when(variables, render).weekday()] == self.day_of_week


class DayWeekInMonth(_OnDate):
    """Its date is, say, the first Monday of its month."""

    day_of_week: Day
    day_in_month: Literal["FIRST", "SECOND", "THIRD", "FOURTH", "LAST"]

    def holds(self, variables: Mapping[str, Any], render: Render) -> bool:
        """Whether it is met."""
        when = self._when(variables, render).date()
        if _DAYS[when.weekday()] != self.day_of_week:
            return False
        if self.day_in_month == "LAST":
            return when.day + 7 > _days_in(when)
        return (when.day - 1) // 7 == _NTH[self.day_in_month]


class Weekend(_OnDate):
    """Its date is a Saturday or a Sunday."""

    def holds(self, variables: Mapping[str, Any], render: Render) -> bool:
        """Whether it is met."""
        return self._when(variables, render).weekday() >= 5


class PublicHoliday(_OnDate):
    """Its date is a public holiday of a country (ISO 3166 code), or of one of its parts."""

    country: Any
    sub_division: Any = None

    def holds(self, variables: Mapping[str, Any], render: Render) -> bool:
        """Whether it is met."""
        import holidays

        when = self._when(variables, render).date()
        country, part = render(self.country, variables), render(self.sub_division, variables)
        try:
            return when in holidays.country_holidays(str(country), subdiv=part, years=when.year)
        except NotImplementedError:
            raise UserError(
                f"the public holidays of `{country}`{f' / `{part}`' if part else ''} are not known",
                hint="give an ISO 3166 country code such as `FR`",
            ) from None


class MultipleCondition(Condition):
    """Outdated: several upstream conditions within one window; only a Flow trigger may carry it."""

    id: str
    description: str | None = None
    window: str | None = None
    window_advance: str | None = None
    time_window: dict[str, Any] | None = Field(
        default=None, validation_alias=AliasChoices("timeWindow", "sla")
    )
    reset_on_success: bool = True
    conditions: dict[str, AnyCondition] = Field(min_length=1)

    def holds(self, variables: Mapping[str, Any], render: Render) -> bool:
        """Whether one of its conditions is met, so that the event counts for the window."""
        return any(condition.holds(variables, render) for condition in self.conditions.values())


def _instant(value: Any, word: str) -> datetime:
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise UserError(f"`{word}` is `{str(value)[:80]}`, which is no date", hint="write ISO 8601") from None


def _aware(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _at(when: datetime, value: Any, word: str) -> datetime:
    try:
        clock = value if isinstance(value, time) else time.fromisoformat(str(value).strip())
    except ValueError:
        message = f"`{word}` is `{str(value)[:80]}`, which is no time of day"
        raise UserError(message, hint="write it with its offset, such as `16:19:12+02:00`") from None
    own = clock.tzinfo or when.tzinfo
    return datetime.combine(when.astimezone(own).date(), clock.replace(tzinfo=own))


def _days_in(day: date) -> int:
    following = date(day.year + day.month // 12, day.month % 12 + 1, 1)
    return (following - day.replace(day=1)).days
