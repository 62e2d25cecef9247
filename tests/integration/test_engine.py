"""The whole engine over real processes and a real store: what people rely on, seen from its one door."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.clock import ManualClock
from engine.errors import InputInvalid, NotFound, NotPermitted
from engine.model.records import Query
from engine.model.run import RunHandle
from engine.model.state import State
from engine.ports import Batch
from engine.runtime import core, worker
from runners.process import ProcessRunner
from tests.support.engine import Engine, engine

LIMIT = 20.0  # seconds that anything here may take at the most


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Engine]:
    async with engine(tmp_path, secrets={"TOKEN": "s3cr3t-value"}) as running:
        yield running


async def test_a_script_gives_outputs_metrics_files_and_its_lines(it: Engine) -> None:
    await it.deploy(
        """
id: script
namespace: demo
tasks:
  - id: make
    type: scripts.python.Script
    outputFiles: ["*.csv"]
    inputFiles:
      in.txt: "{{ flow.id }}"
    script: |
      import json, sys
      print("to stdout")
      print("to stderr", file=sys.stderr)
      open("out.csv", "w").write(open("in.txt").read())
      print('::{"outputs": {"rows": 3}}::')
  - id: read
    type: core.log.Log
    message: "{{ outputs.make.vars.rows }} rows, {{ read(outputs.make.outputFiles['out.csv']) }}"
"""
    )
    done = await it.run("demo.script")
    assert done.state is State.SUCCESS, it.messages(done)
    levels = {entry.message: entry.level for entry in it.logs(done)}
    assert levels["to stdout"] == "INFO"
    assert levels["to stderr"] == "ERROR"
    assert "3 rows, script" in levels
    assert not any("outputs" in message for message in levels)


async def test_a_secret_is_masked_wherever_it_was_written(it: Engine) -> None:
    await it.deploy(
        """
id: leak
namespace: demo
tasks:
  - id: say
    type: scripts.shell.Commands
    env: {TOKEN: "{{ secret('TOKEN') }}"}
    commands:
      - echo "plain $TOKEN"
      - printf %s "$TOKEN" | base64
      - 'echo "{{ secret(''TOKEN'') }}" >&2'
  - id: log
    type: core.log.Log
    message: "it is {{ secret('TOKEN') }}"
"""
    )
    done = await it.run("demo.leak")
    assert done.state is State.SUCCESS, it.messages(done)
    text = "\n".join(it.messages(done))
    assert "s3cr3t" not in text
    assert "czNjcjN0" not in text
    assert text.count("********") == 4


async def test_a_timeout_ends_the_whole_group(it: Engine, tmp_path: Path) -> None:
    marker = tmp_path / "survived"
    await it.deploy(
        f"""
id: slow
namespace: demo
tasks:
  - id: wait
    type: scripts.shell.Commands
    timeout: PT0.3S
    commands: ["(sleep 2; touch {marker}) & sleep 30"]
"""
    )
    started = asyncio.get_running_loop().time()
    done = await asyncio.wait_for(it.run("demo.slow"), LIMIT)
    assert done.state is State.FAILED
    assert "timed out" in done.runs["wait"].error
    assert asyncio.get_running_loop().time() - started < 5
    assert not marker.exists()


async def test_kill_reaches_children_and_their_processes(it: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_GRACE", 0.2)
    await it.deploy(
        """
id: child
namespace: demo
tasks: [{id: wait, type: scripts.shell.Commands, commands: ["trap '' TERM; echo here; sleep 60"]}]
""",
        """
