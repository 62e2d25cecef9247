"""When a source is looked at: polls, nudges that become one round, pauses that grow while it does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from engine.errors import NotFound
from reconciler.loop import Summary
from reconciler.report import ReconcileStatus
from reconciler.watch import LONGEST_PAUSE, Watch, Watcher, wait_for
from tests.support.reconciling import NOON

STATUS = ReconcileStatus("prod", "", (), NOON)
GOOD = Summary(STATUS, changed=False)
BAD = Summary(STATUS, changed=False, again=True)


class Rounds:
    """Notes each round; a test lets it end."""

    def __init__(self, source: str = "prod") -> None:
        self.source = source
        self.polls: list[bool] = []
        self.summary = GOOD
        self.began = asyncio.Semaphore(0)
        self.may_end = asyncio.Semaphore(0)

    async def reconcile(self, *, poll: bool = False) -> Summary:
        self.polls.append(poll)
        self.began.release()
        await self.may_end.acquire()
        return self.summary

    async def one(self, summary: Summary = GOOD) -> bool:
        """Let one round happen; whether it was a poll."""
        await asyncio.wait_for(self.began.acquire(), 5)
        self.summary = summary
        self.may_end.release()
        return self.polls[-1]


class Pauses:
    """Waits that last until the test says that their time is over, or the event comes."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[float] = asyncio.Queue()
        self.over = asyncio.Event()

    async def __call__(self, event: asyncio.Event, seconds: float) -> None:
        self.asked.put_nowait(seconds)
        waits = [asyncio.ensure_future(each.wait()) for each in (event, self.over)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
        self.over.clear()

    async def next(self) -> float:
        return await asyncio.wait_for(self.asked.get(), 5)


@asynccontextmanager
async def running(watch: Watcher | Watch) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watch.run())
        yield
        task.cancel()


def watcher(rounds: Rounds, pauses: Pauses, interval: float = 60, chance: float = 0.5) -> Watcher:
    return Watcher(rounds, interval, wait=pauses, chance=lambda: chance)


async def test_the_first_round_fetches_and_later_ones_poll() -> None:
    rounds, pauses = Rounds(), Pauses()
    async with running(watcher(rounds, pauses)):
        assert await rounds.one() is False
        for _ in range(3):
            assert await pauses.next() == 60
            pauses.over.set()
            assert await rounds.one() is True


async def test_a_nudge_ends_the_pause_and_fetches() -> None:
    rounds, pauses = Rounds(), Pauses()
    watching = watcher(rounds, pauses)
    async with running(watching):
        await rounds.one()
        await pauses.next()
        watching.nudge()
        assert await rounds.one() is False


async def test_any_number_of_nudges_during_a_round_are_one_more_round() -> None:
    rounds, pauses = Rounds(), Pauses()
    watching = watcher(rounds, pauses)
    async with running(watching):
        await asyncio.wait_for(rounds.began.acquire(), 5)
        for _ in range(100):
            watching.nudge()
        rounds.may_end.release()
        await pauses.next()
        assert await rounds.one() is False
        await pauses.next()
        assert len(rounds.polls) == 2


async def test_pauses_grow_to_a_limit_while_it_fails_and_a_nudge_forgets_them() -> None:
    rounds, pauses = Rounds(), Pauses()
    watching = watcher(rounds, pauses)
    async with running(watching):
        asked = []
        for _ in range(30):
            await rounds.one(BAD)
            asked.append(await pauses.next())
            pauses.over.set()
        assert asked[:5] == [1, 2, 4, 8, 16]
        assert asked[-1] == LONGEST_PAUSE
        await rounds.one(BAD)
        await pauses.next()
        watching.nudge()
        await rounds.one(BAD)
        assert await pauses.next() == 1
        pauses.over.set()
        await rounds.one(GOOD)
        assert await pauses.next() == 60
        pauses.over.set()
        await rounds.one(BAD)
        assert await pauses.next() == 1


async def test_the_other_side_may_ask_for_more_time() -> None:
    rounds, pauses = Rounds(), Pauses()
    async with running(watcher(rounds, pauses)):
        await rounds.one(Summary(STATUS, changed=False, again=True, retry_after=90))
        assert await pauses.next() == 90


@pytest.mark.parametrize(("chance", "pause"), [(0.0, 54), (1.0, 66)])
async def test_polls_are_spread(chance: float, pause: float) -> None:
    rounds, pauses = Rounds(), Pauses()
    async with running(watcher(rounds, pauses, chance=chance)):
        await rounds.one()
        assert await pauses.next() == pytest.approx(pause)


async def test_all_sources_are_watched_and_nudged_by_name() -> None:
    one, two, pauses = Rounds("one"), Rounds("two"), Pauses()
    watch = Watch([watcher(one, pauses), watcher(two, Pauses())])
    async with running(watch):
        await one.one()
        await two.one()
        await pauses.next()
        await watch.nudge("one")
        assert await one.one() is False
        with pytest.raises(NotFound, match="no source `three`"):
            await watch.nudge("three")
    assert len(two.polls) == 1


async def test_a_real_wait_ends_by_its_time_and_by_the_event() -> None:
    event = asyncio.Event()
    await wait_for(event, 0.001)
    event.set()
    await asyncio.wait_for(wait_for(event, 1000), 5)
