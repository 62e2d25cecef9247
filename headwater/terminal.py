"""How things look on a terminal and in a pipe: one symbol a state, numbers with units, no control characters.

Knows values and text; it must not know where they come from. rich is imported where something is drawn.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

# C0 and C1 controls but tab and line feed, and what turns the direction of text or hides it.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_ANSI = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")


def printable(text: str) -> str:
    """Text of strangers made harmless: colours dropped, other control characters shown as escapes."""
    text = _ANSI.sub("", text).replace("\r\n", "\n")
    return _UNPRINTABLE.sub(lambda found: f"\\x{ord(found[0]):02x}" if ord(found[0]) < 256 else "?", text)


def one_line(text: str, limit: int = 200) -> str:
    """The first line of a text, shortened."""
    first = printable(text).strip().partition("\n")[0]
    return first if len(first) <= limit else first[: limit - 1] + "…"


def say(text: str = "") -> None:
    """A line on stdout."""
    print(printable(text))


def warn(text: str) -> None:
    """A line on stderr."""
    print(f"headwater: {printable(text)}", file=sys.stderr)


def print_json(value: Any) -> None:
    """A JSON document on stdout, and nothing else."""
    print(json.dumps(value, ensure_ascii=False, default=str))


def plural(number: int, word: str) -> str:
    """`1 flow`, `2 flows`, `2,048 flows`."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def day_and_minute(at: datetime) -> str:
    """`22 Nov 14:01`, in the reader's zone; another year than this one is told."""
    here = at.astimezone()
    year = "" if here.year == datetime.now().astimezone().year else f" {here.year}"
    return f"{here.day:2} {here:%b}{year} {here:%H:%M}"


def table(rows: Sequence[Sequence[str]], headings: Sequence[str] = ()) -> None:
    """Rows in columns on stdout, as wide as what is in them; the last column as long as it is."""
    every = [[one_line(cell) for cell in row] for row in ([headings, *rows] if headings else rows)]
    widths = [max(map(len, column)) for column in zip(*every, strict=True)]
    for row in every:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())
