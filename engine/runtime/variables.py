"""What an expression sees of an execution: the variables of the dialect's section 5.2, made on demand.

Outputs and task states are looked up when they are asked for and never copied: a loop over many values must not
pay for all of them at each turn. This module must not know how expressions are written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from engine.machine.graph import Graph, Node
from engine.model.execution import Execution, TaskRun, loop_text, run_key
from engine.model.task import Flowable

_ONCE = frozenset({"errors", "finally"})  # branches that a loop walks once, not for each of its values


def iso(at: datetime) -> str:
    """An instant as the dialect writes it: `2026-01-31T23:59:59.123456Z`."""
    return at.isoformat().replace("+00:00", "Z")


def text(value: Any) -> str:
    """A loop's value as `taskrun.value` shows it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class ByTask(Mapping[str, Any]):
    """`outputs` and `tasks`: by task id, and under loops by each value around it.

    Args:
        pick: what to show of a task run.
        here: the task run that looks, whose own iteration is found without a search.
    """

    def __init__(self, graph: Graph, execution: Execution, here: TaskRun | None, pick: str) -> None:
        self._graph = graph
        self._execution = execution
        self._here = here
        self._pick = pick
        self._inside: frozenset[str] | None = None

    def __getitem__(self, task_id: str) -> Any:
        if task_id not in self._graph.nodes:
            raise KeyError(task_id)
        return self._level(task_id, self._graph.ancestors(task_id), ())

    def __iter__(self) -> Iterator[str]:
        seen = dict.fromkeys(run.task_id for run in self._execution.task_runs())
        return (task_id for task_id in seen if task_id in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, task_id: object) -> bool:
        try:
            self[task_id]  # type: ignore[index]
        except KeyError:
            return False
        return True

    def _level(self, task_id: str, around: tuple[Node, ...], path: tuple[int, ...]) -> Any:
        for depth, node in enumerate(around):
            run = self._execution.runs.get(run_key(node.task.id, path))
            if run is None or run.scope is None:
                raise KeyError(task_id)
            inner = around[depth + 1] if depth + 1 < len(around) else self._graph.nodes[task_id]
            if inner.branch in _ONCE:
                continue
            if run.key in self._execution.values:
                if not self._encloses(node, path):
                    return ByValue(self, task_id, around[depth + 1 :], path, run.key)
                assert self._here is not None
                path = self._here.path[: len(path) + 1]
            elif run.scope.rounds:
                path = (*path, run.scope.rounds - 1)
        run = self._execution.runs.get(run_key(task_id, path))
        if run is None:
            raise KeyError(task_id)
        return run.outputs if self._pick == "outputs" else {"state": str(run.state)}

    def _encloses(self, loop: Node, path: tuple[int, ...]) -> bool:
        """Whether whoever looks is in an iteration of that loop, and the loop shows it just that iteration."""
        here = self._here
        if here is None or not isinstance(loop.task, Flowable) or not loop.task.encloses:
            return False
        if self._inside is None:
            self._inside = frozenset(node.task.id for node in self._graph.ancestors(here.task_id))
        return loop.task.id in self._inside and len(here.path) > len(path) and here.path[: len(path)] == path

    def values_of(self, loop: str) -> tuple[Any, ...]:
        """What the loop under that key goes over."""
        return self._execution.values.get(loop, ())

    def index_of(self, loop: str, path: tuple[int, ...], value: str) -> int:
        """The iteration of a loop that is at `value`. Raises KeyError."""
        values = self.values_of(loop)
        here = self._here.path if self._here else ()
        if len(here) > len(path) and here[: len(path)] == path and here[len(path)] < len(values):
            own = here[len(path)]
            if loop_text(values[own]) == value:
                return own
        for number in range(len(values) - 1, -1, -1):
            if loop_text(values[number]) == value:
                return number
        raise KeyError(value)


class ByValue(Mapping[str, Any]):
    """What a task inside a loop has, by the loop's values."""

    def __init__(
        self, owner: ByTask, task_id: str, around: tuple[Node, ...], path: tuple[int, ...], loop: str
    ) -> None:
        self._owner = owner
        self._task_id = task_id
        self._around = around
        self.path = path
        self._loop = loop

    def __getitem__(self, value: str) -> Any:
        number = self._owner.index_of(self._loop, self.path, text(value))
        return self.at(number)

    def at(self, number: int) -> Any:
        """What it has at an iteration, by number from 0. Raises KeyError."""
        return self._owner._level(self._task_id, self._around, (*self.path, number))

    def __iter__(self) -> Iterator[str]:
        for number, value in enumerate(self._owner.values_of(self._loop)):
            try:
                self.at(number)
            except KeyError:
                continue
            yield loop_text(value)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names as nested maps: `{"a.b": 1}` gives `{"a": {"b": 1}}`; a plain name wins over a branch."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *branch, leaf = name.split(".")
        place = tree
        for part in branch:
            inner = place.get(part)
            if not isinstance(inner, dict):
                inner = place[part] = {}
            place = inner
        place[leaf] = value
    return tree


