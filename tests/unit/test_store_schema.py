"""Migrations: any older schema ends as a fresh one, all or nothing, never backwards."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import OperatorError
from engine.store.schema import migrate, migrations, version
from engine.store.sqlite import SqliteStore
from tests.support.store_values import an_execution, commit_of


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    yield connection
    connection.close()


def _shape(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name")
    return [tuple(row) for row in rows]


def _first() -> str:
    return migrations()[0]


_SECOND = """
-- a comment; with a semicolon
ALTER TABLE executions ADD COLUMN note TEXT;
CREATE TRIGGER noted AFTER INSERT ON executions BEGIN
    UPDATE executions SET note = 'x;y' WHERE id = new.id;
END;
"""


@pytest.mark.parametrize("old", range(len(migrations()) + 1))
def test_every_older_schema_becomes_the_fresh_one(
    tmp_path: Path, old: int, connection: sqlite3.Connection
) -> None:
    path = tmp_path / "old.db"
    before = sqlite3.connect(path, isolation_level=None)
    migrate(before, migrations()[:old])
    assert version(before) == old
    before.close()
    store = SqliteStore(path)
    store.commit(commit_of(an_execution()))
    store.close()
    migrate(connection, migrations())
    after = sqlite3.connect(path)
    assert _shape(after) == _shape(connection)
    assert version(after) == len(migrations())
    after.close()


def test_reopening_an_old_store_keeps_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "old.db"
    store = SqliteStore(path)
    store.commit(commit_of(an_execution()))
    store.close()
    newer = (*migrations(), _SECOND)
    monkeypatch.setattr("engine.store.schema.migrations", lambda: newer)
    store = SqliteStore(path)
    assert store.execution("e1") is not None
    store.commit(commit_of(an_execution("e2")))
    with store._database.reading() as connection:
        assert connection.execute("SELECT id, note FROM executions ORDER BY id").fetchall() == [
            ("e1", None),
            ("e2", "x;y"),
        ]
        assert version(connection) == len(newer)
    store.close()


def test_a_step_that_fails_changes_nothing(connection: sqlite3.Connection) -> None:
    migrate(connection, [_first()])
    before = _shape(connection)
    with pytest.raises(sqlite3.OperationalError):
        migrate(
            connection,
            [_first(), _SECOND, "CREATE TABLE extra (id TEXT);\nALTER TABLE nothing ADD COLUMN x;"],
        )
    assert _shape(connection) == before
    assert version(connection) == 1
    assert not connection.in_transaction


def test_applied_steps_are_not_applied_again(connection: sqlite3.Connection) -> None:
    for _ in range(2):
        migrate(connection, [_first(), _SECOND])
    assert version(connection) == 2


def test_a_newer_schema_is_refused(connection: sqlite3.Connection) -> None:
    migrate(connection, [_first(), _SECOND])
    with pytest.raises(OperatorError, match="schema 2"):
        migrate(connection, [_first()])


def test_an_unfinished_statement_is_not_lost(connection: sqlite3.Connection) -> None:
    migrate(connection, ["CREATE TABLE a (x);\nCREATE TABLE b (x)"])
    assert [row[1] for row in _shape(connection)] == ["a", "b"]


def test_the_files_are_numbered_without_a_gap() -> None:
    folder = Path(__file__).parents[2] / "engine/store/migrations"
    numbers = sorted(int(entry.name.partition("_")[0]) for entry in folder.glob("*.sql"))
    assert numbers == list(range(1, len(migrations()) + 1))
