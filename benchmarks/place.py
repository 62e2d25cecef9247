"""A daemon and an engine of the benchmarks' own, put together as the real ones are, in a folder that goes away."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

import uvloop

from engine.model.execution import Execution
from engine.model.records import Deployment
from engine.model.state import State
from engine.plugins import registry
from engine.runtime.births import Submission
from engine.service import Service
from engine.spec.compile import compile_flow
from headwater.daemon import running
from headwater.settings import Settings, load

T = TypeVar("T")


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="headwater-benchmark-") as path:
        yield Path(path)


def settings_at(data: Path) -> Settings:
    """The defaults of the daemon, which write every commit through to the disk; any free port; no source."""
    return load(None, {"HEADWATER_DATA": str(data), "HEADWATER_LISTEN": "127.0.0.1:0"})


@asynccontextmanager
async def service_in(data: Path) -> AsyncIterator[Service]:
    """The engine of a whole daemon that follows nothing."""
    async with running(settings_at(data)) as daemon:
        yield daemon.service


async def deploy(service: Service, text: str) -> None:
    """Make a flow live."""
    content = text.encode()
    flow = compile_flow(content, "flows/benchmark.yaml", registry())
    await service.deploy(
        "benchmark", "0" * 40, [Deployment(flow, content, "flows/benchmark.yaml", "0" * 40)], []
    )


async def run(service: Service, flow_id: str) -> Execution:
    """Run a flow of the namespace `benchmark` to its end, which has to be SUCCESS."""
    submitted = await service.submit(Submission("benchmark", flow_id, {}))
    execution = await service.wait(submitted.id)
    assert execution.state is State.SUCCESS, execution.state
    return execution


def on_loop(act: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine on the event loop that the daemon uses."""

    async def carry() -> T:
        return await act()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(carry())
