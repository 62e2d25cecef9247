"""Letting Python's collector rest while thousands of values that will stay are made at once.

Each full collection walks over all of them and finds nothing: a third of the time of a first load goes into that.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

MANY = 500
"""Files; for fewer it is not worth it."""

_RARELY = (50_000, 20, 1_000)


class _Blocks:
    """How many blocks run, and what holds when none does."""

    def __init__(self) -> None:
        self.running = 0
        self.usual = gc.get_threshold()


_blocks = _Blocks()


@contextmanager
def collecting_rarely(files: int) -> Iterator[None]:
    """Look only at young values while the block runs, if it is about many files. Blocks may overlap in one thread."""
    if files < MANY:
        yield
        return
    if not _blocks.running:
        _blocks.usual = gc.get_threshold()
        gc.set_threshold(*_RARELY)
    _blocks.running += 1
    try:
        yield
    finally:
        _blocks.running -= 1
        if not _blocks.running:
            gc.set_threshold(*_blocks.usual)
