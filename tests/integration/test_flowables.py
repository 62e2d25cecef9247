"""Flowables beyond rows and branches, on the whole engine: rounds, shared directories, loops, batches."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from engine.errors import FlowInvalid
from engine.machine import many
from engine.model.records import Query
from engine.model.state import State
from engine.runtime import worker
from tests.support.engine import Engine, deployment, engine

LIMIT = 20.0  # seconds that anything here may take at the most


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait, for a bounded time, until something holds that a commit does not wait for."""
    async with asyncio.timeout(LIMIT):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Engine]:
    async with engine(tmp_path) as running:
        yield running


async def test_a_loop_goes_on_until_its_condition_holds_and_keeps_its_last_round(it: Engine) -> None:
    await it.deploy(
        """
id: until
namespace: d
tasks:
  - id: loop
    type: core.flow.LoopUntil
    condition: "{{ outputs.inner.value == '3' }}"
    checkFrequency: {interval: PT0.01S}
    tasks:
      - id: block
        type: core.flow.Sequential
        tasks: [{id: inner, type: core.debug.Return, format: "{{ outputs.loop.iterationCount }}"}]
      - {id: after, type: core.debug.Return, format: "{{ outputs.inner.value }}!"}
  - {id: end, type: core.debug.Return, format: "{{ outputs.loop.iterationCount }} {{ outputs.after.value }}"}
"""
    )
    done = await it.run("d.until")
    assert done.state is State.SUCCESS, it.messages(done)
    assert done.runs["end"].outputs == {"value": "3 3!"}
    assert [run.task_id for run in done.task_runs()] == ["loop", "block", "inner", "after", "end"]
    assert {moment.state for moment in done.history} == {State.CREATED, State.RUNNING, State.SUCCESS}


async def test_scripts_run_anew_in_every_round(it: Engine, tmp_path: Path) -> None:
    await it.deploy(
        f"""
id: files
namespace: d
tasks:
  - id: loop
    type: core.flow.WaitFor
    condition: "{{{{ outputs.count.vars.lines == 3 }}}}"
    checkFrequency: {{interval: PT0.01S}}
    tasks:
      - id: count
        type: scripts.shell.Commands
        commands:
          - echo x >> {tmp_path}/lines
          - echo '::{{"outputs":{{"lines":'$(wc -l < {tmp_path}/lines)'}}}}::'
"""
    )
    done = await it.run("d.files")
    assert done.state is State.SUCCESS, it.messages(done)
    assert (tmp_path / "lines").read_text() == "x\n" * 3


async def test_a_loop_stops_at_its_limit_and_fails_only_when_asked_to(it: Engine) -> None:
    flow = """
id: limit
namespace: d
tasks:
  - id: loop
    type: core.flow.LoopUntil
    condition: "{{ false }}"
    failOnMaxReached: FAIL
    checkFrequency: {interval: PT0.01S, maxIterations: 2}
    tasks: [{id: a, type: core.log.Log, message: "round {{ outputs.loop.iterationCount }}"}]
    errors: [{id: rescue, type: core.log.Log, message: rescued}]
"""
    await it.deploy(flow.replace("FAIL", "false"))
    done = await it.run("d.limit")
    assert done.state is State.SUCCESS, it.messages(done)
    assert it.messages(done) == ["round 1", "round 2"]
    await it.deploy(flow.replace("FAIL", "true"))
    done = await it.run("d.limit")
    assert done.state is State.FAILED
    assert "rescued" in it.messages(done)
    assert "2 iterations" in done.runs["loop"].error


async def test_what_runs_on_pause_is_done_before_the_pause_begins(it: Engine) -> None:
    await it.deploy(
        """
id: pausing
namespace: d
tasks:
  - id: pause
    type: core.flow.Pause
    onPause: {id: tell, type: core.log.Log, message: please look}
"""
    )
    execution = await it.start("d.pausing")
    paused = await it.service.wait(execution.id, paused=True)
    assert paused.state is State.PAUSED
    assert it.messages(paused) == ["please look"]
    await it.service.resume(execution.id)
    assert (await it.service.wait(execution.id)).state is State.SUCCESS


