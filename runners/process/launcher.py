"""The daemon's end of the line to its shepherd. Knows how to ask for a process; must not know what it is for."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, cast

import msgspec

from engine.errors import UnavailableError

_SCRIPT = Path(__file__).with_name("shepherd.py")
_KEPT_OUT = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


class Spawn(msgspec.Struct, frozen=True):
    """What the shepherd is to start; `note` is what it keeps in `run.json`, `files` are laid into `work`."""

    directory: str
    work: str
    path: str
    note: bytes
    arguments: Sequence[str]
    environment: Mapping[str, str]
    files: Mapping[str, bytes] = {}


class Ended(msgspec.Struct, frozen=True):
    """The exit code (128 + the number of a signal), and whether somebody had asked for the end."""

    code: int
    cancelled: bool


class Started(msgspec.Struct, frozen=True):
    """The process is there; start times are in clock ticks since boot. `end` gives none when the shepherd died."""

    pid: int
    start: int
    shepherd: int
    shepherd_start: int
    end: asyncio.Future[Ended | None]


class Refused(msgspec.Struct, frozen=True):
    """The kernel refused: the error number, and whether the program or the directory was at fault."""

    errno: int
    stage: Literal["PROGRAM", "DIRECTORY"]


Answer = Started | Refused | Literal["before"]


class Launcher:
    """Starts the shepherd when it is first needed, and again if it died. Belongs to one event loop.

    Args:
        log: file that takes what the shepherd has to complain about.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._opening = asyncio.Lock()
        self._line: _Line | None = None

    async def open(self) -> _Line:
        """Start the shepherd, if there is none, without waiting until it is ready.

        Raises:
            UnavailableError: no process can be started.
        """
        async with self._opening:
            if self._line is None or self._line.lost:
                self._line = await _connect(self._log)
            return self._line

    async def spawn(self, spawn: Spawn) -> Answer:
        """Start a process; `before` when its directory shows that it was started, or cancelled, before.

        Raises:
            UnavailableError: no shepherd can be had.
        """
        for _ in range(2):  # a second try is safe: a directory starts once, whoever asks
            line = self._line
            if line is None or line.lost:
                line = await self.open()
            answer = await _to_its_end(line.ask(spawn))
            if answer is not None:
                return answer
        raise UnavailableError("the process that starts tasks keeps dying", hint=f"look into {self._log}")

    async def close(self) -> None:
        """Hang up; the shepherd goes when the last run has ended."""
        if self._line is not None:
            self._line.transport.close()
            await self._line.closed


class _Line(asyncio.Protocol):
    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.lost = False
        self.closed: asyncio.Future[None] = loop.create_future()
        self._create = loop.create_future
        self._rest = b""
        self._numbers = 0
        self._asked: dict[int, asyncio.Future[Answer | None]] = {}
        self._ends: dict[int, asyncio.Future[Ended | None]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        for asked in self._asked.values():
            asked.set_result(None)
        for end in self._ends.values():
            end.set_result(None)
        self._asked.clear()
        self._ends.clear()
        self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._hear(line.decode().split())

    def ask(self, spawn: Spawn) -> asyncio.Future[Answer | None]:
        answer: asyncio.Future[Answer | None] = self._create()
        self._numbers += 1
        self._asked[self._numbers] = answer
        self.transport.write(_encode(self._numbers, spawn))
        return answer

    def _hear(self, words: list[str]) -> None:
        number = int(words[1])
        match words:
            case ["started", _, pid, start, shepherd, shepherd_start]:
                end = self._ends[number] = self._create()
                self._settle(number, Started(int(pid), int(start), int(shepherd), int(shepherd_start), end))
            case ["failed", _, error, "PROGRAM" | "DIRECTORY" as stage]:
                self._settle(number, Refused(int(error), stage))
            case ["before", _]:
                self._settle(number, "before")
            case ["ended", _, code, cancelled] if ended := self._ends.pop(number, None):
                ended.set_result(Ended(int(code), cancelled == "1"))

    def _settle(self, number: int, answer: Answer) -> None:
        self._asked.pop(number).set_result(answer)


async def _to_its_end(asked: asyncio.Future[Answer | None]) -> Answer | None:
    try:
        return await asyncio.shield(asked)
    except asyncio.CancelledError:
        # What was asked for happens; whoever gave up may want to cancel the run, and has to find it then.
        await asyncio.wait((asked,))
        raise


async def _connect(log: Path) -> _Line:
    ours, theirs = socket.socketpair()
    try:
        await asyncio.to_thread(_start_shepherd, log, theirs)
        _, line = await asyncio.get_running_loop().create_unix_connection(_Line, sock=ours)
    except BaseException as error:
        ours.close()  # a shepherd that has come up meanwhile sees that nobody is there, and goes
        if isinstance(error, OSError):
            raise UnavailableError(f"no process can be started: {error.strerror}") from error
        raise
    return line


def _start_shepherd(log: Path, theirs: socket.socket) -> None:
    numbers = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
    with theirs:
        parent = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", str(_SCRIPT), *(str(int(number)) for number in numbers)],
            {"LC_ALL": "C.UTF-8"},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, theirs.fileno(), 3),
            ],
            setsid=True,
            # Ctrl-C or a stop of the service is for the daemon; the shepherd goes when its work is done.
            setsigmask=_KEPT_OUT,
        )
        os.waitpid(parent, 0)


def _encode(number: int, spawn: Spawn) -> bytes:
    variables = (f"{name}={value}" for name, value in spawn.environment.items())
    head = (str(number), spawn.directory, spawn.work, spawn.path)
    files = (part for name, content in spawn.files.items() for part in (os.fsencode(name), content))
    rest = (str(len(spawn.arguments)), *spawn.arguments, *variables)
    body = b"\0".join(
        (*map(os.fsencode, head), spawn.note, b"%d" % len(spawn.files), *files, *map(os.fsencode, rest))
    )
    return b"%08d" % len(body) + body
