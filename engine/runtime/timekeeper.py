"""Watching the clock: timers of executions, and triggers that come due.

All due times lie in the store; what is kept here is only when to look next. It must not decide anything.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from datetime import datetime, timedelta

from engine.errors import HeadwaterError
from engine.model.commands import StartAgain
from engine.model.records import Work
from engine.runtime import scheduler
from engine.runtime.core import Core
from engine.runtime.turn import Turn

log = logging.getLogger(__name__)

_AGAIN = timedelta(seconds=1)
_LONGEST = 30.0  # seconds between looks, so that a jump of the clock is noticed


class Timekeeper:
    """Sends what is due to the engine."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._timers: list[tuple[datetime, int, Work]] = []
        self._count = itertools.count()
        self._poked = asyncio.Event()

    def add(self, work: Work) -> None:
        """Watch over work that is due later."""
        assert work.due is not None
        heapq.heappush(self._timers, (work.due, next(self._count), work))
        self._poked.set()

    def poke(self) -> None:
        """Look again: a trigger changed."""
        self._poked.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            self._poked.clear()
            self._send_timers()
            try:
                due = await asyncio.wrap_future(self._core.call(_fire))
            except HeadwaterError as error:
                log.warning("triggers could not fire, which is tried again: %s", error)
                due = self._core.around.clock.now() + _AGAIN
            await self._pause(due)

    async def _pause(self, due: datetime | None) -> None:
        moments = [each for each in (due, self._timers[0][0] if self._timers else None) if each]
        seconds = _LONGEST
        if moments:
            away = (min(moments) - self._core.around.clock.now()) / timedelta(seconds=1)
            seconds = min(max(away, 0.0), _LONGEST)
        try:
            async with asyncio.timeout(seconds):
                await self._poked.wait()
        except TimeoutError:
            pass

    def _send_timers(self) -> None:
        now = self._core.around.clock.now()
        while self._timers and self._timers[0][0] <= now:
            _, _, work = heapq.heappop(self._timers)
            if isinstance(work.command, StartAgain):
                execution_id = work.execution_id
                self._core.write(lambda turn, each=execution_id: turn.start_again(each))  # type: ignore[misc]
            elif work.event is not None:
                self._core.deliver(work.execution_id, work.event)


def _fire(turn: Turn) -> datetime | None:
    """Fire what is due; returns when the next trigger is due, as far as the store knows."""
    scheduler.fire_due(turn)
    fired = turn.batch.triggers
    known = [
        state.next_due
        for state in fired.values()
        if state is not None and state.next_due and not state.execution_id and not state.suspended
    ]
    upcoming = turn.around.store.next_due(beyond=turn.at)
    return min([*known, *([upcoming] if upcoming else [])], default=None)
