"""Executions over HTTP: start, find, look at, kill, pause, resume, follow (dialect, section 7.3).

`POST executions/{id}/pause` and `/resume` win over a flow called `pause` or `resume`, as in Kestra.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.documents import execution_document, summary_document
from engine.errors import InputInvalid
from engine.ids import random_id
from engine.model.execution import Execution
from engine.model.records import Query
from engine.model.state import State
from engine.model.task import Task
from engine.runtime.births import CORRELATION, Submission
from webhooks.answers import answer, encoded, flag, labels, page, whole
from webhooks.api.desk import Desk
from webhooks.api.given import given_inputs, placed
from webhooks.streams import KEEP_ALIVE, PAUSE, EventStream, event

_BREATH = 0.2  # seconds between two documents of one stream: they may be large


def routes(desk: Desk) -> list[Route]:
    """The routes, below the API's root."""
    one = _Executions(desk)
    return [
        Route("/executions/search", one.search, methods=["GET"]),
        Route("/executions/{id}", one.show, methods=["GET"]),
        Route("/executions/{id}/kill", one.kill, methods=["DELETE"]),
        Route("/executions/{id}/pause", one.pause, methods=["POST"]),
        Route("/executions/{id}/resume", one.resume, methods=["POST"]),
        Route("/executions/{id}/follow", one.follow, methods=["GET"]),
        Route("/executions/{namespace}/{flow}", one.start, methods=["POST"]),
    ]


class _Executions:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._service = desk.service

    async def start(self, request: Request) -> Response:
        namespace, flow_id = request.path_params["namespace"], request.path_params["flow"]
        revision = whole(request, "revision", 0, 1, 2**31) or None
        given_labels = _own(labels(request))
        _, graph = await asyncio.to_thread(self._service.library.live, namespace, flow_id, revision)
        identity = random_id()
        folder = placed(namespace, flow_id, identity)
        files = self._service.around.files
        inputs = await given_inputs(request, graph.flow.inputs, files, folder)
        wish = Submission(namespace, flow_id, inputs, given_labels, revision=revision, id=identity)
        try:
            execution = await self._service.submit(wish)
        except Exception:
            await asyncio.to_thread(files.remove, folder)
            raise
        if not flag(request, "wait"):
            return await self._desk.told(execution)
        execution = await self._desk.waited(execution)
        return await self._desk.told(execution, 200 if execution.state.terminal else 202)

    async def search(self, request: Request) -> Response:
        asked = page(request)
        query = Query(
            namespace=request.query_params.get("namespace"),
            flow_id=request.query_params.get("flowId"),
            states=_states(request.query_params.getlist("state")),
            trigger_id=request.query_params.get("triggerId"),
            labels=labels(request),
            limit=asked.size,
            offset=asked.offset,
        )
        store = self._service.store

        def found() -> dict[str, Any]:
            results = [summary_document(each) for each in store.executions(query)]
            return {"results": self._desk.mask(results), "total": store.matching(query)}

        return answer(await asyncio.to_thread(found))

    async def show(self, request: Request) -> Response:
        return await self._desk.told(await self._service.execution(request.path_params["id"]))

    async def kill(self, request: Request) -> Response:
        return await self._desk.told(await self._service.kill(request.path_params["id"]), 202)

    async def pause(self, request: Request) -> Response:
        return await self._desk.told(await self._service.pause(request.path_params["id"]))

    async def resume(self, request: Request) -> Response:
        execution = await self._service.execution(request.path_params["id"])
        folder = placed(execution.flow.namespace, execution.flow.id, execution.id) + f"/{random_id()}"
        files = self._service.around.files
        declared = await asyncio.to_thread(self._asked, execution)
        inputs = await given_inputs(request, declared, files, folder)
        try:
            task = request.query_params.get("taskId")
            execution = await self._service.resume(execution.id, inputs, task)
        except Exception:
            await asyncio.to_thread(files.remove, folder)
            raise
        return await self._desk.told(execution)

    def _asked(self, execution: Execution) -> Sequence[Any]:
        """All that paused tasks ask for; which inputs are files is all that is taken from it."""
        nodes = self._service.library.graph(execution.flow).nodes
        paused = {run.task_id for run in execution.task_runs() if run.state is State.PAUSED}
        tasks: list[Task] = [nodes[task_id].task for task_id in paused]
        return [each for task in tasks for each in getattr(task, "on_resume", ())]

    async def follow(self, request: Request) -> Response:
        execution = await self._service.execution(request.path_params["id"])
        self._desk.streams.check()
        return EventStream(lambda: self._told(execution))

    async def _told(self, latest: Execution) -> AsyncGenerator[bytes, None]:
        """The document whenever it has changed, and at the end; ids as Kestra's clients expect them."""

        def changed(executions: Sequence[Execution]) -> None:
            nonlocal latest
            for each in executions:
                if each.id == latest.id and each.version >= latest.version:
                    latest = each
                    news.tell()

        with self._desk.streams.joined() as news:
            async with self._service.listening(changed):
                stored = await self._service.execution(latest.id)
                latest = max(latest, stored, key=lambda each: each.version)
                while not news.closed:
                    shown = latest
                    kind = "end" if shown.state.terminal else "progress"
                    yield event(await asyncio.to_thread(self._document, shown), id=kind)
                    if kind == "end":
                        return
                    while not news.closed and latest is shown and not await news.wait(KEEP_ALIVE):
                        yield PAUSE
                    await _breathe(latest)

    def _document(self, execution: Execution) -> bytes:
        return encoded(self._desk.mask(execution_document(execution)))


async def _breathe(latest: Execution) -> None:
    """Let more happen before it is told, unless it is the end."""
    if not latest.state.terminal:
        await asyncio.sleep(_BREATH)


def _own(given: dict[str, str]) -> dict[str, str]:
    """Labels that a caller may set (dialect, section 1.2, rule 6)."""
    for key in given:
        if key.startswith("system.") and key != CORRELATION:
            raise InputInvalid(f"label `{key[:100]}` belongs to the engine", hint="choose another key")
    return given


def _states(names: Sequence[str]) -> tuple[State, ...]:
    found = []
    for name in (each for text in names for each in text.split(",") if each):
        if name.upper() not in State.__members__:
            raise InputInvalid(f"`{name[:50]}` is no state", hint=f"one of {', '.join(State)}")
        found.append(State(name.upper()))
    return tuple(found)
