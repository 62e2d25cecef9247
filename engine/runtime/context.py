"""What a task sees while it runs: `engine.model.task.Context` over one attempt. Text that leaves it is masked."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import reduce
from typing import Any
from urllib.parse import quote

from engine import expressions
from engine.errors import NotFound
from engine.expressions.functions.files import namespace_file
from engine.machine.graph import Graph
from engine.machine.table import worse
from engine.model.execution import Execution, TaskRun, child_id, run_key
from engine.model.records import LogEntry
from engine.model.state import State
from engine.model.task import Flowable, Iteration, Level, Task
from engine.runtime import variables
from engine.runtime.functions import Functions
from engine.runtime.surroundings import Surroundings

_LEVELS: tuple[Level, ...] = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR")


def scope_of(
    around: Surroundings, graph: Graph, execution: Execution, here: TaskRun | None = None
) -> expressions.Scope:
    """What an expression sees: of an execution as a whole, or of a task run of it."""
    known = around.variables()
    known.update(variables.of_execution(graph, execution, here))
    return expressions.Scope(known, Functions(around, graph, execution, here).table())


class RunContext:
    """One attempt of one task run, as its task sees it.

    Args:
        write: takes the log lines.
    """

    def __init__(
        self,
        around: Surroundings,
        graph: Graph,
        execution: Execution,
        run: TaskRun,
        attempt: int,
        write: Callable[[LogEntry], None],
    ) -> None:
        self._around = around
        self._graph = graph
        self._execution = execution
        self._run = run
        self.attempt = attempt
        self.now: datetime = around.clock.now()
        self._write = write
        self._scope: expressions.Scope | None = None
        self._places: dict[str, str] = {}
        self._functions = Functions(around, graph, execution, run)
        task = graph.nodes[run.task_id].task
        self._floor = _LEVELS.index(task.log_level) if task.log_level else 0

    def divert(self, write: Callable[[LogEntry], None]) -> None:
        """Hand log lines to `write` from now on."""
        self._write = write

    @property
    def namespace(self) -> str:
        """The namespace of the flow."""
        return self._execution.flow.namespace

    @property
    def flow_id(self) -> str:
        """The id of the flow."""
        return self._execution.flow.id

    @property
    def execution_id(self) -> str:
        """The id of the execution."""
        return self._execution.id

    @property
    def task_run_id(self) -> str:
        """The id of the task run."""
        return self._run.id

    @property
    def key(self) -> str:
        """Names this attempt for ever."""
        return f"{self._execution.id}/{self._run.key}/{self.attempt}"

    @property
    def directory(self) -> str | None:
        """Names the working directory that it shares with others, or lets its children share; none: it does not."""
        node = self._graph.nodes[self._run.task_id]
        if _shares(node.task):
            return f"{self._execution.id}/{self._run.key}"
        owner = self._graph.nodes.get(node.owner)
        return f"{self._execution.id}/{self._run.parent}" if owner and _shares(owner.task) else None

    def place(self, working_directory: str) -> None:
        """Say where the attempt will run: `{{ workingDir }}` and `{{ outputDir }}` (dialect, section 2.5)."""
        self._places = {"workingDir": working_directory}

    def seeing(self, **taskrun: Any) -> RunContext:
        """The same, but expressions see these attributes of `taskrun` besides."""
        other = self._at(self._run)
        known = self.scope
        seen = {**known.variables, "taskrun": {**known.variables["taskrun"], **taskrun}}
        other._scope = expressions.Scope(seen, known.functions)
        return other

    def iterations(self) -> Iterator[Iteration]:
        """The iterations of this loop that have begun, in order."""
        run = self._run
        row = self._graph.branch(run.task_id, "tasks")
        for number in range(len(self._execution.values.get(run.key, ()))):
            keys = (run_key(node.task.id, (*run.path, number)) for node in row)
            runs = [found for key in keys if (found := self._execution.runs.get(key)) is not None]
            if runs:
                state = reduce(worse, (found.state for found in runs), State.SUCCESS)
                yield Iteration(state, self._at(runs[-1]))

    def _at(self, run: TaskRun) -> RunContext:
        return RunContext(self._around, self._graph, self._execution, run, self.attempt, self._write)

    def children_of(self, task_id: str) -> Sequence[str]:
        """The ids of the child executions that a task beside this one has started, in order."""
        run = self._execution.runs.get(run_key(task_id, self._run.path))
        if run is None or run.children is None:
            return ()
        numbers = range(1, run.children.started + 1)
        attempt = run.children.attempt
        return [child_id(self._execution.id, run.key, attempt, number) for number in numbers]

    @property
    def scope(self) -> expressions.Scope:
        """What expressions see; made when first asked for."""
        if self._scope is None:
            seen = scope_of(self._around, self._graph, self._execution, self._run)
            self._scope = expressions.Scope({**seen.variables, **self._places}, seen.functions)
        return self._scope

    def render(self, template: str) -> str:
        """Render to text. Raises ExpressionError."""
        compiled = expressions.compile(template)
        return compiled.text if compiled.constant else compiled.render(self.scope)

    def value(self, template: Any) -> Any:
        """Render typed and deeply. Raises ExpressionError."""
        return expressions.render_deep(template, self.scope)

    def truthy(self, template: Any) -> bool:
        """Render and apply the dialect's truth. Raises ExpressionError."""
        return expressions.truthy(self.value(template))

    def log(self, level: Level, message: str) -> None:
        """Write a line to the execution's log."""
        if _LEVELS.index(level) < self._floor:
            return
        self._write(
            LogEntry(
                execution_id=self._execution.id,
                at=self._around.clock.now(),
                level=level,
                message=self._around.masker.text(message),
                key=self._run.key,
                task_id=self._run.task_id,
                task_run_id=self._run.id,
                attempt=self.attempt,
            )
        )

    def read_file(self, uri: str) -> bytes:
        """The content of a file of internal storage or of the namespace. Raises NotFound."""
        return self._functions.content(uri)

    def local_path(self, uri: str) -> str:
        """A local path from which a file can be read; a namespace file is copied first. Raises NotFound."""
        named = namespace_file(uri)
        if named is not None or uri.startswith("nsfile://"):
            place = "/".join(named or (uri.removeprefix("nsfile://"),))
            uri = self.store_file(f"_files/{place}", self.read_file(uri))
        return self._around.files.local_path(uri)

    def store_file(self, name: str, source: str | bytes) -> str:
        """Keep a file (a local path, or bytes) in internal storage and return its URI."""
        place = f"{self._folder()}/executions/{self.execution_id}/tasks/{_slug(self._run.task_id)}"
        return self._around.files.put(f"{place}/{self._run.id}/{self.attempt}/{_safe(name)}", source)

    def keep_file(self, name: str, source: str | bytes) -> None:
        """Keep a file for later executions of the flow, in place of the one of that name."""
        self._around.files.put(self._kept(name), source)

    def kept_file(self, name: str) -> str | None:
        """A local path of the file that was kept under that name; none when there is none."""
        try:
            return self._around.files.local_path("headwater:///" + quote(self._kept(name)))
        except NotFound:
            return None

    def _folder(self) -> str:
        return f"{self.namespace.replace('.', '/')}/{self.flow_id}"

    def _kept(self, name: str) -> str:
        return f"{self._folder()}/kept/{_slug(self._run.task_id)}/{_safe(name)}"

    def namespace_files(self, namespace: str | None = None) -> Mapping[str, bytes]:
        """The files of a namespace (none: the flow's own) at the execution's commit, by relative path."""
        return self._functions.namespace_files(namespace)


def _shares(task: Task) -> bool:
    return isinstance(task, Flowable) and task.shares_directory


def _slug(task_id: str) -> str:
    return task_id.replace("_", "-")  # as the dialect's URIs have it


def _safe(name: str) -> str:
    return posixpath.normpath("/" + name).lstrip("/")
