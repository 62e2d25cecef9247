"""Tasks on values that outlive an execution: key-value pairs and states."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.clock import ManualClock
from engine.model.execution import Execution
from engine.model.state import State
from tests.support.engine import Engine, engine


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 3, 1, 12, tzinfo=UTC))


@pytest.fixture
async def it(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Engine]:
    async with engine(tmp_path, clock=clock, secrets={"TOKEN": "s3cr3t-value"}) as running:
        yield running


async def run(it: Engine, tasks: str, namespace: str = "company.team", flow: str = "f") -> Execution:
    await it.deploy(f"id: {flow}\nnamespace: {namespace}\ntasks:\n{tasks}", commit=tasks)
    return await asyncio.wait_for(it.run(f"{namespace}.{flow}"), 20)


def outputs(execution: Execution, task: str) -> dict[str, Any]:
    return execution.runs[task].outputs


@pytest.mark.parametrize(
    ("given", "value", "kind"),
    [
        ("value: plain", "plain", "STRING"),
        ("value: '{{ [1, 2] }}'", [1, 2], "JSON"),
        ("value: {a: '{{ 1 + 1 }}'}", {"a": 2}, "JSON"),
        ("value: '7', kvType: NUMBER", 7, "NUMBER"),
        ("value: '7.5', kvType: NUMBER", 7.5, "NUMBER"),
        ("value: 'True', kvType: BOOLEAN", True, "BOOLEAN"),
        ("value: '{\"a\": [1]}', kvType: JSON", {"a": [1]}, "JSON"),
        ("value: '2026-01-31T01:00:00+01:00', kvType: DATETIME", "2026-01-31T00:00:00Z", "DATETIME"),
        ("value: '2026-01-31', kvType: DATE", "2026-01-31", "DATE"),
        ("value: PT5M, kvType: DURATION", "PT5M", "DURATION"),
        ("value: 12, kvType: STRING", "12", "STRING"),
    ],
)
async def test_a_value_is_kept_as_its_type(it: Engine, given: str, value: Any, kind: str) -> None:
    done = await run(
        it,
        f"  - {{id: set, type: core.kv.Set, key: k, {given}}}\n"
        "  - {id: get, type: core.kv.Get, key: k}\n"
        "  - {id: read, type: core.output.OutputValues, values: {v: \"{{ kv('k') }}\"}}\n",
    )
    assert done.state is State.SUCCESS, it.messages(done)
    assert outputs(done, "get") == {"value": value}
    assert outputs(done, "read") == {"values": {"v": value}}
    assert it.service.store.get("kv/company.team", "k")["type"] == kind


@pytest.mark.parametrize(
    "given",
    [
        "value: x, kvType: NUMBER",
        "value: 'true', kvType: NUMBER",
        "value: 'NaN', kvType: JSON",
        "value: never, kvType: DATE",
        "value: soon, kvType: DURATION",
        "value: x, kvType: HUGE",
    ],
)
async def test_a_value_that_is_not_of_its_type_is_refused(it: Engine, given: str) -> None:
    done = await run(it, f"  - {{id: set, type: core.kv.Set, key: k, {given}}}\n")
    assert done.state is State.FAILED
    assert "is no" in done.runs["set"].error
    assert it.service.store.items("kv/company.team") == {}


async def test_reads_are_inherited_and_writes_are_not(it: Engine) -> None:
    done = await run(
        it,
        """  - {id: above, type: core.kv.Set, namespace: company, key: shared, value: from above}
  - {id: found, type: core.kv.Get, key: shared}
  - {id: own, type: core.kv.Set, key: shared, value: own}
  - {id: nearest, type: core.kv.Get, key: shared}
  - {id: named, type: core.kv.Get, namespace: company, key: shared}
  - {id: elsewhere, type: core.kv.Get, namespace: company.other, key: shared}
""",
    )
    found = [outputs(done, task)["value"] for task in ("found", "nearest", "named", "elsewhere")]
    assert found == ["from above", "own", "from above", None]


async def test_a_value_is_over_when_its_time_is(it: Engine, clock: ManualClock) -> None:
    await run(it, "  - {id: set, type: core.kv.Set, key: k, value: v, ttl: PT1H}\n")
    clock.advance(timedelta(minutes=59))
    tasks = "  - {id: get, type: core.kv.Get, key: k}\n  - {id: keys, type: core.kv.GetKeys}\n"
    before = await run(it, tasks, flow="g")
    clock.advance(timedelta(minutes=1))
    after = await run(it, tasks, flow="g")
    assert [outputs(each, "get")["value"] for each in (before, after)] == ["v", None]
    assert [outputs(each, "keys")["keys"] for each in (before, after)] == [["k"], []]
    again = await run(it, "  - {id: set, type: core.kv.Set, key: k, value: w, overwrite: false}\n")
    assert again.state is State.SUCCESS


async def test_what_is_missing_or_there_already_is_said(it: Engine) -> None:
    done = await run(
        it,
        """  - {id: set, type: core.kv.Set, key: k, value: v}
  - {id: refused, type: core.kv.Set, key: k, value: w, overwrite: false, allowFailure: true}
  - {id: gone, type: core.kv.Get, key: nobody, errorOnMissing: true, allowFailure: true}
  - {id: bad, type: core.kv.Set, key: a/b, value: w, allowFailure: true}
  - {id: delete, type: core.kv.Delete, key: k}
  - {id: again, type: core.kv.Delete, key: k}
  - {id: strict, type: core.kv.Delete, key: k, errorOnMissing: true, allowFailure: true}
