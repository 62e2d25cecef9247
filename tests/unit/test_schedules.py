"""When schedules are due: cron on the clock of a zone, on the nights that the clock jumps too; lists of dates."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from engine.triggers.schedule import Schedule, ScheduleOnDates


def schedule(cron: str, **properties: Any) -> Schedule:
    return Schedule.model_validate({"id": "s", "type": "core.trigger.Schedule", "cron": cron, **properties})


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


PARIS, YORK = "Europe/Paris", "America/New_York"

NEXT = [
    (
        "0 7 * * 1-5",
        None,
        "2026-11-20T07:00:00+00:00",
        ["2026-11-23T07:00:00+00:00", "2026-11-24T07:00:00+00:00"],
    ),
    ("0 7 * * 1-5", PARIS, "2026-11-20T07:00:00+00:00", ["2026-11-23T07:00:00+01:00"]),
    ("*/15 * * * *", None, "2026-01-01T00:00:00.5+00:00", ["2026-01-01T00:15:00+00:00"]),
    ("@hourly", None, "2026-01-01T00:59:59+00:00", ["2026-01-01T01:00:00+00:00"]),
    ("@yearly", None, "2026-01-01T00:00:00+00:00", ["2027-01-01T00:00:00+00:00"]),
    ("@Weekly", None, "2026-11-23T00:00:00+00:00", ["2026-11-29T00:00:00+00:00"]),
    ("0 0 29 2 *", None, "2026-01-01T00:00:00+00:00", ["2028-02-29T00:00:00+00:00"]),
    ("0 12 * * MON", None, "2026-11-23T12:00:00+00:00", ["2026-11-30T12:00:00+00:00"]),
    ("0 0 * * 7", None, "2026-11-23T12:00:00+00:00", ["2026-11-29T00:00:00+00:00"]),
    # the clock jumps from 2 to 3: a time in the gap is due right after it, once
    (
        "30 2 * * *",
        PARIS,
        "2026-03-28T12:00:00+01:00",
        ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"],
    ),
    (
        "30 2 * * *",
        YORK,
        "2026-03-07T12:00:00-05:00",
        ["2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"],
    ),
    ("0 3 * * *", PARIS, "2026-03-28T12:00:00+01:00", ["2026-03-29T03:00:00+02:00"]),
    # the clock falls back from 3 to 2: a time that is there twice is due the first time only
    (
        "30 2 * * *",
        PARIS,
        "2026-10-24T12:00:00+02:00",
        ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"],
    ),
    (
        "30 1 * * *",
        YORK,
        "2026-10-31T12:00:00-04:00",
        ["2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"],
    ),
    # every hour or minute goes by real time
    (
        "0 * * * *",
        PARIS,
        "2026-10-25T01:30:00+02:00",
        ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"],
    ),
    (
        "*/30 * * * *",
        PARIS,
        "2026-03-29T01:30:00+01:00",
        ["2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00"],
    ),
    (
        "30 * * * *",
        YORK,
        "2026-11-01T00:45:00-04:00",
        ["2026-11-01T01:30:00-04:00", "2026-11-01T01:30:00-05:00", "2026-11-01T02:30:00-05:00"],
    ),
]


@pytest.mark.parametrize(("cron", "zone", "after", "expected"), NEXT)
def test_next(cron: str, zone: str | None, after: str, expected: list[str]) -> None:
    trigger = schedule(cron, **({"timezone": zone} if zone else {}))
    found, moment = [], at(after)
    for _ in expected:
        due = trigger.next_due(moment)
        assert due is not None
        found.append(due.isoformat())
        moment = due
    assert found == expected


def test_looking_from_within_the_repeated_hour_never_gives_the_past() -> None:
    trigger = schedule("30 2 * * *", timezone=PARIS)
    after = at("2026-10-25T01:05:00+00:00")  # 02:05, the second time
    assert trigger.next_due(after) == at("2026-10-26T02:30:00+01:00")
    assert trigger.previous_due(after) == at("2026-10-25T02:30:00+02:00")


@pytest.mark.parametrize(("cron", "zone", "after", "expected"), NEXT)
def test_previous_of_next_is_where_it_came_from(
    cron: str, zone: str | None, after: str, expected: list[str]
) -> None:
    trigger = schedule(cron, **({"timezone": zone} if zone else {}))
    first = at(expected[0])
    before = trigger.previous_due(first)
    assert before is not None
    assert before.astimezone(UTC) < first.astimezone(UTC)
    assert before.astimezone(UTC) <= at(after).astimezone(UTC)
    assert trigger.next_due(before) == first


def test_seconds() -> None:
    trigger = schedule("*/10 * * * * *", withSeconds=True)
    assert trigger.next_due(at("2026-01-01T00:00:01+00:00")) == at("2026-01-01T00:00:10+00:00")


def test_a_day_that_never_comes_is_refused() -> None:
    with pytest.raises(ValidationError, match="bad day-of-month"):
        schedule("0 0 31 2 *")


def test_variables_have_the_offset_of_the_zone() -> None:
    assert schedule("0 7 * * *", timezone=PARIS).variables(at("2026-10-24T07:00:00+02:00")) == {
        "date": "2026-10-24T07:00:00+02:00",
        "next": "2026-10-25T07:00:00+01:00",
        "previous": "2026-10-23T07:00:00+02:00",
    }


def test_dates() -> None:
    trigger = ScheduleOnDates.model_validate(
        {
            "id": "s",
            "type": "core.trigger.ScheduleOnDates",
            "timezone": PARIS,
            "dates": ["2026-07-01T09:00:00", "2026-01-01T09:00:00", "2026-01-01T08:00:00Z"],
        }
    )
    first = trigger.next_due(at("2025-01-01T00:00:00+00:00"))
    assert first == at("2026-01-01T09:00:00+01:00")
    assert trigger.next_due(first) == at("2026-07-01T09:00:00+02:00")
    assert trigger.next_due(at("2026-07-01T07:00:00+00:00")) is None
    assert trigger.previous_due(at("2026-07-01T07:00:00+00:00")) == first
    assert trigger.previous_due(first) is None


def test_due_times_of_the_repeated_hour_equal_the_same_instant_elsewhere() -> None:
    due = schedule("30 2 * * *", timezone=PARIS).next_due(at("2026-10-24T12:00:00+02:00"))
    assert due == at("2026-10-25T00:30:00+00:00")
