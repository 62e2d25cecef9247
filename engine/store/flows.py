"""Flow versions and trigger states: which version is live, which are kept, what is due next.

Works inside a transaction that somebody else began and ends.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from engine.errors import StoreConflict
from engine.model.records import FlowVersion, TriggerState
from engine.store import codec
from engine.store.batches import write_triggers

_VERSION = (
    "SELECT v.namespace, v.id, v.revision, v.commit_id, v.blob, v.path, v.source, v.content, v.at, v.disabled,"
    " v.triggers, v.defaults FROM flow_versions AS v"
)
_LIVE = f"{_VERSION} JOIN live_flows AS l ON l.namespace = v.namespace AND l.id = v.id AND l.revision = v.revision"
_TRIGGER = (
    "SELECT namespace, flow_id, trigger_id, type, next_due, last_due, execution_id, spec, suspended,"
    " backfill"
    " FROM triggers"
)
# Word for word what the index triggers_by_due covers.
_WAITING = "next_due IS NOT NULL AND suspended = 0 AND execution_id IS NULL"


def put_flows(
    connection: sqlite3.Connection,
    versions: Sequence[FlowVersion],
    retire: Sequence[tuple[str, str]],
    triggers: Mapping[tuple[str, str, str], TriggerState | None],
) -> None:
    """Take flows off with all their triggers, make versions live, set trigger states: in this order.

    Raises:
        StoreConflict: a revision that is kept would get another content.
    """
    connection.executemany("DELETE FROM live_flows WHERE namespace = ? AND id = ?", retire)
    connection.executemany("DELETE FROM triggers WHERE namespace = ? AND flow_id = ?", retire)
    _write_versions(connection, versions)
    connection.executemany(
        "INSERT INTO live_flows (namespace, id, revision, source) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (namespace, id) DO UPDATE SET revision = excluded.revision, source = excluded.source",
        ((version.namespace, version.id, version.revision, version.source) for version in versions),
    )
    write_triggers(connection, triggers)


def _write_versions(connection: sqlite3.Connection, versions: Sequence[FlowVersion]) -> None:
    written = connection.executemany(
        "INSERT INTO flow_versions (namespace, id, revision, commit_id, blob, path, source, at, disabled, triggers,"
        " content, defaults) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (namespace, id, revision) DO UPDATE SET commit_id = excluded.commit_id,"
        " blob = excluded.blob, path = excluded.path, source = excluded.source, at = excluded.at,"
        " disabled = excluded.disabled, triggers = excluded.triggers"
        " WHERE content = excluded.content AND defaults = excluded.defaults",
        (
            (
                version.namespace,
                version.id,
                version.revision,
                version.commit,
                version.blob,
                codec.text(version.path),
                version.source,
                codec.micros(version.at),
                version.disabled,
                codec.body(version.triggers),
                version.content,
                version.defaults,
            )
            for version in versions
        ),
    ).rowcount
    if versions and written != len(versions):
        raise StoreConflict("a kept revision of a flow has another content", reason="RevisionTaken")


def flow(
    connection: sqlite3.Connection, namespace: str, flow_id: str, revision: int | None
) -> FlowVersion | None:
    """The live version of a flow, or the given one."""
    if revision is None:
        found = connection.execute(f"{_LIVE} WHERE l.namespace = ? AND l.id = ?", (namespace, flow_id))
    else:
        found = connection.execute(
            f"{_VERSION} WHERE v.namespace = ? AND v.id = ? AND v.revision = ?",
            (namespace, flow_id, revision),
        )
    row = found.fetchone()
    return None if row is None else _version(row)


def flows(connection: sqlite3.Connection, source: str | None) -> list[FlowVersion]:
    """All live versions, or those of one source, ordered by namespace and id."""
    if source is None:
        rows = connection.execute(f"{_LIVE} ORDER BY l.namespace, l.id")
    else:
        rows = connection.execute(f"{_LIVE} WHERE l.source = ? ORDER BY l.namespace, l.id", (source,))
    return [_version(row) for row in rows]


def _version(row: tuple[Any, ...]) -> FlowVersion:
    namespace, flow_id, revision, commit, blob, path, source, content, at, disabled, triggers, defaults = row
    return FlowVersion(
        namespace=namespace,
        id=flow_id,
        revision=revision,
        commit=commit,
        blob=blob,
        path=path,
        source=source,
        content=content,
        at=codec.instant(at),
        disabled=bool(disabled),
        triggers=codec.read_triggers(triggers),
        defaults=defaults,
    )


def last_revision(connection: sqlite3.Connection, namespace: str, flow_id: str) -> int:
    """The highest revision kept of a flow; 0 if there is none."""
    found: int | None = connection.execute(
        "SELECT max(revision) FROM flow_versions WHERE namespace = ? AND id = ?", (namespace, flow_id)
    ).fetchone()[0]
    return found or 0


def triggers(
    connection: sqlite3.Connection, namespace: str | None, flow_id: str | None
) -> list[TriggerState]:
    """Trigger states of a namespace, of a flow id in any or in that namespace, or all; ordered by name."""
    pairs = [("namespace = ?", namespace), ("flow_id = ?", flow_id)]
    conditions = [condition for condition, value in pairs if value is not None]
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    rows = connection.execute(
        f"{_TRIGGER} {where} ORDER BY namespace, flow_id, trigger_id",
        [value for _, value in pairs if value is not None],
    )
    return [_trigger(row) for row in rows]


def due_triggers(connection: sqlite3.Connection, until: datetime, limit: int) -> list[TriggerState]:
    """At most `limit` triggers that are due by `until`, neither suspended nor locked, earliest first."""
    rows = connection.execute(
        f"{_TRIGGER} WHERE {_WAITING} AND next_due <= ? ORDER BY next_due, namespace, flow_id, trigger_id LIMIT ?",
        (codec.micros(until), limit),
    )
    return [_trigger(row) for row in rows]


def next_due(connection: sqlite3.Connection, beyond: datetime | None) -> datetime | None:
    """The earliest due time, after `beyond`, of all triggers that are neither suspended nor locked."""
    found = connection.execute(
        f"SELECT min(next_due) FROM triggers WHERE {_WAITING} AND next_due > ?",  # noqa: S608
        (codec.micros(beyond) if beyond else 0,),
    ).fetchone()
    return codec.maybe_instant(found[0])


def _trigger(row: tuple[Any, ...]) -> TriggerState:
    namespace, flow_id, trigger_id, kind, next_at, last_at, execution_id, spec, suspended, backfill = row
    return TriggerState(
        namespace=namespace,
        flow_id=flow_id,
        trigger_id=trigger_id,
        type=kind,
        next_due=codec.maybe_instant(next_at),
        last_due=codec.maybe_instant(last_at),
        execution_id=execution_id,
        spec=spec,
        suspended=bool(suspended),
        backfill=codec.read_backfill(backfill) if backfill else None,
    )
