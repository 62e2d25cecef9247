"""One source, reconciled: fetch, scan, decide, apply, and a summary that is made however the round ended.

A round is set-state: it never asks what was pushed, only what the branch's tip wants now, and works from what differs
from the revision applied last. A kill at any moment is harmless: the revision counts as applied only after its flows
are durable, so that the next round finds the same differences and the engine finds them done.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from engine.clock import Clock
from engine.errors import HeadwaterError, NotPermitted, UnavailableError
from engine.ports import Store
from reconciler import conditions, memory
from reconciler.apply import Deployer, apply
from reconciler.bulk import collecting_rarely
from reconciler.conditions import Trouble
from reconciler.decide import Decision, decide
from reconciler.desired import Check
from reconciler.memory import Memory
from reconciler.report import Facts, ReconcileStatus, status_of
from reconciler.repository import Mirror
from reconciler.scan import Listing, Scan, Scanner
from reconciler.settings_file import RepositorySettings

OnReport = Callable[[ReconcileStatus], Awaitable[None]]
"""Told of every status that differs from the one before, and of the first after a start. Returns quickly."""

_log = logging.getLogger(__name__)


class Summary(msgspec.Struct, frozen=True):
    """How a round ended.

    Args:
        changed: whether the status says anything new.
        again: whether it is to be tried again by itself, sooner than a poll is due.
        retry_after: seconds that the other side asked to be left alone, if it did.
    """

    status: ReconcileStatus
    changed: bool
    again: bool = False
    retry_after: float | None = None


@dataclass
class _Round:
    """What a round has found out so far."""

    poll: bool
    started: float
    before: Memory
    revision: str = ""
    missing: bool = False
    listing: Listing | None = None
    scan: Scan | None = None
    decision: Decision | None = None
    after: Memory | None = None
    error: Exception | None = None


class Reconciler:
    """Keeps the flows of one source as its branch wants them.

    Args:
        source: its name.
        mirror: follows its branch.
        store: is read only.
        deployer: the engine.
        check: compiles a flow file; called in threads.
        clock: dates what is reported.
        on_report: see `OnReport`; may be none.
        checker: names the version of what `check` knows; when it changes, all files are judged anew.
        turn: shared by all sources of a store, so that no two claim one flow at the same moment.
    """

    def __init__(
        self,
        source: str,
        mirror: Mirror,
        store: Store,
        deployer: Deployer,
        check: Check,
        clock: Clock,
        on_report: OnReport | None = None,
        *,
        checker: str = "",
        turn: asyncio.Lock | None = None,
    ) -> None:
        self.source = source
        self.mirror = mirror
        self.status: ReconcileStatus | None = None
        """The newest status; none before the first round, unless one is remembered."""
        self._store = store
        self._deployer = deployer
        self._scanner = Scanner(mirror, check, mirror.branch)
        self._clock = clock
        self._on_report = on_report
        self._checker = checker
        self._turn = turn or asyncio.Lock()
        self._running = asyncio.Lock()
        self._memory: Memory | None = None  # none: what is live has to be read from the store first
        self._last = Memory()
        self._final: ReconcileStatus | None = None
        self._told = False
        self._sound = False

    @property
    def settings(self) -> RepositorySettings:
        """The repository's settings in force."""
        return self._last.settings

    async def reconcile(self, *, poll: bool = False) -> Summary:
        """Do one round. What goes wrong in it is not raised but told in the summary.

        Args:
            poll: ask the remote first, and fetch nothing when its branch has not moved.
        """
        async with self._running:
            now = _Round(poll, time.perf_counter(), self._last)
            try:
                for step in (self._load, self._fetch, self._list, self._change):
                    if not await step(now):
                        break
            except Exception as error:  # whatever it is, the source has to say so and go on
                now.error = error
            return await self._summarise(now)

    async def confirm(self, digest: str) -> Summary:
        """Confirm the removals that are held under `digest`, and do a round. It counts once, and for these alone.

        Raises:
            NotPermitted: nothing is held under that digest.
        """
        async with self._running:
            now = _Round(False, time.perf_counter(), self._last)
            await self._load(now)
            held = self._final.held if self._final else None
            if held is None or held.digest != digest:
                raise NotPermitted(
                    f"source {self.source}: nothing waits to be confirmed under {digest[:64]!r}",
                    hint="look the digest up in the source's status",
                    reason="DigestUnknown",
                )
            applied = msgspec.structs.replace(now.before.applied, confirmed=digest)
            confirmed = msgspec.structs.replace(now.before, applied=applied)
            written, removed = memory.rows(now.before, confirmed, ())
            await self._deployer.remember(memory.space(self.source), written, removed)
            self._memory = self._last = confirmed
        return await self.reconcile()

    # The steps, in their order; each says whether there is something left to do.

    async def _load(self, now: _Round) -> bool:
        if self._memory is None:
            loaded, kept = await asyncio.to_thread(memory.load, self._store, self.source, self._checker)
            self._memory = self._last = loaded
            if self._final is None:
                self._final = self.status = kept
        now.before = self._memory
        return True

    async def _fetch(self, now: _Round) -> bool:
        applied = now.before.applied.revision
        unfinished = _unfinished(now.before)
        if now.poll and self._sound and not unfinished and applied:
            now.revision = await self.mirror.remote_revision() or ""
            if now.revision == applied:
                return False
        now.revision = await self.mirror.fetch() or ""
        now.missing = not now.revision
        return not now.missing and (now.revision != applied or unfinished)

    async def _list(self, now: _Round) -> bool:
        known = now.before
        if now.revision == known.applied.revision and known.listed:
            return True
        self._show_progress(now)
        now.listing = await self._scanner.look(
            known.applied.revision if known.listed else "",
            now.revision,
            known.settings,
            known.applied.settings_problems,
            known.inventory,
        )
        return True

    async def _change(self, now: _Round) -> bool:
        with collecting_rarely(len(now.listing.entries) if now.listing else 0):
            if now.listing is not None:
                now.scan = await self._scanner.read(now.listing)
            await self._apply(now)
        return True

    async def _apply(self, now: _Round) -> None:
        known = now.before
        async with self._turn:
            now.decision = await asyncio.to_thread(
                decide, self.source, self.mirror, self._store, known, now.revision, now.scan
            )
            after, plan = now.decision.after, now.decision.plan
            if plan.changes or now.revision != known.applied.revision:
                self._memory = None  # until the round has gone through, only the store knows what is live
                flows = now.scan.flows if now.scan else {}
                live = await apply(
                    self._deployer, self._scanner, self.source, now.revision, plan, flows, known.live
                )
                after = msgspec.structs.replace(after, live=live)
        now.after = after

    # The summary

    async def _summarise(self, now: _Round) -> Summary:
        status = self._status(now)
        if not status.same_as(self._final) or now.after is not None:
            try:
                await self._keep(now, status)
            except Exception as error:  # the next round finds the same differences again
                now.error, now.after, self._memory = error, None, None
                status = self._status(now)
        if now.error is not None:
            _log_error(self.source, now.error)
        self._sound = now.error is None and not now.missing
        changed = not status.same_as(self._final)
        if changed or self._final is None:
            self._final = status
        self.status = self._final
        if changed or not self._told:
            await self._tell(self._final)
        again = now.error is not None and _passes(now.error)
        retry_after = now.error.retry_after if isinstance(now.error, UnavailableError) else None
        return Summary(self._final, changed, again, retry_after)

    def _status(self, now: _Round) -> ReconcileStatus:
        known = now.after or now.before
        revision = known.applied.revision
        troubles: list[Trouble] = []
        if now.error is not None:
            troubles.append(conditions.failed(now.error, revision))
        if now.missing:
            troubles.append(conditions.branch_missing(self.mirror.branch, revision))
        plan = now.decision.plan if now.decision and now.after else None
        acted = plan is not None and (plan.changes or revision != now.before.applied.revision)
        held = plan.held if plan is not None else self._final.held if self._final else None
        return status_of(
            Facts(
                source=self.source,
                revision=revision,
                at=self._clock.now(),
                seconds=round(time.perf_counter() - now.started, 4),
                inventory=known.inventory,
                live=known.live,
                disputes=known.disputes,
                settings_problems=known.applied.settings_problems,
                held=held,
                changes=plan.changes if plan is not None and acted else None,
                troubles=tuple(troubles),
                rewritten=known.applied.rewritten,
            ),
            self._final,
        )

    async def _keep(self, now: _Round, status: ReconcileStatus) -> None:
        """Write what is new in one transaction, so that the status is never that of another revision."""
        written: dict[str, Any] = {}
        removed: list[str] = []
        if now.after is not None:
            paths = now.scan.paths if now.scan else ()
            written, removed = memory.rows(now.before, now.after, paths)
        if not status.same_as(self._final):
            written[memory.STATUS] = msgspec.to_builtins(status)
        if written or removed:
            await self._deployer.remember(memory.space(self.source), written, removed)
        if now.after is not None:
            self._memory = self._last = now.after

    async def _tell(self, status: ReconcileStatus) -> None:
        self._told = True
        if self._on_report is not None:
            try:
                await self._on_report(status)
            except Exception:  # telling must never stop reconciling
                _log.exception("source %s: its status could not be handed on", self.source)

    def _show_progress(self, now: _Round) -> None:
        applied, at = now.before.applied.revision, self._clock.now()
        before = self._final or ReconcileStatus(self.source, applied, (), at)
        self.status = msgspec.structs.replace(
            before, conditions=conditions.under_way(applied, now.revision, at, before.conditions)
        )


def _unfinished(known: Memory) -> bool:
    """Whether even the revision that is applied has to be looked at again."""
    waits = any(dispute.owner for dispute in known.disputes.values())
    return waits or bool(known.applied.confirmed) or not (known.resolved and known.listed)


def _passes(error: Exception) -> bool:
    """Whether trying again soon may help."""
    return conditions.failed(error, "").waiting or not isinstance(error, HeadwaterError)


def _log_error(source: str, error: Exception) -> None:
    if conditions.failed(error, "").reason == conditions.INTERNAL_ERROR:
        _log.error("source %s: the round failed", source, exc_info=error)
    else:
        _log.warning("source %s: %s", source, error)
