"""Writes a `Batch` of the engine into an open transaction, a few statements for however many rows.

Snapshots are guarded by the version they were based on. This module must not begin or end transactions.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

from engine.errors import StoreConflict
from engine.model.execution import Execution
from engine.model.records import TriggerState
from engine.ports import Batch
from engine.store import codec, outbox

Row = tuple[Any, ...]


def write(connection: sqlite3.Connection, batch: Batch) -> None:
    """Write all of a batch but its deliveries. Raises StoreConflict."""
    if batch.fires:
        _write_fires(connection, batch)
    if batch.executions:
        _write_executions(connection, batch)
    if batch.events:
        _write_events(connection, batch)
    if batch.work:
        _write_work(connection, batch)
    if batch.logs:
        _write_logs(connection, batch)
    if batch.triggers:
        write_triggers(connection, batch.triggers)
    if batch.reports:
        _write_reports(connection, batch)
    for space in {space for space, _ in batch.documents}:
        mine = {key: value for (place, key), value in batch.documents.items() if place == space}
        kept = {key: value for key, value in mine.items() if value is not None}
        outbox.put(connection, space, kept, [key for key in mine if key not in kept])


def write_triggers(
    connection: sqlite3.Connection, triggers: Mapping[tuple[str, str, str], TriggerState | None]
) -> None:
    """Set trigger states by (namespace, flow id, trigger id); none removes one."""
    connection.executemany(
        "DELETE FROM triggers WHERE namespace = ? AND flow_id = ? AND trigger_id = ?",
        (key for key, state in triggers.items() if state is None),
    )
    connection.executemany(
        "INSERT INTO triggers (namespace, flow_id, trigger_id, type, next_due, last_due, execution_id, spec,"
        " suspended, backfill) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (namespace, flow_id, trigger_id) DO UPDATE SET type = excluded.type,"
        " next_due = excluded.next_due, last_due = excluded.last_due, execution_id = excluded.execution_id,"
        " spec = excluded.spec, suspended = excluded.suspended,"
        " backfill = excluded.backfill",
        (
            (
                *key,
                state.type,
                codec.maybe_micros(state.next_due),
                codec.maybe_micros(state.last_due),
                state.execution_id,
                state.spec,
                state.suspended,
                codec.body(state.backfill) if state.backfill else None,
            )
            for key, state in triggers.items()
            if state is not None
        ),
    )


def _write_fires(connection: sqlite3.Connection, batch: Batch) -> None:
    written = connection.executemany(
        "INSERT INTO fires (namespace, flow_id, trigger_id, due, execution_id) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (
            (fire.namespace, fire.flow_id, fire.trigger_id, codec.micros(fire.due), fire.execution_id)
            for fire in batch.fires
        ),
    ).rowcount
    if written != len(batch.fires):
        raise StoreConflict("a due time has fired before", reason="FireKnown")


def _write_executions(connection: sqlite3.Connection, batch: Batch) -> None:
    _insert_executions(connection, batch)
    _update_executions(connection, batch)
    _write_runs(connection, batch)
    _write_values(connection, batch)


def _stale() -> StoreConflict:
    return StoreConflict("an execution has moved on meanwhile", reason="SnapshotStale")


def _insert_executions(connection: sqlite3.Connection, batch: Batch) -> None:
    rows = [_created(execution) for key, execution in batch.executions.items() if not batch.bases.get(key)]
    if not rows:
        return
    written = connection.executemany(
        "INSERT INTO executions (id, namespace, flow_id, revision, commit_id, state, created, ended, trigger_id,"
        " version, labels, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        rows,
    ).rowcount
    if written != len(rows):
        raise _stale()


def _created(execution: Execution) -> Row:
    flow = execution.flow
    return (
        execution.id,
        flow.namespace,
        flow.id,
        flow.revision,
        flow.commit,
        execution.state,
        codec.micros(execution.created),
        codec.maybe_micros(execution.ended),
        execution.cause.id if execution.cause else None,
        execution.version,
        codec.body(execution.labels),
        codec.header(execution),
    )


def _update_executions(connection: sqlite3.Connection, batch: Batch) -> None:
    changed = [(key, execution) for key, execution in batch.executions.items() if batch.bases.get(key)]
    if not changed:
        return
    written = connection.executemany(
        "UPDATE executions SET version = ?, labels = ?, body = ? WHERE id = ? AND version = ?",
        (
            (item.version, codec.body(item.labels), codec.header(item), key, batch.bases[key])
            for key, item in changed
        ),
    ).rowcount
    if written != len(changed):
        raise _stale()
    # apart, because SQLite rewrites the indexes of every column that a SET names, changed or not
    connection.executemany(
        "UPDATE executions SET state = ?1, ended = ?2 WHERE id = ?3 AND (state <> ?1 OR ended IS NOT ?2)",
        ((item.state, codec.maybe_micros(item.ended), key) for key, item in changed),
    )


def _write_runs(connection: sqlite3.Connection, batch: Batch) -> None:
    connection.executemany(
        "INSERT INTO task_runs (execution_id, key, seq, task_id, state, body) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (execution_id, key) DO UPDATE SET seq = excluded.seq, task_id = excluded.task_id,"
        " state = excluded.state, body = excluded.body",
        _run_rows(batch),
    )
    connection.executemany(
        "DELETE FROM task_runs WHERE execution_id = ? AND key = ?",
        (
            (execution_id, key)
            for execution_id, execution in batch.executions.items()
            for key in batch.touched.get(execution_id, ())
            if key not in execution.runs
        ),
    )


def _run_rows(batch: Batch) -> Iterator[Row]:
    for execution_id, execution in batch.executions.items():
        for key in batch.touched.get(execution_id, ()):
            run = execution.runs.get(key)
            if run is not None:
                yield execution_id, key, run.seq, run.task_id, run.state, codec.body(run)


def _write_values(connection: sqlite3.Connection, batch: Batch) -> None:
    for execution_id, keys in batch.valued.items():
        values = batch.executions[execution_id].values
        connection.executemany(
            "INSERT INTO loop_values (execution_id, key, body) VALUES (?, ?, ?)"
            " ON CONFLICT (execution_id, key) DO UPDATE SET body = excluded.body",
            ((execution_id, key, codec.body(values[key])) for key in keys if key in values),
        )
        connection.executemany(
            "DELETE FROM loop_values WHERE execution_id = ? AND key = ?",
            ((execution_id, key) for key in keys if key not in values),
        )


def _write_events(connection: sqlite3.Connection, batch: Batch) -> None:
    written = connection.executemany(
        "INSERT INTO events (execution_id, version, body) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        ((execution_id, version, codec.body(event)) for execution_id, version, event in batch.events),
    ).rowcount
    if written != len(batch.events):
        raise _stale()


def _write_work(connection: sqlite3.Connection, batch: Batch) -> None:
    connection.executemany(
        "DELETE FROM work WHERE id = ?", ((key,) for key, work in batch.work.items() if work is None)
    )
    connection.executemany(
        "INSERT INTO work (id, execution_id, due, body) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET due = excluded.due, body = excluded.body",
        (
            (key, work.execution_id, codec.maybe_micros(work.due), codec.body(work))
            for key, work in batch.work.items()
            if work is not None
        ),
    )


def _write_logs(connection: sqlite3.Connection, batch: Batch) -> None:
    connection.executemany(
        "INSERT INTO logs (execution_id, at, level, key, task_id, task_run_id, attempt, message)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                entry.execution_id,
                codec.micros(entry.at),
                entry.level,
                entry.key,
                entry.task_id,
                entry.task_run_id,
                entry.attempt,
                codec.text(entry.message),
            )
            for entry in batch.logs
        ),
    )


def _write_reports(connection: sqlite3.Connection, batch: Batch) -> None:
    # a counter of its own, because a report that was told and comes back must not meet its old serial
    serial = connection.execute(
        "INSERT INTO counters (name, value) VALUES ('reports', 1)"
        " ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value"
    ).fetchone()[0]
    connection.executemany(
        "INSERT INTO reports (topic, key, serial) VALUES (?, ?, ?)"
        " ON CONFLICT (topic, key) DO UPDATE SET serial = excluded.serial",
        ((topic, key, serial) for topic, key in sorted(batch.reports)),
    )