DIRECTORY = """
id: dir
namespace: d
inputs: [{id: fail, type: BOOL, defaults: false}]
tasks:
  - id: wd
    type: core.flow.WorkingDirectory
    inputFiles: {in.txt: "{{ flow.id }}"}
    outputFiles: ["*.out"]
    tasks:
      - {id: first, type: scripts.shell.Commands, commands: ["cat in.txt > a.out", "echo changed > in.txt"]}
      - {id: log, type: core.log.Log, message: "{{ outputs.first.exitCode }}"}
      - id: second
        type: scripts.shell.Commands
        commands: ["cat in.txt >> {{ workingDir }}/a.out", "pwd > where.out"]
      - {id: third, type: scripts.shell.Commands, commands: ["{{ inputs.fail ? 'false' : 'true' }}"]}
  - {id: read, type: core.debug.Return, format: "{{ read(outputs.wd.outputFiles['a.out']) }}"}
"""


def workspaces(folder: Path) -> list[str]:
    return [each.name for each in (folder / "runs" / "workspaces").iterdir()]


async def test_tasks_of_a_working_directory_share_it_and_it_goes_with_the_block(
    it: Engine, tmp_path: Path
) -> None:
    await it.deploy(DIRECTORY)
    done = await it.run("d.dir")
    assert done.state is State.SUCCESS, it.messages(done)
    assert done.runs["read"].outputs == {"value": "dirchanged\n"}
    await eventually(lambda: not workspaces(tmp_path))
    failed = await it.run("d.dir", fail="true")
    assert failed.state is State.FAILED
    assert sorted(failed.runs["wd"].outputs["outputFiles"]) == ["a.out", "where.out"]
    await eventually(lambda: not workspaces(tmp_path))


async def test_a_working_directory_that_cannot_be_made_fails_itself(it: Engine) -> None:
    await it.deploy(DIRECTORY.replace("{{ flow.id }}", "{{ nothing }}"))
    done = await it.run("d.dir")
    assert done.state is State.FAILED
    assert list(done.runs) == ["wd"]
    assert "nothing" in done.runs["wd"].error


async def test_the_cache_of_a_working_directory_is_found_by_the_next_execution(it: Engine) -> None:
    await it.deploy(
        """
id: cached
namespace: d
tasks:
  - id: wd
    type: core.flow.WorkingDirectory
    cache: {patterns: ["kept/**"], ttl: PT1H}
    tasks:
      - id: use
        type: scripts.shell.Commands
        commands:
          - mkdir -p kept; test -x kept/tool || printf '#!/bin/sh\\necho new' > kept/tool; chmod +x kept/tool
          - kept/tool; printf '#!/bin/sh\\necho old' > kept/tool
"""
    )
    first, second = await it.run("d.cached"), await it.run("d.cached")
    assert it.messages(first) == ["new"]
    assert it.messages(second) == ["old"]


