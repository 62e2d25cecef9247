"""Server-sent events of executions and logs, in process and over real connections that break."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from engine.errors import UnavailableError
from tests.support.api import ROOT, Api, api, events
from tests.support.serving import serving, wire
from webhooks.streams import Streams

GATE = """
id: gate
namespace: demo
tasks:
  - {id: before, type: core.log.Log, message: "before"}
  - {id: wait, type: core.flow.Pause}
  - {id: after, type: core.log.Log, message: "after\\r\\n\\r\\ndata: forged"}
"""


async def _paused(edge: Api) -> str:
    started = await edge.document("POST", "executions/demo/gate")
    await edge.engine.service.wait(started["id"], paused=True)
    identity: str = started["id"]
    return identity


async def _until(edge: Api, count: int) -> None:
    """Wait until so many streams are open."""
    async with asyncio.timeout(10):
        while len(edge.desk.streams) != count:
            await asyncio.to_thread(len, edge.desk.streams)  # lets the loop do something else


async def test_an_execution_is_followed_to_its_end(tmp_path: Path) -> None:
    async with api(tmp_path, GATE) as edge:
        identity = await _paused(edge)
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            following = group.create_task(edge.ask("GET", f"executions/{identity}/follow"))
            await _until(edge, 1)
            await edge.document("POST", f"executions/{identity}/resume")
        answer = following.result()
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = events(answer.text)
        assert [each["id"] for each in told[:-1]] == ["progress"] * (len(told) - 1)
        assert told[-1]["id"] == "end"
        states = [json.loads(each["data"])["state"]["current"] for each in told]
        assert (states[0], states[-1]) == ("PAUSED", "SUCCESS")


async def test_what_has_ended_is_told_once(tmp_path: Path) -> None:
    async with api(tmp_path, GATE) as edge:
        identity = await _paused(edge)
        await edge.document("POST", f"executions/{identity}/resume")
        await edge.engine.service.wait(identity)
        (only,) = events((await edge.ask("GET", f"executions/{identity}/follow")).text)
        assert only["id"] == "end"


async def test_a_log_is_followed_line_by_line_to_its_end(tmp_path: Path) -> None:
    async with api(tmp_path, GATE) as edge:
        identity = await _paused(edge)
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            following = group.create_task(edge.ask("GET", f"logs/{identity}/follow?minLevel=INFO"))
            await _until(edge, 1)
            await edge.document("POST", f"executions/{identity}/resume")
        *lines, end = events(following.result().text)
        assert end["event"] == "end"
        messages = [json.loads(each["data"])["message"] for each in lines]
        assert messages == ["before", "after\r\n\r\ndata: forged"]
        again = await edge.ask("GET", f"logs/{identity}/follow", headers={"last-event-id": lines[0]["id"]})
        assert "before" not in again.text
        assert "forged" in again.text


@pytest.mark.parametrize("path", ["executions/{id}/follow", "logs/{id}/follow"])
async def test_a_reader_who_leaves_leaves_nothing_behind(tmp_path: Path, path: str) -> None:
    async with api(tmp_path, GATE) as edge, serving(edge.app) as port:
        identity = await _paused(edge)
        async with wire(port) as connection:
            address = f"{ROOT}/{path.format(id=identity)}"
            await connection.send(f"GET {address} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert b"200 OK" in await connection.answer()
            await _until(edge, 1)
        await _until(edge, 0)


async def test_streams_end_when_the_daemon_stops(tmp_path: Path) -> None:
    async with api(tmp_path, GATE) as edge:
        identity = await _paused(edge)
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            following = [
                group.create_task(edge.ask("GET", f"{kind}/{identity}/follow"))
                for kind in ("executions", "logs")
            ]
            await _until(edge, 2)
            edge.desk.streams.close()
        assert [each.result().status_code for each in following] == [200, 200]
        assert (await edge.ask("GET", f"executions/{identity}/follow")).status_code == 503


async def test_there_is_a_bound_on_streams() -> None:
    streams = Streams(most=1)
    streams.check()
    with streams.joined(), pytest.raises(UnavailableError, match="too many"):
        streams.check()
    streams.check()