id: parent
namespace: demo
tasks: [{id: call, type: core.flow.Subflow, namespace: demo, flowId: child}]
""",
    )
    parent = await it.start("demo.parent")
    await until(lambda: "here" in child_messages(it))
    await it.service.kill(parent.id)
    done = await asyncio.wait_for(it.service.wait(parent.id), LIMIT)
    assert done.state is State.KILLED
    states = {each.flow_id: each.state for each in it.service.store.executions(Query())}
    assert states == {"parent": State.KILLED, "child": State.KILLED}


def child_messages(it: Engine) -> list[str]:
    found = it.service.store.executions(Query(flow_id="child"))
    return [entry.message for each in found for _, entry in it.service.store.logs(each.id)]


async def until(condition: object, seconds: float = LIMIT) -> None:
    assert callable(condition)
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the store has nothing to wait on
            await asyncio.sleep(0.01)


async def test_a_failing_script_is_tried_again_and_counts_its_attempts(it: Engine) -> None:
    await it.deploy(
        """
id: flaky
namespace: demo
tasks:
  - id: try
    type: scripts.shell.Commands
    retry: {type: constant, interval: PT0.05S, maxAttempts: 3}
    commands: ["test {{ taskrun.attemptsCount }} -ge 2"]
"""
    )
    done = await asyncio.wait_for(it.run("demo.flaky"), LIMIT)
    assert done.state is State.SUCCESS
    assert [attempt.state for attempt in done.runs["try"].attempts] == [
        State.FAILED,
        State.FAILED,
        State.SUCCESS,
    ]


LIMITED = """
id: limited
namespace: demo
concurrency: {{limit: 1, behavior: {behavior}}}
tasks: [{{id: wait, type: core.flow.Pause}}]
"""


async def test_a_queued_execution_begins_when_the_slot_is_free_and_no_slot_leaks(it: Engine) -> None:
    await it.deploy(LIMITED.format(behavior="QUEUE"))
    first = await it.start("demo.limited")
    second = await it.start("demo.limited")
    third = await it.start("demo.limited")
    assert [each.state for each in (second, third)] == [State.QUEUED, State.QUEUED]
    await it.service.kill(second.id)
    await it.service.kill(first.id)
    begun = await asyncio.wait_for(it.service.wait(third.id, paused=True), LIMIT)
    assert begun.state is State.PAUSED
    await it.service.resume(third.id)
    assert (await it.service.wait(third.id)).state is State.SUCCESS
    assert it.service._core.live._by_flow == {}


@pytest.mark.parametrize(("behavior", "state"), [("CANCEL", State.CANCELLED), ("FAIL", State.FAILED)])
async def test_over_the_limit_an_execution_can_be_refused(it: Engine, behavior: str, state: State) -> None:
    await it.deploy(LIMITED.format(behavior=behavior))
    await it.start("demo.limited")
    assert (await it.start("demo.limited")).state is state


async def test_resume_checks_what_the_pause_asks_for(it: Engine) -> None:
    await it.deploy(
        """
id: approve
namespace: demo
tasks:
  - id: ask
    type: core.flow.Pause
    onResume:
      - {id: reason, type: STRING}
  - id: tell
    type: core.debug.Return
    format: "{{ outputs.ask.onResume.reason }}"
"""
    )
    execution = await it.start("demo.approve")
    await it.service.wait(execution.id, paused=True)
    with pytest.raises(InputInvalid, match="reason"):
        await it.service.resume(execution.id, {})
    with pytest.raises(NotFound):
        await it.service.resume(execution.id, {"reason": "x"}, task_id="nobody")
    await it.service.resume(execution.id, {"reason": "fine"})
    done = await it.service.wait(execution.id)
    assert done.runs["tell"].outputs == {"value": "fine"}
    with pytest.raises(NotPermitted):
        await it.service.kill(execution.id)


async def test_bad_submissions_change_nothing(it: Engine) -> None:
    await it.deploy(
        """
id: strict
namespace: demo
inputs: [{id: n, type: INT}]
tasks: [{id: a, type: core.log.Log, message: "{{ inputs.n }}"}]
""",
        "id: off\nnamespace: demo\ndisabled: true\ntasks: [{id: a, type: core.log.Log, message: x}]\n",
    )
    with pytest.raises(InputInvalid, match="n"):
        await it.start("demo.strict", n="many")
    with pytest.raises(NotFound):
        await it.start("demo.nobody")
    with pytest.raises(NotPermitted):
        await it.start("demo.off")
    assert it.service.store.executions(Query()) == []


async def test_an_execution_stays_with_the_version_it_began_with(it: Engine) -> None:
    flow = """
