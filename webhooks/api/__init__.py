"""The REST API: paths and documents as Kestra's where it has them (dialect, section 7.3), under `/api/v1/main`.

Each module brings the routes of one kind of thing; here they are put together and guarded.
"""

from __future__ import annotations

from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.errors import NotFound
from webhooks.api import again, calls, executions, flows, logs, sources, triggers
from webhooks.api.desk import Desk
from webhooks.guard import Guard

__all__ = ["Desk", "api_routes"]

TENANT = "main"


def api_routes(desk: Desk, guard: Guard) -> list[BaseRoute]:
    """All routes of the API; everything but the calls of webhook triggers, whose key is the credential, is guarded."""
    guarded: list[Route] = [
        *again.routes(desk),
        *executions.routes(desk),
        *logs.routes(desk),
        *flows.routes(desk),
        *triggers.routes(desk),
        *sources.routes(desk),
    ]
    return [
        *calls.routes(desk, f"/api/v1/{TENANT}"),
        Mount("/api/v1/{tenant}", _OfTenant(Mount("", routes=guarded, middleware=[guard.middleware()]))),
    ]


class _OfTenant:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path_params"].get("tenant") != TENANT:
            raise NotFound(
                "there is no such tenant", hint=f"the paths of the API begin with /api/v1/{TENANT}/"
            )
        await self._app(scope, receive, send)
