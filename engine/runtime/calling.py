"""Starting child executions within a turn: the one of a Subflow, or one of many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import ExpressionError, HeadwaterError
from engine.model.commands import Call as NumberedCall
from engine.model.commands import Run
from engine.model.events import ChildStarted
from engine.model.execution import Caller, Cause, Child, Execution, child_id
from engine.model.state import State
from engine.model.task import Call, Executable, Task
from engine.runtime import births, reviving
from engine.runtime.context import RunContext

if TYPE_CHECKING:
    from engine.runtime.turn import Turn


def one(turn: Turn, execution: Execution, command: Run, task: Executable, context: RunContext) -> None:
    """Start the child execution of an attempt, or restart that of an earlier one. Raises HeadwaterError."""
    wanted = task.call(context)
    if wanted.restarts and wanted.wait and _restarted_child(turn, execution, command, wanted):
        return
    child = start(turn, execution, task, wanted, command, None, wanted.wait)
    started = Child(child, wanted.wait, wanted.transmit_failed)
    turn.deliver(execution.id, ChildStarted(turn.at, command.key, command.attempt, started))


def start(
    turn: Turn,
    execution: Execution,
    task: Task,
    wanted: Call,
    command: Run | NumberedCall,
    number: int | None,
    wait: bool,
) -> str:
    """Start a child execution, or find it started; returns its id. Raises ExpressionError when it cannot begin."""
    identity = child_id(execution.id, command.key, command.attempt, number)
    labels = dict(wanted.labels)
    if wanted.inherit_labels:
        labels = {**execution.labels, **labels}
    labels[births.CORRELATION] = execution.labels.get(births.CORRELATION, execution.id)
    variables = {
        "executionId": execution.id,
        "namespace": execution.flow.namespace,
        "flowId": execution.flow.id,
        "flowRevision": execution.flow.revision,
    }
    wish = births.Submission(
        namespace=wanted.namespace,
        flow_id=wanted.flow_id,
        inputs=wanted.inputs,
        labels=labels,
        cause=Cause(task.id, task.type, variables),
        revision=wanted.revision,
        id=identity,
        caller=Caller(execution.id, command.key, command.attempt, number) if wait else None,
        kind=execution.kind,
    )
    try:
        turn.submit(wish)
    except HeadwaterError as error:
        raise ExpressionError(f"cannot start {wanted.namespace}.{wanted.flow_id}: {error}") from error
    return identity


def _restarted_child(turn: Turn, execution: Execution, command: Run, wanted: Call) -> bool:
    """Where a person restarts a task run, restart the child of its last attempt (dialect, section 4.7)."""
    run = execution.runs[command.key]
    if len(run.history) < 2 or run.history[-2].state is not State.RESTARTED:
        return False
    caller = Caller(execution.id, command.key, command.attempt)
    for attempt in range(command.attempt - 1, 0, -1):
        earlier = child_id(execution.id, command.key, attempt)
        if turn.get(earlier) is None:
            continue
        revived = reviving.restart_child(turn, earlier, caller)
        if revived is None:
            return False
        child = Child(revived.id, wanted.wait, wanted.transmit_failed)
        turn.deliver(execution.id, ChildStarted(turn.at, command.key, command.attempt, child))
        return True
    return False
