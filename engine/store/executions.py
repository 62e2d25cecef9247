"""Reads executions, their events, work and logs back from an open snapshot of the database. Writes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from engine.model.events import AnyEvent
from engine.model.execution import Execution
from engine.model.records import LogEntry, Query, Summary, Work
from engine.model.state import State
from engine.store import codec

_LISTED = "id, namespace, flow_id, revision, commit_id, state, created, ended, trigger_id, labels"
_NEWEST = "ORDER BY created DESC, serial DESC"


def execution(connection: sqlite3.Connection, execution_id: str) -> Execution | None:
    """The snapshot with all task runs and loop values, if there is one."""
    found = connection.execute("SELECT body FROM executions WHERE id = ?", (execution_id,)).fetchone()
    if found is None:
        return None
    runs = connection.execute("SELECT key, body FROM task_runs WHERE execution_id = ?", (execution_id,))
    values = connection.execute("SELECT key, body FROM loop_values WHERE execution_id = ?", (execution_id,))
    return codec.read_execution(found[0], dict(runs), dict(values))


def events(connection: sqlite3.Connection, execution_id: str) -> list[AnyEvent]:
    """The execution's events from the first."""
    rows = connection.execute(
        "SELECT body FROM events WHERE execution_id = ? ORDER BY version", (execution_id,)
    )
    return [codec.read_event(body) for (body,) in rows]


def executions(connection: sqlite3.Connection, query: Query) -> list[Summary]:
    """The executions that a query asks for, newest first."""
    statement, arguments = select(query)
    return [_summary(row) for row in connection.execute(statement, arguments)]


def select(query: Query) -> tuple[str, list[Any]]:
    """The SELECT of a query and its arguments.

    Several states become one ordered look-up each, merged: an index then gives the newest of every state at once,
    where `state IN (…)` would sort all that match.
    """
    conditions, values = fitting(query)
    wanted: Sequence[State | None] = tuple(dict.fromkeys(query.states)) or (None,)
    parts: list[str] = []
    arguments: list[Any] = []
    for state in wanted:
        here = [*conditions, *(["state = ?"] if state else [])]
        where = f"WHERE {' AND '.join(here)}" if here else ""
        # only constants of this module are spliced in; what a query says is bound
        parts.append(f"SELECT * FROM (SELECT {_LISTED}, serial FROM executions {where} {_NEWEST} LIMIT ?)")  # noqa: S608
        arguments += [*values, *([str(state)] if state else []), query.offset + query.limit]
    statement = f"SELECT {_LISTED} FROM ({' UNION ALL '.join(parts)}) {_NEWEST} LIMIT ? OFFSET ?"  # noqa: S608
    return statement, [*arguments, query.limit, query.offset]


def fitting(query: Query) -> tuple[list[str], list[Any]]:
    """The conditions of a query, its states left out, and the values they bind."""
    pairs: list[tuple[str, Any]] = [
        ("namespace = ?", None if query.below else query.namespace),
        ("flow_id = ?", query.flow_id),
        ("trigger_id = ?", query.trigger_id),
        ("created >= ?", codec.maybe_micros(query.since)),
        ("created < ?", codec.maybe_micros(query.until)),
    ]
    conditions = [condition for condition, value in pairs if value is not None]
    values = [value for _, value in pairs if value is not None]
    if query.below and query.namespace is not None:
        # `/` is what follows `.`: a range that the index on namespaces knows, where LIKE would read them all
        conditions.append("(namespace = ? OR (namespace > ? AND namespace < ?))")
        values += [query.namespace, f"{query.namespace}.", f"{query.namespace}/"]
    for key, value in query.labels.items():
        # A pair as it stands in the JSON text, behind the brace or a comma; inside a string its quotes would be
        # escaped. SQLite's own JSON functions end a text at its first NUL.
        pair = codec.body({key: value})[1:-1]
        conditions.append("(instr(labels, ?) OR instr(labels, ?))")
        values += ["{" + pair, "," + pair]
    return conditions, values


def _summary(row: tuple[Any, ...]) -> Summary:
    execution_id, namespace, flow_id, revision, commit, state, created, ended, trigger_id, labels = row
    return Summary(
        id=execution_id,
        namespace=namespace,
        flow_id=flow_id,
        revision=revision,
        commit=commit,
        state=State(state),
        created=codec.instant(created),
        ended=codec.maybe_instant(ended),
        trigger_id=trigger_id,
        labels=codec.read_labels(labels),
    )


def count(connection: sqlite3.Connection, namespace: str, flow_id: str, states: Sequence[State]) -> int:
    """How many executions of a flow are in one of the states."""
    total: int = 0
    for state in set(states):
        total += connection.execute(
            "SELECT count(*) FROM executions WHERE namespace = ? AND flow_id = ? AND state = ?",
            (namespace, flow_id, str(state)),
        ).fetchone()[0]
    return total


def matching(connection: sqlite3.Connection, query: Query, most: int) -> int:
    """How many executions fit a query, counted up to `most`; its limit and offset do not count."""
    conditions, values = fitting(query)
    if query.states:
        conditions.append(f"state IN ({', '.join('?' * len(query.states))})")
        values += [str(state) for state in query.states]
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    # only constants of this module are spliced in; what a query says is bound
    statement = f"SELECT count(*) FROM (SELECT 1 FROM executions {where} LIMIT ?)"  # noqa: S608
    found: int = connection.execute(statement, [*values, most]).fetchone()[0]
    return found


def work(connection: sqlite3.Connection) -> list[Work]:
    """All work there is, oldest first."""
    return [codec.read_work(body) for (body,) in connection.execute("SELECT body FROM work ORDER BY serial")]


def logs(
    connection: sqlite3.Connection, execution_id: str, after: int, limit: int, key: str | None
) -> list[tuple[int, LogEntry]]:
    """At most `limit` lines with a serial above `after`, of one task run if `key` says so, in order."""
    of_key = "" if key is None else "AND key = ?"
    rows = connection.execute(
        "SELECT serial, at, level, message, key, task_id, task_run_id, attempt FROM logs"  # noqa: S608 (a constant)
        f" WHERE execution_id = ? AND serial > ? {of_key} ORDER BY serial LIMIT ?",
        (execution_id, after, *([] if key is None else [key]), limit),
    )
    return [(serial, LogEntry(execution_id, codec.instant(at), *rest)) for serial, at, *rest in rows]
