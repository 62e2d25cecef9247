"""What an execution still waits for, read off its snapshot alone: how a recovering daemon takes it up again.

What lasts in the store beside the snapshot (timers, attempts that were handed to a runner) is not repeated here.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.machine.children import stage
from engine.machine.graph import Graph
from engine.model.commands import AnyCommand, Call, Evaluate, Run, StopChild
from engine.model.execution import ROOT, Execution, TaskRun, child_id
from engine.model.state import State
from engine.model.task import Flowable


def pending(graph: Graph, execution: Execution) -> list[AnyCommand]:
    """The commands that were asked for and whose answers have not come; repeating them is harmless."""
    if execution.state.terminal and execution.scope.phase != "after":
        return []
    commands: list[AnyCommand] = []
    open_runs = [run for run in execution.task_runs() if not run.state.terminal]
    for run in open_runs:
        if run.scope is not None and run.scope.phase == "review":
            commands.append(Evaluate(run.key, stage(run.scope)))
        if run.state is State.RUNNING and run.children is not None:
            commands.extend(Call(run.key, run.children.attempt, number) for number in run.children.open)
        if execution.state is State.KILLING:
            commands.extend(StopChild(child) for child, _ in awaited(execution.id, run))
        if run.state is not State.CREATED:
            continue
        task = graph.nodes[run.task_id].task
        if isinstance(task, Flowable):
            commands.append(Evaluate(run.key))
        elif not execution.held:
            commands.append(Run(run.key, len(run.attempts) + 1))
    if not open_runs and not execution.state.terminal and execution.busy:
        commands.append(Evaluate(ROOT))
    return commands


def awaited(execution_id: str, run: TaskRun) -> Iterator[tuple[str, int | None]]:
    """The child executions that a task run waits for, and their numbers if they are many."""
    if run.state is not State.RUNNING:
        return
    if run.child is not None and run.child.wait:
        yield run.child.execution_id, None
    if run.children is not None and run.children.wait:
        for number in run.children.open:
            yield child_id(execution_id, run.key, run.children.attempt, number), number
