"""The bytes of a flow file as plain data, quickly; and, when something is wrong, the place of every value.

Most files go through a fast YAML 1.2 parser. What that parser would get wrong (see `engine.spec.suspicion`), and
what it refuses, is read again by the exact reader, which also knows lines and columns.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

from yaml12 import parse_yaml

from engine.errors import FlowInvalid
from engine.model.problem import Problem
from engine.spec.marks import Fault, Marked, Path, read
from engine.spec.suspicion import needs_care

MAX_BYTES = 1 << 20
_CONTROL = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x84\\x86-\\x9f\\ufffe\\uffff]"
)  # what YAML does not allow
_LFS = "version https://git-lfs.github.com/spec/"


class Document:
    """A parsed file.

    Args:
        path: the file, as the repository names it.
        text: its content.
        data: what it says: maps, lists, text, numbers, booleans, nulls.
    """

    def __init__(self, path: str, text: str, data: Any, marked: Marked | None = None) -> None:
        self.path = path
        self.text = text
        self.data = data
        if marked is not None:
            self.__dict__["_marked"] = marked

    @cached_property
    def _marked(self) -> Marked:
        return read(self.text)

    def locate(self, path: Path, *, key: bool = False) -> tuple[int, int]:
        """Line and column (from 1) of a value, or of its key; of the nearest enclosing value if there is none."""
        marked = self._marked
        if key and path in marked.keys:
            return marked.keys[path]
        while path and path not in marked.places:
            path = path[:-1]
        return marked.places.get(path, (1, 1))


def parse(content: bytes, path: str) -> Document:
    """Read one flow file.

    Args:
        content: at most `MAX_BYTES` of UTF-8.
        path: how problems name the file.

    Raises:
        FlowInvalid: with everything that is wrong with the YAML.
    """
    text = _decoded(content, path)
    if not needs_care(text):
        try:
            return Document(path, text, parse_yaml(text))
        except ValueError:
            pass  # the exact reader says better what and where
    marked = read(text)
    if marked.faults:
        raise FlowInvalid([_problem(path, fault) for fault in marked.faults])
    return Document(path, text, marked.data, marked)


def dotted(path: Path) -> str:
    """A path as people write it: `tasks[0].message`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _problem(path: str, fault: Fault) -> Problem:
    return Problem(path, fault.line, fault.column, dotted(fault.path), fault.message)


def _decoded(content: bytes, path: str) -> str:
    def refuse(message: str, before: bytes | None = None) -> FlowInvalid:
        line, column = (
            (0, 0) if before is None else (before.count(b"\n") + 1, len(before) - before.rfind(b"\n"))
        )
        return FlowInvalid([Problem(path, line, column, "", message)])

    if len(content) > MAX_BYTES:
        raise refuse(f"{len(content)} bytes are too large for a flow; at most {MAX_BYTES} are read")
    try:
        text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as error:
        message = "this is not UTF-8; save the file as UTF-8"
        raise refuse(message, content[: error.start]) from None
    if text.startswith(_LFS):
        raise refuse("this is a Git LFS pointer, not a flow; keep flows out of LFS")
    text = text.replace("\r\n", "\n") if "\r" in text else text
    odd = _CONTROL.search(text)
    if odd is not None:
        message = (
            f"the control character U+{ord(odd.group()):04X} does not belong into a text file; remove it"
        )
        raise refuse(message, text[: odd.start()].encode())
    return text
