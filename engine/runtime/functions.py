"""The functions of expressions that need the outside world or the execution itself (dialect, section 5.4).

Bound anew for each place an expression stands in; a secret that is read here is tracked and masked from then on.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Mapping
from typing import Any

from engine.errors import ExpressionError, NotFound
from engine.expressions.functions.files import namespace_file
from engine.machine.graph import Graph
from engine.model import kv
from engine.model.execution import Execution, TaskRun
from engine.model.state import State
from engine.runtime.surroundings import Surroundings
from engine.runtime.variables import ByValue, iso


class Functions:
    """The functions as seen from one execution, and from one task run of it."""

    def __init__(
        self, around: Surroundings, graph: Graph, execution: Execution, here: TaskRun | None
    ) -> None:
        self._around = around
        self._graph = graph
        self._execution = execution
        self._here = here

    def table(self) -> dict[str, Callable[..., Any]]:
        """By the names the dialect gives them."""
        return {
            "now": self._around.clock.now,
            "secret": self.secret,
            "kv": self.kv,
            "read": self.read,
            "fileExists": self.file_exists,
            "fileSize": self.file_size,
            "isFileEmpty": self.is_file_empty,
            "fileEmpty": self.is_file_empty,
            "errorLogs": self.error_logs,
            "tasksWithState": self.tasks_with_state,
            "currentEachOutput": self.current_each_output,
            "iterationOutput": self.iteration_output,
        }

    # Secrets and key-value pairs

    def secret(
        self, key: str, namespace: str | None = None, subkey: str | None = None, full: bool = False
    ) -> Any:
        """A secret of the namespace or of those above it."""
        for provider in self._around.secrets:
            value = provider.get(namespace or self._execution.flow.namespace, key)
            if value is not None:
                self._around.masker.add(value)
                return self._part(key, value, subkey) if subkey else value
        raise ExpressionError(
            f"Cannot find secret for key '{key}'",
            hint=f"give the daemon a variable SECRET_{key.upper()} with its value in base64",
        )

    def _part(self, key: str, value: str, subkey: str) -> Any:
        try:
            part = json.loads(value)[subkey]
        except (ValueError, KeyError, TypeError):
            raise ExpressionError(f"Cannot find secret sub-key '{subkey}' in secret '{key}'") from None
        if isinstance(part, str):
            self._around.masker.add(part)
        return part

    def kv(self, key: str, namespace: str | None = None, errorOnMissing: bool = True) -> Any:  # noqa: N803
        """A value of the key-value store, of the namespace or, when none is named, of those above it."""
        own = namespace or self._execution.flow.namespace
        for place in (own,) if namespace else kv.upwards(own):
            stored = self._around.store.get(kv.space(place), key)
            if kv.alive(stored, self._around.clock.now()):
                return stored["value"]
        if errorOnMissing:
            raise ExpressionError(f"The key '{key}' does not exist in the namespace '{own}'")
        return None

    # Files

    def read(self, path: str, namespace: str | None = None, version: int | None = None) -> str:
        """The text of a file: a storage URI, or a namespace file's path."""
        return self.content(path, namespace).decode("utf-8", "replace")

    def content(self, path: str, namespace: str | None = None) -> bytes:
        """The bytes of a file: a storage URI, or a namespace file's path or URI. Raises NotFound."""
        if (named := namespace_file(path)) is not None:
            namespace, path = named
        elif path.startswith(("kestra://", "headwater://")):
            with open(self._around.files.local_path(path), "rb") as file:
                return file.read()
        elif path.startswith("nsfile://"):
            host, _, path = path.removeprefix("nsfile://").partition("/")
            namespace = host or namespace
        name = posixpath.normpath(path.lstrip("/"))
        place = namespace or self._execution.flow.namespace
        found = self.namespace_files(place).get(name)
        if found is None:
            raise NotFound(f"there is no namespace file '{name}' in '{place}'")
        return found

    def namespace_files(self, namespace: str | None = None) -> Mapping[str, bytes]:
        """The files of a namespace (the flow's own when none is named) at the execution's commit, by path."""
        flow, files = self._execution.flow, self._around.namespace_files
        return files.files(namespace or flow.namespace, flow.commit) if files else {}

    def file_exists(self, path: str, namespace: str | None = None) -> bool:
        """Whether there is such a file."""
        try:
            self.content(path, namespace)
        except NotFound:
            return False
        return True

    def file_size(self, path: str, namespace: str | None = None) -> int:
        """Size of a file in bytes."""
        return len(self.content(path, namespace))

    def is_file_empty(self, path: str, namespace: str | None = None) -> bool:
        """Whether a file has no content."""
        return not self.content(path, namespace)

    # The execution itself

    def error_logs(self) -> list[dict[str, Any]]:
        """What went wrong so far, one entry for each task run that failed."""
        return [
            {
                "taskId": run.task_id,
                "taskRunId": run.id,
                "message": run.error,
                "level": "ERROR",
                "timestamp": iso(run.history[-1].at),
                **({"value": run.value} if run.value is not None else {}),
            }
            for run in self._execution.task_runs()
            if run.error
        ]

    def tasks_with_state(self, state: str) -> list[dict[str, Any]]:
        """The task runs that are in a state."""
        wanted = State(state.upper())
        return [
            {"taskId": run.task_id, "state": str(run.state), "value": run.value}
            for run in self._execution.task_runs()
            if run.state is wanted
        ]

    def current_each_output(self, outputs: Any) -> Any:
        """The outputs of a sibling task in the same iteration, without naming the values around it."""
        path = self._here.path if self._here else ()
        while isinstance(outputs, ByValue) and len(outputs.path) < len(path):
            outputs = outputs.at(path[len(outputs.path)])
        return outputs

    def iteration_output(self, outputs: Any, number: int) -> Any:
        """The outputs of a task at an iteration, by its number from 0."""
        return outputs.at(number) if isinstance(outputs, ByValue) else outputs
