"""Restart, replay, other statuses, the queue: in a running engine, over its one door."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.errors import InputInvalid, NotFound, NotPermitted
from engine.model.records import Query
from engine.model.state import State
from tests.support.engine import Engine, engine

LIMIT = 20.0


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Engine]:
    async with engine(tmp_path) as running:
        yield running


FLAKY = """
id: flaky
namespace: demo
inputs: [{id: word, type: STRING, defaults: one}]
tasks:
  - {id: first, type: core.debug.Return, format: "{{ inputs.word }} {{ execution.id }}"}
  - {id: work, type: core.execution.Fail, runIf: "{{ (labels.fixed ?? 'no') == 'no' and taskrun.attemptsCount == 0 }}"}
  - {id: last, type: core.debug.Return, format: "{{ outputs.first.value }}"}
errors:
  - {id: rescue, type: core.log.Log, message: x}
"""


async def test_a_restart_runs_again_what_failed_and_keeps_the_rest(it: Engine) -> None:
    await it.deploy(FLAKY)
    failed = await it.run("demo.flaky")
    assert failed.state is State.FAILED
    await it.service.restart(failed.id)
    done = await asyncio.wait_for(it.service.wait(failed.id), LIMIT)
    assert done.state is State.SUCCESS
    assert done.id == failed.id
    assert done.runs["first"].history == failed.runs["first"].history
    assert done.runs["last"].outputs["value"] == f"one {failed.id}"
    assert "rescue" not in done.runs
    assert it.service.store.execution(done.id) == done
    with pytest.raises(NotPermitted, match="nothing to restart"):
        await it.service.restart(failed.id)
    with pytest.raises(NotFound):
        await it.service.restart("nobody")


async def test_a_restart_on_another_revision_is_a_new_execution(it: Engine) -> None:
    await it.deploy(FLAKY)
    failed = await it.run("demo.flaky")
    fixed = FLAKY.replace("core.execution.Fail, runIf", "core.log.Log, message: fine, runIf")
    await it.deploy(fixed, commit="c2")
    new = await it.service.restart(failed.id, 2)
    done = await it.service.wait(new.id)
    assert (done.id != failed.id, done.state, done.flow.revision) == (True, State.SUCCESS, 2)
    assert done.parent_id == failed.id
    assert done.runs["first"].outputs == failed.runs["first"].outputs
    assert it.service.store.execution(failed.id) == failed
    with pytest.raises(NotFound):
        await it.service.restart(failed.id, 7)


async def test_a_replay_is_a_new_execution_from_a_task_on(it: Engine) -> None:
    await it.deploy(FLAKY)
    failed = await it.run("demo.flaky")
    whole = await it.service.wait((await it.service.replay(failed.id)).id)
    assert whole.state is State.FAILED
    assert whole.runs["first"].outputs["value"] == f"one {whole.id}"
    other = await it.service.replay(failed.id, inputs={"word": "two"})
    assert (await it.service.wait(other.id)).runs["first"].outputs["value"] == f"two {other.id}"
    part = await it.service.replay(failed.id, "work", identity="r" * 22)
    assert await it.service.replay(failed.id, "work", identity="r" * 22)
    part = await it.service.wait(part.id)
    assert part.runs["first"].outputs == failed.runs["first"].outputs
    assert part.runs["first"].id != failed.runs["first"].id
    assert (part.parent_id, part.original_id) == (failed.id, failed.id)
    assert part.labels["system.replay"] == "true"
    assert it.service.store.execution(part.id) == part
    by_id = await it.service.replay(failed.id, failed.runs["first"].id)
    assert (await it.service.wait(by_id.id)).runs["first"].outputs["value"] == f"one {by_id.id}"
    with pytest.raises(NotFound):
        await it.service.replay(failed.id, "last")
    with pytest.raises(NotPermitted, match="rescue"):
        await it.service.replay(failed.id, "rescue")


async def test_a_task_declared_a_success_lets_its_flow_go_on(it: Engine) -> None:
    await it.deploy(FLAKY)
    failed = await it.run("demo.flaky")
    with pytest.raises(NotPermitted):
        await it.service.change_status(failed.id, State.RUNNING, "work")
    await it.service.change_status(failed.id, State.SUCCESS, failed.runs["work"].id)
    done = await it.service.wait(failed.id)
    assert done.state is State.SUCCESS
    assert done.runs["last"].state is State.SUCCESS
    declared = await it.service.change_status(failed.id, State.WARNING)
    assert declared.state is State.WARNING


async def test_what_ran_several_times_has_to_be_named_exactly(it: Engine) -> None:
    await it.deploy(
        """
