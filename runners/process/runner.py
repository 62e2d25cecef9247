"""The process runner: tasks as processes of this machine, which live on when the daemon does not.

Decisions: docs/adr/0005-process-runner.md. This module is the shell of its package: it hops between the event loop
and a pool of threads, where everything happens that touches a disk. Knows no flow and no execution.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, ParamSpec, TypeVar

import msgspec

from engine.errors import HeadwaterError, UnavailableError, UserError
from engine.model.run import LogLine, RunHandle, RunRequest, RunResult
from runners.globs import check_patterns, collect
from runners.process import environment, processes, rundir
from runners.process.launcher import Ended, Launcher, Refused, Spawn, Started
from runners.process.processes import Family, Process
from runners.process.rundir import Record, RunDirectory
from runners.process.tail import Tail

P = ParamSpec("P")
T = TypeVar("T")
Outcome = Literal["exited", "cancelled", "vanished"]

_THREADS = 8
_LOOK_AGAIN = (0.02, 0.05)  # seconds between two looks for output: at first, and at most
_LOOK_FOR_END = (0.005, 0.05)  # the same, for whether signalled processes are gone
_RECORD_PATIENCE = 2.0  # seconds for a shepherd to write down what it has just started
_EXIT_PATIENCE = 10.0  # seconds for a shepherd to write down an exit it has just seen
_KILL_PATIENCE = 10.0  # seconds for killed processes to be gone
_BUSY = (errno.EAGAIN, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EIO)
_NOBODY = Process(0, 0, "-")
_LOST = "the process is gone and nobody saw how it ended; the machine or the runner's shepherd was stopped"


class _Known(msgspec.Struct, frozen=True):
    """A run in memory; `end` when this runner started it, else it is watched from outside."""

    record: Record
    end: asyncio.Future[Ended | None] | None
    output_files: tuple[str, ...]


class ProcessRunner:
    """Runs tasks as processes of this machine, each in a session and a folder of its own.

    Args:
        root: folder for runs and shared working directories, on a local disk; made when it is missing.
        path: PATH of the runs, and where their programs are looked for.
        cache: folder for what runs may keep for later ones; `cache` in the runner's own when none is given.
    """

    name = "process"

    def __init__(
        self, root: Path, path: str = environment.FALLBACK_PATH, *, cache: Path | None = None
    ) -> None:
        self._root = rundir.make_root(root)
        self._path = path
        self._cache = str(cache) if cache else f"{self._root}/cache"
        self._launcher = Launcher(Path(self._root, "shepherd.log"))
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="process-runner")
        self._known: dict[str, _Known] = {}
        self._starting: dict[str, asyncio.Future[None]] = {}

    async def open(self) -> None:
        """Get ready ahead of the first start (about 20 ms); `start` does it too.

        Raises:
            UnavailableError: this machine cannot start a process now.
        """
        await self._launcher.open()

    async def close(self) -> None:
        """Let go of everything but the runs, which go on."""
        await self._launcher.close()
        self._threads.shutdown(wait=True)

    async def start(self, request: RunRequest) -> RunHandle:
        """Start the run, or return the handle of the one already started under `request.key`.

        Raises:
            UserError: no such command; a file, pattern or variable is refused.
            UnavailableError: disk, process table or memory are full.
        """
        key = request.key
        while starting := self._starting.get(key):
            await asyncio.wait((starting,))
        if key not in self._known:
            environment.check(request)
            check_patterns(request.output_files)
            self._starting[key] = asyncio.get_running_loop().create_future()
            try:
                await self._start(request)
            finally:
                self._starting.pop(key).set_result(None)
        return self._handle(key, await self._record(key))

    async def find(self, key: str) -> RunHandle | None:
        """The handle of the run started under `key`; none when it was never started or was cleaned up."""
        record = await self._record(key)
        if record is None and not await self._off_loop(self._directory(key).is_cancelled):
            return None
        return self._handle(key, record)

    async def wait(self, handle: RunHandle) -> RunResult:
        """Wait for the end of the run's own process. Cancelling this coroutine leaves the run alone."""
        record = await self._record(handle.key)
        known = self._known.get(handle.key)
        if known is not None and known.end is not None:
            await asyncio.wait((known.end,))
            ended = known.end.result()
            if ended is not None and not ended.cancelled and not known.output_files:
                return RunResult("exited", ended.code)
        if record is not None:
            await processes.ended(record.process)
        return await self._off_loop(self._result, handle.key, record)

    async def logs(self, handle: RunHandle, after: str = "") -> AsyncIterator[LogLine]:
        """The run's lines from `after`, live; what background processes write after its end is not read."""
        record = await self._record(handle.key)
        tail = Tail(self._directory(handle.key).path, after)
        shortest, longest = _LOOK_AGAIN
        pause = shortest
        await self._off_loop(tail.open)
        try:
            with processes.watch(record.process if record else _NOBODY) as end:
                while True:
                    await asyncio.wait((end,), timeout=pause)
                    final = end.done()
                    quick = tail.read_at_once(final)
                    lines, more = await self._off_loop(tail.read, final) if quick is None else quick
                    for line in lines:
                        yield line
                    if final and not more:
                        return
                    pause = 0 if more else shortest if lines else min(max(pause, shortest) * 1.5, longest)
        finally:
            tail.close()

    async def cancel(self, handle: RunHandle, grace: float) -> None:
        """End the run and all that came of it: SIGTERM, and after `grace` seconds SIGKILL; returns when all are gone.

        Raises:
            UnavailableError: processes do not go even when killed.
        """
        if starting := self._starting.get(handle.key):
            await asyncio.wait((starting,))
        directory = self._directory(handle.key)
        record = await self._record(handle.key)
        if record is None:
            # The other half of the shepherd's look at the mark: a start that comes in between is seen after it.
            await self._off_loop(directory.mark_cancelled)
            record = await self._record(handle.key)
        if record is not None:
            if processes.exists(record.process):
                await self._off_loop(directory.mark_cancelled)
            await self._end(Family(record.process, directory.mark), grace)

    async def cleanup(self, handle: RunHandle) -> None:
        """Kill what is left of the run and remove its folder; a shared working directory stays."""
        record = await self._record(handle.key)
        directory = self._directory(handle.key)
        if record is not None:
            family = Family(record.process, directory.mark)
            if family.may_have_members():
                await self._end(family, 0)
        self._known.pop(handle.key, None)
        await self._off_loop(directory.remove)

    async def left_over(self, wanted: Collection[str]) -> list[RunHandle]:
        """The runs that have a folder and whose keys are not `wanted`; folders in which nothing began go at once."""
        keys = await self._off_loop(rundir.left_over, self._root, wanted)
        return [self._handle(key, None) for key in keys]

    async def remove_workspace(self, workspace: str) -> None:
        """Remove a shared working directory. Repeatable."""
        await self._off_loop(rundir.remove_workspace, self._root, workspace)

    def working_directory(self, key: str, workspace: str | None = None) -> str:
        """Where the run of that key will work, for texts that have to name it before it starts."""
        return self._directory(key).work(workspace)

    def _off_loop(self, call: Callable[P, T], *arguments: P.args, **_: P.kwargs) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)

    def _directory(self, key: str) -> RunDirectory:
        return RunDirectory(self._root, key)

    def _handle(self, key: str, record: Record | None) -> RunHandle:
        return RunHandle(
            self.name, key, {"run": self._directory(key).id, "pid": record.process.pid if record else 0}
        )

    async def _start(self, request: RunRequest) -> None:
        directory = self._directory(request.key)
        files = rundir.small_files(request)
        if files is None:
            started_before = await self._off_loop(self._lay_in, directory, request)
            if started_before:
                return
        work = directory.work(request.workspace)
        variables = environment.variables(
            request.env,
            work=work,
            outputs=directory.outputs,
            temporary=directory.temporary,
            path=self._path,
            cache=self._cache,
        )
        note = rundir.note_of(request)
        path = variables["PATH"]
        answer = await self._launcher.spawn(
            Spawn(directory.path, work, path, note, request.command, variables, files or {})
        )
        if isinstance(answer, Refused):
            await self._off_loop(directory.remove)
            raise _explain(answer, request.command[0], path)
        if isinstance(answer, Started):
            boot = processes.this_boot()
            shepherd = Process(answer.shepherd, answer.shepherd_start, boot)
            record = Record(Process(answer.pid, answer.start, boot), shepherd)
            self._known[request.key] = _Known(record, answer.end, request.output_files)

    async def _record(self, key: str) -> Record | None:
        known = self._known.get(key)
        if known is not None:
            return known.record
        record = await self._off_loop(self._read_record, self._directory(key))
        if record is not None:
            # The start of this very run may have come in between, and knows more.
            record = self._known.setdefault(key, _Known(record, None, ())).record
        return record

    async def _end(self, family: Family, grace: float) -> None:
        if await self._gone(family, signal.SIGTERM, grace):
            return
        if not await self._gone(family, signal.SIGKILL, _KILL_PATIENCE):
            raise UnavailableError(
                "processes of a run do not end although they were killed", hint="look for a disk that hangs"
            )

    async def _gone(self, family: Family, number: signal.Signals, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        pause, longest = _LOOK_FOR_END
        left = await self._off_loop(family.signal, number)
        while left and time.monotonic() < deadline:
            await asyncio.sleep(min(pause, max(deadline - time.monotonic(), 0)))
            pause = min(pause * 1.5, longest)
            # A killed process may have started another one just before: the kill is said again.
            again = number is signal.SIGKILL
            left = (
                await self._off_loop(family.signal, number) if again else await self._off_loop(family.members)
            )
        return not left

    # What follows runs in the pool.

    def _lay_in(self, directory: RunDirectory, request: RunRequest) -> bool:
        """Lay in the files, unless the run was started before; says whether it was."""
        if directory.was_started():
            return True
        try:
            directory.lay_in(request)
        except HeadwaterError:
            directory.remove()
            raise
        return False

    def _read_record(self, directory: RunDirectory) -> Record | None:
        deadline = time.monotonic() + _RECORD_PATIENCE
        while directory.was_started():
            if record := directory.record():
                return record
            if time.monotonic() > deadline:
                # Its shepherd was killed between starting the process and writing it down; the process may live.
                return directory.write_record(processes.find_leader(directory.mark) or _NOBODY)
            time.sleep(0.01)
        return None

    def _result(self, key: str, record: Record | None) -> RunResult:
        directory = self._directory(key)
        code = self._exit_code(directory, record) if record else None
        note = directory.note()
        if note is None:
            return RunResult("vanished", message="the run was cleaned up, or never started")
        outcome: Outcome = "exited" if code is not None else "vanished"
        if directory.is_cancelled():
            outcome = "cancelled"
        collected = collect((directory.work(note.workspace), directory.outputs), note.output_files)
        message = _LOST if outcome == "vanished" else ""
        if collected.refused:
            message = (
                f"left where it is, as it leads out of the working directory: `{collected.refused[0][:200]}`"
            )
        return RunResult(outcome, code, collected.files, collected.missing, message)

    def _exit_code(self, directory: RunDirectory, record: Record) -> int | None:
        deadline = time.monotonic() + _EXIT_PATIENCE
        pause = 0.0001
        while (code := directory.exit_code()) is None:
            if not processes.exists(record.shepherd) or time.monotonic() > deadline:
                return directory.exit_code()
            time.sleep(pause)
            pause = min(pause * 2, 0.02)
        return code


def _explain(refused: Refused, command: str, path: str) -> HeadwaterError:
    why = os.strerror(refused.errno)
    if refused.errno in _BUSY:
        return UnavailableError(f"this machine cannot start a process now: {why}")
    if refused.errno == errno.E2BIG:
        return environment.too_large()
    if refused.stage == "DIRECTORY":
        return UnavailableError(f"the run's folder cannot be used: {why}")
    if refused.errno == errno.ENOENT:
        hint = f"install it on this machine, or give its path; PATH is {path[:500]}"
        return UserError(f"no such command: `{command[:200]}`", hint=hint)
    return UserError(
        f"command `{command[:200]}` cannot be started: {why}", hint="check its permissions and `#!` line"
    )
