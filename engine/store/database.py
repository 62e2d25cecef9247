"""The SQLite file behind the store: how it is opened, written by one, read by many, and what its errors mean.

Knows connections, transactions and error codes; it must not know any table.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from engine.errors import Bug, HeadwaterError, NotFound, OperatorError, StoreConflict, UnavailableError
from engine.store import schema

Synchronous = Literal["FULL", "NORMAL"]
MEMORY = ":memory:"
_WAIT = 5.0  # seconds for another process's write to end
_UNFIT = (
    UnicodeEncodeError,
    OverflowError,
)  # a lone surrogate, an integer beyond 64 bits: no value of a column
_CACHE_KIB = 16_384
_WAL_LIMIT = 64 * 1024 * 1024
_CHECKPOINT = 4_000  # pages in the log before they are carried over: 16 MiB, some large batches


class Database:
    """One SQLite database in WAL mode: a write connection, and read connections as many threads read at once.

    A database in memory has a single connection, which readers and the writer take in turn.

    Args:
        path: the file, made with its folder when it is not there (readable by its owner only); or `:memory:`.
        synchronous: FULL keeps every commit over a power loss; NORMAL may lose the last ones, never breaks.

    Raises:
        OperatorError: the file cannot be opened, is no database, or belongs to a newer version.
        UnavailableError: another process holds it, or the disk is full.
    """

    def __init__(self, path: str | Path, synchronous: Synchronous = "FULL") -> None:
        self._path = str(path)
        self._memory = self._path == MEMORY
        self._lock = threading.Lock()
        self._readers: deque[sqlite3.Connection] = deque()
        self._closed = False
        with self._errors():
            self._writer = self._open(synchronous)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, durable when the block ends and undone when it raises.

        Raises:
            StoreConflict: a row that must be new is there already.
            UnavailableError: the disk is full, or another process writes for too long.
            OperatorError: the file is damaged.
            Bug: a name is no valid Unicode, or a number is beyond 64 bits.
        """
        with self._errors(), self._lock:
            self._refuse_closed()
            writer = self._writer
            writer.execute("BEGIN IMMEDIATE")
            try:
                yield writer
                writer.execute("COMMIT")
            except BaseException as error:
                if writer.in_transaction:  # a full disk makes SQLite roll back by itself
                    writer.execute("ROLLBACK")
                if isinstance(error, _UNFIT):
                    raise Bug(f"a value cannot be stored: {error}") from error
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection on which all reads of the block see one and the same moment.

        Raises:
            NotFound: what is asked for is no valid Unicode, or a number beyond 64 bits.
            UnavailableError: the disk reports an error.
            OperatorError: the file is damaged, or holds what this version cannot read.
        """
        with self._errors(), self._reader() as reader:
            reader.execute("BEGIN")
            try:
                yield reader
            except _UNFIT as error:
                raise NotFound(f"nothing can be stored under such a name or number: {error}") from error
            finally:
                if reader.in_transaction:
                    reader.execute("ROLLBACK")

    def close(self) -> None:
        """Close all connections, also those that a thread still reads on, once it is done. Repeatable."""
        with self._lock:
            self._closed = True
            self._close_readers()
            self._writer.close()

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        if self._memory:
            with self._lock:
                self._refuse_closed()
                yield self._writer
            return
        self._refuse_closed()
        try:
            reader = self._readers.pop()
        except IndexError:
            reader = self._connect()
            reader.execute("PRAGMA query_only = ON")
        try:
            yield reader
        finally:
            self._readers.append(reader)
            if self._closed:
                self._close_readers()

    def _close_readers(self) -> None:
        while True:
            try:
                self._readers.pop().close()
            except IndexError:
                return

    def _refuse_closed(self) -> None:
        if self._closed:
            raise Bug("the store is closed")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        return connection

    def _open(self, synchronous: Synchronous) -> sqlite3.Connection:
        if not self._memory:
            self._make_file()
        writer = self._connect()
        try:
            if not self._memory:
                writer.execute("PRAGMA journal_mode = WAL")
                writer.execute(f"PRAGMA synchronous = {synchronous}")
                writer.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT}")
                writer.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")
            schema.migrate(writer, schema.migrations())
        except BaseException:
            writer.close()
            raise
        return writer

    def _make_file(self) -> None:
        try:
            Path(self._path).parent.mkdir(parents=True, exist_ok=True)
            # SQLite gives its side files the mode of this one
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise OperatorError(
                f"the store {self._path} cannot be opened: {error.strerror}",
                hint="check the path and who may write there",
                reason="StoreUnreadable",
            ) from error

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise translated(error, self._path) from error
        except msgspec.MsgspecError as error:
            raise OperatorError(
                f"the store {self._path} holds a document that this version cannot read: {error}",
                hint="start the version that wrote it, or restore a backup",
                reason="StoreUnreadable",
            ) from error


_UNAVAILABLE = {
    sqlite3.SQLITE_FULL: ("the disk is full", "make room; work goes on by itself"),
    sqlite3.SQLITE_READONLY: ("it may not be written", "make the file and its folder writable"),
    sqlite3.SQLITE_BUSY: ("another process is writing", "stop the other process, or wait"),
    sqlite3.SQLITE_LOCKED: ("another process is writing", "stop the other process, or wait"),
    sqlite3.SQLITE_IOERR: ("the disk reports an error", "check the disk; work goes on by itself"),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", "check the path and who may write there"),
    sqlite3.SQLITE_NOMEM: ("memory is short", "free some memory; work goes on by itself"),
}
_DAMAGED = {
    sqlite3.SQLITE_CORRUPT: "it is damaged",
    sqlite3.SQLITE_NOTADB: "it is not a SQLite database",
}
_TAKEN = {sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY}


def translated(error: sqlite3.Error, path: str) -> HeadwaterError:
    """What an error of SQLite means to us, by its result code (https://sqlite.org/rescode.html)."""
    code = getattr(error, "sqlite_errorcode", None)
    if code in _TAKEN:
        return StoreConflict(f"somebody else wrote first: {error}")
    primary = code & 0xFF if code is not None else None
    if primary in _UNAVAILABLE:
        what, hint = _UNAVAILABLE[primary]
        return UnavailableError(
            f"the store {path} does not answer: {what}", hint=hint, reason="StoreUnavailable"
        )
    if primary in _DAMAGED:
        return OperatorError(
            f"the store {path} cannot be read: {_DAMAGED[primary]}",
            hint="restore a backup, or move the file away to begin anew",
            reason="StoreUnreadable",
        )
    return Bug(f"the store {path} refused a statement: {error}")
