"""What a person gives when resuming a paused task: checked against what its `onResume` asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine import expressions
from engine.errors import InputInvalid, NotFound, NotPermitted
from engine.model.execution import Execution, TaskRun
from engine.model.inputs import read_inputs
from engine.model.state import State
from engine.runtime.context import scope_of
from engine.runtime.turn import Turn


def resume_outputs(
    turn: Turn, execution: Execution, inputs: Mapping[str, Any], task_id: str | None
) -> tuple[str | None, dict[str, Any]]:
    """The key of the paused task run meant (none: all), and the outputs it gets.

    Raises:
        NotPermitted: nothing is paused.
        NotFound: no task of that id is paused.
        InputInvalid: the inputs do not fit, or it is unclear for which of several tasks they are.
    """
    paused = [run for run in execution.task_runs() if run.state is State.PAUSED]
    if task_id is not None:
        paused = [run for run in paused if run.task_id == task_id or run.key == task_id]
        if not paused:
            raise NotFound(f"no task {task_id} of execution {execution.id} is paused")
    elif not paused and not execution.held:
        raise NotPermitted(f"execution {execution.id} is {execution.state}, not paused")
    asking = [run for run in paused if _asked(turn, execution, run)]
    if len(asking) > 1:
        names = ", ".join(run.key for run in asking)
        raise InputInvalid(f"several tasks are paused and ask for inputs: {names}", hint="name one of them")
    if not asking:
        return (paused[0].key if task_id is not None else None), {}
    run = asking[0]
    scope = scope_of(turn.around, turn.library.graph(execution.flow), execution, run)

    def render(template: Any, variables: Mapping[str, Any]) -> Any:
        seen = expressions.Scope({**scope.variables, **variables}, scope.functions)
        return expressions.render_deep(template, seen)

    return run.key, {"onResume": read_inputs(_asked(turn, execution, run), inputs, render)}


def _asked(turn: Turn, execution: Execution, run: TaskRun) -> Any:
    task = turn.library.graph(execution.flow).nodes[run.task_id].task
    return getattr(task, "on_resume", ())
