"""Going again through a flow: what a restart, a replay and another status keep, run again and forget."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from engine.machine import again
from engine.machine.again import Fate
from engine.machine.fold import fold
from engine.model.commands import Ended, Evaluate, Run, Wake
from engine.model.events import (
    Begun,
    KillAsked,
    Queued,
    Rendered,
    Restarted,
    ResumeAsked,
    StatusChanged,
    TimeCame,
)
from engine.model.execution import ROOT, Caller, Execution, FlowRef, Moment, run_id
from engine.model.state import State
from tests.unit.test_machine import T0, Play

LOG = "type: core.log.Log, message: x"
THREE = f"""
tasks:
  - {{id: a, {LOG}}}
  - {{id: b, {LOG}}}
  - {{id: c, {LOG}}}
errors: [{{id: rescue, {LOG}}}]
finally: [{{id: clean, {LOG}}}]
afterExecution: [{{id: after, {LOG}}}]
"""


def restart(play: Play, **event: Any) -> list[str]:
    """Restart and begin; returns what is asked to run."""
    play.take(Restarted(play.at, **event))
    assert play.execution.state is State.RESTARTED
    play.take(Begun(play.at))
    return play.runs()


def history(play: Play, key: str) -> list[str]:
    return [str(moment.state) for moment in play.execution.runs[key].history]


def failed_at_b() -> Play:
    play = Play(THREE)
    play.begin()
    play.end("a", outputs={"n": 1})
    play.end("b", State.FAILED, error="boom")
    for key in ("rescue", "clean", "after"):
        play.end(key)
    assert play.execution.state is State.FAILED
    return play


def test_a_restart_goes_on_at_what_failed_and_forgets_the_branches_that_followed() -> None:
    play = failed_at_b()
    assert restart(play) == ["b"]
    assert list(play.states()) == ["a", "b"]
    assert play.execution.runs["a"].outputs == {"n": 1}
    assert play.execution.number == 2
    assert play.execution.labels["system.restarted"] == "true"
    assert play.asked == [Run("b", 2)]
    play.end("b", attempt=2)
    play.end("c")
    assert play.runs() == ["clean"]
    play.end("clean")
    assert play.execution.state is State.SUCCESS
    assert Ended(State.SUCCESS) in play.asked
    assert history(play, "b") == [
        "CREATED",
        "RUNNING",
        "FAILED",
        "RESTARTED",
        "CREATED",
        "RUNNING",
        "SUCCESS",
    ]
    assert "rescue" not in play.execution.runs
    play.end("after")
    assert play.execution.busy == 0


def test_a_restart_may_wait_in_the_queue() -> None:
    play = failed_at_b()
    play.take(Restarted(T0))
    play.take(Queued(T0))
    assert play.execution.state is State.QUEUED
    play.take(Begun(T0))
    assert play.runs() == ["b"]
    play.take(KillAsked(T0))
    assert play.execution.state is State.KILLED


def test_a_kill_in_the_queue_leaves_nothing_open() -> None:
    play = failed_at_b()
    play.take(Restarted(T0))
    play.take(Queued(T0))
    play.take(KillAsked(T0))
    assert play.states() == {"a": State.SUCCESS, "b": State.KILLED, "after": State.CREATED}


def test_what_went_well_is_not_restarted() -> None:
    play = Play(f"tasks: [{{id: a, {LOG}}}]\n")
    play.begin()
    play.end("a")
    before = play.execution
    assert play.take(Restarted(T0)).execution is before


def test_a_killed_execution_goes_on_where_it_was() -> None:
    play = Play(f"tasks: [{{id: a, {LOG}}}, {{id: b, {LOG}}}]\n")
    play.begin()
    play.take(KillAsked(T0))
    assert play.states() == {"a": State.KILLED}
    assert restart(play) == ["a"]


NESTED = f"""
tasks:
  - id: s
    type: core.flow.Sequential
    tasks:
      - {{id: a, {LOG}}}
      - id: p
        type: core.flow.Parallel
        tasks: [{{id: b, {LOG}}}, {{id: c, {LOG}}}]
      - {{id: d, {LOG}}}
    errors: [{{id: rescue, {LOG}}}]
  - {{id: z, {LOG}}}
"""


def test_blocks_around_a_failure_open_again() -> None:
    play = Play(NESTED)
    play.begin()
    play.end("a")
    play.end("b")
    play.end("c", State.FAILED)
    play.end("rescue")
    assert play.execution.state is State.FAILED
    assert restart(play) == ["c"]
    assert play.states() == {
        "s": State.RUNNING, "a": State.SUCCESS, "p": State.RUNNING, "b": State.SUCCESS, "c": State.CREATED,
    }  # fmt: skip
    play.end("c", attempt=2)
    assert play.runs() == ["d"]
    play.end("d")
    play.end("z")
    assert play.execution.state is State.SUCCESS


LOOP = f"""
tasks:
  - id: each
    type: core.flow.ForEach
    values: [x, y, z]
    concurrencyLimit: {{limit}}
    tasks: [{{{{id: a, {LOG}}}}}, {{{{id: b, {LOG}}}}}]
