"""Functions that read the flow's own variables: outputs of loops, states of tasks. They need nothing from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import ExpressionError
from engine.expressions.registry import function_named
from engine.expressions.scope import Frame
from engine.expressions.values import is_list, kind, to_text


def _parent_values(frame: Frame) -> list[str]:
    """The values of the loops around the current task, outermost first."""
    parents = frame.variables.get("parents") or []
    runs = [parent.get("taskrun") for parent in reversed(parents)]
    return [to_text(run.get("value")) for run in runs if run is not None]


def _below(outputs: Any, values: list[str]) -> Any:
    for value in values:
        outputs = outputs.get(value) if isinstance(outputs, Mapping) else None
    return outputs


@function_named("currentEachOutput", takes=("outputs",), required=1, context=True)
def _current_each_output(frame: Frame, outputs: Any) -> Any:
    if not isinstance(outputs, Mapping):
        raise ExpressionError(f"`currentEachOutput` needs a map of outputs, but got {kind(outputs)}")
    found = _below(outputs, _parent_values(frame))
    if not isinstance(found, Mapping):
        raise ExpressionError("No outputs for the values of the loops around this task")
    current = frame.variables.get("taskrun") or {}
    return found.get(to_text(current.get("value")))


@function_named("iterationOutput", takes=("taskId", "iteration"), context=True)
def _iteration_output(frame: Frame, task: Any = None, iteration: Any = None) -> Any:
    current = frame.variables.get("taskrun") or {}
    if "iteration" not in current:
        raise ExpressionError("`iterationOutput` is for tasks inside a loop")
    name = to_text((frame.variables.get("task") or {}).get("id") if task is None else task)
    index = int(current["iteration"]) - 1 if iteration is None else int(to_text(iteration))
    values = _parent_values(frame)
    found = _below((frame.variables.get("outputs") or {}).get(name), values)
    if not isinstance(found, Mapping):
        return None
    if not 0 <= index < len(found):
        raise ExpressionError(f"There is no iteration {index}: so far there are {len(found)}, counted from 0")
    output = list(found.values())[index]
    return output.get("value") if isinstance(output, Mapping) else None


@function_named("loopOutputs", takes=("outputs", "name"), required=2)
def _loop_outputs(outputs: Any, name: Any) -> list[Any]:
    if not is_list(outputs) or not isinstance(name, str):
        raise ExpressionError("`loopOutputs` needs a list of outputs and the name of one")
    inner = [item.get("outputs") if isinstance(item, Mapping) else None for item in outputs]
    return [item.get(name) if isinstance(item, Mapping) else None for item in inner]


@function_named("tasksWithState", takes=("state",), required=1, context=True)
def _tasks_with_state(frame: Frame, state: Any) -> list[dict[str, Any]]:
    wanted = to_text(state).upper()
    found: list[dict[str, Any]] = []
    for task, details in (frame.variables.get("tasks") or {}).items():
        for key, item in details.items() if isinstance(details, Mapping) else ():
            inner = item.get("state") if isinstance(item, Mapping) else item if key == "state" else None
            if isinstance(inner, str) and inner.upper() == wanted:
                value = {"value": key} if isinstance(item, Mapping) else {}
                found.append({"taskId": task, **value, "state": wanted})
    return found
