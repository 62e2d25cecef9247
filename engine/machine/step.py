"""The one function of the machine: what an event makes of an execution, and what is to be done about it.

An event is *legal* (the execution moves), *late or a duplicate* (it is returned as it was, nothing is to be
done), or *illegal* (IllegalTransition: a bug of ours, and the shell quarantines this execution alone).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from engine.machine import again, attempts, children, control, ending, kill, many, promise, rounds
from engine.machine.draft import Draft
from engine.machine.graph import Graph
from engine.model.commands import AnyCommand
from engine.model.events import (
    AnyEvent,
    AttemptEnded,
    AttemptStarted,
    Begun,
    ChildEnded,
    ChildrenWanted,
    ChildStarted,
    KillAsked,
    PauseAsked,
    Quarantined,
    Queued,
    Refused,
    Rendered,
    Restarted,
    ResumeAsked,
    SlaBroken,
    StatusChanged,
    StoodIn,
    TimeCame,
)
from engine.model.execution import ROOT, Execution
from engine.model.shape import Sequence
from engine.model.state import State


@dataclass(frozen=True, slots=True)
class Transition:
    """What a step came to.

    Args:
        execution: after the event.
        commands: what is to be done, in order.
        touched: keys of the task runs that changed.
        valued: keys of the loops whose values are new.
    """

    execution: Execution
    commands: tuple[AnyCommand, ...] = ()
    touched: frozenset[str] = field(default=frozenset())
    valued: frozenset[str] = field(default=frozenset())


def step(graph: Graph, execution: Execution, event: AnyEvent) -> Transition:
    """Step `execution`, whose flow is `graph.flow`, over `event`. Raises IllegalTransition."""
    draft = Draft(graph, execution, event.at)
    _take(draft, event)
    draft.settle()
    if draft.ended and draft.graph.branch(ROOT, "after") and draft.state is not State.RETRIED:
        children.begin(draft, ROOT, "after", Sequence("after"))
        draft.settle()
    if draft.state is State.RUNNING and draft.busy == 0 and draft.paused > 0 and not draft.stopping:
        draft.move(State.PAUSED)
    if draft.execution is execution and not draft.touched and not draft.commands:
        return Transition(execution)
    return Transition(
        draft.finish(), tuple(draft.commands), frozenset(draft.touched), frozenset(draft.valued)
    )


def _take(draft: Draft, event: AnyEvent) -> None:
    match event:
        case Begun():
            if draft.state in (State.CREATED, State.QUEUED, State.RESTARTED):
                draft.move(State.RUNNING)
                children.begin(draft, ROOT, "main", Sequence())
        case Queued():
            if draft.state in (State.CREATED, State.RESTARTED):
                draft.move(State.QUEUED)
        case Refused():
            if draft.state in (State.CREATED, State.QUEUED):
                draft.change(error=event.message)
                draft.say(ROOT, "ERROR", event.message)
                ending.end(draft, event.state)
        case Rendered():
            _rendered(draft, event)
        case AttemptStarted():
            attempts.started(draft, event)
        case AttemptEnded():
            attempts.ended(draft, event)
        case ChildrenWanted():
            many.wanted(draft, event)
        case ChildStarted(number=number):
            (attempts.child_started if number is None else many.started)(draft, event)
        case ChildEnded(number=number):
            (attempts.child_ended if number is None else many.ended)(draft, event)
        case StoodIn():
            attempts.stood_in(draft, event)
        case TimeCame():
            control.time_came(draft, event)
        case KillAsked():
            kill.kill(draft, children_too=event.children)
        case PauseAsked():
            control.pause(draft)
        case ResumeAsked():
            control.resume(draft, event)
        case SlaBroken():
            promise.broken(draft, event)
        case Restarted():
            again.restart(draft, event)
        case StatusChanged():
            again.change_status(draft, event)
        case Quarantined():
            ending.quarantine(draft, event.message)
        case _:
            assert_never(event)


def _rendered(draft: Draft, event: Rendered) -> None:
    if event.key == ROOT:
        ending.outputs_rendered(draft, event.values, event.error)
        return
    run = draft.run(event.key)
    if run is not None and event.stage:
        rounds.looked_back(draft, run, event)
    if run is None or event.stage or run.state is not State.CREATED:
        return
    if event.skipped:
        draft.busy -= 1
        children.end_run(draft, run, State.SKIPPED)
    elif event.error:
        draft.busy -= 1
        draft.say(event.key, "ERROR", event.error)
        children.end_run(draft, run, State.FAILED, error=event.error)
    else:
        children.open_flowable(draft, event.key, event.values)