"""


def values(play: Play) -> None:
    play.take(Rendered(play.at, "each", {"values": ["x", "y", "z"]}))


def test_a_loop_goes_on_at_the_iteration_that_failed() -> None:
    play = Play(LOOP.format(limit=1))
    play.begin()
    values(play)
    for key in ("a:0", "b:0", "a:1"):
        play.end(key)
    play.end("b:1", State.FAILED)
    assert play.execution.state is State.FAILED
    play.take(Restarted(T0))
    play.take(Begun(T0))
    assert play.asked == [Evaluate("each")]
    values(play)
    assert play.asked == [Run("b:1", 2)]
    play.end("b:1", attempt=2)
    assert play.runs() == ["a:2"]
    play.end("a:2")
    play.end("b:2")
    assert play.execution.state is State.SUCCESS


def test_what_is_not_reached_any_more_does_not_stay_open() -> None:
    play = Play(LOOP.format(limit=1))
    play.begin()
    values(play)
    play.end("a:0", State.FAILED)
    play.take(Restarted(T0))
    play.take(Begun(T0))
    play.take(Rendered(T0, "each", {"values": []}))
    assert play.execution.state is State.SUCCESS
    assert play.states() == {"each": State.SUCCESS, "a:0": State.KILLED}


DAG = f"""
tasks:
  - id: dag
    type: core.flow.Dag
    tasks:
      - task: {{id: a, {LOG}}}
      - task: {{id: b, {LOG}}}
        dependsOn: [a]
      - task: {{id: c, {LOG}}}
      - task: {{id: d, {LOG}}}
        dependsOn: [b, c]
