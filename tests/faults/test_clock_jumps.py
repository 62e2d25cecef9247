"""The machine's clock jumps, as after a suspend or a correction: a due time still fires once, and none is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.clock import ManualClock
from engine.model.records import Query
from engine.model.state import State
from tests.support.engine import Engine, engine

NOON = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TICK = """
id: tick
namespace: demo
triggers: [{id: every, type: core.trigger.Schedule, cron: "* * * * *", timezone: UTC}]
tasks: [{id: say, type: core.debug.Return, format: "{{ trigger.date }}"}]
"""


async def jump(it: Engine, clock: ManualClock, by: timedelta) -> None:
    """Let the clock jump, and fire until nothing is due any more."""
    clock.advance(by)
    before = -1
    while before != (before := len(await dues(it))):
        await it.service.fire_due()


async def dues(it: Engine) -> list[str]:
    """The due times that have fired, in the order in which they did; waits for their executions."""
    found = it.service.store.executions(Query(flow_id="tick", limit=1000))
    ended = [await it.service.wait(each.id) for each in reversed(found)]
    assert {each.state for each in ended} <= {State.SUCCESS}
    return [each.runs["say"].outputs["value"][11:16] for each in ended]


@pytest.mark.parametrize("back", [timedelta(seconds=40), timedelta(minutes=3), timedelta(days=2)])
async def test_a_clock_set_back_fires_nothing_twice(tmp_path: Path, back: timedelta) -> None:
    clock = ManualClock(NOON)
    async with engine(tmp_path, clock=clock) as it:
        await it.deploy(TICK)
        await jump(it, clock, 2 * MINUTE)
        assert await dues(it) == ["12:01", "12:02"]
        await jump(it, clock, -back)
        await jump(it, clock, back)
        assert await dues(it) == ["12:01", "12:02"]
        await jump(it, clock, MINUTE)
        assert await dues(it) == ["12:01", "12:02", "12:03"]


async def test_a_clock_set_forward_loses_no_due_time(tmp_path: Path) -> None:
    clock = ManualClock(NOON)
    async with engine(tmp_path, clock=clock) as it:
        await it.deploy(TICK)
        await jump(it, clock, 90 * MINUTE)
        expected = [f"{(NOON + n * MINUTE):%H:%M}" for n in range(1, 91)]
        assert await dues(it) == expected


async def test_a_clock_set_back_between_two_daemons_fires_nothing_twice(tmp_path: Path) -> None:
    clock = ManualClock(NOON)
    async with engine(tmp_path, store=tmp_path / "s.db", clock=clock) as it:
        await it.deploy(TICK)
        await jump(it, clock, 2 * MINUTE)
    clock.advance(timedelta(minutes=-5))
    async with engine(tmp_path, store=tmp_path / "s.db", clock=clock) as it:
        await jump(it, clock, timedelta())
        await it.deploy(TICK + "description: a commit in the wrong hour\n", commit="c2")
        await jump(it, clock, 6 * MINUTE)
        assert await dues(it) == ["12:01", "12:02", "12:03"]
