"""Row files: read row by row, written beside and then kept, in a thread that ends when its task does.

A row is what stands between two separators. Bounded by the length of a row, not by that of the file. It must not
know what a row means.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TypeVar

from engine.errors import UnavailableError, UserError

T = TypeVar("T")
Check = Callable[[], None]
"""To be called now and then: raises once nobody waits for the work any more."""

LONGEST_ROW = 16 << 20
_BLOCK = 1 << 16


class _LeftError(Exception):
    """Nobody waits for this work any more."""


async def in_thread(work: Callable[[Check], T]) -> T:
    """Do blocking work beside the event loop; a cancelled task's work ends at its next check.

    Raises:
        UnavailableError: a disk is full or fails.
    """
    left = threading.Event()

    def check() -> None:
        if left.is_set():
            raise _LeftError

    try:
        return await asyncio.to_thread(work, check)
    except OSError as error:
        raise UnavailableError(f"a file cannot be read or written: {error.strerror}") from error
    finally:
        left.set()


@contextmanager
def draft() -> Iterator[IO[bytes]]:
    """A file to write to, gone at the end of the block: keep it before. Raises UnavailableError."""
    try:
        with tempfile.NamedTemporaryFile(prefix="headwater-") as file:
            yield file
    except OSError as error:
        raise UnavailableError(f"a file cannot be written: {error.strerror}") from error


def rows(path: str, separator: bytes, check: Check) -> Iterator[bytes]:
    """The rows of a file, without their separators. Raises UserError for one that is too long."""
    rest = b""
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            check()
            *found, rest = (rest + block).split(separator)
            yield from found
            _bounded(rest)
    if rest:
        yield rest


def rows_backwards(path: str, separator: bytes, check: Check) -> Iterator[bytes]:
    """The rows of a file from the last to the first. Raises UserError for one that is too long."""
    found = _pieces_backwards(path, separator, check)
    last = next(found, b"")
    if last:  # a file that ends with a separator has no row behind it
        yield last
    yield from found


def _pieces_backwards(path: str, separator: bytes, check: Check) -> Iterator[bytes]:
    with open(path, "rb") as file:
        place = file.seek(0, 2)
        rest = b""
        while place:
            check()
            start = max(place - _BLOCK, 0)
            file.seek(start)
            rest, *found = (file.read(place - start) + rest).split(separator)
            place = start
            yield from reversed(found)
            _bounded(rest)
        yield rest


def _bounded(row: bytes) -> None:
    if len(row) > LONGEST_ROW:
        raise UserError(f"a row has more than {LONGEST_ROW} bytes", hint="check the separator")
