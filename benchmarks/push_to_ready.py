"""From a push to `Ready` at the new revision, with a hook on the loopback.

A whole daemon in a process of its own follows a bare repository of a hundred flows. A commit of one file is pushed
with `git push`; the hook is called right after it, as a forge does; the time ends when the daemon's store says `Ready`
at that revision. The floor is the `git push` itself.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure, Options, Spread, main
from benchmarks.place import folder
from benchmarks.process import Process, daemon
from benchmarks.repositories import flow, path, repository
from engine.store.sqlite import SqliteStore
from reconciler import memory

FLOWS = 100
BOUND = 1.0  # seconds
NAME = ("-c", "user.name=Ada Author", "-c", "user.email=ada@example.org")


class Person:
    """Somebody with a clone."""

    def __init__(self, place: Path, url: str) -> None:
        self._place = place
        subprocess.run(["git", "clone", "--quiet", "--", url, str(place)], check=True)

    def commit(self, index: int, message: str) -> str:
        (self._place / path(index)).write_text(flow(index, message))
        self._git(*NAME, "commit", "--quiet", "--all", "--message", "Change one flow")
        return self._git("rev-parse", "HEAD")

    def push(self) -> None:
        self._git("push", "--quiet", "origin", "main")

    def _git(self, *words: str) -> str:
        done = subprocess.run(["git", *words], cwd=self._place, check=True, capture_output=True, text=True)
        return done.stdout.strip()


def ready_at(store: SqliteStore, revision: str) -> bool:
    """Whether the daemon has made it known that it is ready at that revision."""
    status: Any = store.get(memory.space("flows"), memory.STATUS)
    if not status or status["revision"] != revision:
        return False
    return any(each["type"] == "Ready" and each["status"] is True for each in status["conditions"])


def once(running: Process, store: SqliteStore, person: Person, index: int) -> tuple[float, float]:
    """Seconds of the push alone, and from its begin to `Ready`."""
    revision = person.commit(index % FLOWS, f"hello {index}")
    started = time.perf_counter()
    person.push()
    pushed = time.perf_counter()
    running.hook("flows")
    running.until(lambda: ready_at(store, revision))
    return pushed - started, time.perf_counter() - started


def measure(options: Options) -> list[Figure]:
    pairs = []
    with folder() as place:
        author = repository(place / "flows.git", FLOWS)
        person = Person(place / "clone", author.url)
        with daemon(place / "daemon", author.url) as running:
            running.ready()
            store = SqliteStore(place / "daemon" / "data" / "headwater.db")
            for index in range(options.repeats(20, 3) + 1):
                pairs.append(once(running, store, person, index))
            store.close()
    del pairs[0]
    return [
        Figure("push to Ready", Spread.of([whole for _, whole in pairs]), "s", BOUND),
        Figure("hook to Ready", Spread.of([whole - push for push, whole in pairs]), "s", BOUND),
        Figure("floor: git push", Spread.of([push for push, _ in pairs]), "s"),
    ]


if __name__ == "__main__":
    main(measure, __doc__ or "")
