"""What the API's endpoints work with: the engine's door, and what the reconciler lets itself be asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from engine.documents import execution_document
from engine.model.execution import Execution
from engine.service import Service
from reconciler.report import ReconcileStatus
from webhooks.answers import answer
from webhooks.streams import Streams

Statuses = Callable[[], Mapping[str, ReconcileStatus | None]]
"""How every source stands, by name; none before its first round."""

Nudge = Callable[[str], Awaitable[None]]
"""(source) to "look at it soon". Raises NotFound."""

Confirm = Callable[[str, str], Awaitable[ReconcileStatus]]
"""(source, digest): do the removals that are held under it. Raises NotFound, NotPermitted."""


@dataclass(frozen=True)
class Desk:
    """See the module.

    Args:
        service: the engine.
        streams: the live streams that are open; closed by the daemon before its server stops.
        longest_wait: seconds that a call with `wait=true` is kept waiting; then it is told how things stand.
    """

    service: Service
    statuses: Statuses
    nudge: Nudge
    confirm: Confirm
    streams: Streams = field(default_factory=Streams)
    longest_wait: float = 60.0

    def mask(self, value: Any) -> Any:
        """A JSON value without secrets."""
        return self.service.around.masker.value(value)

    async def told(self, execution: Execution, status: int = 200) -> Response:
        """The document of an execution."""
        return await asyncio.to_thread(lambda: answer(self.mask(execution_document(execution)), status))

    async def waited(self, execution: Execution) -> Execution:
        """The execution when it has ended, or as it stands after `longest_wait`."""
        try:
            async with asyncio.timeout(self.longest_wait):
                return await self.service.wait(execution.id)
        except TimeoutError:
            return await self.service.execution(execution.id)
