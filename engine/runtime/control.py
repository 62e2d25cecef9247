"""What inline tasks see and may ask: `InlineContext` and `Control` of the model, over the engine's thread and store.

Reads happen in a thread of their own, writes in the engine's; neither holds up the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import unquote

import msgspec

from engine import expressions
from engine.errors import NotFound, UserError
from engine.expressions.functions.files import namespace_file
from engine.ids import is_id
from engine.machine.graph import Graph
from engine.model.control import Change, Stored
from engine.model.events import KillAsked
from engine.model.execution import Execution, TaskRun
from engine.model.records import LogEntry, LogQuery, Query, Summary
from engine.model.trigger import Schedulable
from engine.networks import refuses
from engine.runtime.asking import ask, resumed
from engine.runtime.context import RunContext
from engine.runtime.core import Core
from engine.runtime.scheduler import trigger_of
from engine.runtime.turn import Turn

T = TypeVar("T")
_LINES = 5_000  # of the log that are forgotten at once
_SCHEMES = ("headwater:///", "kestra:///")


class EngineControl:
    """The engine as a task may use it: `engine.model.control.Control`."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._store = core.around.store

    async def _do(self, act: Callable[[Turn], T]) -> T:
        return await asyncio.wrap_future(self._core.call(act))

    # Values

    def _values(self, space: str, keys: Collection[str] | None) -> dict[str, Any]:
        if keys is None:
            return self._store.items(space)
        found = {key: self._store.get(space, key) for key in keys}
        return {key: value for key, value in found.items() if value is not None}

    async def kept(self, space: str, keys: Collection[str] | None = None) -> dict[str, Any]:
        """JSON values of a space of the store: those of `keys` that are there, or all."""
        return await asyncio.to_thread(self._values, space, keys)

    async def keep(self, space: str, change: Change, keys: Collection[str] | None = None) -> None:
        """Change JSON values of a space, with nobody in between: `change` sees those of `keys`, or all."""

        def act(turn: Turn) -> None:
            after = change(self._values(space, keys))
            removed = [key for key, value in after.items() if value is None]
            kept = {key: value for key, value in after.items() if value is not None}
            if kept or removed:
                self._store.put(space, kept, removed)

        await self._do(act)

    async def spaces(self, prefix: str) -> list[str]:
        """The spaces of the store that hold something and whose names begin so."""
        return await asyncio.to_thread(self._store.spaces, prefix)

    # Executions

    async def executions(self, query: Query) -> list[Summary]:
        """Executions, newest first."""
        return await asyncio.to_thread(self._store.executions, query)

    async def counts(self, query: Query) -> dict[tuple[str, str], int]:
        """How many executions fit, by namespace and flow id; limit and offset do not count."""
        return await asyncio.to_thread(self._store.counts, query)

    async def outputs(self, execution_ids: Sequence[str]) -> list[Mapping[str, Any]]:
        """The outputs of executions, as far as there are such executions, in order."""
        return await asyncio.to_thread(self._outputs, execution_ids)

    def _outputs(self, execution_ids: Sequence[str]) -> list[Mapping[str, Any]]:
        found = (self._store.execution(each) for each in execution_ids)
        return [each.outputs for each in found if each is not None]

    async def logs(self, execution_id: str, after: int, limit: int) -> list[tuple[int, LogEntry]]:
        """Log lines in order with their serial numbers, from the one behind `after`."""
        return await asyncio.to_thread(self._store.logs, execution_id, after, limit)

    async def kill(self, execution_id: str, *, children: bool = True) -> None:
        """Kill an execution. Raises NotFound, NotPermitted when it has ended."""
        await self._do(lambda turn: ask(turn, execution_id, lambda turn, _: KillAsked(turn.at, children)))

    async def resume(self, execution_id: str, inputs: Mapping[str, Any]) -> None:
        """Let a paused execution go on. Raises NotFound, NotPermitted, InputInvalid."""
        await self._do(lambda turn: ask(turn, execution_id, resumed(inputs)))

    async def set_trigger(self, namespace: str, flow_id: str, trigger_id: str, *, enabled: bool) -> None:
        """Let a trigger of a live flow fire, or stop it; what was due meanwhile does not fire. Raises NotFound."""

        def act(turn: Turn) -> None:
            key = (namespace, flow_id, trigger_id)
            stored = {state.trigger_id: state for state in self._store.triggers(namespace, flow_id)}
            state = turn.batch.triggers.get(key, stored.get(trigger_id))
            if state is None:
                raise NotFound(
                    f"there is no trigger `{trigger_id}` of a flow {namespace}.{flow_id}",
                    hint="check the namespace, the flow and the trigger",
                )
            if state.suspended != enabled:
                return
            state = msgspec.structs.replace(state, suspended=not enabled)
            trigger = trigger_of(turn.library.live(namespace, flow_id)[1].flow, trigger_id)
            if enabled and isinstance(trigger, Schedulable):
                state = msgspec.structs.replace(state, next_due=trigger.next_due(turn.at))
            turn.batch.triggers[key] = state
            turn.batch.reports.add(("flow", f"{namespace}/{flow_id}"))

        await self._do(act)

    # Forgetting

    async def forget(self, execution_ids: Sequence[str]) -> tuple[int, int]:
        """Forget executions that have ended and are reported, with their logs; how many of each there were."""
        return await self._do(lambda _: self._store.forget(execution_ids))

    async def forget_logs(self, query: LogQuery) -> int:
        """Forget log lines; returns how many there were."""
        count = 0
        while serials := await asyncio.to_thread(self._store.old_logs, query, _LINES):
            count += await self._do(lambda _, these=serials: self._store.forget_logs(these))  # type: ignore[misc]
        return count

    async def remove_file(self, uri: str) -> bool:
        """Remove a file of internal storage; whether there was one. Raises UserError for another kind of URI."""
        if namespace_file(uri) is not None:
            raise UserError(
                f"`{uri[:200]}` is a file of a namespace, which only a commit changes",
                hint="delete it in the flows repository",
            )
        path = next((uri.removeprefix(scheme) for scheme in _SCHEMES if uri.startswith(scheme)), None)
        if not path:
            raise UserError(
                f"`{uri[:200]}` is not a file of the internal storage",
                hint="its URIs begin with `headwater:///`",
            )
        try:
            self._core.around.files.local_path(uri)
        except NotFound:
            return False
        remove = self._core.around.files.remove
        return await asyncio.to_thread(remove, unquote(path, errors="surrogateescape")) > 0

    async def stored(self, namespace: str | None, flow_id: str | None) -> list[Stored]:
        """What internal storage holds of executions: of a flow, else of a namespace and those below it, else all."""
        return await asyncio.to_thread(self._stored, namespace, flow_id)

    def _stored(self, namespace: str | None, flow_id: str | None) -> list[Stored]:
        prefix = namespace.replace(".", "/") if namespace else ""
        if flow_id:
            prefix += f"/{flow_id}/executions"
        newest: dict[tuple[str, str, str], datetime] = {}
        for path, at in self._core.around.files.written(prefix):
            owner = _owner(path)
            if owner is not None and (owner not in newest or newest[owner] < at):
                newest[owner] = at
        return [Stored(*owner, at) for owner, at in newest.items()]

    async def remove_files(self, namespace: str, flow_id: str, execution_id: str) -> int:
        """Remove all files of an execution from internal storage; returns how many there were."""
        folder = f"{namespace.replace('.', '/')}/{flow_id}/executions/{execution_id}"
        return await asyncio.to_thread(self._core.around.files.remove, folder)


