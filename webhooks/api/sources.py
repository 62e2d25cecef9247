"""Flows repositories over HTTP: how they stand, "look at it now", and the confirmation of removals that are held."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.documents import date
from engine.errors import InputInvalid, NotFound
from reconciler.report import ReconcileStatus
from reconciler.status.documents import source_document
from webhooks.answers import answer
from webhooks.api.desk import Desk


class _Confirmation(msgspec.Struct):
    digest: str


def routes(desk: Desk) -> list[Route]:
    """The routes, below the API's root."""

    async def all_of_them(request: Request) -> Response:
        statuses = desk.statuses().items()
        return answer([desk.mask(_document(name, status)) for name, status in statuses])

    async def show(request: Request) -> Response:
        name = _known(desk, request)
        return answer(desk.mask(_document(name, desk.statuses()[name])))

    async def reconcile(request: Request) -> Response:
        name = _known(desk, request)
        await desk.nudge(name)
        return answer({"status": "accepted", "reason": "it will be looked at"}, 202)

    async def confirm(request: Request) -> Response:
        name = _known(desk, request)
        try:
            digest = msgspec.json.decode(await request.body(), type=_Confirmation).digest
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InputInvalid(
                f"the confirmation cannot be read: {error}", hint='send {"digest": "…"}'
            ) from None
        return answer(desk.mask(_document(name, await desk.confirm(name, digest))))

    return [
        Route("/sources", all_of_them, methods=["GET"]),
        Route("/sources/{name}", show, methods=["GET"]),
        Route("/sources/{name}/reconcile", reconcile, methods=["POST"]),
        Route("/sources/{name}/confirm", confirm, methods=["POST"]),
    ]


def _known(desk: Desk, request: Request) -> str:
    name: str = request.path_params["name"]
    if name not in desk.statuses():
        raise NotFound("there is no source of this name", hint="GET sources lists them")
    return name


def _document(name: str, status: ReconcileStatus | None) -> dict[str, Any]:
    """As the status branch's `reconcile.json`, and when that was found."""
    if status is None:
        return {"source": name, "revision": "", "conditions": [], "problems": [], "files": []}
    return {**source_document(status), "at": date(status.at), "seconds": status.seconds}
