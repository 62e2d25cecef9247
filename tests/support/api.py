"""The REST API and the pages over a whole engine in memory, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette

from engine.errors import NotPermitted
from reconciler.report import ReconcileStatus
from tests.support.engine import Engine, engine
from webhooks.api import Desk, api_routes
from webhooks.app import Parts, create_app
from webhooks.guard import Guard
from webhooks.pages import page_routes

ROOT = "/api/v1/main"
TOKEN = "t0ken-of-the-tests"


class Api:
    """An application over an engine, and calls of it."""

    def __init__(self, engine: Engine, guard: Guard, longest_wait: float) -> None:
        self.engine = engine
        self.statuses: dict[str, ReconcileStatus | None] = {}
        self.nudged: list[str] = []
        self.confirmed: list[tuple[str, str]] = []
        self.desk = Desk(
            engine.service, lambda: self.statuses, self._nudge, self._confirm, longest_wait=longest_wait
        )
        routes = [*api_routes(self.desk, guard), *page_routes(self.desk, guard)]
        self.app: Starlette = create_app(Parts(ready=self._ready, routes=routes))

    async def _ready(self) -> Sequence[str]:
        return ()

    async def _nudge(self, source: str) -> None:
        self.nudged.append(source)

    async def _confirm(self, source: str, digest: str) -> ReconcileStatus:
        if digest != "sha256:right":
            raise NotPermitted("nothing waits under this digest")
        self.confirmed.append((source, digest))
        status = self.statuses[source]
        assert status is not None
        return status

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request; a path without a slash is one of the API."""
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            address = path if path.startswith("/") else f"{ROOT}/{path}"
            return await client.request(method, address, **options)

    async def document(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        """The JSON of an answer that has this status."""
        answer = await self.ask(method, path, **options)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def ended(self, document: Any) -> Any:
        """The document of an execution when it has ended."""
        await self.engine.service.wait(document["id"])
        return await self.document("GET", f"executions/{document['id']}")


@asynccontextmanager
async def api(
    folder: Path, *flows: str, guard: Guard | None = None, longest_wait: float = 20.0, **options: Any
) -> AsyncIterator[Api]:
    async with engine(folder, **options) as running:
        await running.deploy(*flows)
        yield Api(running, guard or Guard(), longest_wait)


def events(text: str) -> list[dict[str, str]]:
    """Server-sent events as their fields."""
    found = []
    for block in text.split("\n\n"):
        lines = [line.partition(": ") for line in block.splitlines() if not line.startswith(":")]
        if lines:
            found.append({name: value for name, _, value in lines})
    return found
