"""Brings a database to the schema of this version: numbered SQL files, forward only, one transaction for all.

`PRAGMA user_version` holds the number of the last file that was applied. A released file never changes; a fresh
database gets all of them, so that there is no second description of the schema.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files

from engine.errors import OperatorError


@cache
def migrations() -> tuple[str, ...]:
    """The migrations in order: the n-th one (from 1) leads from version n - 1 to n."""
    folder = files("engine.store") / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return tuple((folder / name).read_text("utf-8") for name in names)


def version(connection: sqlite3.Connection) -> int:
    """The schema version of a database; 0 when it is empty."""
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return found


def migrate(connection: sqlite3.Connection, steps: Sequence[str]) -> None:
    """Apply what a database lacks of `steps`, all or nothing.

    Args:
        connection: in autocommit mode.
        steps: migrations in order, such as those of `migrations()`; each statement begins on a line of its own.

    Raises:
        OperatorError: the database belongs to a newer version of Headwater.
        sqlite3.Error: a step cannot be applied; nothing has changed.
    """
    if _known(connection, steps) == len(steps):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in steps[_known(connection, steps) :]:
            for statement in _statements(step):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _known(connection: sqlite3.Connection, steps: Sequence[str]) -> int:
    found = version(connection)
    if found > len(steps):
        raise OperatorError(
            f"the store has schema {found}, this version of Headwater knows {len(steps)} at most",
            hint="start the version that wrote it, or a newer one",
            reason="StoreTooNew",
        )
    return found


def _statements(script: str) -> Iterator[str]:
    # executescript would commit the transaction that all steps share
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
    if pending.strip():
        yield pending