def _owner(path: str) -> tuple[str, str, str] | None:
    """Namespace, flow and execution that a file of internal storage belongs to; none: no execution's."""
    parts = path.split("/")
    for place in range(2, len(parts) - 2):
        # `executions` may be a namespace's name, too; what follows it is no execution's id then.
        if parts[place] == "executions" and is_id(parts[place + 1]):
            return ".".join(parts[: place - 1]), parts[place - 1], parts[place + 1]
    return None


class InlineRunContext(RunContext):
    """One attempt of an inline task, as it sees it: `engine.model.task.InlineContext`."""

    def __init__(self, core: Core, graph: Graph, execution: Execution, run: TaskRun, attempt: int) -> None:
        super().__init__(core.around, graph, execution, run, attempt, lambda entry: core.log([entry]))
        self._networks = core.around.refused_networks
        self.control = EngineControl(core)

    def value_with(self, template: Any, variables: Mapping[str, Any]) -> Any:
        """Render typed, with these variables before all others. Raises ExpressionError."""
        scope = self.scope
        seen = expressions.Scope({**scope.variables, **variables}, scope.functions)
        return expressions.render_deep(template, seen)

    def may_reach(self, address: str) -> bool:
        """Whether the operator lets tasks of the daemon speak to that IP address."""
        return not refuses(self._networks, address)
