"""The machine, values in and values out: what follows from each event, without a clock, a store or a thread."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.errors import IllegalTransition
from engine.machine import table
from engine.machine.graph import build
from engine.machine.step import Transition, step
from engine.model.commands import AnyCommand, Ended, Evaluate, Run, StartAgain, Stop, Wake
from engine.model.events import (
    AnyEvent,
    AttemptEnded,
    AttemptStarted,
    Begun,
    ChildEnded,
    ChildStarted,
    KillAsked,
    PauseAsked,
    Quarantined,
    Rendered,
    ResumeAsked,
    TimeCame,
)
from engine.model.execution import ROOT, Child, Execution, FlowRef, Moment
from engine.model.state import TERMINAL, State
from engine.model.task import TaskResult
from engine.plugins import registry
from engine.spec.compile import compile_flow

T0 = datetime(2026, 1, 1, tzinfo=UTC)


class Play:
    """An execution of one flow, stepped by hand."""

    def __init__(self, tasks: str, **birth: Any) -> None:
        text = f"id: f\nnamespace: n\n{tasks}"
        self.graph = build(compile_flow(text.encode(), "f.yaml", registry()))
        self.execution = Execution(
            id="e", flow=FlowRef("n", "f"), history=(Moment(State.CREATED, T0),), **birth
        )
        self.asked: list[AnyCommand] = []
        self.at = T0

    def take(self, event: AnyEvent) -> Transition:
        transition = step(self.graph, self.execution, event)
        self.execution = transition.execution
        self.asked = list(transition.commands)
        return transition

    def begin(self) -> None:
        self.take(Begun(self.at))

    def end(self, key: str, state: State = State.SUCCESS, attempt: int = 1, **result: Any) -> None:
        self.take(AttemptEnded(self.at, key, attempt, TaskResult(state=state, **result)))

    def runs(self) -> list[str]:
        return [command.key for command in self.asked if isinstance(command, Run)]

    def states(self) -> dict[str, State]:
        return {run.key: run.state for run in self.execution.task_runs()}


TWO = """
tasks:
  - {id: a, type: core.log.Log, message: x}
  - {id: b, type: core.log.Log, message: x}
"""


def test_tasks_follow_each_other_and_the_last_one_ends_the_execution() -> None:
    play = Play(TWO)
    play.begin()
    assert play.runs() == ["a"]
    play.end("a")
    assert play.runs() == ["b"]
    play.end("b")
    assert play.execution.state is State.SUCCESS
    assert play.asked == [Ended(State.SUCCESS)]
    assert play.execution.busy == 0


def test_a_failure_stops_the_sequence() -> None:
    play = Play(TWO)
    play.begin()
    play.end("a", State.FAILED, error="boom")
    assert play.execution.state is State.FAILED
    assert "b" not in play.execution.runs
    assert play.execution.runs["a"].error == "boom"


def test_duplicates_and_late_events_change_nothing() -> None:
    play = Play(TWO)
    play.begin()
    play.end("a")
    before = play.execution
    for event in (
        Begun(T0),
        AttemptStarted(T0, "a", 1),
        AttemptEnded(T0, "a", 1, TaskResult(state=State.FAILED)),
        AttemptEnded(T0, "b", 7, TaskResult()),
        Rendered(T0, "a"),
        TimeCame(T0, "a", 1),
        ChildEnded(T0, "b", 1, "x", State.SUCCESS),
        AttemptStarted(T0, "unknown", 1),
    ):
        transition = play.take(event)
        assert transition.execution is before
        assert transition.commands == ()


def test_terminal_states_absorb() -> None:
    play = Play(TWO)
    play.begin()
    play.end("a")
    play.end("b")
    before = play.execution
    for event in (KillAsked(T0), PauseAsked(T0), ResumeAsked(T0), Begun(T0), Quarantined(T0, "x")):
        assert play.take(event).execution is before


def test_errors_run_after_a_failure_and_do_not_lift_it_and_finally_always_runs() -> None:
    play = Play(
        """
tasks:
  - {id: a, type: core.log.Log, message: x}
errors:
  - {id: rescue, type: core.log.Log, message: x}
finally:
  - {id: clean, type: core.log.Log, message: x}
"""
    )
    play.begin()
    play.end("a", State.FAILED)
    assert play.runs() == ["rescue"]
    play.end("rescue")
    assert play.runs() == ["clean"]
    play.end("clean")
    assert play.execution.state is State.FAILED


def test_a_failing_finally_fails_the_execution() -> None:
    play = Play(
        """
tasks: [{id: a, type: core.log.Log, message: x}]
finally: [{id: clean, type: core.log.Log, message: x}]
"""
    )
    play.begin()
    play.end("a")
    play.end("clean", State.FAILED)
    assert play.execution.state is State.FAILED


def test_after_execution_runs_once_the_end_is_reached_and_cannot_change_it() -> None:
    play = Play(
        """
