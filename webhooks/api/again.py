"""Going again through executions over HTTP: restart, replay, another status, the queue (dialect, section 7.3).

Each has two paths, as Kestra's 1.x and 2.0: `executions/{id}/restart` and `executions/{id}/actions/restart`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.errors import InputInvalid, NotFound
from engine.ids import random_id
from engine.model.execution import Execution
from engine.model.state import State
from webhooks.answers import flag, whole
from webhooks.api.desk import Desk
from webhooks.api.given import given_inputs, placed

_Action = Callable[[Request], Awaitable[Execution]]


class _Declared(msgspec.Struct, rename="camel"):
    task_run_id: str
    state: str


def routes(desk: Desk) -> list[Route]:
    """The routes, below the API's root."""
    one = _Again(desk)
    actions: dict[str, _Action] = {
        "restart": one.restart,
        "replay": one.replay,
        "replay-with-inputs": one.replay_with_inputs,
        "change-status": one.change_status,
        "state": one.state,
        "force-run": one.force_run,
        "unqueue": one.unqueue,
    }

    async def named(request: Request) -> Response:
        action = actions.get(request.path_params["action"])
        if action is None:
            raise NotFound("there is no such action", hint=f"one of {', '.join(actions)}")
        return await desk.told(await action(request))

    return [
        *(
            Route(f"/executions/{{id}}/{name}", _endpoint(desk, action), methods=["POST"])
            for name, action in actions.items()
        ),
        Route("/executions/{id}/actions/{action}", named, methods=["POST"]),
    ]


def _endpoint(desk: Desk, action: _Action) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await desk.told(await action(request))

    return endpoint


class _Again:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._service = desk.service

    async def restart(self, request: Request) -> Execution:
        return await self._service.restart(request.path_params["id"], await self._revision(request))

    async def replay(self, request: Request) -> Execution:
        revision = await self._revision(request)
        task = request.query_params.get("taskRunId") or None
        return await self._service.replay(request.path_params["id"], task, revision)

    async def replay_with_inputs(self, request: Request) -> Execution:
        execution = await self._service.execution(request.path_params["id"])
        flow, identity = execution.flow, random_id()
        revision = await self._revision(request)
        live = self._service.library.live
        _, graph = await asyncio.to_thread(live, flow.namespace, flow.id, revision or flow.revision)
        folder = placed(flow.namespace, flow.id, identity)
        files = self._service.around.files
        inputs = await given_inputs(request, graph.flow.inputs, files, folder)
        task = request.query_params.get("taskRunId") or None
        try:
            return await self._service.replay(execution.id, task, revision, inputs, identity)
        except Exception:
            await asyncio.to_thread(files.remove, folder)
            raise

    async def _revision(self, request: Request) -> int | None:
        """The revision that a call names, by number or as the latest; none: the execution's own."""
        if not flag(request, "latestRevision"):
            return whole(request, "revision", 0, 1, 2**31) or None
        flow = (await self._service.execution(request.path_params["id"])).flow
        version, _ = await asyncio.to_thread(self._service.library.live, flow.namespace, flow.id)
        return version.revision

    async def change_status(self, request: Request) -> Execution:
        status = _state(request.query_params.get("status", ""))
        return await self._service.change_status(request.path_params["id"], status)

    async def state(self, request: Request) -> Execution:
        try:
            wish = msgspec.json.decode(await request.body(), type=_Declared)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InputInvalid(
                f"the body cannot be read: {error}", hint="send taskRunId and state as JSON"
            ) from None
        return await self._service.change_status(
            request.path_params["id"], _state(wish.state), wish.task_run_id
        )

    async def force_run(self, request: Request) -> Execution:
        return await self._service.force_run(request.path_params["id"])

    async def unqueue(self, request: Request) -> Execution:
        state = _state(request.query_params.get("state") or "RUNNING")
        return await self._service.unqueue(request.path_params["id"], state)


def _state(name: Any) -> State:
    text = str(name).upper()
    if text not in State.__members__:
        raise InputInvalid(f"`{text[:50]}` is no state", hint=f"one of {', '.join(State)}")
    return State(text)
