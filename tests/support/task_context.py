"""A task's context for tests: real expressions over given variables, files in memory, log lines kept."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from engine import expressions
from engine.errors import NotFound
from engine.model.task import Level, Task
from engine.plugins import registry


class TaskContext:
    """The context of one attempt.

    Args:
        variables: what expressions see.
        files: content of stored files by URI.
        namespace_files: content of the namespace's files by path.
    """

    namespace = "n"
    flow_id = "f"
    execution_id = "e"
    task_run_id = "r"
    attempt = 1
    key = "e/t/1"
    now = datetime(2026, 1, 1, tzinfo=UTC)

    def __init__(
        self,
        variables: Mapping[str, Any] | None = None,
        files: Mapping[str, bytes] | None = None,
        namespace_files: Mapping[str, bytes] | None = None,
    ) -> None:
        self.scope = expressions.Scope(variables or {})
        self.files = files or {}
        self.logs: list[tuple[Level, str]] = []
        self._namespace_files = namespace_files or {}

    def render(self, template: str) -> str:
        return expressions.compile(template).render(self.scope)

    def value(self, template: Any) -> Any:
        return expressions.render_deep(template, self.scope)

    def truthy(self, template: Any) -> bool:
        return expressions.truthy(self.value(template))

    def log(self, level: Level, message: str) -> None:
        self.logs.append((level, message))

    def read_file(self, uri: str) -> bytes:
        if uri not in self.files:
            raise NotFound(f"no file {uri}")
        return self.files[uri]

    def local_path(self, uri: str) -> str:
        self.read_file(uri)
        return "/stored/" + uri.rsplit("/", 1)[-1]

    def store_file(self, name: str, source: str | bytes) -> str:
        return f"headwater:///{name}"

    def namespace_files(self, namespace: str | None = None) -> Mapping[str, bytes]:
        return self._namespace_files


def task(type_: str, **properties: Any) -> Any:
    """A task of that type, validated as in a flow file."""
    found = registry().find("tasks", type_)
    assert found is not None
    made = found.model_validate({"id": "t", "type": type_, **properties}, context={"types": registry()})
    assert isinstance(made, Task)
    return made
