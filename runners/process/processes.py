"""Processes of this machine: is it still the same one, has it ended, which belong to a run, end them.

Linux only: pidfd_open(2), proc(5). A pid alone never names a process here, as pids come round again; pid, start time
and boot together do. Knows nothing of run directories.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

import msgspec

from runners.process.shepherd import started_at

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Process(msgspec.Struct, frozen=True):
    """A process, told from every other one there ever was; `start` in clock ticks since `boot`."""

    pid: int
    start: int
    boot: str


@lru_cache(maxsize=1)
def this_boot() -> str:
    """The identifier of the time since this machine was started."""
    return _BOOT.read_text().strip()


def exists(process: Process) -> bool:
    """Whether that very process is there (it may have ended without its parent having noticed yet)."""
    return process.pid > 0 and process.boot == this_boot() and started_at(process.pid) == process.start


async def ended(process: Process) -> None:
    """Wait until the process has ended."""
    with watch(process) as end:
        await end


@contextmanager
def watch(process: Process) -> Iterator[asyncio.Future[None]]:
    """A future that is done when the process has ended: at once when it is gone or its pid has another one now."""
    end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    descriptor = _pidfd(process)
    if descriptor is None:
        end.set_result(None)
        yield end
        return
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, _settle, loop, descriptor, end)
    try:
        yield end
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _pidfd(process: Process) -> int | None:
    # /proc and pidfds are the kernel's memory: nothing here waits for a disk.
    if process.pid <= 0 or process.boot != this_boot():
        return None
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    # Only now is it certain that what /proc tells is about the process that the descriptor holds.
    if started_at(process.pid) == process.start:
        return descriptor
    os.close(descriptor)
    return None


def _settle(loop: asyncio.AbstractEventLoop, descriptor: int, end: asyncio.Future[None]) -> None:
    loop.remove_reader(descriptor)  # an ended process stays readable, and would keep the loop spinning
    if not end.done():
        end.set_result(None)


class Family:
    """A run's process and everything that came of it: its session, and what carries its mark in the environment.

    Args:
        leader: the run's own process, which leads a session and a process group of its own.
        mark: `NAME=value` that only this run's environment has; finds descendants that left the session.
    """

    def __init__(self, leader: Process, mark: str) -> None:
        self._leader = leader
        self._mark = os.fsencode(mark) + b"\0"
        # While the leader is there its pid is its session's for certain. After that another session may have it.
        self._session = leader.pid if exists(leader) else 0

    def may_have_members(self) -> bool:
        """A quick look: false when neither the process nor anything in its group is left."""
        if self._leader.pid <= 0 or self._leader.boot != this_boot():
            return False
        try:
            os.killpg(self._leader.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return True

    def members(self) -> set[int]:
        """The pids of all that still runs; those that have ended do not count, noticed by their parent or not."""
        return {int(name) for name in os.listdir("/proc") if name.isdecimal() and self._belongs(name)}

    def signal(self, number: signal.Signals) -> set[int]:
        """Send all members a signal and return who they were."""
        members = self.members()
        if self._session and members:
            # The group at once first: a tree that forks all the time cannot slip through.
            _send(-self._session, number)
        for pid in members:
            if not self._session or _group(pid) != self._session:
                _send(pid, number)
        return members

    def _belongs(self, name: str) -> bool:
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
            if fields[0] in (b"Z", b"X"):
                return False
            if self._session and self._session in (int(fields[2]), int(fields[3])):
                return True
            with open(f"/proc/{name}/environ", "rb") as file:
                return self._mark in b"\0" + file.read() + b"\0"
        except (OSError, IndexError):
            return False


def find_leader(mark: str) -> Process | None:
    """The process that leads its session and carries the mark, when there is one."""
    for pid in sorted(Family(Process(0, 0, ""), mark).members()):
        try:
            if os.getsid(pid) == pid:
                return Process(pid, started_at(pid), this_boot())
        except ProcessLookupError:
            continue
    return None


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
