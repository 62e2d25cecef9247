"""What people and time ask of a running execution: pause, resume, timers (dialect, sections 4.2 and 4.8)."""

from __future__ import annotations

from typing import Any

from engine.machine import attempts, children, ending, kill, many, rounds
from engine.machine.draft import Draft
from engine.model.commands import Run
from engine.model.events import ResumeAsked, TimeCame
from engine.model.execution import TaskRun
from engine.model.shape import Sequence, Wait
from engine.model.state import State
from engine.model.task import Flowable


def pause(draft: Draft) -> None:
    """Start nothing new; what runs goes on to its end."""
    if draft.state is State.RUNNING:
        draft.change(held=True)
        draft.move(State.PAUSED)


def resume(draft: Draft, event: ResumeAsked) -> None:
    """Let a paused task run, or everything, go on."""
    if draft.state.terminal:
        return
    if event.key is None and draft.execution.held:
        ending.wake(draft)
        _send(draft)
        return
    for run in draft.all_runs():
        if run.state is State.PAUSED and event.key in (None, run.key):
            release(draft, run, State.SUCCESS, event.outputs)


def _send(draft: Draft) -> None:
    """Ask for every attempt that the hold kept back; one that was asked for before is not begun twice."""
    for run in draft.all_runs():
        if run.state is State.RUNNING and run.children is not None:
            many.go_on(draft, run)
        elif run.state is State.CREATED and not isinstance(draft.node(run).task, Flowable):
            draft.ask(Run(run.key, len(run.attempts) + 1))


def release(draft: Draft, run: TaskRun, state: State, outputs: dict[str, Any]) -> None:
    """End the wait of a paused task run in `state`."""
    if not draft.execution.held:
        ending.wake(draft)
    draft.paused -= 1
    run = draft.move_run(run, State.RUNNING, outputs={**run.outputs, **outputs})
    if state is State.CANCELLED:
        kill.stop_all(draft, State.CANCELLED)
    shape = draft.scope(run.key).shape
    if state.good and isinstance(shape, Wait) and shape.branch:
        children.begin(draft, run.key, "main", Sequence(shape.branch))
        return
    children.end_run(draft, run, children.tolerated(draft.node(run).task, state))


def time_came(draft: Draft, event: TimeCame) -> None:
    """The time of a retry, the end of a pause, or another round of a loop."""
    run = draft.run(event.key)
    if run is None:
        return
    if run.state is State.RETRYING and len(run.attempts) == event.attempt:
        attempts.try_again(draft, run)
    elif run.state is State.PAUSED and run.scope is not None and event.attempt == children.waits(run):
        release(draft, run, State(getattr(run.scope.shape, "state", State.SUCCESS)), {})
    elif run.state is State.RUNNING and rounds.due(run, event.attempt):
        rounds.next_round(draft, run)
