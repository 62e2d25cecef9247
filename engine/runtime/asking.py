"""What may be asked of an execution from outside, checked and delivered within a turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.errors import NotFound, NotPermitted
from engine.model.events import AnyEvent, ResumeAsked
from engine.model.execution import Execution
from engine.runtime.resuming import resume_outputs
from engine.runtime.turn import Turn

Event = Callable[[Turn, Execution], AnyEvent]


def ask(turn: Turn, execution_id: str, event: Event) -> Execution:
    """Deliver an event to an execution that has not ended; returns it as it then stands.

    Raises:
        NotFound: there is no such execution.
        NotPermitted: it has ended.
    """
    execution = turn.get(execution_id)
    if execution is None:
        raise NotFound(f"there is no execution {execution_id}", hint="`headwater executions` lists them")
    if execution.state.terminal:
        raise NotPermitted(f"execution {execution_id} has ended {execution.state}")
    turn.deliver(execution_id, event(turn, execution))
    return turn.get(execution_id) or execution


def resumed(inputs: Mapping[str, Any], task_id: str | None = None) -> Event:
    """The event that resumes; making it raises NotFound, NotPermitted, InputInvalid."""

    def event(turn: Turn, execution: Execution) -> AnyEvent:
        key, outputs = resume_outputs(turn, execution, inputs, task_id)
        return ResumeAsked(turn.at, key, outputs)

    return event
