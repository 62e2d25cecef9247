"""Flow triggers in a running engine: what the end of one flow sets off in another, once and never twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.clock import ManualClock
from engine.model.execution import Execution
from engine.model.records import Query
from engine.model.state import State
from tests.support.engine import Engine, engine

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
UP = """
id: {name}
namespace: up
inputs: [{{id: ok, type: BOOL, defaults: true}}, {{id: n, type: INT, defaults: 1}}]
tasks:
  - {{id: stop, type: core.execution.Fail, runIf: "{{{{ not inputs.ok }}}}"}}
  - {{id: give, type: core.debug.Return, format: "{{{{ inputs.n }}}}"}}
outputs: [{{id: n, type: INT, value: "{{{{ inputs.n }}}}"}}]
"""
DOWN = """
id: down
namespace: down
inputs: [{{id: n, type: INT, defaults: 0}}]
triggers:
  - id: after
    type: io.kestra.plugin.core.trigger.Flow
{trigger}
tasks: [{{id: say, type: core.debug.Return, format: "{{{{ [trigger.flowId, trigger.state, inputs.n] | join(' ') }}}}"}}]
"""


def up(name: str) -> str:
    return UP.format(name=name)


def down(trigger: str) -> str:
    lines = trigger.strip("\n").splitlines()
    return DOWN.format(trigger="\n".join(f"    {line}" for line in lines))


def fired(it: Engine) -> list[Execution]:
    found = it.service.store.executions(Query(namespace="down", limit=1000))
    executions = [it.service.store.execution(each.id) for each in reversed(found)]
    return [each for each in executions if each is not None]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (bounded; the store has no event to wait for)
            await asyncio.sleep(0.01)


async def said(it: Engine) -> list[str]:
    done = [await it.service.wait(each.id) for each in fired(it)]
    return [each.runs["say"].outputs["value"] for each in done]


async def test_an_end_fires_what_listens_with_its_context(tmp_path: Path) -> None:
    async with engine(tmp_path) as it:
        await it.deploy(
            up("a"),
            down('inputs: {n: "{{ trigger.outputs.n + 1 }}"}\nlabels: {from: "{{ trigger.flowId }}"}'),
        )
        upstream = await it.run("up.a", n=4)
        assert await said(it) == ["a SUCCESS 5"]
        (execution,) = fired(it)
        assert execution.cause is not None
        assert execution.cause.id == "after"
        assert execution.cause.variables == {
            "executionId": upstream.id,
            "namespace": "up",
            "flowId": "a",
            "flowRevision": 1,
            "state": "SUCCESS",
            "outputs": {"n": 4, "a": {"n": 4}},
        }
        assert execution.labels == {"from": "a", "system.correlationId": upstream.id}


async def test_inputs_may_read_what_the_tasks_upstream_gave(tmp_path: Path) -> None:
    async with engine(tmp_path) as it:
        await it.deploy(up("a"), down('inputs: {n: "{{ outputs.give.value }}"}'))
        await it.run("up.a", n=9)
        assert await said(it) == ["a SUCCESS 9"]


async def test_a_flow_never_hears_of_itself(tmp_path: Path) -> None:
    async with engine(tmp_path) as it:
        await it.deploy(down("states: [SUCCESS, FAILED]"))
        await it.run("down.down")
        assert len(fired(it)) == 1  # the one that was asked for


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        ("states: [FAILED]", ["a FAILED 0"]),
        ("conditions: [{type: core.condition.ExecutionFlow, namespace: up, flowId: b}]", ["b SUCCESS 0"]),
        ("conditions: [{type: core.condition.ExecutionNamespace, namespace: other}]", []),
        ("when: \"{{ flowId == 'b' and state == 'SUCCESS' }}\"", ["b SUCCESS 0"]),
        ("dependsOn: [{namespace: up, flowId: b}]", ["b SUCCESS 0"]),
        ("dependsOn: [{namespace: up, flowId: a}]", []),
        ("dependsOn: [{namespace: up, flowId: b, when: '{{ outputs.n > 1 }}'}]", []),
        ("dependsOn: [{namespace: up, flowId: a, states: [FAILED]}]", ["a FAILED 0"]),
        ("disabled: true", []),
        (
            "preconditions: {id: p, flows: [{namespace: up, flowId: a, states: [FAILED]}, {namespace: up, flowId: b}]}",
            ["b SUCCESS 0"],
        ),
        ("preconditions: {id: p, flows: [{namespace: up, flowId: a}, {namespace: up, flowId: b}]}", []),
        (
            "preconditions:\n  id: p\n  where: [{id: w, filters: [{field: FLOW_ID, type: REGEX, value: 'b|c'}]}]",
            ["b SUCCESS 0"],
        ),
        (
            "mode: ANY\ndependsOn: [{namespace: up, flowId: a, states: [FAILED]}, {namespace: up, flowId: b}]",
            ["a FAILED 0", "b SUCCESS 0"],
        ),
    ],
)
async def test_what_fires_after_a_failed_and_b_succeeded(
    tmp_path: Path, trigger: str, expected: list[str]
) -> None:
    async with engine(tmp_path) as it:
        await it.deploy(up("a"), up("b"), down(trigger))
        await it.run("up.a", ok=False)
        await it.run("up.b")
        assert await said(it) == expected


MULTIPLE = """
conditions:
  - {type: io.kestra.plugin.core.condition.ExecutionStatus, in: [SUCCESS]}
  - id: multiple
    type: io.kestra.plugin.core.condition.MultipleCondition
    window: P1D
    windowAdvance: P0D
    conditions:
      a: {type: io.kestra.plugin.core.condition.ExecutionFlow, namespace: up, flowId: a}
      b: {type: io.kestra.plugin.core.condition.ExecutionFlow, namespace: up, flowId: b}
