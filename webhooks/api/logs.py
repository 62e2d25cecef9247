"""The log of an execution over HTTP: a piece of it, or line by line until the execution has ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any, get_args

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from engine.documents import log_document
from engine.errors import InputInvalid
from engine.model.execution import Execution, FlowRef
from engine.model.records import LogEntry
from engine.model.task import Level
from engine.ports import Store
from webhooks.answers import encoded, whole
from webhooks.api.desk import Desk
from webhooks.streams import KEEP_ALIVE, PAUSE, EventStream, event

LEVELS: tuple[str, ...] = get_args(Level)
_LINES = 1000
_LOOK = 0.5  # seconds between two looks at the log: lines alone are no news of the engine
_LAST_SERIAL = 2**62


class Wanted(msgspec.Struct, frozen=True):
    """Which lines.

    Args:
        after: only those with a greater serial number.
        least: the lowest level.
        task_id: only of this task; empty for all.
    """

    after: int = 0
    least: str = LEVELS[0]
    task_id: str = ""

    def fits(self, entry: LogEntry) -> bool:
        """Whether a line is wanted."""
        if self.task_id and entry.task_id != self.task_id:
            return False
        return LEVELS.index(entry.level) >= LEVELS.index(self.least)


def routes(desk: Desk) -> list[Route]:
    """The routes, below the API's root."""

    async def show(request: Request) -> Response:
        wanted = _wanted(request)
        execution = await desk.service.execution(request.path_params["id"])
        pieces = _pieces(desk, execution, wanted)
        return StreamingResponse(pieces, headers={"Cache-Control": "no-store"}, media_type="application/json")

    async def follow(request: Request) -> Response:
        wanted = _wanted(request)
        last = request.headers.get("last-event-id", "")
        if last.isascii() and last.isdigit() and len(last) < 19:  # a browser that takes up its stream again
            wanted = msgspec.structs.replace(wanted, after=int(last))
        execution = await desk.service.execution(request.path_params["id"])
        desk.streams.check()
        return EventStream(lambda: _followed(desk, execution, wanted))

    return [
        Route("/logs/{id}", show, methods=["GET"]),
        Route("/logs/{id}/follow", follow, methods=["GET"]),
    ]


def read(store: Store, execution_id: str, wanted: Wanted) -> tuple[int, list[tuple[int, LogEntry]]]:
    """The next lines that are wanted, `_LINES` at the most, and the serial number up to which was read."""
    after, found = wanted.after, list[tuple[int, LogEntry]]()
    while not found and (lines := store.logs(execution_id, after, _LINES)):
        after = lines[-1][0]
        found = [line for line in lines if wanted.fits(line[1])]
    return after, found


async def _pieces(desk: Desk, execution: Execution, wanted: Wanted) -> AsyncGenerator[bytes, None]:
    """A JSON list of all lines there are, piece by piece: a log may be longer than memory is."""
    between = b"["
    while True:
        after, lines = await asyncio.to_thread(read, desk.service.store, execution.id, wanted)
        if not lines:
            break
        wanted = msgspec.structs.replace(wanted, after=after)
        documents = (encoded(_document(desk, execution.flow, *line)) for line in lines)
        yield between + b",\n".join(documents)
        between = b",\n"
    yield b"]" if between != b"[" else b"[]"


async def _followed(desk: Desk, latest: Execution, wanted: Wanted) -> AsyncGenerator[bytes, None]:
    def changed(executions: Sequence[Execution]) -> None:
        nonlocal latest
        for each in executions:
            if each.id == latest.id and each.version >= latest.version:
                latest = each
                news.tell()

    with desk.streams.joined() as news:
        async with desk.service.listening(changed):
            stored = await desk.service.execution(latest.id)
            latest = max(latest, stored, key=lambda each: each.version)
            silent = 0.0
            while not news.closed:
                ended = latest.state.terminal  # before the look: what was written until then is in it
                after, lines = await asyncio.to_thread(read, desk.service.store, latest.id, wanted)
                wanted = msgspec.structs.replace(wanted, after=after)
                for serial, entry in lines:
                    yield event(encoded(_document(desk, latest.flow, serial, entry)), id=str(serial))
                if lines:
                    silent = 0.0
                elif ended:
                    yield event(b"{}", name="end")
                    return
                else:
                    await news.wait(_LOOK)
                    silent += _LOOK
                if silent >= KEEP_ALIVE:
                    silent = 0.0
                    yield PAUSE


def _document(desk: Desk, flow: FlowRef, serial: int, entry: LogEntry) -> dict[str, Any]:
    document: dict[str, Any] = desk.mask(log_document(entry, flow))
    return {**document, "serial": serial}


def _wanted(request: Request) -> Wanted:
    least = request.query_params.get("minLevel", LEVELS[0]).upper()
    if least not in LEVELS:
        raise InputInvalid(f"`{least[:50]}` is no level", hint=f"one of {', '.join(LEVELS)}")
    return Wanted(whole(request, "after", 0, 0, _LAST_SERIAL), least, request.query_params.get("taskId", ""))
