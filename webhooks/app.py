"""The HTTP application, put together from what the daemon hands over; a part that is not given has no route.

The REST API and the web pages bring their routes themselves (`Parts.routes`). It must not know a concrete
class of any other room.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Lifespan, Message, Receive, Scope, Send

from webhooks import limits, problems
from webhooks.badges import BadgeLookup, badge_routes
from webhooks.hooks import HookReceiver

Readiness = Callable[[], Awaitable[Sequence[str]]]
"""What is still missing before the daemon does its work, one text each; nothing when it is ready."""

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""On every answer that does not set its own."""


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What the application is made of.

    Args:
        ready: asked by `/readyz`.
        hooks: takes the forges' deliveries.
        badges: knows what a flow's badge says.
        metrics: shown at `/metrics`.
        routes: of the REST API and the pages; they come last, so that `/` may be among them.
        limits: see `webhooks.limits.Limit`; the first that fits a path counts.
        lifespan: what runs as long as the application does.
    """

    ready: Readiness
    hooks: HookReceiver | None = None
    badges: BadgeLookup | None = None
    metrics: CollectorRegistry | None = None
    routes: Sequence[BaseRoute] = ()
    limits: Sequence[limits.Limit] = limits.DEFAULT_LIMITS
    lifespan: Lifespan[Any] | None = None


def create_app(parts: Parts) -> Starlette:
    """The application."""
    return Starlette(
        routes=[
            *(parts.hooks.routes() if parts.hooks else ()),
            *(badge_routes(parts.badges) if parts.badges else ()),
            *_health_routes(parts.ready),
            *([_metrics_route(parts.metrics)] if parts.metrics else ()),
            *parts.routes,
        ],
        middleware=[Middleware(SecurityHeaders), Middleware(limits.BodyLimits, limits=parts.limits)],
        exception_handlers=problems.HANDLERS,
        lifespan=parts.lifespan,
    )


class SecurityHeaders:
    """ASGI middleware: `SECURITY_HEADERS` on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


def _health_routes(ready: Readiness) -> list[Route]:
    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})

    async def readyz(request: Request) -> Response:
        missing = list(await ready())
        body = {"status": "waiting" if missing else "ready", "missing": missing}
        return JSONResponse(body, 503 if missing else 200, headers={"Cache-Control": "no-store"})

    return [Route("/healthz", healthz, name="healthz"), Route("/readyz", readyz, name="readyz")]


def _metrics_route(registry: CollectorRegistry) -> Route:
    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"Content-Type": content_type})

    return Route("/metrics", metrics, name="metrics")