id: loop
namespace: demo
tasks:
  - id: each
    type: core.flow.ForEach
    values: [x, y]
    tasks: [{id: say, type: core.debug.Return, format: "{{ taskrun.value }}"}]
"""
    )
    done = await it.run("demo.loop")
    with pytest.raises(InputInvalid, match="say:1"):
        await it.service.replay(done.id, "say")
    new = await it.service.wait((await it.service.replay(done.id, "say:1")).id)
    assert new.state is State.SUCCESS
    assert new.runs["say:0"].history == done.runs["say:0"].history
    assert new.runs["say:1"].outputs == {"value": "y"}


PARENT = """
id: parent
namespace: demo
tasks: [{{id: call, type: core.flow.Subflow, namespace: demo, flowId: flaky{more}}}]
"""


@pytest.mark.parametrize(
    ("more", "children", "state"),
    [("", 1, State.SUCCESS), (", restartBehavior: NEW_EXECUTION", 2, State.FAILED)],
)
async def test_a_restarted_parent_restarts_its_child_or_starts_a_new_one(
    it: Engine, more: str, children: int, state: State
) -> None:
    await it.deploy(FLAKY, PARENT.format(more=more))
    failed = await it.run("demo.parent")
    assert failed.state is State.FAILED
    await it.service.restart(failed.id)
    done = await asyncio.wait_for(it.service.wait(failed.id), LIMIT)
    assert done.state is state
    assert len(it.service.store.executions(Query(flow_id="flaky"))) == children


LIMITED = """
id: limited
namespace: demo
concurrency: {{limit: 1, behavior: {behavior}}}
tasks: [{{id: wait, type: core.flow.Pause}}]
"""


async def test_a_restart_waits_for_a_slot_like_everybody_else(it: Engine) -> None:
    await it.deploy(LIMITED.format(behavior="QUEUE"))
    first = await it.start("demo.limited")
    await it.service.kill(first.id)
    second = await it.start("demo.limited")
    restarted = await it.service.restart(first.id)
    assert restarted.state is State.QUEUED
    await it.service.resume(second.id)
    assert (await it.service.wait(second.id)).state is State.SUCCESS
    assert (await it.service.wait(first.id, paused=True)).state is State.PAUSED
    await it.service.restart(first.id)  # it holds its own slot
    assert (await it.service.wait(first.id, paused=True)).state is State.PAUSED
    await it.service.resume(first.id)
    assert (await it.service.wait(first.id)).state is State.SUCCESS
    assert it.service._core.live._by_flow == {}


async def test_a_restart_over_the_limit_may_be_refused(it: Engine) -> None:
    await it.deploy(LIMITED.format(behavior="FAIL"))
    first = await it.start("demo.limited")
    await it.service.kill(first.id)
    await it.start("demo.limited")
    with pytest.raises(NotPermitted, match="concurrency limit"):
        await it.service.restart(first.id)
    assert (await it.service.execution(first.id)).state is State.KILLED


async def test_waiting_executions_may_be_let_ahead_or_sent_away(it: Engine) -> None:
    await it.deploy(LIMITED.format(behavior="QUEUE"))
    first, second, third, fourth = [await it.start("demo.limited") for _ in range(4)]
    with pytest.raises(NotPermitted, match="not QUEUED"):
        await it.service.unqueue(first.id)
    assert (await it.service.unqueue(second.id)).state is State.PAUSED
    assert (await it.service.unqueue(third.id, State.CANCELLED)).state is State.CANCELLED
    await it.service.force_run(fourth.id)
    for each in (first, second, fourth):
        assert (await it.service.wait(each.id, paused=True)).state is State.PAUSED
        await it.service.force_run(each.id)
        assert (await it.service.wait(each.id)).state is State.SUCCESS
    with pytest.raises(NotPermitted):
        await it.service.force_run(first.id)
    assert it.service._core.live._by_flow == {}


async def test_a_raised_limit_lets_waiting_executions_begin(it: Engine) -> None:
    await it.deploy(LIMITED.format(behavior="QUEUE"))
    waiting = [await it.start("demo.limited") for _ in range(3)]
    await it.deploy(LIMITED.format(behavior="QUEUE").replace("limit: 1", "limit: 5"), commit="c2")
    for each in waiting:
        assert (await asyncio.wait_for(it.service.wait(each.id, paused=True), LIMIT)).state is State.PAUSED
