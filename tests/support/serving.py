"""A real uvicorn server on a loopback port in this very loop, and raw connections to it, for tests."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from webhooks.server import server_config


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[int]:
    """The port that `app` is served on, with the daemon's own server settings, until the block ends."""
    server = uvicorn.Server(server_config(app, host="127.0.0.1", port=0))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with asyncio.timeout(10):
                while not server.started and not task.done():
                    await asyncio.wait([task], timeout=0.005)
            yield port
        finally:
            server.should_exit = True
            await task


class Wire:
    """One TCP connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.sent = 0

    async def send(self, data: bytes) -> bool:
        """Send; false once the other side has closed."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError:
            return False
        self.sent += len(data)
        return not self._reader.at_eof()

    async def flood(self, data: bytes, most: int) -> int:
        """Send `data` again and again until the other side closes, `most` bytes at most; returns how many went."""
        before = self.sent
        while self.sent - before < most and await self.send(data):
            pass
        return self.sent - before

    async def rest(self) -> bytes:
        """All that comes until the other side closes."""
        async with asyncio.timeout(10):
            try:
                return await self._reader.read()
            except ConnectionError:
                return b""

    async def answer(self) -> bytes:
        """The head of the next answer."""
        async with asyncio.timeout(10):
            return await self._reader.readuntil(b"\r\n\r\n")


@asynccontextmanager
async def wire(port: int) -> AsyncIterator[Wire]:
    """A connection to a loopback port."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()
