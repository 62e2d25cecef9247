"""Commands that the engine carries out within its own turn: rendering, instant tasks, starting child executions.

Nothing here waits for anything outside; what does is put into the batch and handed to the worker after the commit.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from engine import expressions, ids
from engine.errors import HeadwaterError
from engine.machine.graph import Graph
from engine.model.commands import Call, Evaluate, Run
from engine.model.events import AttemptEnded, ChildrenWanted, ChildStarted, Rendered, StoodIn
from engine.model.execution import ROOT, Child, Execution, TaskRun
from engine.model.inputs import read_outputs
from engine.model.records import Work
from engine.model.state import State
from engine.model.task import Executable, Flowable, Instant, Many, Settling, Task, TaskResult
from engine.runtime import calling
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
        if ready and _outside(task, command.stage):
            work = f"{execution_id}/{key}/{command.stage}"
            turn.put_work(Work(work, execution_id, command=command))
        else:
            turn.deliver(execution_id, answer)


def _outside(task: Task, stage: int) -> bool:
    return isinstance(task, Settling) and task.outside(stage)


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
        wanted = {} if _outside(task, stage) else task.reviews() if stage else task.evaluates()
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
            calling.one(turn, execution, command, task, context)
        elif isinstance(task, Many):
            found = task.batches(context)
            event = ChildrenWanted(
                turn.at, command.key, command.attempt, found.count, found.wait, found.transmit_failed
            )
            turn.deliver(execution_id, event)
        else:
            work = f"{execution_id}/{command.key}/{command.attempt}"
            turn.put_work(Work(work, execution_id, command=command))
    except Exception as error:
        message = turn.around.masker.text(told(error))
        end(turn, execution_id, command, TaskResult(state=State.FAILED, error=message))


def end(turn: Turn, execution_id: str, command: Run | Call, result: TaskResult) -> None:
    """An attempt that began and ended within the turn."""
    chance = ids.chance() if result.state is State.FAILED else 0.0
    turn.deliver(execution_id, AttemptEnded(turn.at, command.key, command.attempt, result, turn.at, chance))


def call(turn: Turn, execution_id: str, command: Call) -> None:
    """Start one of the many child executions that a task run wants."""
    execution = turn.get(execution_id)
    run = execution.runs.get(command.key) if execution else None
    if execution is None or run is None or run.state is not State.RUNNING or run.children is None:
        return
    if run.children.attempt != command.attempt or command.number not in run.children.open:
        return
    graph = turn.library.graph(execution.flow)
    task = graph.nodes[run.task_id].task
    assert isinstance(task, Many)
    context = RunContext(turn.around, graph, execution, run, command.attempt, turn.batch.logs.append)
    number, wait = command.number, run.children.wait
    try:
        child = calling.start(turn, execution, task, task.call(context, number), command, number, wait)
    except Exception as error:
        message = turn.around.masker.text(told(error))
        end(turn, execution_id, command, TaskResult(state=State.FAILED, error=message))
    else:
        started = ChildStarted(turn.at, command.key, command.attempt, Child(child, wait), number)
        turn.deliver(execution_id, started)
