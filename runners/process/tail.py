"""Reads what a run writes, line by line, while it writes it. Knows two files and a cursor; not who writes them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Literal

from engine.model.protocol import MAX_LINE
from engine.model.run import LogLine

Stream = Literal["stdout", "stderr"]

_STREAMS: tuple[Stream, Stream] = ("stdout", "stderr")
_CHUNK = 2 * MAX_LINE
_AT_ONCE = 16 * 1024


class Tail:
    """A place in the two output files of a run.

    Args:
        directory: where `stdout` and `stderr` are.
        after: cursor of the last line that was read; empty to begin at the start.
    """

    def __init__(self, directory: str, after: str = "") -> None:
        self._directory = directory
        self._files: dict[Stream, int] = {}
        self._offsets = dict(zip(_STREAMS, _parse(after), strict=True))
        self._ends: dict[Stream, int] = {}

    def open(self) -> None:
        """Open the files, as far as they are there. May wait for the disk."""
        for stream in _STREAMS:
            try:
                self._files[stream] = os.open(f"{self._directory}/{stream}", os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue

    def close(self) -> None:
        """Close the files."""
        while self._files:
            os.close(self._files.popitem()[1])

    def read(self, final: bool) -> tuple[list[LogLine], bool]:
        """The next lines, at most a chunk of each stream, and whether there is more at once. May wait for the disk.

        Args:
            final: the run has ended: what is there now is all that is read, and a last line without its end counts.
        """
        return self._read_all(final, 0)

    def read_at_once(self, final: bool) -> tuple[list[LogLine], bool] | None:
        """The same for a little output that is still in memory, without waiting; none when that cannot be.

        A thread for every look would cost a short run more than all the rest.
        """
        if any(self._new(stream, final) > _AT_ONCE for stream in self._files):
            return None
        before = dict(self._offsets)
        try:
            return self._read_all(final, os.RWF_NOWAIT)
        except OSError:  # not in memory, or a file system that cannot tell (preadv2(2))
            self._offsets = before
            return None

    def _read_all(self, final: bool, flags: int) -> tuple[list[LogLine], bool]:
        lines = [line for stream in self._files for line in self._read(stream, final, flags)]
        enough = 0 if final else MAX_LINE
        return lines, any(self._new(stream, final) > enough for stream in self._files)

    def _new(self, stream: Stream, final: bool) -> int:
        size = os.fstat(self._files[stream]).st_size
        if final:  # what a background process goes on to write must not keep the reader for ever
            size = min(size, self._ends.setdefault(stream, size))
        # A task that opens /dev/stdout anew with `>` empties the file; what follows begins at its start.
        if size < self._offsets[stream]:
            self._offsets[stream] = 0
        return size - self._offsets[stream]

    def _read(self, stream: Stream, final: bool, flags: int) -> Iterator[LogLine]:
        new = self._new(stream, final)
        buffer = bytearray(min(new, _CHUNK))
        if not buffer:
            return
        count = os.preadv(self._files[stream], [buffer], self._offsets[stream], flags)
        chunk = bytes(buffer[:count])
        start = 0
        while start < len(chunk):
            end = chunk.find(b"\n", start, start + MAX_LINE + 1)
            if end >= 0:
                after = end + 1
                end -= end > start and chunk[end - 1] == ord("\r")
            elif len(chunk) - start > MAX_LINE:
                end = after = _whole_character(chunk, start + MAX_LINE)
            elif final and count == new:
                end = after = len(chunk)
            else:
                return
            self._offsets[stream] += after - start
            yield LogLine(stream, chunk[start:end].decode("utf-8", "replace"), self._cursor())
            start = after

    def _cursor(self) -> str:
        return ":".join(str(self._offsets[stream]) for stream in _STREAMS)


def _parse(cursor: str) -> tuple[int, int]:
    out, _, err = cursor.partition(":")
    if out.isdecimal() and err.isdecimal() and len(cursor) < 64:
        return int(out), int(err)
    return 0, 0


def _whole_character(chunk: bytes, end: int) -> int:
    """Where to cut at or a little before `end`, so that no UTF-8 sequence is torn apart (RFC 3629, section 3)."""
    for back in (1, 2, 3):
        byte = chunk[end - back]
        if byte & 0xC0 != 0x80:
            needs = 1 + (byte >= 0xC0) + (byte >= 0xE0) + (byte >= 0xF0)
            return end - back if needs > back else end
    return end