""",
    )
    assert "is set already in the namespace `company.team`" in done.runs["refused"].error
    assert "The key 'nobody' does not exist in the namespace 'company.team'" in done.runs["gone"].error
    assert "cannot be a key" in done.runs["bad"].error
    assert [outputs(done, task)["deleted"] for task in ("delete", "again")] == [True, False]
    assert "does not exist" in done.runs["strict"].error


async def test_one_of_many_writers_wins_when_nothing_may_be_overwritten(it: Engine) -> None:
    done = await run(
        it,
        """  - id: all
    type: core.flow.ForEach
    values: "{{ range(1, 20) }}"
    concurrencyLimit: 0
    tasks:
      - {id: set, type: core.kv.Set, key: leader, value: "{{ taskrun.value }}", overwrite: false, allowFailure: true}
""",
    )
    states = [run.state for key, run in done.runs.items() if run.task_id == "set"]
    assert states.count(State.SUCCESS) == 1
    assert states.count(State.WARNING) == 19


async def test_purging_takes_what_has_expired_or_fits(it: Engine, clock: ManualClock) -> None:
    tasks = """  - {id: a, type: core.kv.Set, key: tmp_a, value: v, ttl: PT1H}
  - {id: b, type: core.kv.Set, key: tmp_b, value: v}
  - {id: c, type: core.kv.Set, key: c, value: v, namespace: company}
  - {id: d, type: core.kv.Set, key: tmp_d, value: v, ttl: PT1H, namespace: companyx}
"""
    await run(it, tasks)
    clock.advance(timedelta(hours=2))
    purge = "  - {id: purge, type: core.kv.PurgeKV, namespaces: [company]}\n"
    assert outputs(await run(it, purge), "purge") == {"size": 1}
    purge = """  - id: purge
    type: core.kv.PurgeKV
    namespacePattern: 'company*'
    keyPattern: 'tmp_*'
    behavior: {type: key, expiredOnly: false}
"""
    assert outputs(await run(it, purge), "purge") == {"size": 2}
    left = {space: list(it.service.store.items(space)) for space in it.service.store.spaces("kv/")}
    assert left == {"kv/company": ["c"]}


async def test_states_are_merged_and_belong_to_the_flow_and_the_value(it: Engine) -> None:
    tasks = """  - {id: before, type: core.state.Get, name: s}
  - {id: set, type: core.state.Set, name: s, data: {n: {a: "{{ (outputs.before.data.n.a ?? 0) + 1 }}"}}}
  - {id: more, type: core.state.Set, name: s, data: {n: {b: 1}}}
  - {id: after, type: core.state.Get, name: s}
  - {id: shared, type: core.state.Set, name: s, namespace: true, data: {all: true}}
"""
    await run(it, tasks)
    done = await run(it, tasks)
    assert outputs(done, "after") == {"data": {"n": {"a": 2, "b": 1}}, "count": 1}
    other = await run(
        it,
        """  - {id: own, type: core.state.Get, name: s}
  - {id: shared, type: core.state.Get, name: s, namespace: true}
  - {id: strict, type: core.state.Get, name: s, errorOnMissing: true, allowFailure: true}
  - {id: delete, type: core.state.Delete, name: s, namespace: true}
  - {id: gone, type: core.state.Delete, name: s, namespace: true}
""",
        flow="other",
    )
    assert outputs(other, "own") == {"data": {}, "count": 0}
    assert outputs(other, "shared") == {"data": {"all": True}, "count": 1}
    assert "there is no state `s`" in other.runs["strict"].error
    assert [outputs(other, task)["deleted"] for task in ("delete", "gone")] == [True, False]


async def test_each_value_of_a_loop_has_its_own_state_unless_it_is_shared(it: Engine) -> None:
    done = await run(
        it,
        """  - id: each
    type: core.flow.ForEach
    values: ["a", "b"]
    tasks:
      - {id: own, type: core.state.Set, name: s, data: {"{{ taskrun.value }}": 1}}
      - {id: shared, type: core.state.Set, name: t, taskrunValue: false, data: {"{{ taskrun.value }}": 1}}
""",
    )
    counts = {run.task_id: run.outputs["count"] for run in done.runs.values() if run.value == "b"}
    assert counts == {"own": 1, "shared": 2}