"""


async def test_several_upstreams_come_together_within_a_window_also_across_a_restart(tmp_path: Path) -> None:
    clock = ManualClock(START)
    store = tmp_path / "s.db"
    async with engine(tmp_path, store=store, clock=clock) as it:
        await it.deploy(up("a"), up("b"), down(MULTIPLE))
        await it.run("up.a", n=1)
        assert fired(it) == []
    async with engine(tmp_path, store=store, clock=clock) as it:
        await it.run("up.b", n=2)
        assert await said(it) == ["b SUCCESS 0"]
        (execution,) = fired(it)
        assert execution.cause is not None
        assert execution.cause.variables["outputs"] == {"n": 2, "a": {"n": 1}, "b": {"n": 2}}
        await it.run("up.b")  # all was forgotten once it fired
        assert len(fired(it)) == 1
        clock.advance(timedelta(hours=13))  # another day: b of yesterday does not count
        await it.run("up.a")
        assert len(fired(it)) == 1
        await it.run("up.b")
        assert len(fired(it)) == 2
    assert it.service.library.hearers.own("down", "down")


async def test_a_commit_that_asks_for_something_else_forgets_what_was_gathered(tmp_path: Path) -> None:
    both = "dependsOn: [{namespace: up, flowId: a}, {namespace: up, flowId: b}]"
    async with engine(tmp_path) as it:
        await it.deploy(up("a"), up("b"), down(both))
        await it.run("up.a")
        assert len(it.service.store.items("gathered")) == 1
        await it.deploy(down(both).replace("id: say", "id: say2"), commit="c2")
        assert len(it.service.store.items("gathered")) == 1
        await it.deploy(down(f"{both}\nwindow: {{lookback: PT1H}}"), commit="c3")
        assert it.service.store.items("gathered") == {}
        await it.run("up.b")
        assert fired(it) == []
        await it.service.deploy("test", "c4", [], [("down", "down")])
        await it.run("up.a")
        assert fired(it) == []
        assert it.service.store.items("gathered") == {}


async def test_inputs_that_cannot_be_rendered_leave_a_failed_execution(tmp_path: Path) -> None:
    async with engine(tmp_path) as it:
        await it.deploy(up("a"), down('inputs: {n: "{{ trigger.outputs.nothing }}"}'))
        upstream = await it.run("up.a")
        (execution,) = fired(it)
        assert execution.state is State.FAILED
        assert "nothing" in execution.error
        assert execution.labels["system.correlationId"] == upstream.id


@pytest.mark.parametrize(("flag", "count"), [("", 0), ("\nfailOnTriggerError: true", 1)])
async def test_a_condition_that_cannot_be_told_fires_nothing_or_a_failure(
    tmp_path: Path, flag: str, count: int
) -> None:
    async with engine(tmp_path) as it:
        await it.deploy(up("a"), down('when: "{{ nothing.at.all }}"' + flag))
        await it.run("up.a")
        assert [each.state for each in fired(it)] == [State.FAILED] * count


async def test_executions_that_will_be_tried_again_are_not_heard(tmp_path: Path) -> None:
    flow = (
        up("a") + "retry: {type: constant, interval: PT0S, maxAttempts: 2, behavior: CREATE_NEW_EXECUTION}\n"
    )
    async with engine(tmp_path) as it:
        await it.deploy(
            flow, down("mode: ANY\ndependsOn: [{namespace: up, flowId: a, states: [FAILED, RETRIED]}]")
        )
        first = await it.run("up.a", ok=False)
        assert first.state is State.RETRIED
        await until(lambda: bool(fired(it)))
        states = [each.state for each in it.service.store.executions(Query(flow_id="a"))]
        assert states == [State.FAILED, State.RETRIED]
        assert await said(it) == ["a FAILED 0"]
