"""Commands that the engine carries out within its own turn: rendering, instant tasks, starting child executions.

Nothing here waits for anything outside; what does is put into the batch and handed to the worker after the commit.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from engine import expressions, ids
from engine.errors import ExpressionError, HeadwaterError
from engine.machine.graph import Graph
from engine.model.commands import Evaluate, Run
from engine.model.events import AttemptEnded, ChildStarted, Rendered, StoodIn
from engine.model.execution import ROOT, Caller, Cause, Child, Execution, TaskRun
from engine.model.inputs import read_outputs
from engine.model.records import Work
from engine.model.state import State
from engine.model.task import Call, Executable, Flowable, Instant, Settling, TaskResult
from engine.runtime import births, reviving
from engine.runtime.context import RunContext, scope_of

if TYPE_CHECKING:
    from engine.runtime.turn import Turn

log = logging.getLogger(__name__)


def told(error: Exception) -> str:
    """What to tell people of an error: ours as it is, a stranger as the bug it is."""
    if isinstance(error, HeadwaterError):
        return str(error)
    log.error("a task failed in an unforeseen way", exc_info=error)
    return f"Headwater made a mistake here: {type(error).__name__}"


def evaluate(turn: Turn, execution_id: str, command: Evaluate) -> None:
    """Render what a flowable asks for, or the flow's outputs."""
    key = command.key
    execution = turn.get(execution_id)
    assert execution is not None
    graph = turn.library.graph(execution.flow)
    if key == ROOT:
        turn.deliver(execution_id, _outputs(turn, graph, execution))
        return
    run = execution.runs.get(key)
    if run is not None and run.state is (State.RUNNING if command.stage else State.CREATED):
        task = graph.nodes[run.task_id].task
        answer = _properties(turn, graph, execution, run, command.stage)
        ready = isinstance(answer, Rendered) and not (answer.skipped or answer.error)
        if ready and isinstance(task, Settling) and task.outside(command.stage):
            work = f"{execution_id}/{key}/{command.stage}"
            turn.put_work(Work(work, execution_id, command=command))
        else:
            turn.deliver(execution_id, answer)


def _outputs(turn: Turn, graph: Graph, execution: Execution) -> Rendered:
    scope = scope_of(turn.around, graph, execution)
    try:
        values = read_outputs(graph.flow.outputs, lambda template: expressions.render_deep(template, scope))
    except Exception as error:
        return Rendered(turn.at, ROOT, error=turn.around.masker.text(told(error)))
    return Rendered(turn.at, ROOT, values)


def _properties(
    turn: Turn, graph: Graph, execution: Execution, run: TaskRun, stage: int
) -> Rendered | StoodIn:
    task = graph.nodes[run.task_id].task
    assert isinstance(task, Flowable)
    scope = scope_of(turn.around, graph, execution, run)
    try:
        run_if = "true" if stage else task.run_if
        if run_if != "true" and not expressions.truthy(expressions.render_deep(run_if, scope)):
            return Rendered(turn.at, run.key, skipped=True)
        if not stage and (instead := turn.around.stand_in(execution, run)) is not None:
            return StoodIn(turn.at, run.key, instead)
        wanted = task.reviews() if stage else task.evaluates()
        values: dict[str, Any] = {
            name: expressions.render_deep(template, scope) for name, template in wanted.items()
        }
    except Exception as error:
        return Rendered(turn.at, run.key, error=turn.around.masker.text(told(error)), stage=stage)
    return Rendered(turn.at, run.key, values, stage=stage)


def run(turn: Turn, execution_id: str, command: Run) -> None:
    """Begin an attempt: at once where the task is the engine's own, else as work for after the commit."""
    execution = turn.get(execution_id)
    assert execution is not None
    task_run = execution.runs.get(command.key)
    if task_run is None or task_run.state is not State.CREATED:
        return
    if len(task_run.attempts) != command.attempt - 1 or execution.held:
        return
    graph = turn.library.graph(execution.flow)
    task = graph.nodes[task_run.task_id].task
    context = RunContext(turn.around, graph, execution, task_run, command.attempt, turn.batch.logs.append)
    try:
        if task.run_if != "true" and not context.truthy(task.run_if):
            end(turn, execution_id, command, TaskResult(state=State.SKIPPED))
        elif (instead := turn.around.stand_in(execution, task_run)) is not None:
            turn.deliver(execution_id, StoodIn(turn.at, command.key, instead))
        elif isinstance(task, Instant):
            end(turn, execution_id, command, task.run(context))
        elif isinstance(task, Executable):
            _call(turn, execution, command, task, context)
        else:
            work = f"{execution_id}/{command.key}/{command.attempt}"
            turn.put_work(Work(work, execution_id, command=command))
    except Exception as error:
        message = turn.around.masker.text(told(error))
        end(turn, execution_id, command, TaskResult(state=State.FAILED, error=message))


def end(turn: Turn, execution_id: str, command: Run, result: TaskResult) -> None:
    """An attempt that began and ended within the turn."""
    chance = ids.chance() if result.state is State.FAILED else 0.0
    turn.deliver(execution_id, AttemptEnded(turn.at, command.key, command.attempt, result, turn.at, chance))


def _call(turn: Turn, execution: Execution, command: Run, task: Executable, context: RunContext) -> None:
    wanted = task.call(context)
    if wanted.restarts and wanted.wait and _restarted_child(turn, execution, command, wanted):
        return
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
        id=ids.derived_id(execution.id, command.key, str(command.attempt)),
        caller=Caller(execution.id, command.key, command.attempt) if wanted.wait else None,
        kind=execution.kind,
    )
    try:
        turn.submit(wish)
    except HeadwaterError as error:
        raise ExpressionError(f"cannot start {wanted.namespace}.{wanted.flow_id}: {error}") from error
    child = Child(wish.id or "", wanted.wait, wanted.transmit_failed)
    turn.deliver(execution.id, ChildStarted(turn.at, command.key, command.attempt, child))


def _restarted_child(turn: Turn, execution: Execution, command: Run, wanted: Call) -> bool:
    """Where a person restarts a task run, restart the child of its last attempt (dialect, section 4.7)."""
    run = execution.runs[command.key]
    if len(run.history) < 2 or run.history[-2].state is not State.RESTARTED:
        return False
    caller = Caller(execution.id, command.key, command.attempt)
    for attempt in range(command.attempt - 1, 0, -1):
        child_id = ids.derived_id(execution.id, command.key, str(attempt))
        if turn.get(child_id) is None:
            continue
        revived = reviving.restart_child(turn, child_id, caller)
        if revived is None:
            return False
        child = Child(revived.id, wanted.wait, wanted.transmit_failed)
        turn.deliver(execution.id, ChildStarted(turn.at, command.key, command.attempt, child))
        return True
    return False
