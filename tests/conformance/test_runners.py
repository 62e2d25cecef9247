"""The runners that there are, held against the suite."""

from __future__ import annotations

from pathlib import Path

from engine.model.run import RunHandle
from tests.conformance.runner_suite import RunnerSuite


class TestProcess(RunnerSuite):
    name = "process"

    def alive(self, handle: RunHandle) -> int:
        mark = f"/runs/{handle.data['run']}/".encode()
        return sum(mark in _environment(process) for process in Path("/proc").glob("[0-9]*"))


def _environment(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""
