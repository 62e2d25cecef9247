"""Live streams: server-sent events (WHATWG HTML, 9.2) that end with what they tell of, or when the reader has gone.

A stream waits for news and tells how things stand then; what happened in between is left out, so that a slow reader
costs nothing. It must not know what is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from engine.errors import UnavailableError

MOST = 200
"""Streams open at one time."""

KEEP_ALIVE = 15.0
"""Seconds of silence after which a comment is sent: proxies end connections on which nothing moves."""

_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class News:
    """Wakes one stream."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.closed = False

    def tell(self) -> None:
        """There is something new."""
        self._event.set()

    def close(self) -> None:
        """The stream has to end."""
        self.closed = True
        self._event.set()

    async def wait(self, seconds: float) -> bool:
        """Wait for news, `seconds` at the most; whether there are any."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


class Streams:
    """The streams that are open."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._open: set[News] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._open)

    def check(self) -> None:
        """Raises UnavailableError when there is no room for one more."""
        if self._closed or len(self._open) >= self._most:
            raise UnavailableError("too many live streams are open", hint="come back later", reason="Busy")

    @contextmanager
    def joined(self) -> Iterator[News]:
        """A place among them."""
        news = News()
        if self._closed:
            news.close()
        self._open.add(news)
        try:
            yield news
        finally:
            self._open.discard(news)

    def close(self) -> None:
        """End all of them, and take no more."""
        self._closed = True
        for news in self._open:
            news.close()


def event(data: bytes, *, id: str = "", name: str = "") -> bytes:  # noqa: A002 (the field's name)
    """One event; `data` is JSON without line breaks."""
    fields = [f"event: {name}".encode() if name else b"", f"id: {id}".encode() if id else b""]
    return b"\n".join([*(each for each in fields if each), b"data: " + data, b"", b""])


PAUSE = b": still there\n\n"


class EventStream(Response):
    """Sends what `events` makes, and closes it when the reader has gone."""

    media_type = "text/event-stream"

    def __init__(self, events: Callable[[], AsyncGenerator[bytes, None]]) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the events end or the reader leaves."""
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(self._send(send), name="event stream")
            leaving = group.create_task(_gone(receive), name="event stream's reader")
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            sending.cancel()
            leaving.cancel()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with aclosing(self._events()) as events:
            async for each in events:
                await send({"type": "http.response.body", "body": each, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
