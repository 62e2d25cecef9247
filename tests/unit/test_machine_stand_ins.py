"""In a test something may stand in for a task: the machine takes its result, and nothing of the task happens."""

from __future__ import annotations

from datetime import UTC, datetime

from engine.machine.graph import build
from engine.machine.step import step
from engine.model.commands import AnyCommand, Evaluate, Run
from engine.model.events import AnyEvent, Begun, StoodIn
from engine.model.execution import Execution, FlowRef, Kind, Moment
from engine.model.state import State
from engine.model.task import TaskResult
from engine.plugins import registry
from engine.spec.compile import compile_flow

T0 = datetime(2026, 1, 1, tzinfo=UTC)
FLOW = b"""
id: f
namespace: n
tasks:
  - id: block
    type: core.flow.Sequential
    tasks: [{id: inner, type: core.log.Log, message: x}]
  - id: after
    type: core.log.Log
    message: x
    retry: {type: constant, interval: PT1M, maxAttempts: 5}
"""


class Play:
    def __init__(self, kind: Kind) -> None:
        self.graph = build(compile_flow(FLOW, "f.yaml", registry()))
        created = (Moment(State.CREATED, T0),)
        self.execution = Execution(id="e", flow=FlowRef("n", "f"), history=created, kind=kind)
        self.asked: list[AnyCommand] = []

    def take(self, event: AnyEvent) -> None:
        transition = step(self.graph, self.execution, event)
        self.execution, self.asked = transition.execution, list(transition.commands)


def test_a_flowable_is_asked_for_in_a_test_only() -> None:
    normal, test = Play("NORMAL"), Play("TEST")
    normal.take(Begun(T0))
    test.take(Begun(T0))
    assert [command for command in normal.asked if isinstance(command, Run)] == [Run("inner", 1)]
    assert test.asked == [Evaluate("block")]


def test_what_stands_in_for_a_flowable_ends_it_without_its_children() -> None:
    play = Play("TEST")
    play.take(Begun(T0))
    play.take(StoodIn(T0, "block", TaskResult(outputs={"found": 1})))
    block = play.execution.runs["block"]
    assert (block.state, block.outputs) == (State.SUCCESS, {"found": 1})
    assert "inner" not in play.execution.runs
    assert play.asked == [Run("after", 1)]


def test_a_failure_that_stands_in_is_not_tried_again() -> None:
    play = Play("TEST")
    play.take(Begun(T0))
    play.take(StoodIn(T0, "block", TaskResult()))
    play.take(StoodIn(T0, "after", TaskResult(state=State.FAILED, error="as the test wants it")))
    assert play.execution.runs["after"].state is State.FAILED
    assert play.execution.state is State.FAILED
    assert play.execution.busy == 0


def test_what_comes_late_changes_nothing() -> None:
    play = Play("TEST")
    play.take(Begun(T0))
    play.take(StoodIn(T0, "block", TaskResult()))
    before = play.execution
    play.take(StoodIn(T0, "block", TaskResult(state=State.FAILED)))
    play.take(StoodIn(T0, "nobody", TaskResult()))
    assert play.execution is before