"""


def test_a_dag_goes_on_where_it_failed() -> None:
    play = Play(DAG)
    play.begin()
    play.end("c")
    play.end("a")
    play.end("b", State.FAILED)
    assert restart(play) == ["b"]
    play.end("b", attempt=2)
    assert play.runs() == ["d"]
    play.end("d")
    assert play.execution.state is State.SUCCESS


def test_a_pause_that_is_restarted_waits_anew_and_does_not_hear_its_old_timer() -> None:
    play = Play("tasks: [{id: w, type: core.flow.Pause, pauseDuration: PT10S}]\n")
    play.begin()
    play.take(Rendered(T0, "w", {"pauseDuration": "PT10S"}))
    assert play.asked == [Wake("w", 0, T0 + timedelta(seconds=10))]
    assert play.execution.state is State.PAUSED
    play.at = T0 + timedelta(seconds=5)
    play.take(Restarted(play.at))
    play.take(Begun(play.at))
    play.take(Rendered(play.at, "w", {"pauseDuration": "PT10S"}))
    assert play.asked == [Wake("w", 1, T0 + timedelta(seconds=15))]
    play.take(TimeCame(T0 + timedelta(seconds=10), "w", 0))
    assert play.execution.state is State.PAUSED
    play.take(TimeCame(T0 + timedelta(seconds=15), "w", 1))
    assert play.execution.state is State.SUCCESS


def test_a_restarted_execution_may_have_another_caller() -> None:
    play = failed_at_b()
    restart(play, caller=Caller("parent", "call", 2))
    assert play.execution.caller == Caller("parent", "call", 2)


# Another status


def test_a_task_declared_a_success_lets_the_flow_go_on_behind_it() -> None:
    play = failed_at_b()
    play.take(StatusChanged(T0, "b", State.SUCCESS))
    assert play.execution.state is State.RESTARTED
    play.take(Begun(T0))
    assert play.runs() == ["c"]
    assert play.states() == {"a": State.SUCCESS, "b": State.SUCCESS, "c": State.CREATED}
    assert play.execution.runs["b"].attempts[-1].state is State.SUCCESS
    assert play.execution.runs["b"].error == ""


def test_a_task_in_a_block_may_be_declared_a_failure() -> None:
    play = Play(NESTED)
    play.begin()
    for key in ("a", "b", "c", "d", "z"):
        play.end(key)
    assert play.execution.state is State.SUCCESS
    play.take(StatusChanged(T0, "b", State.FAILED))
    play.take(Begun(T0))
    assert play.runs() == ["rescue"]
    play.end("rescue")
    assert play.execution.state is State.FAILED


@pytest.mark.parametrize(
    ("key", "state"), [("nobody", State.SUCCESS), ("b", State.RUNNING), ("rescue", State.FAILED)]
)
def test_what_cannot_be_declared_changes_nothing(key: str, state: State) -> None:
    play = failed_at_b()
    before = play.execution
    assert play.take(StatusChanged(T0, key, state)).execution is before


def test_an_execution_that_has_ended_may_be_declared_otherwise() -> None:
    play = failed_at_b()
    play.take(StatusChanged(T0, ROOT, State.SUCCESS))
    assert play.execution.state is State.SUCCESS
    assert play.asked == []


# Replay


def replayed(play: Play, start: str | None, tasks: str = "") -> Play:
    """The execution that a replay of another one begins with."""
    birth = Execution(
        id="r", flow=FlowRef("n", "f"), history=(Moment(State.CREATED, T0),), parent_id=play.execution.id
    )
    other = Play(tasks) if tasks else play
    run = play.execution.runs[start] if start else None
    made = Play.__new__(Play)
    made.graph, made.at, made.asked = other.graph, T0, []
    made.execution = again.carried_over(play.graph, other.graph, play.execution, birth, run)
    return made


def test_a_replay_keeps_what_came_before_and_runs_what_follows_anew() -> None:
    play = Play(NESTED)
    play.begin()
    for key in ("a", "b", "c", "d", "z"):
        play.end(key, outputs={"of": key})
    new = replayed(play, "c")
    assert sorted(new.execution.runs) == ["a", "b"]
    assert new.execution.runs["a"].id == run_id("r", "a")
    birth = new.execution
    events: list[Any] = [Begun(T0)]
    new.take(events[0])
    assert new.runs() == ["c"]
    assert new.execution.runs["a"].outputs == {"of": "a"}
    assert new.execution.runs["c"].outputs == {}
    for key in ("c", "d", "z"):
        new.end(key)
    assert new.execution.state is State.SUCCESS
    assert len({run.seq for run in new.execution.runs.values()}) == len(new.execution.runs)
    assert fold(new.graph, birth, events).runs["c"].state is State.CREATED


@pytest.mark.parametrize(
    ("tasks", "start", "kept"),
    [
        (DAG, "b", ["a", "c"]),
        (DAG, "a", ["c"]),
        (NESTED, "s", []),
        (NESTED, "z", ["a", "b", "c", "d", "p", "s"]),
        (NESTED, "d", ["a", "b", "c", "p"]),
        (NESTED, "p", ["a"]),
        (LOOP.format(limit=1), "b:1", ["a:0", "a:1", "b:0"]),
        (LOOP.format(limit=0), "b:1", ["a:0", "a:1", "a:2", "b:0", "b:2"]),
    ],
)
def test_what_a_replay_keeps(tasks: str, start: str, kept: list[str]) -> None:
    play = Play(tasks)
    play.begin()
    for _ in range(20):
        for command in list(play.asked):
            if isinstance(command, Evaluate):
                values(play)
            elif isinstance(command, Run):
                before = play.asked
                play.end(command.key)
                play.asked = [*[each for each in before if each != command], *play.asked]
    assert play.execution.state is State.SUCCESS
    assert sorted(replayed(play, start).execution.runs) == kept


def test_a_replay_never_carries_over_what_had_not_ended_well() -> None:
    play = Play(NESTED)
    play.begin()
    play.end("a")
    play.take(KillAsked(T0))
    new = replayed(play, "b")
    assert sorted(new.execution.runs) == ["a"]


def test_a_replay_on_another_revision_leaves_behind_what_it_does_not_have() -> None:
    play = failed_at_b()
    new = replayed(play, "b", f"tasks: [{{id: new, {LOG}}}, {{id: b, {LOG}}}]\n")
    assert len(new.execution.runs) == 0
    new.begin()
    assert new.runs() == ["new"]


def test_what_can_only_run_as_a_whole_forgets_its_children() -> None:
    play = Play(
        f"""
tasks:
  - id: until
    type: core.flow.LoopUntil
    condition: "{{{{ false }}}}"
    tasks: [{{id: a, {LOG}}}, {{id: b, {LOG}}}]
"""
    )
    play.begin()
    if play.asked == [Evaluate("until")]:
        play.take(Rendered(T0, "until", {}))
    play.end("a:0")
    play.end("b:0", State.FAILED)
    found = again.fates(play.graph, play.execution)
    assert found == {"until": Fate.AGAIN, "a:0": Fate.GONE, "b:0": Fate.GONE}


def test_a_resume_does_nothing_to_what_was_restarted() -> None:
    play = failed_at_b()
    play.take(Restarted(T0))
    before = play.execution
    assert play.take(ResumeAsked(T0)).execution is before
