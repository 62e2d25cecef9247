"""How an execution ends: its final state and its outputs. Knows no children; they are walked elsewhere."""

from __future__ import annotations

from typing import Any

from engine.machine.draft import Draft
from engine.model.commands import Ended, Evaluate, Stop
from engine.model.execution import ROOT
from engine.model.state import State


def wake(draft: Draft) -> None:
    """Let a paused execution run on (dialect, 4.2: PAUSED, RESTARTED, RUNNING)."""
    if draft.state is State.PAUSED:
        draft.change(held=False)
        draft.move(State.RESTARTED)
        draft.move(State.RUNNING)


def close_flow(draft: Draft) -> None:
    """All phases of the flow are over: render its outputs, where it has some, and end."""
    flow = draft.graph.flow
    # An assertion is asked once more before the end, when all tasks have ended.
    asks = flow.outputs or any(sla.assertion is not None for sla in flow.sla)
    if asks and draft.execution.ending not in (State.KILLED, State.RETRIED):
        draft.busy += 1
        draft.ask(Evaluate(ROOT))
    else:
        end(draft, outcome(draft))


def outputs_rendered(draft: Draft, values: dict[str, Any], error: str) -> None:
    """The flow's outputs are there, or could not be rendered, which fails the execution."""
    if draft.state.terminal:
        return
    draft.busy -= 1
    state = outcome(draft)
    if error:
        draft.say(ROOT, "ERROR", error)
        draft.change(error=error)
        state = State.FAILED if state.good else state
    else:
        draft.change(outputs=values)
    end(draft, state)


def outcome(draft: Draft) -> State:
    """The final state: the decided one, else what the main tasks came to."""
    return draft.execution.ending or draft.execution.scope.worst


def end(draft: Draft, state: State) -> None:
    """Move the execution to its terminal state and tell so."""
    wake(draft)
    if state is State.KILLED and draft.state is State.RUNNING:
        draft.move(State.KILLING)
    draft.move(state)
    draft.change(ending=None, held=False)
    if draft.execution.number > 1:
        _close_left(draft)
    draft.ask(Ended(state))
    draft.ended = True


def _close_left(draft: Draft) -> None:
    """End what was to be run again and was never reached: the flow went another way this time."""
    for run in draft.all_runs():
        if run.state is State.RESTARTED:
            draft.move_run(run, State.KILLED)


def quarantine(draft: Draft, message: str) -> None:
    """End the execution as FAILED, whatever it was doing."""
    if draft.state.terminal:
        return
    for run in draft.all_runs():
        if not run.state.terminal:
            if run.state is State.RUNNING and run.attempts:
                draft.ask(Stop(run.key, len(run.attempts)))
            draft.move_run(run, State.FAILED, error=message)
    draft.busy = draft.paused = 0
    draft.say(ROOT, "ERROR", message)
    draft.change(error=message, held=False)
    draft.move(State.FAILED)
    draft.ask(Ended(State.FAILED))
