"""Following a run: its lines into the execution's log, its `::{…}::` reports into outputs and metrics.

Lines are written in groups, and the place reached is committed with them: after a crash the run is read again from
its start, for its reports, but no line is logged twice.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Any

import msgspec

from engine.model import protocol
from engine.model.records import LogEntry, Work
from engine.model.run import LogLine, RunHandle, RunResult
from engine.model.task import Level, Metric
from engine.ports import Runner
from engine.runtime.context import RunContext
from engine.runtime.core import Core
from engine.runtime.turn import Turn

_GROUP = 200  # lines that are written together at the most
_FRESH = 0.02  # seconds that a line may wait for others
_AHEAD = 10  # groups that may wait for their commit before the run's output is read on
_OUTPUT_LIMIT = 8 * 1024 * 1024  # bytes of all outputs of one attempt, as JSON


class Follower:
    """One run being followed.

    Args:
        work: whose place in the output is kept.
        context: writes and masks the lines.
    """

    def __init__(self, core: Core, work: Work, context: RunContext) -> None:
        self._core = core
        self._work = work
        self._context = context
        self._skip = {"stdout": work.seen[0], "stderr": work.seen[1]}
        self._read = {"stdout": 0, "stderr": 0}
        self._entries: list[LogEntry] = []
        self._pending: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._outputs: dict[str, Any] = {}
        self._size = 0
        self.metrics: list[Metric] = []
        self.stderr_lines = 0
        context.divert(self._entries.append)

    @property
    def outputs(self) -> dict[str, Any]:
        """What the run reported as outputs so far."""
        return self._outputs

    async def follow(self, runner: Runner, handle: RunHandle) -> RunResult:
        """Follow to the end and return the result; the last lines are left for `finish`."""
        loop = asyncio.get_running_loop()
        try:
            async for line in runner.logs(handle):
                self._take(line)
                if len(self._entries) >= _GROUP:
                    await self._flush()
                elif self._entries and self._timer is None:
                    self._timer = loop.call_later(_FRESH, self._write)
            return await runner.wait(handle)
        finally:
            self._stop_timer()

    def finish(self, turn: Turn) -> None:
        """Put what has not been written yet into a turn."""
        turn.batch.logs.extend(self._entries)

    def _take(self, line: LogLine) -> None:
        self._read[line.stream] += 1
        again = self._read[line.stream] <= self._skip[line.stream]
        if line.stream == "stderr":
            self.stderr_lines += 1
        report = protocol.parse(line.text)
        if report is None:
            if not again:
                self._context.log(protocol.stream_level(line.stream), line.text)
            return
        self._report(report, again)

    def _report(self, report: protocol.Report, again: bool) -> None:
        self._size += len(msgspec.json.encode(report.outputs)) if report.outputs else 0
        if self._size > _OUTPUT_LIMIT:
            self._say(
                "ERROR", f"outputs of more than {_OUTPUT_LIMIT >> 20} MiB are dropped; use outputFiles", again
            )
        else:
            self._outputs.update(report.outputs)
        self.metrics.extend(report.metrics)
        for message in report.logs:
            self._say(message.level, message.text, again)

    def _say(self, level: Level, text: str, again: bool) -> None:
        if not again:
            self._context.log(level, text)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _flush(self) -> None:
        self._pending.append(asyncio.wrap_future(self._write()))
        if len(self._pending) >= _AHEAD:
            await asyncio.wait(self._pending, return_when=asyncio.FIRST_COMPLETED)
            self._pending = [each for each in self._pending if not each.done()]

    def _write(self) -> Future[None]:
        self._stop_timer()
        entries = list(self._entries)
        self._entries.clear()
        seen = (
            max(self._read["stdout"], self._skip["stdout"]),
            max(self._read["stderr"], self._skip["stderr"]),
        )
        work = self._work = msgspec.structs.replace(self._work, seen=seen)

        def act(turn: Turn) -> None:
            turn.batch.logs.extend(entries)
            turn.batch.work[work.id] = work

        return self._core.call(act)
