"""Schedules: by cron expression, and on given dates (dialect, section 3.2)."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from engine.model.base import Text
from engine.model.trigger import Schedulable
from engine.model.types import problem_at
from engine.triggers import calendar


def _zone(name: str) -> str:
    calendar.zone(name)
    return name


Zone = Annotated[str, AfterValidator(_zone)]


class Schedule(Schedulable):
    """Due whenever its cron expression says so, on the clock of `timezone` (UTC when none is given)."""

    cron: Text = Field(min_length=1, max_length=256)
    with_seconds: bool = False
    timezone: Zone | None = None

    @model_validator(mode="after")
    def _readable(self) -> Schedule:
        try:
            calendar.expression(self.cron, self.with_seconds)
        except ValueError as error:
            raise problem_at(("cron",), "cron", str(error), self.cron) from None
        return self

    @cached_property
    def _expression(self) -> str:
        return calendar.expression(self.cron, self.with_seconds)

    def next_due(self, after: datetime) -> datetime | None:
        """The first due time strictly after an aware instant, in the trigger's zone."""
        return calendar.following(self._expression, calendar.zone(self.timezone), after)

    def previous_due(self, before: datetime) -> datetime | None:
        """The last due time strictly before an aware instant, in the trigger's zone."""
        return calendar.preceding(self._expression, calendar.zone(self.timezone), before)


class ScheduleOnDates(Schedulable):
    """Due on each of `dates`; a date without an offset is on the clock of `timezone` (UTC when none is given)."""

    dates: tuple[datetime, ...] = Field(min_length=1)
    timezone: Zone | None = None

    @cached_property
    def _instants(self) -> list[datetime]:
        zone = calendar.zone(self.timezone)
        aware = {
            calendar.fixed(date.astimezone(zone) if date.tzinfo else _real(date.replace(tzinfo=zone)))
            for date in self.dates
        }
        return sorted(aware, key=lambda date: date.astimezone(UTC))

    def next_due(self, after: datetime) -> datetime | None:
        """The first of the dates strictly after an aware instant."""
        later = (date for date in self._instants if date.astimezone(UTC) > after.astimezone(UTC))
        return next(later, None)

    def previous_due(self, before: datetime) -> datetime | None:
        """The last of the dates strictly before an aware instant."""
        earlier = (date for date in reversed(self._instants) if date.astimezone(UTC) < before.astimezone(UTC))
        return next(earlier, None)


def _real(date: datetime) -> datetime:
    return date.astimezone(UTC).astimezone(date.tzinfo)
