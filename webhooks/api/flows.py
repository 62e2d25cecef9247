"""Live flows over HTTP: what there is, and one with its source and its triggers. They are changed in Git alone."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.documents import date
from engine.errors import NotFound
from engine.model.records import FlowVersion, TriggerState
from webhooks.answers import answer, page, whole
from webhooks.api.desk import Desk
from webhooks.api.triggers import backfill_document


def routes(desk: Desk) -> list[Route]:
    """The routes, below the API's root."""
    store = desk.service.store

    async def search(request: Request) -> Response:
        asked = page(request)
        namespace = request.query_params.get("namespace", "")
        words = request.query_params.get("q", "").lower().split()

        def found() -> dict[str, Any]:
            fitting = [each for each in store.flows() if _fits(each, namespace, words)]
            results = [_summary(each) for each in asked.of(fitting)]
            return {"results": desk.mask(results), "total": len(fitting)}

        return answer(await asyncio.to_thread(found))

    async def show(request: Request) -> Response:
        namespace, flow_id = request.path_params["namespace"], request.path_params["id"]
        revision = whole(request, "revision", 0, 1, 2**31) or None

        def found() -> dict[str, Any]:
            version = store.flow(namespace, flow_id, revision)
            if version is None:
                raise NotFound(f"there is no flow {namespace}.{flow_id}", hint="`headwater flows` lists them")
            states = [_trigger(each) for each in store.triggers(namespace, flow_id)]
            source = version.content.decode("utf-8", "replace")
            document: dict[str, Any] = desk.mask({**_summary(version), "triggers": states, "source": source})
            return document

        return answer(await asyncio.to_thread(found))

    return [
        Route("/flows/search", search, methods=["GET"]),
        Route("/flows/{namespace}/{id}", show, methods=["GET"]),
    ]


def _fits(version: FlowVersion, namespace: str, words: list[str]) -> bool:
    """A namespace includes those below it."""
    if namespace and version.namespace != namespace and not version.namespace.startswith(f"{namespace}."):
        return False
    name = f"{version.namespace}.{version.id}".lower()
    return all(word in name for word in words)


def _summary(version: FlowVersion) -> dict[str, Any]:
    return {
        "namespace": version.namespace,
        "id": version.id,
        "revision": version.revision,
        "commit": version.commit,
        "blob": version.blob,
        "path": version.path,
        "repository": version.source,
        "disabled": version.disabled,
        "updated": date(version.at),
    }


def _trigger(state: TriggerState) -> dict[str, Any]:
    document: dict[str, Any] = {"id": state.trigger_id, "type": state.type, "suspended": state.suspended}
    if state.upcoming and not state.suspended:
        document["nextDate"] = date(state.upcoming)
    if state.backfill:
        document["backfill"] = backfill_document(state.backfill)
    if state.last_due:
        document["lastDate"] = date(state.last_due)
    if state.execution_id:
        document["executionId"] = state.execution_id
    return document
