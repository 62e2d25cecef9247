"""What upkeep asks of the database: how much there is by flow, which lines are old, and to forget it.

Works inside a transaction that somebody else began and ends. Due times that fired are kept for ever: forgetting
their executions must not let them fire again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from engine.model.records import LogQuery, Query
from engine.model.state import State
from engine.store import codec
from engine.store.executions import fitting

_ENDED = tuple(str(state) for state in State if state.terminal)
_PARTS = ("task_runs", "loop_values", "events", "logs", "work")


def counts(connection: sqlite3.Connection, query: Query) -> dict[tuple[str, str], int]:
    """How many executions fit, by namespace and flow id; the query's limit and offset do not count."""
    wanted, values = fitting(query)
    if query.states:
        wanted.append(f"state IN ({_marks(query.states)})")
        values += [str(state) for state in query.states]
    where = f"WHERE {' AND '.join(wanted)}" if wanted else ""
    # only constants of this module are spliced in; what a query says is bound
    statement = f"SELECT namespace, flow_id, count(*) FROM executions {where} GROUP BY namespace, flow_id"  # noqa: S608
    return {
        (namespace, flow_id): count for namespace, flow_id, count in connection.execute(statement, values)
    }


def spaces(connection: sqlite3.Connection, prefix: str) -> list[str]:
    """The spaces that hold something and whose names begin so, in order."""
    rows = connection.execute(
        "SELECT DISTINCT space FROM documents WHERE substr(space, 1, ?) = ? ORDER BY space",
        (len(prefix), codec.text(prefix)),
    )
    return [space for (space,) in rows]


def old_logs(connection: sqlite3.Connection, query: LogQuery, limit: int) -> list[int]:
    """Serial numbers of lines that fit, at most `limit`, oldest first."""
    wanted, values = ["at < ?"], [codec.micros(query.until)]  # type: list[str], list[object]
    if query.since is not None:
        wanted.append("at >= ?")
        values.append(codec.micros(query.since))
    if query.levels:
        wanted.append(f"level IN ({_marks(query.levels)})")
        values += query.levels
    if query.execution_id is not None:
        wanted.append("execution_id = ?")
        values.append(query.execution_id)
    if query.namespace is not None or query.flow_id is not None:
        inner, more = fitting(Query(namespace=query.namespace, flow_id=query.flow_id, below=query.below))
        wanted.append(f"execution_id IN (SELECT id FROM executions WHERE {' AND '.join(inner)})")  # noqa: S608
        values += more
    statement = f"SELECT serial FROM logs WHERE {' AND '.join(wanted)} ORDER BY serial LIMIT ?"  # noqa: S608
    return [serial for (serial,) in connection.execute(statement, (*values, limit))]


def forget_logs(connection: sqlite3.Connection, serials: Sequence[int]) -> int:
    """Delete lines by serial number; returns how many there were."""
    return connection.executemany("DELETE FROM logs WHERE serial = ?", ((each,) for each in serials)).rowcount


def forget(connection: sqlite3.Connection, execution_ids: Sequence[str]) -> tuple[int, int]:
    """Delete executions with all that belongs to them: how many, and how many log lines.

    One that has not ended, or that the outside world has still to be told of, stays.
    """
    executions = lines = 0
    for execution_id in execution_ids:
        gone = connection.execute(
            f"DELETE FROM executions WHERE id = ? AND state IN ({_marks(_ENDED)})"  # noqa: S608
            " AND NOT EXISTS (SELECT 1 FROM reports WHERE topic = 'execution' AND key = id)",
            (execution_id, *_ENDED),
        ).rowcount
        if not gone:
            continue
        executions += 1
        for table in _PARTS:
            found = connection.execute(f"DELETE FROM {table} WHERE execution_id = ?", (execution_id,))  # noqa: S608
            lines += found.rowcount if table == "logs" else 0
    return executions, lines


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
