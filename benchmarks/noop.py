"""No-op task runs a second, each durable before the next one begins to count.

A thousand tasks in sequence and a thousand values of a loop, in the daemon's engine and its store on disk with every
commit written through; then a loop over ten times as many values, which has to cost ten times as much and no more.
The floor is a bare SQLite transaction for every event: what a store pays that groups nothing.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from benchmarks.measure import Figure, Options, Spread, main, timed
from benchmarks.place import deploy, folder, on_loop, run, service_in
from engine.service import Service

TASKS = 1_000
BOUND = 2_000.0
GROWTH = 2.0  # of the time an item takes, from a thousand items to ten thousand


def sequence(flow_id: str, body: str) -> str:
    tasks = "".join(f"  - id: t{index}\n    type: {body}\n" for index in range(TASKS))
    return f"id: {flow_id}\nnamespace: benchmark\ntasks:\n{tasks}"


def loop(flow_id: str, count: int) -> str:
    return (
        f"id: {flow_id}\nnamespace: benchmark\ntasks:\n  - id: each\n    type: core.flow.ForEach\n"
        f'    values: "{{{{ range(1, {count}) }}}}"\n    tasks:\n'
        "      - id: value\n        type: core.debug.Return\n        format: nothing\n"
    )


FLOWS = {
    "log": sequence("log", "core.log.Log\n    message: nothing"),
    "return": sequence("return", "core.debug.Return\n    format: nothing"),
    "each": loop("each", TASKS),
    "large": loop("large", 10 * TASKS),
}


def bare(place: Path) -> float:
    """Transactions a second of plain SQLite, set as the store is, with one small row in each."""
    connection = sqlite3.connect(place / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, body TEXT)")
    started = time.perf_counter()
    for _ in range(TASKS):
        connection.execute("INSERT INTO events (body) VALUES (?)", ("x" * 200,))
    seconds = time.perf_counter() - started
    connection.close()
    return TASKS / seconds


async def counted(service: Service, flow_id: str, expected: int) -> None:
    """Run a flow and see that the store has every task run of it."""
    execution = await run(service, flow_id)
    kept = service.store.execution(execution.id)
    assert kept is not None
    assert len(kept.runs) >= expected


async def measure_all(options: Options) -> list[Figure]:
    repeats = options.repeats(9, 1)
    rates: dict[str, list[float]] = {name: [] for name in FLOWS}
    floor = []
    with folder() as place:
        async with service_in(place / "data") as service:
            for text in FLOWS.values():
                await deploy(service, text)
            for index in range(repeats + 1):
                floor.append(bare(place))
                for name in FLOWS:
                    count = 10 * TASKS if name == "large" else TASKS
                    seconds = await timed(lambda name=name, count=count: counted(service, name, count))  # type: ignore[misc]
                    if index:
                        rates[name].append(count / seconds)
    growth = [small / large for small, large in zip(rates["each"], rates["large"], strict=True)]
    return [
        Figure(f"{TASKS:,} sequential Log tasks", Spread.of(rates["log"]), "a second", BOUND, "high"),
        Figure(f"{TASKS:,} sequential Return tasks", Spread.of(rates["return"]), "a second", BOUND, "high"),
        Figure(f"ForEach over {TASKS:,} values", Spread.of(rates["each"]), "a second", BOUND, "high"),
        Figure(f"ForEach over {10 * TASKS:,} values", Spread.of(rates["large"]), "a second", BOUND, "high"),
        Figure("time of a value among 10,000 over among 1,000", Spread.of(growth), "x", GROWTH),
        Figure("floor: bare SQLite transactions", Spread.of(floor), "a second"),
    ]


def measure(options: Options) -> list[Figure]:
    return on_loop(lambda: measure_all(options))


if __name__ == "__main__":
    main(measure, __doc__ or "")
