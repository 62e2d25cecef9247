"""What the SQLite store does when the world breaks: kill -9, a full disk, a locked, damaged or foreign file."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from engine.errors import Bug, OperatorError, StoreConflict, UnavailableError
from engine.model.records import Fire
from engine.model.state import State
from engine.ports import Batch
from engine.store import database
from engine.store.sqlite import SqliteStore
from tests.support.store_values import NOON, an_execution, commit_of, line

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "headwater.db"


def test_a_killed_writer_leaves_whole_commits_and_loses_none_it_confirmed(path: Path) -> None:
    for commits in (1, 7, 40, 90):
        command = [sys.executable, "-m", "tests.support.store_writer", str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as writer:
            assert writer.stdout is not None
            confirmed = [int(next(writer.stdout)) for _ in range(commits)]
            os.kill(writer.pid, signal.SIGKILL)
            confirmed += [int(row) for row in writer.stdout if row.endswith("\n")]
        store = SqliteStore(path)
        found = store.execution("e1")
        assert found is not None
        assert found.version >= confirmed[-1]
        keys = {f"t{number}" for number in range(1, found.version + 1)}
        assert set(found.runs) == keys
        assert len(store.events("e1")) == found.version
        assert [entry.key for _, entry in store.logs("e1")] == [f"t{n}" for n in range(1, found.version + 1)]
        assert [item.id for item in store.work()] == [f"t{n}" for n in range(1, found.version + 1)]
        assert {item.key for item in store.reports()} == keys
        with pytest.raises(StoreConflict):
            store.commit(Batch(fires=[Fire("a", "b", "c", NOON + timedelta(seconds=found.version), "again")]))
        store.commit(Batch(fires=[Fire("a", "b", "d", NOON + timedelta(seconds=found.version), "new")]))
        store.close()


def test_a_full_disk_refuses_the_batch_and_takes_it_once_there_is_room(path: Path) -> None:
    store = SqliteStore(path)
    store.commit(commit_of(an_execution()))
    writer = store._database._writer
    limit = writer.execute("PRAGMA page_count").fetchone()[0] + 4
    writer.execute(f"PRAGMA max_page_count = {limit}")
    batch = commit_of(an_execution(error="x"), base=1, version=2)
    batch.logs = [line(message="m" * 3000) for _ in range(50)]
    with pytest.raises(UnavailableError, match="the disk is full"):
        store.commit(batch)
    found = store.execution("e1")
    assert found is not None
    assert found.version == 1
    assert store.logs("e1") == []
    writer.execute("PRAGMA max_page_count = 1000000")
    store.commit(batch)
    assert len(store.logs("e1")) == 50
    store.close()


def test_a_writing_process_beside_us_is_waited_for_and_then_reported(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_WAIT", 0.05)
    store = SqliteStore(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError, match="another process is writing"):
        store.commit(commit_of(an_execution()))
    assert store.execution("e1") is None  # readers are not held up
    other.execute("ROLLBACK")
    other.close()
    store.commit(commit_of(an_execution()))
    assert store.execution("e1") is not None
    store.close()


def test_a_read_only_file_is_unavailable(path: Path) -> None:
    store = SqliteStore(path)
    store._database._writer.execute("PRAGMA query_only = ON")  # as root, file modes do not stop SQLite
    with pytest.raises(UnavailableError, match="may not be written"):
        store.put("space", {"a": 1})
    store.close()


def _damage(path: Path, start: int) -> None:
    content = bytearray(path.read_bytes())
    content[start:] = b"\xa5" * (len(content) - start)
    path.write_bytes(content)


def test_a_damaged_row_is_the_operators_matter(path: Path) -> None:
    store = SqliteStore(path)
    store.put("space", {f"{number}": "x" * 3000 for number in range(100)})
    store.close()
    _damage(path, path.stat().st_size // 2)
    broken = SqliteStore(path)
    with pytest.raises(OperatorError, match="damaged") as caught:
        broken.items("space")
    broken.close()
    assert caught.value.hint


def test_a_damaged_schema_is_refused(path: Path) -> None:
    SqliteStore(path).close()
    _damage(path, 4096)
    with pytest.raises(OperatorError, match="damaged"):
        SqliteStore(path)


def test_a_document_that_cannot_be_read_is_the_operators_matter(path: Path) -> None:
    store = SqliteStore(path)
    store.commit(commit_of(an_execution()))
    with store._database.writing() as connection:
        connection.execute("""UPDATE executions SET body = '{"id": 7}'""")
    with pytest.raises(OperatorError, match="cannot read"):
        store.execution("e1")
    store.close()


def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.write_text("notes of somebody\n" * 100)
    with pytest.raises(OperatorError, match="not a SQLite database"):
        SqliteStore(path)
    assert path.read_text().startswith("notes of somebody")


@pytest.mark.parametrize("place", [".", "file/headwater.db"])
def test_a_place_where_no_file_can_be_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorError, match="cannot be opened"):
        SqliteStore(tmp_path / place)


def test_a_store_of_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    SqliteStore(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(OperatorError, match="schema 999") as caught:
        SqliteStore(path)
    assert caught.value.reason == "StoreTooNew"


def test_many_may_open_a_fresh_file_at_once(path: Path) -> None:
    together = threading.Barrier(6)

    def begin(number: int) -> None:
        together.wait(10)
        store = SqliteStore(path)
        store.commit(commit_of(an_execution(f"e{number}")))
        store.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(begin, range(6)))
    store = SqliteStore(path)
    assert store.count("prod.etl", "load", [State.CREATED]) == 6
    store.close()


def test_the_file_is_its_owners_alone(path: Path) -> None:
    store = SqliteStore(path.parent / "new" / "headwater.db")
    store.commit(commit_of(an_execution()))
    modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in (path.parent / "new").iterdir()}
    assert set(modes.values()) == {0o600}
    assert len(modes) == 3
    store.close()


def test_a_closed_store_says_so(path: Path) -> None:
    for store in (SqliteStore(path), SqliteStore()):
        store.close()
        with pytest.raises(Bug, match="closed"):
            store.get("space", "key")
        with pytest.raises(Bug, match="closed"):
            store.put("space", {"key": 1})


def test_closing_while_a_thread_reads_lets_it_finish_and_leaves_no_connection(path: Path) -> None:
    store = SqliteStore(path)
    store.put("space", {"key": 1})
    entered, leave = threading.Event(), threading.Event()
    found: list[object] = []

    def read() -> None:
        with store._database.reading() as connection:
            entered.set()
            leave.wait(10)
            found.append(connection.execute("SELECT count(*) FROM documents").fetchone()[0])

    reader = threading.Thread(target=read)
    reader.start()
    assert entered.wait(10)
    store.close()
    leave.set()
    reader.join(10)
    assert found == [1]
    assert [entry.name for entry in path.parent.iterdir()] == [
        path.name
    ]  # the last one out removes -wal and -shm


def test_both_durabilities_are_what_they_say(tmp_path: Path) -> None:
    for synchronous, number in (("FULL", 2), ("NORMAL", 1)):
        store = SqliteStore(tmp_path / synchronous, synchronous=synchronous)  # type: ignore[arg-type]
        assert store._database._writer.execute("PRAGMA synchronous").fetchone() == (number,)
        assert store._database._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        store.close()
