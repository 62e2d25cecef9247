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


class Tail:
    """A place in the two output files of a run.

    Args:
        directory: where `stdout` and `stderr` are.
        after: cursor of the last line that was read; empty to begin at the start.
    """

    def __init__(self, directory: str, after: str = "") -> None:
        self._paths = {stream: f"{directory}/{stream}" for stream in _STREAMS}
        self._offsets = dict(zip(_STREAMS, _parse(after), strict=True))

    def read(self, final: bool) -> tuple[list[LogLine], bool]:
        """The next lines, at most a chunk of each stream, and whether there is more at once. Reads from the disk.

        Args:
            final: nobody writes any more, so that a last line without its end counts too.
        """
        self._more = False
        lines = [line for stream in _STREAMS for line in self._read(stream, final)]
        return lines, self._more

    def _read(self, stream: Stream, final: bool) -> Iterator[LogLine]:
        try:
            with open(self._paths[stream], "rb", buffering=0) as file:
                # A task that opens /dev/stdout anew with `>` empties the file; what follows begins at its start.
                if os.fstat(file.fileno()).st_size < self._offsets[stream]:
                    self._offsets[stream] = 0
                chunk = os.pread(file.fileno(), _CHUNK, self._offsets[stream])
        except FileNotFoundError:
            return
        self._more |= len(chunk) == _CHUNK
        start = 0
        while start < len(chunk):
            end = chunk.find(b"\n", start, start + MAX_LINE + 1)
            if end >= 0:
                after = end + 1
                end -= end > start and chunk[end - 1] == ord("\r")
            elif len(chunk) - start > MAX_LINE:
                end = after = _whole_character(chunk, start + MAX_LINE)
            elif final and len(chunk) < _CHUNK:
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