async def test_the_directory_of_a_killed_block_goes_too(
    it: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_GRACE", 0.1)
    await it.deploy(DIRECTORY.replace("cat in.txt > a.out", "echo here; sleep 60"))
    execution = await it.start("d.dir")
    await eventually(lambda: "here" in it.messages(execution))
    await it.service.kill(execution.id)
    assert (await it.service.wait(execution.id)).state is State.KILLED
    await eventually(lambda: not workspaces(tmp_path))


async def test_a_restarted_daemon_goes_on_in_the_same_directory_and_tidies_up(tmp_path: Path) -> None:
    flow = DIRECTORY.replace(
        "cat in.txt > a.out", f"cat in.txt > a.out; until test -e {tmp_path}/go; do sleep 0.01; done"
    )
    async with engine(tmp_path, store=tmp_path / "store.db") as first:
        await first.deploy(flow)
        execution = await first.start("d.dir")
        await eventually(lambda: any((tmp_path / "runs" / "workspaces").glob("*/a.out")))
    (tmp_path / "go").touch()
    async with engine(tmp_path, store=tmp_path / "store.db") as second:
        done = await asyncio.wait_for(second.service.wait(execution.id), LIMIT)
        assert done.state is State.SUCCESS, second.messages(done)
        assert done.runs["read"].outputs == {"value": "dirchanged\n"}
        await eventually(lambda: not workspaces(tmp_path))


def test_only_tasks_that_run_may_stand_in_a_working_directory() -> None:
    with pytest.raises(FlowInvalid, match="WorkingDirectory"):
        deployment(
            """
id: no
namespace: d
tasks:
  - id: wd
    type: core.flow.WorkingDirectory
    tasks: [{id: wait, type: core.flow.Pause}]
"""
        )


BATCHES = """
id: parent
namespace: d
tasks:
  - id: each
    type: core.flow.ForEachItem
    items: "{{ outputs.write.uri }}"
    batch: {rows: 2}
    namespace: d
    flowId: child
    inputs: {items: "{{ taskrun.items }}", n: "{{ taskrun.iteration }}"}
"""
CHILD = """
id: child
namespace: d
inputs: [{id: items, type: STRING}, {id: n, type: INT}]
tasks:
  - {id: say, type: core.debug.Return, format: "{{ inputs.n }}: {{ read(inputs.items) }}"}
outputs: [{id: said, type: STRING, value: "{{ outputs.say.value }}"}]
"""
WRITE = 'tasks:\n  - {id: write, type: core.storage.Write, content: "ROWS"}\n'


def batches(rows: int, **properties: str) -> str:
    text = "".join(f"row {number}\\n" for number in range(rows))
    more = "".join(f"    {name}: {value}\n" for name, value in properties.items())
    return BATCHES.replace("tasks:\n", WRITE.replace("ROWS", text)) + more


async def test_every_batch_of_a_file_has_a_child_execution_and_their_outputs_are_merged(it: Engine) -> None:
    await it.deploy(CHILD, batches(5))
    done = await asyncio.wait_for(it.run("d.parent"), LIMIT)
    assert done.state is State.SUCCESS, it.messages(done)
    assert [run.task_id for run in done.task_runs()] == [
        "write",
        "each",
        "each_split",
        "each_items",
        "each_merge",
    ]
    items = done.runs["each_items"]
    assert items.outputs == {"numberOfBatches": 3, "iterations": {"CREATED": 0, "RUNNING": 0, "SUCCESS": 3}}
    assert len(items.attempts) == 1
    merged = Path(it.service.around.files.local_path(done.runs["each_merge"].outputs["subflowOutputs"]))
    said = [json.loads(line)["said"] for line in merged.read_text().splitlines()]
    assert said == ["1: row 0\nrow 1\n", "2: row 2\nrow 3\n", "3: row 4\n"]


async def test_a_file_without_rows_has_no_children_and_is_well(it: Engine) -> None:
    await it.deploy(batches(0))  # not even the flow has to be there
    done = await asyncio.wait_for(it.run("d.parent"), LIMIT)
    assert done.state is State.SUCCESS, it.messages(done)
    assert done.runs["each_items"].outputs == {}
    assert done.runs["each_merge"].outputs == {}


async def test_failing_children_fail_the_batches_unless_that_is_not_transmitted(it: Engine) -> None:
    failing = CHILD.replace("core.debug.Return, format", "core.execution.Fail, errorMessage").replace(
        "outputs:", "x:"
    )
    failing = failing[: failing.index("x:")]
    await it.deploy(failing, batches(5))
    done = await asyncio.wait_for(it.run("d.parent"), LIMIT)
    assert done.state is State.FAILED
    assert done.runs["each_items"].outputs["iterations"] == {"CREATED": 0, "RUNNING": 0, "FAILED": 3}
    assert "each_merge" not in done.runs
    await it.deploy(batches(5, transmitFailed="false"))
    done = await asyncio.wait_for(it.run("d.parent"), LIMIT)
    assert done.state is State.SUCCESS, it.messages(done)


async def test_a_missing_flow_fails_the_batches_with_one_word(it: Engine) -> None:
    await it.deploy(batches(5))
    done = await asyncio.wait_for(it.run("d.parent"), LIMIT)
    assert done.state is State.FAILED
    assert len([message for message in it.messages(done) if "cannot start d.child" in message]) == 1


async def test_more_children_than_may_run_at_a_time_come_one_after_the_other(
    it: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many, "WINDOW", 3)
    await it.deploy(CHILD, batches(40))
    done = await asyncio.wait_for(it.run("d.parent"), LIMIT)
    assert done.state is State.SUCCESS, it.messages(done)
    assert done.runs["each_items"].outputs["iterations"]["SUCCESS"] == 20


async def test_a_kill_reaches_every_child_and_a_restart_finds_those_that_run(tmp_path: Path) -> None:
    waiting = CHILD.replace("core.debug.Return, format", "core.flow.Pause, description")
    waiting = waiting[: waiting.index("outputs:")]
    async with engine(tmp_path, store=tmp_path / "store.db") as first:
        await first.deploy(waiting, batches(6))
        execution = await first.start("d.parent")
        await eventually(lambda: len(paused(first)) == 3)
    async with engine(tmp_path, store=tmp_path / "store.db") as second:
        await second.service.resume(paused(second)[0])
        await eventually(lambda: len(paused(second)) == 2)
        await second.service.kill(execution.id)
        done = await asyncio.wait_for(second.service.wait(execution.id), LIMIT)
        assert done.state is State.KILLED
        assert done.runs["each_items"].outputs["iterations"] == {
            "CREATED": 0,
            "RUNNING": 0,
            "SUCCESS": 1,
            "KILLED": 2,
        }
        assert not paused(second)


def paused(it: Engine) -> list[str]:
    query = Query(flow_id="child", states=(State.PAUSED,))
    return [each.id for each in it.service.store.executions(query)]


async def test_a_loop_shows_its_item_and_gives_what_it_declares(it: Engine) -> None:
    await it.deploy(
        """
id: loop
namespace: d
tasks:
  - id: outer
    type: core.flow.Loop
    values: {x: 1, y: {deep: true}}
    outputs: [{id: said, type: STRING, value: "{{ outputs.say.value }}"}]
    tasks:
      - id: inner
        type: core.flow.Loop
        values: '["a", "a"]'
        concurrencyLimit: 0
        tasks:
          - id: block
            type: core.flow.If
            condition: "{{ item.index == 1 }}"
            then:
              - id: deep
                type: core.debug.Return
                format: "{{ item.parent.key }}{{ item.parents[0].index }}{{ item.value }}"
              - {id: same, type: core.log.Log, message: "deep {{ outputs.deep.value }}"}
      - {id: say, type: core.debug.Return, format: "{{ item.key }}={{ item.value }} {{ outputs.inner.iterationCount }}"}
  - {id: all, type: core.debug.Return, format: "{{ loopOutputs(outputs.outer.outputs, 'said') | join(',') }}"}
"""
    )
    done = await asyncio.wait_for(it.run("d.loop"), LIMIT)
    assert done.state is State.SUCCESS, it.messages(done)
    assert sorted(it.messages(done)) == ["deep x0a", "deep y1a"]
    assert done.runs["all"].outputs == {"value": 'x=1 2,y={"deep":true} 2'}
    assert done.runs["outer"].outputs["outputs"][1]["item"] == {
        "value": '{"deep":true}',
        "index": 1,
        "key": "y",
    }
    assert done.runs["outer"].outputs["terminatedIterations"] == {"SUCCESS": 2}


FAILING = """
id: failing
namespace: d
tasks:
  - id: loop
    type: core.flow.Loop
    values: [1, 2, 3]
    outputs: [{id: n, type: INT, value: "{{ item.value }}"}]
    tasks: [{id: check, type: core.execution.Fail, condition: "{{ item.value == '2' }}", errorMessage: two}]
"""


async def test_a_failing_iteration_stops_no_other_and_counts_only_if_it_is_transmitted(it: Engine) -> None:
    await it.deploy(FAILING)
    done = await asyncio.wait_for(it.run("d.failing"), LIMIT)
    assert done.state is State.FAILED
    assert done.runs["loop"].outputs["terminatedIterations"] == {"SUCCESS": 2, "FAILED": 1}
    assert [each["outputs"]["n"] for each in done.runs["loop"].outputs["outputs"]] == [1, 3]
    await it.deploy(FAILING.replace("values:", "transmitFailed: false\n    values:"))
    assert (await asyncio.wait_for(it.run("d.failing"), LIMIT)).state is State.SUCCESS


async def test_a_loop_over_a_file_has_an_iteration_a_line_and_stores_its_outputs(it: Engine) -> None:
    await it.deploy(
        """
id: lines
namespace: d
tasks:
  - {id: write, type: core.storage.Write, content: "one\\ntwo\\n"}
  - id: loop
    type: core.flow.Loop
    values: "{{ outputs.write.uri }}"
    outputs: [{id: said, type: STRING, value: "{{ outputs.say.value }}"}]
    tasks: [{id: say, type: core.debug.Return, format: "{{ item.value | upper }}"}]
  - {id: read, type: core.debug.Return, format: "{{ read(outputs.loop.uri) }}"}
"""
    )
    done = await asyncio.wait_for(it.run("d.lines"), LIMIT)
    assert done.state is State.SUCCESS, it.messages(done)
    lines = [json.loads(line) for line in done.runs["read"].outputs["value"].splitlines()]
    assert [line["outputs"]["said"] for line in lines] == ["ONE", "TWO"]
