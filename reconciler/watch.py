"""When to look: each source at its interval, at once when a hook says so, with growing pauses while it does not answer.

A nudge is only a hint and never lost: while a round is under way any number of them become one more round after it.
It must not know what a round does.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from engine.errors import NotFound
from reconciler.loop import Summary

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0
_SPREAD = 0.1  # of every pause, so that many sources do not all ask at once

Wait = Callable[[asyncio.Event, float], Awaitable[None]]
"""Wait for an event, but no longer than so many seconds."""


class Reconciles(Protocol):
    """What is watched; `reconciler.loop.Reconciler` is one."""

    source: str

    async def reconcile(self, *, poll: bool = False) -> Summary:
        """Do one round; never raises for what goes wrong in it."""
        ...


async def wait_for(event: asyncio.Event, seconds: float) -> None:
    """See `Wait`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


class Watcher:
    """Watches one source.

    Args:
        reconciler: of that source.
        interval: seconds from one poll to the next, a tenth more or less.
        wait: how it waits; tests hand in their own.
        chance: a number from 0 to 1, anew with every call.
    """

    def __init__(
        self,
        reconciler: Reconciles,
        interval: float = 60.0,
        *,
        wait: Wait = wait_for,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.source = reconciler.source
        self._reconciler = reconciler
        self._interval = interval
        self._wait = wait
        self._chance = chance
        self._nudged = asyncio.Event()
        self._failures = 0

    def nudge(self) -> None:
        """Look at the source as soon as can be, and forget about pauses."""
        self._failures = 0
        self._nudged.set()

    async def run(self) -> None:
        """Watch until cancelled; the first round begins at once. A round under way when cancelled may be repeated."""
        self._nudged.set()
        while True:
            poll = not self._nudged.is_set()
            self._nudged.clear()
            summary = await self._reconciler.reconcile(poll=poll)
            await self._wait(self._nudged, self._pause(summary))

    def _pause(self, summary: Summary) -> float:
        if not summary.again:
            self._failures = 0
            pause = self._interval
        else:
            # Bounded before the power is: a remote that is gone for weeks would overflow it.
            pause = min(FIRST_PAUSE * 2 ** min(self._failures, 16), LONGEST_PAUSE)
            self._failures += 1
        pause *= 1 + _SPREAD * (2 * self._chance() - 1)
        return max(pause, summary.retry_after or 0.0)


class Watch:
    """Watches all sources.

    Args:
        watchers: of sources with distinct names.
    """

    def __init__(self, watchers: Iterable[Watcher]) -> None:
        self._watchers = {watcher.source: watcher for watcher in watchers}

    async def nudge(self, source: str) -> None:
        """Look at a source soon. Returns at once; many calls may become one look. Raises NotFound."""
        if source not in self._watchers:
            raise NotFound(f"there is no source `{source[:100]}`", hint="`headwater doctor` lists them")
        self._watchers[source].nudge()

    async def run(self) -> None:
        """Watch all sources until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, watcher in self._watchers.items():
                group.create_task(watcher.run(), name=f"watch {name}")
