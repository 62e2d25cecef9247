"""Bodies are bounded before anyone has proved who they are: in bytes, in time, in memory of all together."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from tests.support.deliveries import headers
from tests.support.edge import Edge, source_for
from webhooks.limits import BodyLimits, Limit

CAP = 1_000


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    await Response(await Request(scope, receive).body())(scope, receive, send)


async def post(limits: BodyLimits, content: Any, path: str = "/hooks/x", **found: str) -> httpx.Response:
    transport = httpx.ASGITransport(app=limits)
    async with httpx.AsyncClient(transport=transport, base_url="http://edge") as client:
        return await client.post(path, content=content, headers=found)


def bounded(budget: int = 10 * CAP, seconds: float = 5) -> BodyLimits:
    return BodyLimits(_echo, [Limit("/hooks/", CAP, seconds), Limit("", 10, seconds)], budget)


@pytest.mark.parametrize(
    ("size", "status"), [(0, 200), (1, 200), (CAP, 200), (CAP + 1, 413), (100 * CAP, 413)]
)
@pytest.mark.parametrize("chunked", [False, True])
async def test_ingress_6_the_cap_is_exact(size: int, status: int, chunked: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, size, 100):
            yield b"x" * min(100, size - start)

    limits = bounded()
    answer = await post(limits, chunks() if chunked else b"x" * size)
    assert answer.status_code == status
    assert limits.held == 0
    if status == 200:
        assert answer.content == b"x" * size
    else:
        assert answer.headers["connection"] == "close"
        assert answer.headers["content-type"] == "application/problem+json"


async def test_ingress_6_the_first_prefix_that_fits_decides() -> None:
    assert (await post(bounded(), b"x" * 11, path="/api")).status_code == 413
    assert (await post(bounded(), b"x" * 11)).status_code == 200


async def test_ingress_6_an_endless_body_is_read_no_further_than_the_cap() -> None:
    read = 0

    async def receive() -> Message:
        nonlocal read
        read += 100
        return {"type": "http.request", "body": b"x" * 100, "more_body": True}

    assert (await _call(bounded(), receive))["status"] == 413
    assert read == CAP + 100


@pytest.mark.parametrize("length", [b"5", b"0", b"-1", b"abc", "٣".encode(), b"9" * 30])
async def test_ingress_6_a_length_that_lies_changes_nothing(length: bytes) -> None:
    sent = iter([b"x" * CAP, b"x"])

    async def receive() -> Message:
        return {"type": "http.request", "body": next(sent), "more_body": True}

    assert (await _call(bounded(), receive, [(b"content-length", length)]))["status"] == 413


async def test_ingress_6_a_length_above_the_cap_is_refused_before_the_body_is_read() -> None:
    async def receive() -> Message:
        raise AssertionError("read")

    assert (await _call(bounded(), receive, [(b"content-length", b"1001")]))["status"] == 413


async def test_ingress_6_a_body_that_does_not_come_is_given_up() -> None:
    async def receive() -> Message:
        await asyncio.get_running_loop().create_future()
        raise AssertionError("nothing ever comes")

    limits = bounded(seconds=0.01)
    assert (await _call(limits, receive))["status"] == 408
    assert limits.held == 0


async def test_ingress_6_all_bodies_together_fit_the_budget() -> None:
    limits = bounded(budget=2 * CAP)
    arrived, release = asyncio.Event(), asyncio.Event()

    def slow() -> Receive:
        parts = iter([b"x" * 900])

        async def receive() -> Message:
            part = next(parts, b"")
            if not part:
                arrived.set()
                await release.wait()
            return {"type": "http.request", "body": part, "more_body": bool(part)}

        return receive

    waiting = [asyncio.create_task(_call(limits, slow())) for _ in range(2)]
    async with asyncio.timeout(5):
        await arrived.wait()
        refused = await post(limits, b"x" * 900)
        assert (refused.status_code, refused.json()["reason"]) == (503, "Busy")
        assert int(refused.headers["retry-after"]) > 0
        release.set()
        assert [(await one)["status"] for one in waiting] == [200, 200]
    assert limits.held == 0
    assert (await post(limits, b"x" * 900)).status_code == 200


async def test_ingress_6_a_client_that_leaves_gets_no_answer_and_frees_its_memory() -> None:
    messages: Iterator[Message] = iter(
        [{"type": "http.request", "body": b"x" * 10, "more_body": True}, {"type": "http.disconnect"}]
    )

    async def receive() -> Message:
        return next(messages)

    limits = bounded()
    assert await _call(limits, receive) == {}
    assert limits.held == 0


async def test_ingress_6_a_compressed_body_is_never_unpacked() -> None:
    edge = Edge([source_for("github")])
    bomb = gzip.compress(b"[" * 50_000_000)
    signed = {**headers("github", bomb), "content-encoding": "gzip"}
    assert (await edge.deliver("github", bomb, signed)).status_code == 400
    assert (await edge.deliver("github", bomb, {"content-encoding": "gzip"})).status_code == 401


async def _call(
    app: BodyLimits, receive: Receive, found: list[tuple[bytes, bytes]] | None = None
) -> dict[str, Any]:
    """The start of the answer, empty when there is none."""
    started: dict[str, Any] = {}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            started.update(message)

    await app({"type": "http", "method": "POST", "path": "/hooks/x", "headers": found or []}, receive, send)
    return started


# Bodies that are handed on as they come


def _streaming(seconds: float = 5) -> Edge:
    async def taken(request: Request) -> Response:
        return Response(str(len(await request.body())))

    async def untouched(request: Request) -> Response:
        return Response("not read")

    routes = [Route("/up/read", taken, methods=["POST"]), Route("/up/leave", untouched, methods=["POST"])]
    return Edge(routes=routes, limits=[Limit("/up/", CAP, seconds, stream=True)])


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    ("size", "status"), [(0, 200), (1, 200), (CAP, 200), (CAP + 1, 413), (100 * CAP, 413)]
)
async def test_the_cap_of_a_streamed_body_is_exact(size: int, status: int, chunked: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, size, 100):
            yield b"x" * min(100, size - start)

    answer = await _streaming().request("POST", "/up/read", content=chunks() if chunked else b"x" * size)
    assert answer.status_code == status
    if status == 200:
        assert answer.text == str(size)
    else:
        assert answer.headers["connection"] == "close"
        assert answer.json()["reason"] == "BodyTooLarge"


async def test_a_streamed_body_that_nobody_reads_ends_its_connection() -> None:
    answer = await _streaming().request("POST", "/up/leave", content=b"x" * CAP)
    assert (answer.text, answer.headers["connection"]) == ("not read", "close")


async def test_a_streamed_body_that_is_too_slow_is_given_up() -> None:
    async def never() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.Event().wait()

    answer = await _streaming(seconds=0.05).request("POST", "/up/read", content=never())
    assert (answer.status_code, answer.json()["reason"]) == (408, "BodyTooSlow")


async def test_a_client_that_leaves_in_the_middle_of_a_streamed_body_is_no_error() -> None:
    messages: list[Message] = [
        {"type": "http.request", "body": b"x", "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/up/read", "headers": [], "query_string": b""}
    await _streaming().app(scope, receive, send)
    assert sent == []
