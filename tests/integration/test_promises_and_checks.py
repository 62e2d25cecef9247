"""What a flow promises of its executions (`sla`), asks beforehand (`checks`), and stops after (`stopAfter`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.clock import ManualClock
from engine.errors import InputInvalid, NotFound, NotPermitted
from engine.model.records import Query
from engine.model.state import State
from tests.support.engine import Engine, engine

LIMIT = 20.0
SLOW = """
id: slow
namespace: demo
sla:
  - {{id: quick, type: MAX_DURATION, duration: PT0.1S, behavior: {behavior}, labels: {{late: "yes"}}}}
tasks:
  - {{id: {task}}}
  - {{id: after, type: core.debug.Return, format: x}}
"""
PAUSE = "wait, type: core.flow.Pause"
SCRIPT = 'wait, type: scripts.shell.Commands, commands: ["sleep 60"]'


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Engine]:
    async with engine(tmp_path) as running:
        yield running


@pytest.mark.parametrize("task", [PAUSE, SCRIPT])
@pytest.mark.parametrize(("behavior", "state"), [("FAIL", State.FAILED), ("CANCEL", State.CANCELLED)])
async def test_an_execution_that_takes_too_long_is_ended(
    it: Engine, task: str, behavior: str, state: State
) -> None:
    await it.deploy(SLOW.format(behavior=behavior, task=task))
    done = await asyncio.wait_for(it.run("demo.slow"), LIMIT)
    assert done.state is state
    assert done.labels["late"] == "yes"
    assert "quick" in done.error
    assert done.runs["wait"].state in (State.KILLED, State.FAILED)
    assert "after" not in done.runs
    assert any("SLA `quick` is broken" in message for message in it.messages(done))
    assert it.service.store.work() == []


async def test_a_broken_promise_may_only_be_noted(it: Engine) -> None:
    await it.deploy(SLOW.format(behavior="NONE", task=PAUSE))
    execution = await it.start("demo.slow")
    async with asyncio.timeout(LIMIT):
        while "late" not in (await it.service.execution(execution.id)).labels:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await it.service.resume(execution.id)
    assert (await it.service.wait(execution.id)).state is State.SUCCESS


async def test_a_child_outlives_the_broken_promise_of_its_parent(it: Engine) -> None:
    await it.deploy(
        "id: child\nnamespace: demo\ntasks: [{id: wait, type: core.flow.Pause}]\n",
        SLOW.format(behavior="FAIL", task="wait, type: core.flow.Subflow, namespace: demo, flowId: child"),
    )
    done = await asyncio.wait_for(it.run("demo.slow"), LIMIT)
    assert done.state is State.FAILED
    (child,) = it.service.store.executions(Query(flow_id="child"))
    assert child.state is State.PAUSED


async def test_a_promise_kept_leaves_no_timer_behind(it: Engine) -> None:
    await it.deploy(
        SLOW.format(behavior="FAIL", task="wait, type: core.log.Log, message: x").replace("PT0.1S", "PT1H")
    )
    done = await it.run("demo.slow")
    assert done.state is State.SUCCESS
    assert it.service.store.work() == []


ASSERTED = """
id: asserted
namespace: demo
inputs: [{{id: n, type: INT}}]
sla:
  - {{id: small, type: EXECUTION_ASSERTION, assert: "{{{{ {test} }}}}", behavior: {behavior}}}
tasks:
  - {{id: first, type: core.debug.Return, format: "{{{{ inputs.n }}}}"}}
  - {{id: last, type: core.debug.Return, format: x}}
