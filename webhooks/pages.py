"""The web pages: how sources, flows and executions stand, for people, without anything to build or to fetch elsewhere.

Read-only: what changes something is shown as a command to copy. It must not know how what it shows came about.
"""

from __future__ import annotations

import asyncio
import hashlib
import shlex
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from engine.errors import NotFound
from engine.model.execution import Execution
from engine.model.records import FlowVersion, Query
from engine.model.state import State
from reconciler.report import FileStatus
from reconciler.status.facts import flow_facts, refused_files
from templates import render, static
from webhooks import page_values as values
from webhooks.answers import page, whole
from webhooks.api.desk import Desk
from webhooks.api.logs import Wanted, read
from webhooks.guard import Guard

_ROWS = 50
_RECENT = 15
_QUERY = 200  # characters of what is looked for
_KINDS = {"pages.css": "text/css", "pages.js": "text/javascript", "icon.svg": "image/svg+xml"}


def page_routes(desk: Desk, guard: Guard) -> list[Route]:
    """The pages; those that tell anything are guarded."""
    made = _Pages(desk)
    rules = [guard.middleware()]
    return [
        Route("/", made.overview, methods=["GET"], middleware=rules),
        Route("/flows/{namespace}/{id}", made.flow, methods=["GET"], middleware=rules),
        Route("/executions/{id}", made.execution, methods=["GET"], middleware=rules),
        Route("/static/{name}", _static, methods=["GET"]),
    ]


class _Pages:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._store = desk.service.store

    async def overview(self, request: Request) -> Response:
        asked = page(request, _ROWS, _ROWS)
        q = request.query_params.get("q", "")[:_QUERY]
        words = q.lower().split()

        def found() -> dict[str, Any]:
            versions = [each for each in self._store.flows() if _fits(each, words)]
            refused = self._refused()
            rows = [
                values.flow_row(flow_facts(self._store, each, refused.get((each.namespace, each.id))))
                for each in asked.of(versions)
            ]
            recent = self._store.executions(Query(limit=_RECENT))
            return {
                "title": "Overview",
                "sources": [values.source(*each) for each in self._desk.statuses().items()],
                "flows": rows,
                "total": len(versions),
                "q": q,
                "pages": values.pages(asked.number, asked.size, len(versions), {"q": q} if q else {}),
                "executions": [values.execution_row(each) for each in recent],
            }

        return await self._page("overview", await asyncio.to_thread(found))

    async def flow(self, request: Request) -> Response:
        namespace, flow_id = request.path_params["namespace"], request.path_params["id"]
        asked = page(request, _ROWS, _ROWS)
        base = (self._desk.service.around.url or str(request.base_url)).rstrip("/")

        def found() -> dict[str, Any]:
            version = self._store.flow(namespace, flow_id)
            if version is None:
                raise NotFound(f"there is no flow {namespace}.{flow_id}", hint="the overview lists all: /")
            facts = flow_facts(self._store, version, self._refused().get((namespace, flow_id)))
            query = Query(namespace=namespace, flow_id=flow_id, limit=asked.size, offset=asked.offset)
            total = self._store.matching(query)
            return {
                "title": facts.name,
                "name": facts.name,
                "state": values.flow_state(facts),
                "revision": version.revision,
                "commit": version.commit,
                "at": values.when(version.at),
                "path": version.path,
                "repository": version.source,
                "problems": [values.problem(each) for each in facts.refused.problems]
                if facts.refused
                else [],
                "triggers": [
                    {
                        "id": each.trigger_id,
                        "type": each.type,
                        "suspended": each.suspended or version.disabled,
                        "next": values.when(each.upcoming) if each.upcoming else None,
                        "last": values.when(each.last_due) if each.last_due else None,
                    }
                    for each in facts.triggers
                ],
                "executions": [values.execution_row(each) for each in self._store.executions(query)],
                "total": total,
                "pages": values.pages(asked.number, asked.size, total, {}),
                "copies": _copies(facts.name, f"{namespace}/{flow_id}", base),
                "source": values.cut(version.content.decode("utf-8", "replace"), 200_000),
            }

        return await self._page("flow", await asyncio.to_thread(found))

    async def execution(self, request: Request) -> Response:
        execution = await self._desk.service.execution(request.path_params["id"])
        wanted = Wanted(after=whole(request, "after", 0, 0, 2**62))
        after, lines = await asyncio.to_thread(read, self._store, execution.id, wanted)
        more = await asyncio.to_thread(read, self._store, execution.id, Wanted(after=after))
        ended = execution.state.terminal
        shown = {
            **await asyncio.to_thread(values.execution, execution),
            "title": f"{execution.flow.name} {execution.id}",
            "commands": _commands(execution),
            "lines": [values.line(entry) for _, entry in lines],
            "more_lines": f"?after={after}" if ended and more[1] else "",
            "follow": not ended,
            "after": after,
        }
        return await self._page("execution", shown)

    def _refused(self) -> Mapping[tuple[str, str], FileStatus]:
        found: dict[tuple[str, str], FileStatus] = {}
        for status in self._desk.statuses().values():
            found.update(refused_files(status) if status else {})
        return found

    async def _page(self, name: str, shown: dict[str, Any]) -> Response:
        environment = self._desk.service.around.environment or ""

        def made() -> bytes:
            masked = self._desk.mask({"environment": environment, **shown})
            return render(f"pages/{name}.html.jinja", **masked).encode("utf-8", "replace")

        return HTMLResponse(await asyncio.to_thread(made), headers={"Cache-Control": "no-store"})


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _KINDS:
        raise NotFound("there is no such file")
    content = static(name)
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=_KINDS[name])


def _fits(version: FlowVersion, words: list[str]) -> bool:
    name = f"{version.namespace}.{version.id}".lower()
    return all(word in name for word in words)


def _copies(name: str, path: str, base: str) -> list[str]:
    badge = f"[![{name}]({base}/badges/{path}.svg)]({base}/flows/{path})"
    return [f"headwater execute {shlex.quote(name)} --follow", badge]


def _commands(execution: Execution) -> list[str]:
    """What can be done with it now."""
    verbs = ["logs"]
    if not execution.state.terminal:
        paused = execution.held or execution.paused or execution.state is State.PAUSED
        verbs += ["resume" if paused else "pause", "kill"]
    return [f"headwater {verb} {shlex.quote(execution.id)}" for verb in verbs]
