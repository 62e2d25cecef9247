"""uvicorn with its gaps closed: bounded heads and trailers, a time for them, a bounded number of connections.

uvicorn's httptools protocol keeps every header it is sent and waits for them without end (0.54), before any
application is asked. It must not know any route.
"""

from __future__ import annotations

import asyncio

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 64 * 1024
"""Bytes of request line, headers and trailers together."""

HEAD_SECONDS = 10.0
"""From a connection's first moment, or a later request's first byte, to the end of its headers."""

MAX_CONNECTIONS = 500
_FRAMING = 8
"""Bytes of chunk framing that one byte of body may cost, far above what any client needs."""


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 that ends a connection whose head is too long or too slow."""

    _timer: asyncio.TimerHandle | None = None
    _overhead = 0
    _allowance = MAX_HEAD

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock of the first head."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what is not body."""
        self._overhead += len(data)
        super().data_received(data)
        if self._overhead > self._allowance:
            self.transport.close()

    def on_message_begin(self) -> None:
        """A request's first byte was read."""
        self._overhead = 0
        self._allowance = MAX_HEAD
        self._start_timer()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._stop_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Some body was read: it is not overhead, and it pays for its framing."""
        self._overhead -= len(body)
        self._allowance += _FRAMING * len(body)
        super().on_body(body)

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def server_config(app: ASGIApp, *, host: str, port: int) -> uvicorn.Config:
    """uvicorn's settings for the daemon.

    Args:
        app: the application.
        host, port: where to listen; port 0 takes any free one.
    """
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=BoundedProtocol,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=5,
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
    )
