"""Backfills: a schedule goes through its past, one due time after the other, and then on as usual."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.clock import ManualClock
from engine.errors import InputInvalid, NotFound, NotPermitted
from engine.model.records import Query
from engine.model.state import State
from tests.support.engine import Engine, engine

NAME = ("demo", "tick", "every")
NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
TICK = """
id: tick
namespace: demo
inputs: [{id: who, type: STRING, defaults: nobody}]
triggers:
  - {id: every, type: core.trigger.Schedule, cron: "0 * * * *", timezone: UTC, lateMaximumDelay: PT1M}
  - {id: hook, type: core.trigger.Webhook, key: k}
tasks:
  - {id: say, type: core.debug.Return, format: "{{ trigger.date | date('dd HH') }} {{ inputs.who }}"}
"""
PAUSED = TICK.replace("tasks:\n", "tasks:\n  - {id: wait, type: core.flow.Pause}\n")


def at(day: int, hour: int) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)


async def said(it: Engine) -> list[str]:
    """What ran, in order, after everything has fired and ended that can."""
    for _ in range(20):
        await it.service.fire_due()
        for each in it.service.store.executions(Query()):
            await it.service.wait(each.id, paused=True)
    found = reversed(it.service.store.executions(Query(limit=1000)))
    done = [await it.service.execution(each.id) for each in found]
    return [each.runs["say"].outputs["value"] if "say" in each.runs else str(each.state) for each in done]


async def test_a_backfill_runs_the_past_in_order_and_hands_back(tmp_path: Path) -> None:
    clock = ManualClock(NOON)
    async with engine(tmp_path, clock=clock) as it:
        await it.deploy(TICK)
        begun = await it.service.backfill(NAME, at(1, 9), at(1, 11), {"who": "me"}, {"why": "gap"})
        assert begun.backfill is not None
        assert begun.upcoming == at(4, 13)
        assert await said(it) == ["01 09 me", "01 10 me", "01 11 me"]
        labels = [each.labels["why"] for each in it.service.store.executions(Query())]
        assert labels == ["gap"] * 3
        (state,) = [each for each in it.service.store.triggers() if each.trigger_id == "every"]
        assert (state.backfill, state.next_due) == (None, at(4, 13))
        clock.advance(timedelta(hours=1))
        assert (await said(it))[3:] == ["04 13 nobody"]
        await it.service.backfill(NAME, at(4, 13))  # what ran once may run again
        assert (await said(it))[4:] == ["04 13 nobody"]


async def test_a_backfill_waits_for_each_execution_and_for_the_person_who_paused_it(tmp_path: Path) -> None:
    async with engine(tmp_path, clock=ManualClock(NOON)) as it:
        await it.deploy(PAUSED)
        await it.service.backfill(NAME, at(1, 9), at(1, 11))
        assert await said(it) == ["PAUSED"]
        state = await it.service.pause_backfill(NAME)
        assert (state.next_due, state.upcoming) == (None, at(4, 13))
        (first,) = it.service.store.executions(Query())
        await it.service.resume(first.id)
        assert await said(it) == ["01 09 nobody"]
        await it.service.unpause_backfill(NAME)
        assert await said(it) == ["01 09 nobody", "PAUSED"]
        await it.service.delete_backfill(NAME)
        for each in it.service.store.executions(Query(states=(State.PAUSED,))):
            await it.service.resume(each.id)
        assert await said(it) == ["01 09 nobody", "01 10 nobody"]
        with pytest.raises(NotPermitted, match="no backfill"):
            await it.service.delete_backfill(NAME)


async def test_a_backfill_outlives_a_restart(tmp_path: Path) -> None:
    clock = ManualClock(NOON)
    store = tmp_path / "s.db"
    flow = PAUSED.replace("lateMaximumDelay: PT1M", "recoverMissedSchedules: NONE")
    async with engine(tmp_path, store=store, clock=clock) as it:
        await it.deploy(flow)
        await it.service.backfill(NAME, at(1, 9), at(1, 10))
        assert await said(it) == ["PAUSED"]
    async with engine(tmp_path, store=store, clock=clock) as it:
        for _ in range(2):
            for each in it.service.store.executions(Query(states=(State.PAUSED,))):
                await it.service.resume(each.id)
            await said(it)
        assert await said(it) == ["01 09 nobody", "01 10 nobody"]


async def test_another_schedule_ends_a_backfill(tmp_path: Path) -> None:
    async with engine(tmp_path, clock=ManualClock(NOON)) as it:
        await it.deploy(PAUSED)
        await it.service.backfill(NAME, at(1, 9), at(1, 11))
        assert await said(it) == ["PAUSED"]
        await it.deploy(PAUSED.replace("0 * * * *", "30 * * * *"), commit="c2")
        (state,) = [each for each in it.service.store.triggers() if each.trigger_id == "every"]
        assert (state.backfill, state.next_due) == (None, at(4, 12) + timedelta(minutes=30))


async def test_what_cannot_be_backfilled(tmp_path: Path) -> None:
    async with engine(tmp_path, clock=ManualClock(NOON)) as it:
        await it.deploy(PAUSED)
        with pytest.raises(NotFound):
            await it.service.backfill(("demo", "tick", "nobody"), at(1, 9))
        with pytest.raises(NotPermitted, match="no schedule"):
            await it.service.backfill(("demo", "tick", "hook"), at(1, 9))
        with pytest.raises(InputInvalid, match="past"):
            await it.service.backfill(NAME, at(5, 9))
        with pytest.raises(InputInvalid, match="not due"):
            await it.service.backfill(NAME, at(1, 9) + timedelta(minutes=1), at(1, 9) + timedelta(minutes=2))
        await it.service.backfill(NAME, at(1, 9))
        with pytest.raises(NotPermitted, match="already"):
            await it.service.backfill(NAME, at(1, 9))


async def test_conditions_and_inputs_of_a_schedule_see_the_functions_of_the_daemon(tmp_path: Path) -> None:
    flow = TICK.replace("lateMaximumDelay: PT1M", "inputs: {who: \"{{ secret('WHO') }} {{ vars.x }}\"}")
    clock = ManualClock(NOON)
    async with engine(tmp_path, clock=clock, secrets={"WHO": "somebody"}) as it:
        await it.deploy(flow + "variables: {x: here}\n")
        clock.advance(timedelta(hours=1))
        assert await said(it) == ["04 13 somebody here"]
