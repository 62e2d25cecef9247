"""Keeps the status branch as the store has it: takes reports, writes files in batches, repairs what others did.

It works behind the executions and never before them: a remote that is away, slow or refuses costs them nothing, and
a kill at any moment leaves at most a repeat that changes nothing. What it tells, and when, is docs/adr/0008.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from engine.clock import Clock
from engine.errors import HeadwaterError, UnavailableError
from engine.model.records import Query, Report
from engine.ports import Store
from reconciler.report import ReconcileStatus
from reconciler.status.board import Board, Files
from reconciler.status.branch import Changes, Draft, StatusBranch, TipReader
from reconciler.status.documents import Mask
from reconciler.status.drafts import Told, drafts
from reconciler.status.facts import Name
from reconciler.status.upkeep import Repair, inspect

log = logging.getLogger(__name__)
T = TypeVar("T")
_FARTHEST = 100_000  # so many reports are looked through for one of this source


class Pace(msgspec.Struct, frozen=True):
    """How much, how often, for how long.

    Args:
        interval: seconds between two pushes at least; after a quiet time a result is pushed at once.
        poll: seconds after which the store is asked even when nobody nudged.
        batch: reports for one push.
        single: executions of a push that get a commit each; the others share some.
        retention: executions that were created longer ago leave the tip; the history keeps them.
        keep: so many executions stay on the tip at most.
        check: how often the tip is compared with the store.
        recheck: how soon again, when somebody else wrote to the branch.
        first_pause, longest_pause: seconds to wait when the remote is away, doubled each time.
        refused_pause: seconds to wait when it refuses.
    """

    interval: float = 1.0
    poll: float = 1.0
    batch: int = 500
    single: int = 20
    retention: timedelta = timedelta(days=30)
    keep: int = 20_000
    check: timedelta = timedelta(hours=1)
    recheck: timedelta = timedelta(minutes=1)
    first_pause: float = 1.0
    longest_pause: float = 60.0
    refused_pause: float = 300.0


class StatusWriter:
    """Writes the status of one source.

    Args:
        source: its name.
        branch: where to.
        mask: blanks out secrets; it has to know them before `run` begins, as old executions are told of again.
        clock: dates commits and retention.
    """

    def __init__(
        self,
        store: Store,
        source: str,
        branch: StatusBranch,
        mask: Mask,
        clock: Clock,
        pace: Pace | None = None,
    ) -> None:
        self.trouble: HeadwaterError | None = None
        """Why nothing can be written at the moment; none when all is well."""
        self._store = store
        self._branch = branch
        self._clock = clock
        self._pace = pace or Pace()
        self._space = f"status/{source}"
        self._board = Board(store, source, mask)
        self._status: ReconcileStatus | None = None
        self._known = asyncio.Event()
        self._nudged = asyncio.Event()
        self._dirty: set[Name] = set()
        self._turned = False
        self._front: Files = {}
        self._foreign: frozenset[Report] = frozenset()
        self._limit = self._pace.batch
        self._started = False
        self._trusted = False
        self._disturbed = False
        self._tip: str | None = None
        self._tree: str | None = None
        self._checked: datetime | None = None

    async def reconciled(self, status: ReconcileStatus) -> None:
        """Say how the source stands; nothing is written before the first time."""
        self._status = status
        self._known.set()
        self._nudged.set()

    def nudge(self) -> None:
        """Say, on the event loop, that there may be reports."""
        self._nudged.set()

    async def run(self) -> None:
        """Write until cancelled; no failure ends it."""
        await self._known.wait()
        failures = 0
        while True:
            self._nudged.clear()
            try:
                wrote = await self.turn()
            except Exception as error:
                failures += 1
                await asyncio.sleep(self._stumbled(error, failures))
                continue
            if failures:
                log.info("the status branch can be written again")
            failures, self.trouble = 0, None
            if wrote:
                await asyncio.sleep(self._pace.interval)
            elif not self._nudged.is_set():
                await self._idle()

    async def turn(self) -> bool:
        """Tell one batch of reports; when there is none left, check the tip if that is due.

        Returns:
            whether there may be more to do at once: something was written, or a batch was full.

        Raises:
            UnavailableError: the remote or the store does not answer; try again later.
            OperatorError: the remote refuses us or the push.
        """
        if self._status is None:
            return False
        if not self._started:
            await self._start(self._status)
        told = await self._tell()
        if told or not self._check_is_due():
            return told
        return await self.check()

    async def check(self) -> bool:
        """Compare the tip with the store, write what is missing, remove what has expired or is not ours.

        Returns:
            whether anything was written.

        Raises:
            As `turn`.
        """
        tip = await self._branch.refresh()
        self._trusted = self._trusted and tip == self._tip
        self._disturbed = False
        self._stand_at(tip)
        now = self._clock.now()
        repair = await asyncio.to_thread(self._inspect, tip, now)
        gone: dict[Name, Files] = {("", ""): dict.fromkeys(repair.remove)}
        first, *others = _chunks(repair.flows, self._pace.batch) or [()]
        pages = await self._read(first)
        front = await asyncio.to_thread(self._board.front)
        wrote = await self._publish(drafts([], pages | gone, front, single=0, when=now))
        for names in others:
            wrote |= await self._publish(drafts([], await self._read(names), {}, single=0, when=now))
        for keys in _chunks(repair.executions, self._pace.batch):
            ended = await asyncio.to_thread(self._board.ended, keys)
            wrote |= await self._publish(drafts(ended, {}, {}, single=0, when=now))
        self._front = front
        self._trusted, self._checked = not self._disturbed, now
        await self._remember()
        await self._branch.tidy()
        return wrote

    # Steps

    async def _start(self, status: ReconcileStatus) -> None:
        """See whether the tip is as we left it, and read how every flow stands."""
        self._stand_at(await self._branch.refresh())
        left = await asyncio.to_thread(self._store.get, self._space, "tip")
        self._trusted = self._tip is not None and self._tip == left
        await asyncio.to_thread(self._board.load, status)
        self._started = True

    async def _tell(self) -> bool:
        assert self._status is not None
        if self._status is not self._board.status:
            self._dirty |= self._board.turn_to(self._status)
            self._turned = True
        limit = self._limit
        reports = await asyncio.to_thread(self._store.reports, limit)
        news = await asyncio.to_thread(self._board.news, reports, self._foreign)
        self._foreign = frozenset(news.foreign)
        # Reports of a source whose remote is away must not hide ours behind them.
        self._limit = min(len(news.foreign) + self._pace.batch, _FARTHEST)
        self._dirty |= news.flows
        wrote = False
        if self._turned or self._dirty:
            wrote = await self._write(news.results)
        if news.done:
            await asyncio.to_thread(self._store.reported, news.done)
        return wrote or (len(reports) == limit and (bool(news.done) or self._limit > limit))

    async def _write(self, results: Sequence[Told]) -> bool:
        pages = await self._read(sorted(self._dirty))
        front = await asyncio.to_thread(self._board.front)
        changed = {path: data for path, data in front.items() if self._front.get(path) != data}
        made = drafts(results, pages, changed, single=self._pace.single, when=self._clock.now())
        wrote = await self._publish(made)
        self._front, self._turned = front, False
        self._dirty.clear()
        return wrote

    async def _read(self, names: Sequence[Name]) -> dict[Name, Files]:
        return await asyncio.to_thread(self._board.pages, names) if names else {}

    def _inspect(self, tip: str | None, now: datetime) -> Repair:
        present = {entry.path for entry in self._branch.mirror.files(tip)} if tip else set()
        since = (now - self._pace.retention).replace(hour=0, minute=0, second=0, microsecond=0)
        kept = self._board.executions(Query(since=since, limit=self._pace.keep))
        return inspect(present, self._board.rows, kept, trusted=self._trusted)

    async def _publish(self, made: list[Draft]) -> bool:
        """Push commits. When the tip was not as we left it, all of it is to be checked soon."""
        if not made:
            return False
        seen: list[str | None] = []
        tip = await self._branch.publish_all([_watched(made[0], seen), *made[1:]])
        if seen[-1] != self._tree:
            self._trusted, self._disturbed = False, True
        if tip is None:
            return False
        self._stand_at(tip)
        await self._remember()
        return True

    def _stand_at(self, tip: str | None) -> None:
        self._tip, self._tree = tip, self._branch.mirror.tree_id(tip) if tip else None

    async def _remember(self) -> None:
        """Note the tip that we left; on a tip that is not all ours, nothing, so that a restart checks it too."""
        if self._trusted and self._tip is not None:
            await asyncio.to_thread(self._store.put, self._space, {"tip": self._tip})

    # Time

    def _check_is_due(self) -> bool:
        if self._checked is None:
            return True
        age = self._clock.now() - self._checked
        return not timedelta() <= age < (self._pace.recheck if self._disturbed else self._pace.check)

    async def _idle(self) -> None:
        try:
            async with asyncio.timeout(self._pace.poll):
                await self._nudged.wait()
        except TimeoutError:
            return

    def _stumbled(self, error: Exception, failures: int) -> float:
        """Note a failure; returns how many seconds to wait."""
        known = error if isinstance(error, HeadwaterError) else None
        if known is None:
            log.error("the status branch cannot be written", exc_info=error)
        elif self.trouble is None or self.trouble.message != known.message:
            log.warning("the status branch cannot be written: %s", known)
        self.trouble = known or HeadwaterError("the status branch cannot be written", hint="see the log")
        if not isinstance(error, UnavailableError):
            return self._pace.refused_pause
        doubled = self._pace.first_pause * 2.0 ** min(failures - 1, 30)
        return error.retry_after or min(doubled, self._pace.longest_pause)


def _watched(draft: Draft, seen: list[str | None]) -> Draft:
    """The same draft, which notes on which tree it is made."""

    def changes(tip: TipReader) -> Changes:
        seen.append(tip.tree_id)
        return draft.changes(tip) if callable(draft.changes) else draft.changes

    return msgspec.structs.replace(draft, changes=changes)


def _chunks(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