def parents(execution: Execution, run: TaskRun) -> list[dict[str, Any]]:
    """The flowables around a task run that have a value or outputs, nearest first."""
    found = []
    owner = execution.runs.get(run.parent)
    while owner is not None:
        entry: dict[str, Any] = {}
        if owner.value is not None:
            entry["taskrun"] = {"value": owner.value, "iteration": owner.iteration}
        if owner.outputs:
            entry["outputs"] = owner.outputs
        if entry:
            found.append(entry)
        owner = execution.runs.get(owner.parent)
    return found


def items(graph: Graph, execution: Execution, run: TaskRun) -> list[dict[str, Any]]:
    """What the `Loop`s around a task run are at, nearest first."""
    around = graph.ancestors(run.task_id)
    if not any(isinstance(node.task, Flowable) and node.task.encloses for node in around):
        return []
    found: list[dict[str, Any]] = []
    depth = 0
    for node, inner in zip(around, (*around[1:], graph.nodes[run.task_id]), strict=True):
        owner = execution.runs.get(run_key(node.task.id, run.path[:depth]))
        if owner is None or owner.scope is None or inner.branch in _ONCE:
            continue
        values = execution.values.get(owner.key)
        if values is not None:
            if isinstance(node.task, Flowable) and node.task.encloses:
                found.append(_item(values[run.path[depth]], run.path[depth]))
            depth += 1
        elif owner.scope.rounds:
            depth += 1
    return found[::-1]


def _item(value: Any, number: int) -> dict[str, Any]:
    item = {"value": loop_text(value), "index": number}
    return item if isinstance(value, str) else {**item, "key": value[0]}


def of_execution(graph: Graph, execution: Execution, here: TaskRun | None = None) -> dict[str, Any]:
    """The variables that any expression of an execution sees.

    Args:
        graph: of the flow the execution is pinned to.
        execution: as it stands.
        here: the task run whose expression it is; none for the flow's own.
    """
    variables: dict[str, Any] = {
        "flow": {
            "id": execution.flow.id,
            "namespace": execution.flow.namespace,
            "revision": execution.flow.revision,
            "tenantId": "main",
        },
        "execution": {
            "id": execution.id,
            "startDate": iso(execution.created),
            "originalId": execution.original_id or execution.id,
            "state": str(execution.state),
            "outputs": execution.outputs,
        },
        "outputs": ByTask(graph, execution, here, "outputs"),
        "tasks": ByTask(graph, execution, here, "state"),
        "vars": execution.variables,
        "labels": nested(execution.labels),
    }
    if execution.inputs:
        variables["inputs"] = execution.inputs
    if execution.cause is not None:
        variables["trigger"] = execution.cause.variables
        if execution.cause.type.endswith("Schedule"):
            variables["schedule"] = execution.cause.variables
    if here is not None:
        variables.update(_of_run(graph, execution, here))
    return variables


def _of_run(graph: Graph, execution: Execution, run: TaskRun) -> dict[str, Any]:
    task = graph.nodes[run.task_id].task
    taskrun: dict[str, Any] = {
        "id": run.id,
        "startDate": iso(run.history[0].at),
        "attemptsCount": sum(attempt.state.terminal for attempt in run.attempts),
    }
    if run.parent and run.parent in execution.runs:
        taskrun["parentId"] = execution.runs[run.parent].id
    if run.value is not None:
        taskrun["value"] = run.value
        taskrun["iteration"] = run.iteration
    around = parents(execution, run)
    variables: dict[str, Any] = {"task": {"id": task.id, "type": task.type}, "taskrun": taskrun}
    if loops := items(graph, execution, run):
        above = {"parent": loops[1], "parents": loops[1:]} if len(loops) > 1 else {}
        variables["item"] = {**loops[0], **above}
    if around:
        variables["parent"] = around[0]
        variables["parents"] = around
    return variables
