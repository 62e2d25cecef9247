"""Tasks that look after other executions: count, resume, kill, fetch logs, toggle triggers, forget."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.clock import ManualClock
from engine.errors import FlowInvalid
from engine.ids import derived_id
from engine.model.execution import Execution
from engine.model.records import Query
from engine.model.state import State
from tests.support.engine import Engine, deployment, engine

OTHER = """
id: other
namespace: company.team
tasks:
  - {id: say, type: core.log.Log, message: hello}
  - {id: warn, type: core.log.Log, message: careful, level: WARN}
  - {id: keep, type: core.storage.Write, content: x}
"""
PAUSED = """
id: paused
namespace: company.team
tasks:
  - {id: ask, type: core.flow.Pause, onResume: [{id: why, type: STRING}]}
  - {id: tell, type: core.debug.Return, format: "{{ outputs.ask.onResume.why }}"}
"""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 3, 1, 12, tzinfo=UTC))


@pytest.fixture
async def it(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Engine]:
    async with engine(tmp_path, clock=clock) as running:
        await running.deploy(OTHER, PAUSED)
        yield running


async def run(it: Engine, task: str) -> Execution:
    await it.deploy(f"id: f\nnamespace: company\ntasks:\n  - {{id: t, {task}}}\n", commit=task)
    return await asyncio.wait_for(it.run("company.f"), 20)


async def output(it: Engine, task: str) -> dict[str, Any]:
    done = await run(it, task)
    assert done.state is State.SUCCESS, it.messages(done)
    return done.runs["t"].outputs


def told(it: Engine) -> None:
    """As if the outside world had been told of everything."""
    it.service.store.reported(it.service.store.reports())


async def test_executions_are_counted_by_flow_and_namespace(it: Engine, clock: ManualClock) -> None:
    for _ in range(3):
        await it.run("company.team.other")
    clock.advance(timedelta(days=1))
    await it.start("company.team.paused")
    both = "flows: [{namespace: company.team, flowId: other}, {namespace: company.team, flowId: nobody}]"
    found = await output(it, f"type: core.execution.Count, {both}, expression: '{{{{ count >= 0 }}}}'")
    assert found["total"] == 3
    assert [(each["flowId"], each["count"]) for each in found["results"]] == [("nobody", 0), ("other", 3)]
    found = await output(it, f"type: core.execution.Count, {both}, expression: '{{{{ count == 0 }}}}'")
    assert found == {"results": [{"namespace": "company.team", "flowId": "nobody", "count": 0}], "total": 0}
    found = await output(it, "type: core.execution.Count, namespaces: [company.team], states: [PAUSED]")
    assert [each["flowId"] for each in found["results"]] == ["paused"]
    since = "startDate: \"{{ now() | dateAdd(-1, 'HOURS') }}\""
    found = await output(it, f"type: core.execution.Count, namespaces: [company], {since}")
    assert {each["flowId"]: each["count"] for each in found["results"]} == {"f": 4, "paused": 1}
    assert (await run(it, "type: core.execution.Count, expression: a")).state is State.FAILED


async def test_another_execution_is_resumed_with_inputs(it: Engine) -> None:
    first = await it.start("company.team.paused")
    await it.service.wait(first.id, paused=True)
    await output(it, f"type: core.execution.Resume, executionId: {first.id}, inputs: {{why: because}}")
    assert (await it.service.wait(first.id)).runs["tell"].outputs == {"value": "because"}
    second = await it.start("company.team.paused")
    await it.service.wait(second.id, paused=True)
    named = "type: core.execution.Resume, namespace: company.team, flowId: paused"
    assert "why" in (await run(it, named)).runs["t"].error
    await output(it, f"{named}, inputs: {{why: '{{{{ 1 + 1 }}}}'}}")
    assert (await it.service.wait(second.id)).runs["tell"].outputs == {"value": "2"}
    assert "is paused" in (await run(it, named)).runs["t"].error


CALLER = """
id: caller
namespace: company.team
tasks: [{id: call, type: core.flow.Subflow, namespace: company.team, flowId: paused}]
"""


@pytest.mark.parametrize(("propagate", "child"), [("true", State.KILLED), ("false", State.PAUSED)])
async def test_another_execution_is_killed_with_or_without_its_children(
    it: Engine, propagate: str, child: State
) -> None:
    await it.deploy(CALLER)
    caller = await it.start("company.team.caller")
    called = derived_id(caller.id, "call", "1")
    await asyncio.wait_for(it.service.wait(called, paused=True), 20)
    await output(it, f"type: core.execution.Kill, executionId: {caller.id}, propagateKill: {propagate}")
    assert (await it.service.wait(caller.id)).state is State.KILLED
    if child is State.KILLED:
        await it.service.wait(called)
    assert (await it.service.execution(called)).state is child
    assert (
        "has ended" in (await run(it, f"type: core.execution.Kill, executionId: {caller.id}")).runs["t"].error
    )
    assert (
        "there is no execution"
        in (await run(it, "type: core.execution.Kill, executionId: x")).runs["t"].error
    )


async def test_logs_are_fetched_from_a_level_and_of_tasks(it: Engine) -> None:
    other = await it.run("company.team.other")
    task = f"type: core.log.Fetch, executionId: {other.id}"
    found = await output(it, task)
    assert found["size"] == 2
    lines = Path(it.service.around.files.local_path(found["uri"])).read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [(row["taskId"], row["level"], row["message"]) for row in rows] == [
        ("say", "INFO", "hello"),
        ("warn", "WARN", "careful"),
    ]
    assert rows[0]["executionId"] == other.id
    assert (await output(it, f"{task}, level: WARN"))["size"] == 1
    assert (await output(it, f"{task}, tasksId: [say]"))["size"] == 1


async def test_a_stopped_trigger_does_not_fire_and_owes_nothing_when_it_goes_on(
    it: Engine, clock: ManualClock
) -> None:
    await it.deploy(
        """
