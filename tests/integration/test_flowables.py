"""Flowables beyond rows and branches, on the whole engine: rounds, shared directories, loops, batches."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.model.state import State
from tests.support.engine import Engine, engine


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
