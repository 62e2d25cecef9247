"""Writes to a store until it is killed: `python -m tests.support.store_writer PATH`, a line for every commit.

Each commit moves one execution on by one event, one task run, one log line, one piece of work and one document
of the outbox, so that a reader can tell whole commits from halves.
"""

from __future__ import annotations

import itertools
import sys
from datetime import timedelta

import immutables

from engine.model.commands import Run
from engine.model.events import AttemptStarted
from engine.model.records import Fire, Work
from engine.store.sqlite import SqliteStore
from tests.support.store_values import NOON, an_execution, commit_of, line, task_run


def main() -> None:
    store = SqliteStore(sys.argv[1])
    found = store.execution("e1")
    start = found.version if found else 0
    runs = found.runs if found else immutables.Map()
    for version in itertools.count(start + 1):
        key = f"t{version}"
        runs = runs.set(key, task_run(key, version))
        batch = commit_of(an_execution(runs=runs), base=version - 1, version=version)
        batch.touched["e1"] = {key}
        batch.events = [("e1", version, AttemptStarted(NOON, key, 1))]
        batch.logs = [line(key=key)]
        batch.work = {key: Work(key, "e1", Run(key, 1))}
        batch.fires = [Fire("a", "b", "c", NOON + timedelta(seconds=version), key)]
        batch.reports = {("execution", key)}
        store.commit(batch)
        print(version, flush=True)


if __name__ == "__main__":
    main()
