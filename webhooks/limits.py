"""What a request's body may cost before anyone has proved who they are: bytes, seconds, and memory for all together.

The body is read here, whole and as it is (never decompressed), and handed on in one piece, so that no route
can forget a limit; where files are taken it is handed on as it comes, under the same bounds, and fails under the
hands of who reads it. What is counted is what arrives, whatever `Content-Length` claims. It must not know any
route's meaning.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.errors import HeadwaterError, UnavailableError, UserError
from webhooks.problems import from_error

MIB = 1024 * 1024


class Limit(msgspec.Struct, frozen=True):
    """What the body of a request may cost.

    Args:
        prefix: of the paths it is for; the first that fits counts, the empty one fits all.
        size: bytes.
        seconds: from the first look at the body until its last byte.
        stream: hand the body on as it comes, instead of keeping it in memory.
    """

    prefix: str
    size: int
    seconds: float
    stream: bool = False


DEFAULT_LIMITS = (
    Limit("/hooks/", 25 * MIB, 10.0),  # GitHub's largest payload; forges give up after 10 s themselves
    Limit("/api/v1/main/executions/webhook/", MIB, 30.0),  # a call's body travels with its execution
    Limit("/api/v1/main/executions/", 100 * MIB, 300.0, stream=True),  # inputs may be files
    Limit("", MIB, 30.0),
)
BUDGET = 64 * MIB
"""Bytes of bodies in memory at one time, of all requests together."""


class BodyTooLarge(UserError):
    """The body is larger than this address takes."""

    http_status = 413


class BodyTooSlow(UserError):
    """The body did not arrive in time."""

    http_status = 408


class _Gone(Exception):
    """The client left in the middle of its body."""


class BodyLimits:
    """ASGI middleware that reads and bounds every body.

    Args:
        app: what comes next.
        limits: see `Limit`; a path that none fits is served without a body.
        budget: bytes of bodies in memory at one time.
    """

    def __init__(self, app: ASGIApp, limits: Sequence[Limit] = DEFAULT_LIMITS, budget: int = BUDGET) -> None:
        self._app = app
        self._limits = tuple(limits)
        self._budget = budget
        self.held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit(scope)
        if limit.stream and _declared(scope) <= limit.size:
            await self._stream(limit, scope, receive, send)
            return
        body = bytearray()
        try:
            try:
                await self._read(body, limit, scope, receive)
            except HeadwaterError as refusal:
                await _refuse(refusal, scope, receive, send)
                return
            except _Gone:
                return
            await self._app(scope, _replay(bytes(body), receive), send)
        finally:
            self.held -= len(body)

    def _limit(self, scope: Scope) -> Limit:
        path = scope["path"]
        return next((each for each in self._limits if path.startswith(each.prefix)), Limit("", 0, 1.0))

    async def _stream(self, limit: Limit, scope: Scope, receive: Receive, send: Send) -> None:
        bounded = _Bounded(limit, receive)

        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start" and not bounded.whole:
                # what nobody has read of the body is still on its way
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        try:
            await self._app(scope, bounded.receive, closing)
        except ClientDisconnect:
            return

    async def _read(self, body: bytearray, limit: Limit, scope: Scope, receive: Receive) -> None:
        if _declared(scope) > limit.size:
            raise _too_large(limit)
        try:
            async with asyncio.timeout(limit.seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Gone
                    self._keep(body, message.get("body", b""), limit)
                    if not message.get("more_body", False):
                        return
        except TimeoutError:
            raise _too_slow(limit) from None

    def _keep(self, body: bytearray, chunk: bytes, limit: Limit) -> None:
        if len(body) + len(chunk) > limit.size:
            raise _too_large(limit)
        if self.held + len(chunk) > self._budget:
            raise UnavailableError(
                "too many bodies are on their way", hint="send it again later", reason="Busy"
            )
        body += chunk
        self.held += len(chunk)


class _Bounded:
    """A body that is handed on as it comes; `whole` once its last byte was."""

    def __init__(self, limit: Limit, receive: Receive) -> None:
        self.whole = False
        self._limit = limit
        self._receive = receive
        self._size = 0
        self._until: float | None = None

    async def receive(self) -> Message:
        """The next message. Raises BodyTooLarge, BodyTooSlow."""
        if self.whole:
            return await self._receive()
        if self._until is None:
            self._until = asyncio.get_running_loop().time() + self._limit.seconds
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise _too_slow(self._limit) from None
        self._size += len(message.get("body", b""))
        if self._size > self._limit.size:
            raise _too_large(self._limit)
        self.whole = message["type"] == "http.request" and not message.get("more_body", False)
        return message


def _too_slow(limit: Limit) -> BodyTooSlow:
    return BodyTooSlow(f"the body did not arrive within {limit.seconds:g} s", hint="send it again")


def _too_large(limit: Limit) -> BodyTooLarge:
    return BodyTooLarge(f"the body is larger than {limit.size} bytes", hint="send less")


def _declared(scope: Scope) -> int:
    """The declared length, only to refuse early; a server in front has already refused one that is no number."""
    values = [value for name, value in scope["headers"] if name == b"content-length"]
    return max((int(value) for value in values if value.isdigit() and len(value) < 20), default=0)


async def _refuse(refusal: HeadwaterError, scope: Scope, receive: Receive, send: Send) -> None:
    response = from_error(refusal)
    # the rest of the body is still on its way: without this the server would go on reading it
    response.headers["Connection"] = "close"
    await response(scope, receive, send)


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body as one message; after it the connection itself is asked again."""
    waiting = [body]

    async def again() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return again