"""


@pytest.mark.parametrize(
    ("test", "n", "state", "tasks"),
    [
        ("outputs.first.value != '7'", 7, State.FAILED, ["first"]),
        ("outputs.first.value != '7'", 8, State.SUCCESS, ["first", "last"]),
        ("outputs.last.value == 'y'", 8, State.FAILED, ["first", "last"]),
        ("(outputs.first.value ?? 7) == 7", 7, State.FAILED, ["first"]),
    ],
)
async def test_an_assertion_is_asked_on_every_change_and_undefined_is_not_broken(
    it: Engine, test: str, n: int, state: State, tasks: list[str]
) -> None:
    await it.deploy(ASSERTED.format(test=test, behavior="FAIL"))
    done = await it.run("demo.asserted", n=n)
    assert done.state is state, it.messages(done)
    assert [run.key for run in done.task_runs() if run.state is State.SUCCESS] == tasks


CHECKED = """
id: checked
namespace: demo
inputs: [{id: n, type: INT}]
checks:
  - {when: "{{ inputs.n > 0 }}", message: "{{ inputs.n }} is not positive"}
  - {condition: "{{ inputs.n < 100 }}", message: too much, behavior: FAIL_EXECUTION, style: ERROR}
  - {when: "{{ inputs.n != 5 }}", message: an odd number, behavior: CREATE_EXECUTION}
tasks: [{id: a, type: core.log.Log, message: x}]
"""


async def test_checks_block_fail_or_only_warn(it: Engine) -> None:
    await it.deploy(CHECKED)
    with pytest.raises(NotPermitted, match="-1 is not positive"):
        await it.run("demo.checked", n=-1)
    with pytest.raises(InputInvalid):
        await it.run("demo.checked", n="x")
    assert it.service.store.executions(Query()) == []
    failed = await it.run("demo.checked", n=100)
    assert (failed.state, failed.error) == (State.FAILED, "too much")
    assert len(failed.runs) == 0
    warned = await it.run("demo.checked", n=5)
    assert warned.state is State.SUCCESS
    assert "check: an odd number" in it.messages(warned)
    assert (await it.run("demo.checked", n=6)).state is State.SUCCESS


SCHEDULED = """
id: tick
namespace: demo
triggers:
  - {id: every, type: core.trigger.Schedule, cron: "* * * * *", timezone: UTC, stopAfter: [FAILED]}
tasks: [{id: stop, type: core.execution.Fail}]
"""


async def test_a_trigger_stops_after_a_state_it_names(tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC))
    async with engine(tmp_path, clock=clock) as it:
        await it.deploy(SCHEDULED)
        for _ in range(3):
            clock.advance(timedelta(minutes=1))
            await it.service.fire_due()
            for each in it.service.store.executions(Query()):
                await it.service.wait(each.id)
        assert len(it.service.store.executions(Query())) == 1
        (state,) = it.service.store.triggers()
        assert state.suspended
        await it.deploy(
            SCHEDULED.replace("* * * * *", "*/1 * * * *"), commit="c2"
        )  # another schedule starts anew
        clock.advance(timedelta(minutes=1))
        await it.service.fire_due()
        assert len(it.service.store.executions(Query())) == 2


async def test_a_stopped_webhook_is_not_there(it: Engine) -> None:
    await it.deploy(
        """
id: hook
namespace: demo
triggers: [{id: call, type: core.trigger.Webhook, key: k, stopAfter: [SUCCESS]}]
tasks: [{id: say, type: core.log.Log, message: x}]
"""
    )
    made = await it.service.call_webhook("demo", "hook", "k", {})
    assert made.execution is not None
    await it.service.wait(made.execution.id)
    with pytest.raises(NotFound):
        await it.service.call_webhook("demo", "hook", "k", {})


async def test_a_check_that_blocks_a_schedule_lets_the_next_date_come(tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC))
    flow = SCHEDULED.replace("tasks:", 'checks: [{when: "{{ false }}", message: never}]\ntasks:')
    async with engine(tmp_path, clock=clock) as it:
        await it.deploy(flow)
        clock.advance(timedelta(minutes=2))
        await it.service.fire_due()
        assert it.service.store.executions(Query()) == []
        (state,) = it.service.store.triggers()
        assert state.next_due == datetime(2026, 3, 1, 12, 3, tzinfo=UTC)
