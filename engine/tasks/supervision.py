"""Tasks that look at other executions, let them go on or end them, and switch triggers (dialect, section 2.2)."""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from engine.errors import NotFound, UserError
from engine.model.base import Document, Text
from engine.model.condition import is_true
from engine.model.control import Control
from engine.model.records import LogEntry, Query
from engine.model.state import State
from engine.model.task import Inline, InlineContext, Level, TaskResult
from engine.tasks.log import LevelText, level_named
from engine.tasks.rows import draft
from engine.tasks.script_files import mapping
from engine.tasks.values import instant, names, states

_PAGE = 1000
_LEVELS: tuple[Level, ...] = get_args(Level)


class _Flow(Document):
    namespace: Text
    flow_id: Text


class Count(Inline):
    """Counts executions of flows, or of all flows of namespaces, and keeps the counts that `expression` holds for."""

    flows: list[_Flow] | None = None
    namespaces: list[Text] | Text | None = None
    states: list[Text] | Text | None = None
    start_date: Any = None
    end_date: Any = None
    expression: Any = "true"

    async def run(self, context: InlineContext) -> TaskResult:
        """Outputs `results`, each `{namespace, flowId, count}`, and `total`."""
        if self.flows is None and self.namespaces is None:
            raise UserError("there are neither `flows` nor `namespaces` to count", hint="give one of them")
        query = Query(
            states=states(self.states, "states", context),
            since=instant(self.start_date, "startDate", context),
            until=instant(self.end_date, "endDate", context),
        )
        counted: dict[tuple[str, str], int] = {}
        for flow in self.flows or ():
            name = context.render(flow.namespace), context.render(flow.flow_id)
            wanted = msgspec.structs.replace(query, namespace=name[0], flow_id=name[1])
            counted[name] = (await context.control.counts(wanted)).get(name, 0)
        for namespace in names(self.namespaces, "namespaces", context):
            counted.update(
                await context.control.counts(msgspec.structs.replace(query, namespace=namespace, below=True))
            )
        kept = {
            name: count
            for name, count in sorted(counted.items())
            if is_true(context.value_with(self.expression, {"count": count}))
        }
        results = [
            {"namespace": namespace, "flowId": flow_id, "count": count}
            for (namespace, flow_id), count in kept.items()
        ]
        return TaskResult(outputs={"results": results, "total": sum(kept.values())})


class _OfExecution(Inline):
    execution_id: Text | None = None
    namespace: Text | None = None
    flow_id: Text | None = None

    def _named(self, context: InlineContext) -> str | None:
        return context.render(self.execution_id).strip() or None if self.execution_id else None


class Resume(_OfExecution):
    """Lets a paused execution go on: the one named, or one of the flow named, or this one."""

    inputs: dict[str, Any] | Text | None = None

    async def run(self, context: InlineContext) -> TaskResult:
        """Resume; variable `resumedExecution` says which it was."""
        execution_id = self._named(context)
        if execution_id is None and self.namespace and self.flow_id:
            execution_id = await self._paused(
                context.control, context.render(self.namespace), context.render(self.flow_id)
            )
        execution_id = execution_id or context.execution_id
        await context.control.resume(execution_id, mapping(self.inputs, "inputs", context))
        return TaskResult(variables={"resumedExecution": {"id": execution_id}})

    async def _paused(self, control: Control, namespace: str, flow_id: str) -> str:
        query = Query(namespace=namespace, flow_id=flow_id, states=(State.PAUSED,), limit=1)
        found = await control.executions(query)
        if not found:
            raise NotFound(
                f"no execution of {namespace}.{flow_id} is paused", hint="name one by `executionId`"
            )
        return found[0].id


class Kill(Inline):
    """Kills an execution and, unless `propagateKill` is false, those that it waits for."""

    execution_id: Text
    propagate_kill: Any = True

    async def run(self, context: InlineContext) -> TaskResult:
        """Kill; no outputs."""
        children = context.truthy(self.propagate_kill)
        await context.control.kill(context.render(self.execution_id).strip(), children=children)
        return TaskResult()


class Toggle(Inline):
    """Lets a trigger fire, or stops it; it stays so until it is toggled again."""

    namespace: Text | None = None
    flow_id: Text | None = None
    trigger: Text
    enabled: Any = False

    async def run(self, context: InlineContext) -> TaskResult:
        """Switch; no outputs."""
        await context.control.set_trigger(
            context.render(self.namespace) if self.namespace else context.namespace,
            context.render(self.flow_id) if self.flow_id else context.flow_id,
            context.render(self.trigger),
            enabled=context.truthy(self.enabled),
        )
        return TaskResult()


class Fetch(_OfExecution):
    """Writes an execution's log (this one's, if none is named) to a file, a JSON map a line."""

    tasks_id: list[Text] | Text | None = None
    level: LevelText = "INFO"

    async def run(self, context: InlineContext) -> TaskResult:
        """Outputs `size`, the number of lines, and `uri`."""
        execution_id = self._named(context) or context.execution_id
        tasks = set(names(self.tasks_id, "tasksId", context))
        floor = _LEVELS.index(level_named(context.render(self.level)))
        size = after = 0
        with draft() as file:
            while page := await context.control.logs(execution_id, after, _PAGE):
                after = page[-1][0]
                for _, entry in page:
                    if _LEVELS.index(entry.level) >= floor and (not tasks or entry.task_id in tasks):
                        file.write(_line(entry))
                        size += 1
            file.flush()
            return TaskResult(outputs={"size": size, "uri": context.store_file("logs.ion", file.name)})


def _line(entry: LogEntry) -> bytes:
    """JSON, which is Ion text too."""
    row = {
        "executionId": entry.execution_id,
        "taskId": entry.task_id,
        "taskRunId": entry.task_run_id,
        "attemptNumber": entry.attempt,
        "timestamp": entry.at,
        "level": entry.level,
        "message": entry.message,
    }
    return msgspec.json.encode(row) + b"\n"
