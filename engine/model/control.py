"""What a task may ask of the engine around it, besides what its context shows: kept values, other executions.

Only inline tasks get it: everything here waits for the engine's thread or the store. Knows neither of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from engine.model.records import LogEntry, LogQuery, Query, Summary

Change = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""From values as they are to those that are to change; none removes one. Raises HeadwaterError to change nothing."""


class Stored(NamedTuple):
    """The files of one execution; `at` is when the newest was written (UTC)."""

    namespace: str
    flow_id: str
    execution_id: str
    at: datetime


class Control(Protocol):
    """The engine as a task may use it."""

    async def kept(self, space: str, keys: Collection[str] | None = None) -> dict[str, Any]:
        """JSON values of a space of the store: those of `keys` that are there, or all."""
        ...

    async def keep(self, space: str, change: Change, keys: Collection[str] | None = None) -> None:
        """Change JSON values of a space, with nobody in between: `change` sees those of `keys`, or all."""
        ...

    async def spaces(self, prefix: str) -> list[str]:
        """The spaces of the store that hold something and whose names begin so."""
        ...

    async def executions(self, query: Query) -> list[Summary]:
        """Executions, newest first."""
        ...

    async def counts(self, query: Query) -> dict[tuple[str, str], int]:
        """How many executions fit, by namespace and flow id; limit and offset do not count."""
        ...

    async def outputs(self, execution_ids: Sequence[str]) -> list[Mapping[str, Any]]:
        """The outputs of executions, as far as there are such executions, in order."""
        ...

    async def logs(self, execution_id: str, after: int, limit: int) -> list[tuple[int, LogEntry]]:
        """Log lines in order with their serial numbers, from the one behind `after`."""
        ...

    async def kill(self, execution_id: str, *, children: bool = True) -> None:
        """Kill an execution. Raises NotFound, NotPermitted when it has ended."""
        ...

    async def resume(self, execution_id: str, inputs: Mapping[str, Any]) -> None:
        """Let a paused execution go on. Raises NotFound, NotPermitted, InputInvalid."""
        ...

    async def set_trigger(self, namespace: str, flow_id: str, trigger_id: str, *, enabled: bool) -> None:
        """Let a trigger of a live flow fire, or stop it. Raises NotFound."""
        ...

    async def forget(self, execution_ids: Sequence[str]) -> tuple[int, int]:
        """Forget executions that have ended and are reported, with their logs; how many of each there were."""
        ...

    async def forget_logs(self, query: LogQuery) -> int:
        """Forget log lines; returns how many there were."""
        ...

    async def remove_file(self, uri: str) -> bool:
        """Remove a file of internal storage; whether there was one. Raises UserError for another kind of URI."""
        ...

    async def stored(self, namespace: str | None, flow_id: str | None) -> list[Stored]:
        """What internal storage holds of executions: of a flow, else of a namespace and those below it, else all."""
        ...

    async def remove_files(self, namespace: str, flow_id: str, execution_id: str) -> int:
        """Remove all files of an execution from internal storage; returns how many there were."""
        ...