id: pinned
namespace: demo
tasks:
  - {{id: wait, type: core.flow.Pause}}
  - {{id: say, type: core.debug.Return, format: "{word}"}}
"""
    await it.deploy(flow.format(word="old"), commit="c1")
    old = await it.start("demo.pinned")
    await it.deploy(flow.format(word="new"), commit="c2")
    new = await it.start("demo.pinned")
    for execution in (old, new):
        await it.service.resume(execution.id)
    done = [await it.service.wait(execution.id) for execution in (old, new)]
    assert [each.runs["say"].outputs["value"] for each in done] == ["old", "new"]
    assert [(each.flow.revision, each.flow.commit) for each in done] == [(1, "c1"), (2, "c2")]


SCHEDULED = """
id: tick
namespace: demo
triggers: [{{id: every, type: core.trigger.Schedule, cron: "{cron}", timezone: UTC}}]
tasks: [{{id: say, type: core.debug.Return, format: "{{{{ trigger.date }}}}"}}]
"""


async def fires(it: Engine) -> list[str]:
    await asyncio.sleep(0)
    found = it.service.store.executions(Query(flow_id="tick", limit=1000))
    executions = [await it.service.wait(each.id) for each in reversed(found)]
    return [each.runs["say"].outputs["value"][11:16] for each in executions]


async def move(it: Engine, clock: ManualClock, by: timedelta) -> None:
    """Move the clock on and wait until the engine has looked at it."""
    clock.advance(by)
    await it.service.fire_due()


async def test_schedules_fire_once_each_time_across_commits(tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 3, 1, 11, 58, 30, tzinfo=UTC))
    async with engine(tmp_path, clock=clock) as it:
        await it.deploy(SCHEDULED.format(cron="* * * * *"))
        await move(it, clock, timedelta(seconds=30))
        assert await fires(it) == ["11:59"]
        await it.deploy(SCHEDULED.format(cron="* * * * *") + "description: another commit\n", commit="c2")
        await move(it, clock, timedelta(seconds=0))
        assert await fires(it) == ["11:59"]
        await move(it, clock, timedelta(seconds=60))
        assert await fires(it) == ["11:59", "12:00"]
        clock.advance(timedelta(seconds=60))  # 12:01 is owed, and the commit changes the schedule
        await it.deploy(SCHEDULED.format(cron="*/5 * * * *"), commit="c3")
        assert await fires(it) == ["11:59", "12:00", "12:01"]
        await move(it, clock, timedelta(minutes=4))
        assert await fires(it) == ["11:59", "12:00", "12:01", "12:05"]


async def test_a_schedule_waits_for_its_last_execution_and_then_catches_up(tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC))
    paused = SCHEDULED.replace("tasks: [", "tasks: [{{id: wait, type: core.flow.Pause}}, ")
    async with engine(tmp_path, clock=clock) as it:
        await it.deploy(paused.format(cron="* * * * *"))
        await move(it, clock, timedelta(minutes=3))
        running = it.service.store.executions(Query(flow_id="tick"))
        assert len(running) == 1
        await it.service.resume(running[0].id)
        await it.service.wait(running[0].id)
        await it.service.fire_due()
        assert len(it.service.store.executions(Query(flow_id="tick"))) == 2


@pytest.mark.parametrize(
    ("recover", "expected"), [("ALL", ["12:01", "12:02", "12:03"]), ("LAST", ["12:03"]), ("NONE", [])]
)
async def test_schedules_missed_while_no_daemon_ran(
    tmp_path: Path, recover: str, expected: list[str]
) -> None:
    clock = ManualClock(datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC))
    flow = SCHEDULED.replace("timezone: UTC", f"timezone: UTC, recoverMissedSchedules: {recover}")
    async with engine(tmp_path, store=tmp_path / "s.db", clock=clock) as it:
        await it.deploy(flow.format(cron="* * * * *"))
    clock.advance(timedelta(minutes=3))
    async with engine(tmp_path, store=tmp_path / "s.db", clock=clock) as it:
        for _ in range(4):
            await it.service.fire_due()
            known = await fires(it)
        assert known == expected


async def test_a_webhook_call_starts_an_execution_only_for_who_knows_the_key(it: Engine) -> None:
    await it.deploy(
        """