id: tick
namespace: company.team
triggers: [{id: every, type: core.trigger.Schedule, cron: "* * * * *", timezone: UTC}]
tasks: [{id: say, type: core.log.Log, message: tick}]
"""
    )

    async def fired(minutes: int) -> int:
        for _ in range(minutes):
            clock.advance(timedelta(minutes=1))
            await it.service.fire_due()
            for each in it.service.store.executions(Query(flow_id="tick")):
                await it.service.wait(each.id)
        return len(it.service.store.executions(Query(flow_id="tick", limit=100)))

    assert await fired(2) == 2
    toggle = "type: core.trigger.Toggle, namespace: company.team, flowId: tick, trigger: every"
    await output(it, toggle)
    assert await fired(3) == 2
    await output(it, f"{toggle}, enabled: true")
    assert await fired(0) == 2
    assert await fired(1) == 3
    assert (
        "there is no trigger `nobody`" in (await run(it, toggle.replace("every", "nobody"))).runs["t"].error
    )


async def test_old_executions_are_forgotten_with_their_logs_and_files(it: Engine, clock: ManualClock) -> None:
    old = [await it.run("company.team.other") for _ in range(3)]
    waiting = await it.start("company.team.paused")
    await it.service.wait(waiting.id, paused=True)
    clock.advance(timedelta(days=40))
    young = await it.run("company.team.other")
    told(it)
    purge = "type: core.execution.PurgeExecutions, namespace: company, endDate: \"{{ now() | dateAdd(-1, 'MONTHS') }}\""
    assert (await output(it, f"{purge}, states: [FAILED, RUNNING]"))["executionsCount"] == 0
    assert (await output(it, f"{purge}, purgeExecution: false, purgeStorage: false")) == {
        "executionsCount": 0, "logsCount": 6, "storagesCount": 0, "metricsCount": 0,
    }  # fmt: skip
    found = await output(it, f"{purge}, batchSize: 2")
    assert (found["executionsCount"], found["storagesCount"]) == (3, 3)
    store = it.service.store
    assert [store.execution(each.id) for each in old] == [None] * 3
    assert [store.logs(each.id) + store.events(each.id) for each in old] == [[]] * 3
    assert store.execution(young.id) is not None
    assert store.execution(waiting.id) is not None
    assert store.logs(young.id)
    assert "endDate" in (await run(it, "type: core.execution.PurgeExecutions, endDate: soon")).runs["t"].error


async def test_old_files_are_removed_but_those_of_executions_that_go_on(it: Engine, tmp_path: Path) -> None:
    def age(execution_id: str, days: int) -> None:
        then = (datetime.now(UTC) - timedelta(days=days)).timestamp()
        for path in (tmp_path / "files").rglob(f"*/{execution_id}/**/*"):
            os.utime(path, (then, then))

    files = it.service.around.files
    ended, young = await it.run("company.team.other"), await it.run("company.team.other")
    waiting = await it.start("company.team.paused")
    await it.service.wait(waiting.id, paused=True)
    forgotten = derived_id("forgotten")
    nested = f"company/executions/other/executions/{forgotten}/tasks/a/executions/b"
    files.put(nested, b"x")
    files.put(f"company/team/paused/executions/{waiting.id}/inputs/a/b", b"x")
    files.put(f"elsewhere/other/executions/{forgotten}/inputs/a/b", b"x")
    kept = files.put("company/team/other/kept/a/b", b"x")
    for each in (ended.id, waiting.id, forgotten):
        age(each, 40)

    task = "type: core.storage.PurgeStorage, endDate: '{{ \"%s\" }}'" % (
        datetime.now(UTC) - timedelta(days=30)
    )
    found = {"scannedCount": 4, "purgedCount": 2, "deletedFilesCount": 0}
    assert await output(it, f"{task}, namespace: company") == found
    found["deletedFilesCount"] = 2
    assert await output(it, f"{task}, namespace: company, dryRun: false") == found
    left = {path for path, _ in files.written("")}
    assert nested not in left
    assert not any(ended.id in path for path in left)
    assert any(young.id in path for path in left)
    assert any(waiting.id in path for path in left)
    assert files.local_path(kept)
    found = {"scannedCount": 1, "purgedCount": 1, "deletedFilesCount": 1}
    assert await output(it, f"{task}, namespace: elsewhere, flowId: other, dryRun: false") == found
    since = f"startDate: '{datetime.now(UTC) - timedelta(days=50)}'"
    assert (await output(it, f"{task}, {since}"))["purgedCount"] == 0
    assert "needs its `namespace`" in (await run(it, f"{task}, flowId: other")).runs["t"].error
    assert "endDate" in (await run(it, "type: core.storage.PurgeStorage, endDate: soon")).runs["t"].error


@pytest.mark.parametrize(
    "task",
    [
        "type: core.flow.PurgeFlows, namespace: company, behavior: {keepAmount: 2}",
        "type: core.flow.PurgeFlows, namespaces: [company], flowPattern: 'a*', behavior: {keepAmount: 2}",
        "type: core.namespace.PurgeFiles, namespacePattern: 'c*', filePattern: '**/*.sql', includeChildNamespaces: no",
    ],
)
async def test_versions_are_left_to_git(it: Engine, task: str) -> None:
    done = await run(it, task)
    assert done.state is State.SUCCESS
    assert done.runs["t"].outputs == {"size": 0}
    assert "Git keeps every version" in it.messages(done)[0]


def test_versions_are_chosen_in_one_way() -> None:
    text = "id: f\nnamespace: a\ntasks: [{id: t, type: core.flow.PurgeFlows, %s}]"
    with pytest.raises(FlowInvalid, match="not both"):
        deployment(text % "behavior: {before: x, keepAmount: 1}")
    with pytest.raises(FlowInvalid, match="not both"):
        deployment(text % "namespaces: [a], namespacePattern: b")


async def test_what_is_still_to_be_told_is_not_forgotten(it: Engine, clock: ManualClock) -> None:
    old = await it.run("company.team.other")
    clock.advance(timedelta(days=1))
    task = "type: core.execution.PurgeExecutions, endDate: '{{ now() }}'"
    assert (await output(it, task))["executionsCount"] == 0
    told(it)
    assert (await output(it, task))["executionsCount"] == 1
    assert it.service.store.execution(old.id) is None


async def test_old_log_lines_are_forgotten_by_level_and_flow(it: Engine, clock: ManualClock) -> None:
    old = await it.run("company.team.other")
    clock.advance(timedelta(days=1))
    task = "type: core.log.PurgeLogs, endDate: '{{ now() }}'"
    assert await output(it, f"{task}, namespace: company.team, flowId: nobody") == {"count": 0}
    assert await output(it, f"{task}, namespace: company, logLevels: [WARN]") == {"count": 1}
    assert it.messages(old) == ["hello"]
    assert await output(it, f"{task}, executionId: {old.id}") == {"count": 1}
    assert it.messages(old) == []


async def test_metrics_are_published(it: Engine) -> None:
    done = await run(
        it,
        "type: core.metric.Publish, metrics: [{name: n, type: counter, value: '{{ 2 }}', tags: {a: 1}},"
        " {name: t, type: timer, value: PT2S}]",
    )
    assert done.state is State.SUCCESS, it.messages(done)
    for metric in (
        "{type: gauge, value: 1}",
        "{name: n, type: gauge, value: x}",
        "{name: n, type: sum, value: 1}",
    ):
        assert (await run(it, f"type: core.metric.Publish, metrics: [{metric}]")).state is State.FAILED