tasks: [{id: a, type: core.log.Log, message: x}]
afterExecution: [{id: tell, type: core.log.Log, message: x}]
"""
    )
    play.begin()
    play.end("a")
    assert play.execution.state is State.SUCCESS
    assert play.runs() == ["tell"]
    play.end("tell", State.FAILED)
    assert play.execution.state is State.SUCCESS


PARALLEL = """
tasks:
  - id: p
    type: core.flow.Parallel
    concurrent: 2
    tasks:
      - {id: a, type: core.log.Log, message: x}
      - {id: b, type: core.log.Log, message: x}
      - {id: c, type: core.log.Log, message: x}
  - {id: z, type: core.log.Log, message: x}
"""


def test_parallel_keeps_its_limit() -> None:
    play = Play(PARALLEL)
    play.begin()
    assert play.runs() == ["a", "b"]
    play.end("b")
    assert play.runs() == ["c"]
    play.end("a")
    assert play.runs() == []
    play.end("c")
    assert play.runs() == ["z"]


def test_after_a_failure_parallel_starts_nothing_new_and_waits_for_what_runs() -> None:
    play = Play(PARALLEL)
    play.begin()
    play.end("a", State.FAILED)
    assert play.runs() == []
    assert play.execution.state is State.RUNNING
    play.end("b")
    assert play.execution.state is State.FAILED
    assert "c" not in play.execution.runs


EACH = """
tasks:
  - id: each
    type: core.flow.ForEach
    values: [x, y, z]
    concurrencyLimit: 2
    tasks:
      - {id: a, type: core.log.Log, message: x}
      - {id: b, type: core.log.Log, message: x}
"""


def test_each_walks_its_values_in_order_within_the_limit() -> None:
    play = Play(EACH)
    play.begin()
    assert play.asked == [Evaluate("each")]
    play.take(Rendered(T0, "each", {"values": ["x", "y", "z"]}))
    assert play.runs() == ["a:0", "a:1"]
    assert play.execution.runs["a:1"].value == "y"
    play.end("a:0")
    assert play.runs() == ["b:0"]
    play.end("b:0")
    assert play.runs() == ["a:2"]
    for key in ("a:1", "b:1", "a:2", "b:2"):
        play.end(key)
    assert play.execution.state is State.SUCCESS


def test_retry_waits_and_tries_again_until_the_attempts_are_spent() -> None:
    play = Play(
        """
tasks:
  - id: a
    type: core.log.Log
    message: x
    retry: {type: constant, interval: PT10S, maxAttempts: 2, warningOnRetry: true}
"""
    )
    play.begin()
    play.end("a", State.FAILED)
    assert play.execution.runs["a"].state is State.RETRYING
    wake = next(command for command in play.asked if isinstance(command, Wake))
    assert wake.at == T0 + timedelta(seconds=10)
    play.take(TimeCame(wake.at, "a", 1))
    assert play.asked == [Run("a", 2)]
    play.end("a", attempt=2)
    assert play.execution.state is State.WARNING
    assert len(play.execution.runs["a"].attempts) == 2


def test_a_retry_of_the_whole_flow_ends_this_execution_as_retried() -> None:
    play = Play(
        """
retry: {type: constant, interval: PT1S, maxAttempts: 2, behavior: CREATE_NEW_EXECUTION}
tasks:
  - id: s
    type: core.flow.Sequential
    tasks: [{id: a, type: core.log.Log, message: x}]
"""
    )
    play.begin()
    play.end("a", State.FAILED)
    assert StartAgain(T0 + timedelta(seconds=1)) in play.asked
    assert play.execution.state is State.RETRIED
    assert play.states() == {"s": State.RETRIED, "a": State.RETRIED}
    again = Play(
        "retry: {type: constant, interval: PT1S, maxAttempts: 2, behavior: CREATE_NEW_EXECUTION}\n"
        "tasks: [{id: a, type: core.log.Log, message: x}]\n",
        number=2,
    )
    again.begin()
    again.end("a", State.FAILED)
    assert again.execution.state is State.FAILED


def test_kill_ends_what_has_not_begun_and_awaits_what_runs() -> None:
    play = Play(PARALLEL)
    play.begin()
    play.take(AttemptStarted(T0, "a", 1))
    play.take(KillAsked(T0))
    assert play.execution.state is State.KILLING
    assert play.asked == [Stop("a", 1)]
    assert play.states()["b"] is State.KILLED
    play.end("a", State.KILLED)
    assert play.execution.state is State.KILLED
    assert play.states() == {"p": State.KILLED, "a": State.KILLED, "b": State.KILLED}


def test_a_kill_before_the_beginning_is_immediate() -> None:
    play = Play(TWO)
    play.take(KillAsked(T0))
    assert play.execution.state is State.KILLED


def test_a_hold_keeps_back_what_comes_next_until_it_is_lifted() -> None:
    play = Play(TWO)
    play.begin()
    play.take(PauseAsked(T0))
    assert play.execution.state is State.PAUSED
    play.end("a")
    assert play.runs() == []
    play.take(ResumeAsked(T0))
    assert play.runs() == ["b"]
    play.end("b")
    assert play.execution.state is State.SUCCESS


PAUSE = """
tasks:
  - {id: wait, type: core.flow.Pause}
  - {id: z, type: core.log.Log, message: x}
