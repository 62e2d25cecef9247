"""A whole engine in memory for tests: store, files, process runner, flows given as text."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from engine.clock import Clock, SystemClock
from engine.model.execution import Execution
from engine.model.records import Deployment, LogEntry
from engine.plugins import registry
from engine.ports import NamespaceFiles, Runner
from engine.runtime.births import Submission
from engine.runtime.library import Library
from engine.runtime.surroundings import Surroundings
from engine.service import Service
from engine.spec.compile import compile_flow
from engine.store.files import LocalFiles
from engine.store.sqlite import SqliteStore
from runners.process import ProcessRunner


class Secrets:
    """Secrets by name, for every namespace."""

    def __init__(self, **values: str) -> None:
        self._values = values

    def get(self, namespace: str, name: str) -> str | None:
        return self._values.get(name)


def deployment(text: str, path: str = "flows/test.yaml") -> Deployment:
    content = text.encode()
    return Deployment(compile_flow(content, path, registry()), content, path, blob=str(hash(text)))


class Engine:
    """An engine and the few calls tests make of it."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def deploy(self, *flows: str, commit: str = "c1") -> None:
        await self.service.deploy("test", commit, [deployment(flow) for flow in flows], [])

    async def start(self, name: str, **inputs: Any) -> Execution:
        namespace, _, flow_id = name.rpartition(".")
        return await self.service.submit(Submission(namespace, flow_id, inputs))

    async def run(self, name: str, **inputs: Any) -> Execution:
        execution = await self.start(name, **inputs)
        return await self.service.wait(execution.id)

    def logs(self, execution: Execution) -> list[LogEntry]:
        return [entry for _, entry in self.service.store.logs(execution.id)]

    def messages(self, execution: Execution) -> list[str]:
        return [entry.message for entry in self.logs(execution)]


def service_at(
    folder: Path,
    runner: ProcessRunner,
    *,
    store: str | Path = ":memory:",
    clock: Clock | None = None,
    secrets: dict[str, str] | None = None,
    namespace_files: NamespaceFiles | None = None,
) -> Service:
    kept = SqliteStore(store, synchronous="NORMAL")
    around = Surroundings(
        store=kept,
        files=LocalFiles(folder / "files"),
        namespace_files=namespace_files,
        secrets=[Secrets(**(secrets or {}))],
        clock=clock or SystemClock(),
    )
    library = Library(kept, lambda each: compile_flow(each.content, each.path, registry(), each.defaults))

    def named(name: str) -> Runner:
        return runner

    return Service(around, library, named)


@asynccontextmanager
async def engine(folder: Path, **options: Any) -> AsyncIterator[Engine]:
    runner = ProcessRunner(folder / "runs")
    service = service_at(folder, runner, **options)
    try:
        async with service.running():
            yield Engine(service)
    finally:
        await runner.close()
        service.store.close()
