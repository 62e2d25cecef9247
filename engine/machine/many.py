"""Task runs with many child executions: a bounded number of them at a time, and only how they ended is kept.

A child is known by its number, from which its id follows, so that thousands cost no more than those that run.
Source: dialect, section 2.1 (ForEachItem).
"""

from __future__ import annotations

from typing import Any

import msgspec

from engine.machine import attempts
from engine.machine.draft import Draft
from engine.machine.table import fails, worse
from engine.model.commands import Call
from engine.model.events import ChildEnded, ChildrenWanted, ChildStarted
from engine.model.execution import Children, TaskRun
from engine.model.state import State
from engine.model.task import TaskResult

replace = msgspec.structs.replace
WINDOW = 200  # children of one task run that may run at a time


def wanted(draft: Draft, event: ChildrenWanted) -> None:
    """An attempt wants children: start as many as may run at a time."""
    run = draft.run(event.key)
    begun = run and attempts.begin(draft, run, event.attempt, event.at)
    if begun is None or (begun.children is not None and begun.children.attempt == event.attempt):
        return
    children = Children(event.attempt, event.count, event.wait, event.transmit_failed)
    go_on(draft, draft.put(replace(begun, children=children)))


def started(draft: Draft, event: ChildStarted) -> None:
    """A child has begun; if nobody waits for it, that is all."""
    run = draft.run(event.key)
    if run is not None and run.children is not None and not run.children.wait:
        _close(draft, run, event.attempt, event.number, State.SUCCESS, 0.0)


def ended(draft: Draft, event: ChildEnded) -> None:
    """A child has ended: count it, and start another one."""
    run = draft.run(event.key)
    if run is not None:
        _close(draft, run, event.attempt, event.number, event.state, event.chance)


def _close(draft: Draft, run: TaskRun, attempt: int, number: int | None, state: State, chance: float) -> None:
    children = run.children
    if children is None or run.state is not State.RUNNING or children.attempt != attempt:
        return
    if number not in children.open:
        return
    still = tuple(each for each in children.open if each != number)
    counts = {**children.ended, str(state): children.ended.get(str(state), 0) + 1}
    go_on(draft, draft.put(replace(run, children=replace(children, open=still, ended=counts))), chance)


def go_on(draft: Draft, run: TaskRun, chance: float = 0.0) -> None:
    """Start what may start, and end the task run when nothing is left."""
    children = run.children
    assert children is not None
    if not (draft.stopping or draft.execution.held):
        last = min(children.started + WINDOW - len(children.open), children.count)
        fresh = range(children.started + 1, last + 1)
        children = replace(children, started=last, open=(*children.open, *fresh))
        for number in fresh:
            draft.ask(Call(run.key, children.attempt, number))
    run = draft.put(replace(run, children=children, outputs=_outputs(children)))
    if not children.open and (children.started == children.count or draft.stopping):
        attempts.conclude(draft, run, _result(children), chance)


def _outputs(children: Children) -> dict[str, Any]:
    if children.count == 0:
        return {}
    counts = {"RUNNING": len(children.open) if children.wait else 0, **children.ended}
    if children.wait:
        counts = {"CREATED": children.count - children.started, **counts}
    return {"numberOfBatches": children.count, "iterations": counts}


def _result(children: Children) -> TaskResult:
    state = State.SUCCESS
    if children.transmit_failed:
        for each in children.ended:
            state = worse(state, State(each))
    bad = sum(count for each, count in children.ended.items() if fails(State(each)))
    error = f"{bad} of {children.count} child executions failed" if fails(state) else ""
    return TaskResult(state=state, outputs=_outputs(children), error=error)
