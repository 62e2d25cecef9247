"""`/badges/{namespace}/{flow}.svg` and `.json`, for READMEs, wikis and shields.io.

Forges fetch these through image proxies that cache by `Cache-Control` and `ETag`, so both are always sent.
It must not know how a flow's state is found out: it is handed a lookup.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.errors import NotFound
from reconciler.status.badge import Badge, endpoint, svg

BadgeLookup = Callable[[str, str], Awaitable[Badge | None]]
"""(namespace, flow) to what its badge says; none when there is no such flow."""

# the image may stand on any page, and a browser that opens it alone runs nothing in it
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


def badge_routes(lookup: BadgeLookup) -> list[Route]:
    """The badge routes over `lookup`."""

    async def image(request: Request) -> Response:
        return _answer(request, svg(await _find(lookup, request)), "image/svg+xml")

    async def document(request: Request) -> Response:
        return _answer(request, endpoint(await _find(lookup, request)), "application/json")

    return [
        Route("/badges/{namespace}/{flow}.svg", image, name="badge.svg"),
        Route("/badges/{namespace}/{flow}.json", document, name="badge.json"),
    ]


async def _find(lookup: BadgeLookup, request: Request) -> Badge:
    badge = await lookup(request.path_params["namespace"], request.path_params["flow"])
    if badge is None:
        raise NotFound("there is no such flow", hint="a badge's address is /badges/<namespace>/<flow>.svg")
    return badge


def _answer(request: Request, text: str, media_type: str) -> Response:
    content = text.encode()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {**_HEADERS, "ETag": tag}
    if _knows(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=media_type)


def _knows(condition: str, tag: str) -> bool:
    """RFC 9110, 13.1.2: any of a list, weak comparison."""
    known = [each.strip().removeprefix("W/") for each in condition.split(",")]
    return tag in known or known == ["*"]
