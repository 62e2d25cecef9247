"""Ending an execution before its time: a kill, or a decided end (`core.execution.Exit`, a cancelled pause)."""

from __future__ import annotations

from engine.machine import children, ending, rounds
from engine.machine.draft import Draft
from engine.model.commands import Stop
from engine.model.execution import TaskRun
from engine.model.state import State


def stop_all(draft: Draft, state: State) -> None:
    """Nothing new starts and the execution ends in `state`; what runs is stopped only by KILLED."""
    if state is State.KILLED:
        draft.then(lambda: kill(draft))
    elif not draft.stopping:
        draft.change(ending=state)
        let_go(draft)


def let_go(draft: Draft) -> None:
    """The end is decided: what only waits, for a person or for time, must not hold it up."""
    for run in draft.all_runs():
        if run.state is State.PAUSED:
            draft.paused -= 1
            children.end_run(draft, run, State.KILLED)
        elif run.state is State.RUNNING and run.scope is not None and run.scope.phase == "between":
            rounds.give_up(draft, run)
        elif run.state is State.RUNNING and _waits_for_none(run):
            draft.busy -= 1
            children.end_run(draft, run, State.KILLED)


def _waits_for_none(run: TaskRun) -> bool:
    """Whether it wants child executions and none is under way: the execution is held."""
    return run.children is not None and not run.children.open


def kill(draft: Draft, *, children_too: bool = True) -> None:
    """End everything: what has not begun is KILLED at once, what runs is stopped and its end awaited.

    Args:
        children_too: whether child executions are stopped; if not, nobody waits for them any more.
    """
    if draft.state.terminal or draft.state is State.KILLING:
        return
    if draft.state in (State.CREATED, State.QUEUED, State.RESTARTED):
        ending.end(draft, State.KILLED)
        return
    draft.change(ending=State.KILLED, held=False)
    draft.move(State.KILLING)
    _end_all(draft, children_too=children_too)


def cut_short(draft: Draft, state: State) -> None:
    """End everything in `state`, FAILED or CANCELLED; child executions are left alone (dialect, section 1.6)."""
    if draft.state in (State.CREATED, State.QUEUED):
        ending.end(draft, state)
        return
    ending.wake(draft)
    draft.change(ending=state, held=False)
    _end_all(draft, children_too=False)


def _end_all(draft: Draft, *, children_too: bool) -> None:
    for run in draft.all_runs():
        if run.state in (State.CREATED, State.RETRYING):
            draft.busy -= 1
            children.end_run(draft, run, State.KILLED)
        elif run.state is State.PAUSED:
            draft.paused -= 1
            children.end_run(draft, run, State.KILLED)
        elif run.state is State.RUNNING and (_waits_for_none(run) or (_child(run) and not children_too)):
            draft.busy -= 1
            children.end_run(draft, run, State.KILLED)
        elif run.state is State.RUNNING and run.scope and run.scope.phase in ("review", "between"):
            rounds.give_up(draft, run)
        elif run.state is State.RUNNING and run.scope is None and run.attempts:
            if _child(run):
                draft.stop_children(run)
            else:
                draft.ask(Stop(run.key, len(run.attempts)))


def _child(run: TaskRun) -> bool:
    return run.child is not None or run.children is not None
