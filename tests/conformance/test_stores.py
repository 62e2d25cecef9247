"""The stores that there are, held against the suite; and any value of the model round through SQLite."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import immutables
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from engine.clock import ManualClock
from engine.model.events import AnyEvent
from engine.model.execution import Execution
from engine.model.records import FlowVersion, LogEntry, Query, TriggerState, Work
from engine.model.state import State
from engine.ports import Batch, Store
from engine.store.executions import select
from engine.store.sqlite import SqliteStore
from tests.conformance.store_suite import LastingStoreSuite, StoreSuite
from tests.support.store_values import NOON, an_execution, commit_of, line, task_run, values_of


class TestSqliteFile(LastingStoreSuite):
    def open(self, folder: Path, clock: ManualClock) -> Store:
        return SqliteStore(folder / "headwater.db", clock=clock)


class TestSqliteFileNormal(LastingStoreSuite):
    def open(self, folder: Path, clock: ManualClock) -> Store:
        return SqliteStore(folder / "headwater.db", synchronous="NORMAL", clock=clock)


class TestSqliteMemory(StoreSuite):
    def open(self, folder: Path, clock: ManualClock) -> Store:
        return SqliteStore(clock=clock)


@pytest.fixture(scope="module")
def memory() -> Iterator[SqliteStore]:
    store = SqliteStore()
    yield store
    store.close()


_MANY = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@_MANY
@given(values_of(Execution))
def test_any_snapshot_comes_back_as_it_was(execution: Execution) -> None:
    store = SqliteStore()
    batch = commit_of(execution)
    store.commit(batch)
    found = store.execution(execution.id)
    (summary,) = store.executions(Query(labels=execution.labels))
    store.close()
    assert found == batch.executions[execution.id]
    assert (summary.id, summary.state, summary.ended) == (execution.id, execution.state, execution.ended)


@_MANY
@given(values_of(AnyEvent), values_of(Work))
def test_any_event_and_work_comes_back_as_it_was(memory: SqliteStore, event: AnyEvent, work: Work) -> None:
    for item in memory.work():
        memory.commit(Batch(work={item.id: None}))
    past = memory.events("e")
    memory.commit(Batch(events=[("e", len(past) + 1, event)], work={work.id: work}))
    assert memory.events("e") == [*past, event]
    assert memory.work() == [work]


@_MANY
@given(values_of(LogEntry), values_of(TriggerState))
def test_any_line_and_trigger_comes_back_as_it_was(
    memory: SqliteStore, entry: LogEntry, state: TriggerState
) -> None:
    memory.commit(Batch(logs=[entry], triggers={(state.namespace, state.flow_id, state.trigger_id): state}))
    assert memory.logs(entry.execution_id)[-1][1] == entry
    assert state in memory.triggers(state.namespace, state.flow_id)


def test_readers_see_whole_commits_only_while_one_writes(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "s.db", synchronous="NORMAL")
    store.commit(commit_of(an_execution()))
    done = threading.Event()
    broken: list[object] = []
    seen: set[int] = set()

    def read() -> None:
        while not done.is_set():
            found = store.execution("e1")
            if found is None or len(found.runs) != found.version - 1:
                broken.append(found)
                return
            seen.add(found.version)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    runs: dict[str, object] = {}
    for version in range(2, 120):
        key = f"t{version}"
        runs[key] = task_run(key, version)
        batch = commit_of(an_execution(runs=immutables.Map(runs)), base=version - 1, version=version)
        batch.touched["e1"] = {key}
        store.commit(batch)
    done.set()
    for reader in readers:
        reader.join(10)
    store.close()
    assert not broken
    assert len(seen) > 1


def test_a_read_connection_cannot_write(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "s.db")
    with store._database.reading() as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM executions")
    store.close()


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (Query(), "executions_by_created"),
        (Query(since=NOON), "executions_by_created"),
        (Query(namespace="a"), "executions_by_namespace"),
        (Query(namespace="a", flow_id="b"), "executions_by_flow"),
        (
            Query(namespace="a", flow_id="b", since=NOON, trigger_id="t", labels={"x": "y"}),
            "executions_by_flow",
        ),
        (Query(states=(State.FAILED,)), "executions_by_state"),
        (Query(states=(State.FAILED, State.KILLED)), "executions_by_state"),
        (Query(namespace="a", flow_id="b", states=(State.FAILED,)), "executions_by_flow_state"),
    ],
)
def test_lists_walk_an_index_in_order_and_sort_nothing(memory: SqliteStore, query: Query, index: str) -> None:
    statement, arguments = select(query)
    with memory._database.reading() as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", arguments)]
    on_table = [step for step in plan if "executions" in step]
    assert on_table
    assert all(f"USING INDEX {index} " in f"{step} " for step in on_table), plan
    sorts = [step for step in plan if "TEMP B-TREE" in step]
    assert len(sorts) <= 1  # of the few merged rows, never of the table


def test_ten_thousand_flows_are_put_and_listed(tmp_path: Path) -> None:
    versions = [
        FlowVersion(f"ns{number % 100:02}", f"f{number:05}", 1, "c", "b", "p", "prod", b"x" * 850, NOON)
        for number in range(10_000)
    ]
    store = SqliteStore(tmp_path / "s.db")
    store.put_flows(versions, (), {})
    assert list(store.flows()) == sorted(versions, key=lambda item: (item.namespace, item.id))
    store.close()


def test_a_store_in_memory_is_its_own(memory: SqliteStore) -> None:
    other = SqliteStore()
    memory.commit(Batch(logs=[line("shared?")]))
    assert other.logs("shared?") == []
    other.close()


def test_a_body_is_readable_in_the_shell(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "s.db")
    batch = commit_of(msgspec.structs.replace(an_execution(), inputs={"day": "monday"}))
    store.commit(batch)
    store.close()
    connection = sqlite3.connect(tmp_path / "s.db")
    row = connection.execute("SELECT typeof(body), body ->> '$.inputs.day' FROM executions").fetchone()
    connection.close()
    assert row == ("text", "monday")
