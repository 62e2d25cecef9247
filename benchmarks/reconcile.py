"""Reconciling a repository of ten thousand flows: its first load, and a commit that changes one file.

Flow files of 850 bytes in 100 folders. The first load is everything from an empty data folder to `Ready`: clone, parse,
check, make live. The one-file commit is a whole round with the engine and its store, over the bare `git fetch` of that
same commit into a mirror of its own.
"""

from __future__ import annotations

import subprocess
import time
from itertools import count
from pathlib import Path

from benchmarks.measure import Figure, Options, Spread, compared, main, timed
from benchmarks.place import folder, on_loop, service_in
from benchmarks.repositories import flow, path, repository
from engine.plugins import registry
from engine.service import Service
from reconciler.desired import checker
from reconciler.loop import Reconciler
from reconciler.repository import Mirror
from tests.support.repositories import Author

FLOWS = 10_000
LOAD = 4.0  # seconds
BOUND = 4.0  # times the bare fetch


class BareMirror:
    """What only fetches."""

    def __init__(self, place: Path, url: str) -> None:
        self._place = place
        subprocess.run(["git", "clone", "--quiet", "--bare", "--", url, str(place)], check=True)

    def seconds(self) -> float:
        command = ["git", "fetch", "--quiet", "--no-tags", "--no-auto-maintenance", "origin"]
        started = time.perf_counter()
        subprocess.run([*command, "+refs/heads/main:refs/heads/main"], cwd=self._place, check=True)
        return time.perf_counter() - started


class Source:
    """A source as the daemon follows it, without a status branch."""

    def __init__(self, place: Path, author: Author, service: Service) -> None:
        self._author = author
        mirror = Mirror(place, author.url, "main")
        check = checker(registry())
        self._reconciler = Reconciler("flows", mirror, service.store, service, check, service.around.clock)

    async def seconds(self) -> float:
        return await timed(self._round)

    async def _round(self) -> None:
        summary = await self._reconciler.reconcile()
        assert summary.status.ready, summary.status.conditions
        assert summary.status.revision == self._author.head()


async def first_load(place: Path, author: Author) -> float:
    async with service_in(place / "data") as service:
        return await Source(place / "mirror.git", author, service).seconds()


async def one_file(place: Path, author: Author, repeats: int) -> Figure:
    bare = BareMirror(place / "bare.git", author.url)
    async with service_in(place / "data") as service:
        source = Source(place / "mirror.git", author, service)
        await source.seconds()
        calls = count()

        def commit() -> None:
            number, again = divmod(next(calls), 2)
            if not again:  # both meet every commit
                index = number % FLOWS
                author.commit({path(index): flow(index, f"hello {number}")}, "Change one flow")

        async def reconciled() -> float:
            commit()
            return await source.seconds()

        def fetched() -> float:
            commit()
            return bare.seconds()

        name = f"one-file commit among {FLOWS:,} flows, over the bare `git fetch`"
        return await compared(name, reconciled, fetched, repeats=repeats, bound=BOUND)


async def measure_all(options: Options) -> list[Figure]:
    with folder() as place:
        author = repository(place / "flows.git", FLOWS)
        loads = []
        for index in range(options.repeats(5, 1)):
            at = place / f"load{index}"
            at.mkdir()
            loads.append(await first_load(at, author))
        at = place / "changes"
        at.mkdir()
        change = await one_file(at, author, options.repeats(25, 5))
        return [Figure(f"first load of {FLOWS:,} flows", Spread.of(loads), "s", LOAD), change]


def measure(options: Options) -> list[Figure]:
    return on_loop(lambda: measure_all(options))


if __name__ == "__main__":
    main(measure, __doc__ or "")
