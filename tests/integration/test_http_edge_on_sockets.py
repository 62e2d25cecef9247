"""Hostile clients on real connections: each is ended, in bounded time and memory, and nobody else waits."""

from __future__ import annotations

import json
import tracemalloc
from contextlib import AsyncExitStack

import httpx
import pytest

from tests.support.deliveries import headers, payload
from tests.support.edge import Edge, source_for
from tests.support.serving import serving, wire
from webhooks import server
from webhooks.limits import Limit

MIB = 1024 * 1024
POST = b"POST /hooks/github HTTP/1.1\r\nHost: edge\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


def edge(size: int = MIB, seconds: float = 10.0) -> Edge:
    return Edge([source_for("github")], limits=[Limit("", size, seconds)])


async def test_a_signed_delivery_arrives_over_a_real_connection() -> None:
    target, body = edge(), json.dumps(payload("github")).encode()
    async with serving(target.app) as port, httpx.AsyncClient() as client:
        url = f"http://127.0.0.1:{port}/hooks/github"
        assert (await client.post(url, content=body, headers=headers("github", body))).status_code == 202
    assert target.nudges.asked == ["github"]


async def test_ingress_6_an_endless_chunked_body_ends_with_the_cap_in_bounded_memory() -> None:
    async with serving(edge(size=MIB).app) as port, wire(port) as client:
        await client.send(CHUNKED)
        tracemalloc.start()
        try:
            sent = await client.flood(b"10000\r\n" + b"x" * 0x10000 + b"\r\n", 200 * MIB)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert sent < 30 * MIB  # the cap, and what the kernel's buffers take
        assert peak < 6 * MIB


async def test_ingress_6_a_body_over_the_cap_is_a_413_and_the_connection_ends() -> None:
    async with serving(edge(size=1_000).app) as port, wire(port) as client:
        await client.send(CHUNKED + b"3e9\r\n" + b"x" * 1_001 + b"\r\n")
        answer = await client.rest()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in answer


async def test_ingress_6_a_slow_body_is_a_408_and_others_do_not_wait() -> None:
    async with serving(edge(seconds=0.3).app) as port, AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(wire(port)) for _ in range(20)]
        for client in slow:
            await client.send(POST + b"Content-Length: 1000\r\n\r\nx")
        async with httpx.AsyncClient() as quick:
            assert (await quick.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200
        for client in slow:
            assert (await client.rest()).startswith(b"HTTP/1.1 408 ")


async def test_ingress_6_a_head_that_does_not_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.2)
    async with serving(edge().app) as port, wire(port) as silent, wire(port) as slow, wire(port) as second:
        await slow.send(POST + b"X-Slow: a")
        await second.send(b"GET /healthz HTTP/1.1\r\nHost: edge\r\n\r\n")
        assert (await second.answer()).startswith(b"HTTP/1.1 200 ")
        await second.send(b"GET /hea")
        assert await silent.rest() == b""
        assert await slow.rest() == b""
        assert await second.rest() in (b"", b'{"status":"ok"}')


@pytest.mark.parametrize(
    ("start", "again"),
    [
        pytest.param(POST, b"X-Many: " + b"a" * 1_000 + b"\r\n", id="many-headers"),
        pytest.param(POST + b"X-Long: ", b"a" * 1_000, id="one-header"),
        pytest.param(b"GET /", b"a" * 1_000, id="address"),
        pytest.param(CHUNKED + b"1\r\nx\r\n0\r\n", b"X-Many: " + b"a" * 1_000 + b"\r\n", id="many-trailers"),
        pytest.param(CHUNKED + b"1\r\nx\r\n0\r\nX-Long: ", b"a" * 1_000, id="one-trailer"),
        pytest.param(CHUNKED + b"1;x=", b"a" * 1_000, id="chunk-extension"),
    ],
)
async def test_ingress_6_an_endless_head_or_trailer_is_cut_off(start: bytes, again: bytes) -> None:
    async with serving(edge().app) as port, wire(port) as client:
        await client.send(start)
        tracemalloc.start()
        try:
            sent = await client.flood(again, 100 * MIB)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert sent < 30 * MIB
        assert peak < 4 * MIB


async def test_ingress_6_a_length_that_is_too_small_hands_on_no_more_than_it_says() -> None:
    target, body = edge(), json.dumps(payload("github")).encode()
    head = POST + b"".join(f"{name}: {value}\r\n".encode() for name, value in headers("github", body).items())
    async with serving(target.app) as port, wire(port) as client:
        await client.send(head + b"Content-Length: %d\r\n\r\n" % (len(body) - 1) + body)
        answer = await client.rest()
    assert answer.startswith(b"HTTP/1.1 4")
    assert b"HTTP/1.1 202" not in answer
    assert target.nudges.asked == []


@pytest.mark.parametrize(
    "lie",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nxxxxxx",
        b"Content-Length: -5\r\n\r\nx",
        b"Content-Length: five\r\n\r\nx",
        b"Content-Length: 99999999999999999999999999\r\n\r\nx",
    ],
)
async def test_ingress_6_a_length_that_contradicts_itself_is_refused(lie: bytes) -> None:
    async with serving(edge().app) as port, wire(port) as client:
        await client.send(POST + lie)
        assert (await client.rest()).startswith(b"HTTP/1.1 4")


async def test_ingress_6_a_length_above_the_cap_is_refused_at_once() -> None:
    async with serving(edge(size=1_000).app) as port, wire(port) as client:
        await client.send(POST + b"Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n")
        answer = await client.rest()
    assert answer.startswith(b"HTTP/1.1 413 ")
