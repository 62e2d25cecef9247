"""Reports still to be told, the ledger of webhook deliveries, and the documents of other rooms.

Works inside a transaction that somebody else began and ends.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from engine.model.records import Report
from engine.store import codec

# GitHub lets a delivery be sent again for three days, GitLab and Gitea as long as they show it: about a month
KEPT = timedelta(days=32)


def reports(connection: sqlite3.Connection, limit: int) -> list[Report]:
    """At most `limit` reports that still have to be told, oldest first."""
    rows = connection.execute("SELECT topic, key, serial FROM reports ORDER BY position LIMIT ?", (limit,))
    return [Report(*row) for row in rows]


def reported(connection: sqlite3.Connection, told: Sequence[Report]) -> None:
    """Drop reports that were told, unless their serial has grown meanwhile."""
    connection.executemany(
        "DELETE FROM reports WHERE topic = ? AND key = ? AND serial <= ?",
        ((report.topic, report.key, report.serial) for report in told),
    )


def deliver(connection: sqlite3.Connection, deliveries: Iterable[tuple[str, str]], now: datetime) -> None:
    """Note deliveries as done at `now`; one that is noted already keeps its time."""
    at = codec.micros(now)
    connection.executemany(
        "INSERT INTO deliveries (source, id, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        ((codec.text(source), codec.text(delivery_id), at) for source, delivery_id in deliveries),
    )


def forget_deliveries(connection: sqlite3.Connection, now: datetime) -> None:
    """Drop deliveries that nobody sends again."""
    connection.execute("DELETE FROM deliveries WHERE at < ?", (codec.micros(now - KEPT),))


def delivered(connection: sqlite3.Connection, source: str, delivery_id: str) -> bool:
    """Whether a delivery is noted as done."""
    found = connection.execute(
        "SELECT 1 FROM deliveries WHERE source = ? AND id = ?", (codec.text(source), codec.text(delivery_id))
    )
    return found.fetchone() is not None


def get(connection: sqlite3.Connection, space: str, key: str) -> Any | None:
    """The document of a space under a key."""
    found = connection.execute(
        "SELECT body FROM documents WHERE space = ? AND key = ?", (codec.text(space), codec.text(key))
    ).fetchone()
    return None if found is None else codec.read_json(found[0])


def items(connection: sqlite3.Connection, space: str) -> dict[str, Any]:
    """All documents of a space, ordered by key."""
    rows = connection.execute(
        "SELECT key, body FROM documents WHERE space = ? ORDER BY key", (codec.text(space),)
    )
    return {key: codec.read_json(body) for key, body in rows}


def put(connection: sqlite3.Connection, space: str, values: Mapping[str, Any], remove: Sequence[str]) -> None:
    """Remove and set documents of a space, in this order."""
    plain = codec.text(space)
    connection.executemany(
        "DELETE FROM documents WHERE space = ? AND key = ?", ((plain, codec.text(key)) for key in remove)
    )
    connection.executemany(
        "INSERT INTO documents (space, key, body) VALUES (?, ?, ?)"
        " ON CONFLICT (space, key) DO UPDATE SET body = excluded.body",
        ((plain, codec.text(key), codec.body(value)) for key, value in values.items()),
    )