id: hook
namespace: demo
triggers:
  - id: call
    type: core.trigger.Webhook
    key: "{{ secret('TOKEN') }}"
    conditions:
      - {type: core.condition.Expression, expression: "{{ trigger.body.go ?? false }}"}
tasks: [{id: say, type: core.debug.Return, format: "{{ trigger.body.name }}"}]
"""
    )
    body = {"body": {"go": True, "name": "x"}, "headers": {}, "parameters": {}}
    with pytest.raises(NotFound):
        await it.service.call_webhook("demo", "hook", "wrong", body)
    with pytest.raises(NotFound):
        await it.service.call_webhook("demo", "nobody", "s3cr3t-value", body)
    answer = await it.service.call_webhook("demo", "hook", "s3cr3t-value", {**body, "body": {"go": False}})
    assert answer.execution is None
    answer = await it.service.call_webhook("demo", "hook", "s3cr3t-value", body)
    assert answer.execution is not None
    done = await it.service.wait(answer.execution.id)
    assert done.runs["say"].outputs == {"value": "x"}


async def test_a_stopped_engine_takes_up_where_it_was(tmp_path: Path) -> None:
    """An ordinary stop leaves processes alone; the next engine adopts them and finishes what was begun."""
    store = tmp_path / "s.db"
    async with engine(tmp_path, store=store) as it:
        await it.deploy(
            """
id: long
namespace: demo
tasks:
  - id: work
    type: scripts.shell.Commands
    commands: ["echo one", "sleep 1", "echo two", "echo '::{\\"outputs\\":{\\"x\\":1}}::'"]
  - {id: after, type: core.debug.Return, format: "{{ outputs.work.vars.x }}"}
"""
        )
        execution = await it.start("demo.long")
        await until(lambda: "one" in it.messages(execution))
    async with engine(tmp_path, store=store) as again:
        done = await asyncio.wait_for(again.service.wait(execution.id), LIMIT)
        assert done.state is State.SUCCESS
        assert again.messages(done) == ["one", "two"]
        assert done.runs["after"].outputs == {"value": "1"}
        assert len(done.runs["work"].attempts) == 1


async def test_what_one_turn_leaves_over_is_carried_out_in_the_next(
    it: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when reading a flow for the first time takes longer than a turn may."""
    monkeypatch.setattr(core, "_EVENTS", 1)
    await it.deploy(
        """
id: left
namespace: demo
tasks:
  - {id: work, type: scripts.shell.Commands, commands: [echo done]}
  - {id: after, type: core.debug.Return, format: x}
"""
    )
    done = await asyncio.wait_for(it.run("demo.left"), LIMIT)
    assert done.state is State.SUCCESS


async def test_a_run_is_forgotten_only_after_its_end_is_durable(
    it: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a kill between the two would let the next daemon start it again."""
    store, cleanup = it.service.store, ProcessRunner.cleanup
    commit = store.commit
    unfinished: list[bool] = []

    def slowly(batch: Batch) -> None:
        threading.Event().wait(0.05)
        commit(batch)

    async def watched(runner: ProcessRunner, handle: RunHandle) -> None:
        unfinished.append(handle.key in {work.id for work in store.work()})
        await cleanup(runner, handle)

    await it.deploy(
        "id: once\nnamespace: demo\ntasks: [{id: work, type: scripts.shell.Commands, commands: [echo]}]"
    )
    monkeypatch.setattr(store, "commit", slowly)
    monkeypatch.setattr(ProcessRunner, "cleanup", watched)
    await it.run("demo.once")
    await until(lambda: unfinished)
    assert unfinished == [False]
