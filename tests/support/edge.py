"""The HTTP application with everything behind it replaced by a record of what it was asked, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
from starlette.applications import Starlette

from engine.clock import Clock, ManualClock
from reconciler.status.badge import Badge
from tests.support.deliveries import NOW, forge_of, secret_of
from webhooks.app import Parts, create_app
from webhooks.hooks import HookReceiver, HookSource, RecentDeliveries


class Nudges:
    """Records the nudges; raises `failure` instead while there is one, and waits for `gate` where there is one."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failure: Exception | None = None
        self.gate: asyncio.Event | None = None

    async def __call__(self, source: str) -> None:
        if self.failure is not None:
            raise self.failure
        self.asked.append(source)
        if self.gate is not None:
            await self.gate.wait()


def source_for(kind: str, **changes: Any) -> HookSource:
    """A source named after the kind of delivery it takes."""
    values: dict[str, Any] = {"name": kind, "forge": forge_of(kind), "secrets": (secret_of(kind),), **changes}
    return HookSource(**values)


class Edge:
    """The application over `sources`, its nudges and its ledger."""

    def __init__(self, sources: Sequence[HookSource] = (), clock: Clock | None = None, **parts: Any) -> None:
        self.nudges = Nudges()
        self.ledger = RecentDeliveries()
        self.not_ready: list[str] = []
        self.badges: dict[tuple[str, str], Badge] = {}
        receiver = HookReceiver(sources, self.nudges, self.ledger, clock or ManualClock(NOW))
        self.app: Starlette = create_app(
            Parts(ready=self._ready, hooks=receiver, badges=self._badge, **parts)
        )

    async def _ready(self) -> Sequence[str]:
        return self.not_ready

    async def _badge(self, namespace: str, flow: str) -> Badge | None:
        return self.badges.get((namespace, flow))

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request to the application, in this process."""
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://edge") as client:
            return await client.request(method, path, **options)

    async def deliver(self, source: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        """One delivery to a source's hook."""
        return await self.request("POST", f"/hooks/{source}", content=body, headers=headers)