"""


def test_pause_waits_for_a_person_and_hands_on_what_they_gave() -> None:
    play = Play(PAUSE)
    play.begin()
    assert play.execution.state is State.PAUSED
    play.take(ResumeAsked(T0, "wait", {"onResume": {"ok": True}}))
    assert play.execution.runs["wait"].outputs == {"onResume": {"ok": True}}
    assert play.runs() == ["z"]
    states = [moment.state for moment in play.execution.history]
    assert states[-3:] == [State.PAUSED, State.RESTARTED, State.RUNNING]


def test_a_paused_task_can_be_killed() -> None:
    play = Play(PAUSE)
    play.begin()
    play.take(KillAsked(T0))
    assert play.execution.state is State.KILLED
    assert play.execution.paused == 0


SUBFLOW = "tasks: [{id: call, type: core.flow.Subflow, namespace: n, flowId: other}]\n"


@pytest.mark.parametrize(
    ("child", "parent"),
    [
        (State.SUCCESS, State.SUCCESS),
        (State.WARNING, State.WARNING),
        (State.FAILED, State.FAILED),
        (State.KILLED, State.KILLED),
        (State.CANCELLED, State.FAILED),
    ],
)
def test_a_child_transmits_its_end(child: State, parent: State) -> None:
    play = Play(SUBFLOW)
    play.begin()
    play.take(ChildStarted(T0, "call", 1, Child("c")))
    play.take(ChildEnded(T0, "call", 1, "c", child, {"n": 1}))
    assert play.execution.state is parent
    assert play.execution.runs["call"].outputs["outputs"] == {"n": 1}


def test_nobody_waits_for_a_child_started_without_wait() -> None:
    play = Play(SUBFLOW)
    play.begin()
    play.take(ChildStarted(T0, "call", 1, Child("c", wait=False)))
    assert play.execution.state is State.SUCCESS


@pytest.mark.parametrize("flags", ["allowFailure: true", "allowFailure: true, allowWarning: true"])
def test_allowed_failures_count_as_less(flags: str) -> None:
    play = Play(f"tasks: [{{id: a, type: core.log.Log, message: x, {flags}}}]\n")
    play.begin()
    play.end("a", State.FAILED)
    assert play.execution.state is (State.SUCCESS if "Warning" in flags else State.WARNING)


def test_exit_decides_the_end_while_siblings_finish() -> None:
    play = Play(PARALLEL)
    play.begin()
    play.take(AttemptEnded(T0, "a", 1, TaskResult(end=State.WARNING)))
    assert play.execution.state is State.RUNNING
    play.end("b")
    assert play.execution.state is State.WARNING
    assert "z" not in play.execution.runs


def test_quarantine_ends_everything() -> None:
    play = Play(PARALLEL)
    play.begin()
    play.take(AttemptStarted(T0, "a", 1))
    play.take(Quarantined(T0, "oops"))
    assert play.execution.state is State.FAILED
    assert Stop("a", 1) in play.asked
    assert set(play.states().values()) == {State.FAILED}


def test_outputs_that_cannot_be_rendered_fail_the_execution() -> None:
    play = Play(
        "tasks: [{id: a, type: core.log.Log, message: x}]\noutputs: [{id: o, type: STRING, value: '{{ nope }}'}]\n"
    )
    play.begin()
    play.end("a")
    assert play.asked == [Evaluate(ROOT)]
    play.take(Rendered(T0, ROOT, error="Unable to find `nope`"))
    assert play.execution.state is State.FAILED
    assert play.execution.error == "Unable to find `nope`"


def test_disabled_tasks_have_no_task_run_even_where_others_need_them() -> None:
    play = Play(
        """
tasks:
  - id: d
    type: core.flow.Dag
    tasks:
      - task: {id: a, type: core.log.Log, message: x, disabled: true}
      - task: {id: b, type: core.log.Log, message: x}
        dependsOn: [a]
"""
    )
    play.begin()
    assert play.runs() == ["b"]
    play.end("b")
    assert play.states() == {"d": State.SUCCESS, "b": State.SUCCESS}


@pytest.mark.parametrize("law", [table.EXECUTION, table.TASK_RUN])
def test_only_a_restart_leads_out_of_a_terminal_state(law: Any) -> None:
    for state in TERMINAL:
        assert {other for other in State if table.may(law, state, other)} <= {State.RESTARTED}
        with pytest.raises(IllegalTransition):
            table.check(law, state, State.RUNNING, "it")
