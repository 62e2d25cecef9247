"""Whether a text is plain enough for the fast YAML parser to be trusted with it.

The fast parser forgets what we must not let pass: duplicate keys (the last wins), anchors (expanded without a
bound), tags, merge keys, further documents, numbers whose spelling matters; and deep nesting makes it crash.
This scan errs to one side only: what it does not recognise is left to the exact and slow reader.
"""

from __future__ import annotations

import re

_MAX_COLUMN = 200  # nesting costs a column at least, and the fast parser's stack is finite
_MAX_DASHES = 8
_SIMPLE = re.compile(  # most lines: a plain key, and nothing or a value that cannot surprise
    r"""( *)(?:- +)?()([A-Za-z_][\w-]*):(?: +(?:[A-Za-z/][^\t]*|"[^"\\]*"|'[^']*'|[1-9]\d{0,14})?)?"""
)
_BLOCK = re.compile(r"[|>][-+0-9]{0,2}(?: +#.*)?")
_QUOTED = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')""")
_NUMBER_IN_LIST = re.compile(r"[\[,] *[-+]?(?:0\d|\d{16})")
_NUMBER = re.compile(r"[-+]?(?:0\d|\d{16})")
_MARKS = frozenset("{&*!?%@`")
_NO_KEY = frozenset("-?:,[]{}#&*!|>%@`")


def needs_care(text: str) -> bool:
    """Whether `text` (line ends already `\\n`) has to be read by the exact reader."""
    stack: list[tuple[int, set[str]]] = []
    block = -1  # column that the lines of a block scalar stand right of
    root = -1  # column of the outermost map
    filled = marked = False
    for line in text.split("\n"):
        simple = _SIMPLE.fullmatch(line)
        if simple is not None:
            column = simple.end(1)
            if block >= 0:
                if column > block:
                    filled = True
                    continue
                if not filled:
                    return True
                block = -1
            if column < root or (root < 0 and simple.end(2) > column):
                return True
            if root < 0:
                root = column
            if simple.end(2) > column:
                while stack and stack[-1][0] > column:
                    stack.pop()
                column = simple.end(2)
            if _repeated(stack, column, simple[3]) or column > _MAX_COLUMN:
                return True
            continue
        rest = line.lstrip(" ")
        if not rest:
            continue
        column = len(line) - len(rest)
        dashes = 0
        if block >= 0:
            if column > block:
                filled = True
                continue
            if not filled:
                return True
            block = -1
        if rest[0] == "#":
            continue
        if column == 0 and (line.startswith(("---", "..."))):
            if root >= 0 or marked or line.rstrip() != "---":
                return True
            marked = True
            continue
        if column < root or (root < 0 and rest[0] == "-"):
            return True  # the fast parser would stop there and say nothing
        if root < 0:
            root = column
        owner = column
        while rest.startswith("- ") or rest == "-":
            while stack and stack[-1][0] > column:
                stack.pop()
            owner = column
            dashes += 1
            if dashes > _MAX_DASHES:
                return True
            inner = rest[1:].lstrip(" ")
            column += len(rest) - len(inner)
            rest = inner
        rest = rest.rstrip(" ")
        if column > _MAX_COLUMN:
            return True
        if not rest or rest[0] == "#":
            continue
        key, value = _split(rest)
        if key is None or not (key or stack):
            return True
        if key:
            owner = column
            if _repeated(stack, column, key):
                return True
        if value:
            if _BLOCK.fullmatch(value):
                block, filled = owner, False
            elif _odd(value):
                return True
    return block >= 0 and not (filled and text.endswith("\n"))  # the readers differ on how such a text ends


def _repeated(stack: list[tuple[int, set[str]]], column: int, key: str) -> bool:
    while stack and stack[-1][0] > column:
        stack.pop()
    if not stack or stack[-1][0] < column:
        stack.append((column, {key}))
        return False
    if key in stack[-1][1]:
        return True
    stack[-1][1].add(key)
    return False


def _split(rest: str) -> tuple[str | None, str]:
    """Key and value of a line; an empty key: no key there; none: not recognised."""
    first = rest[0]
    if first in "\"'":
        quoted = _QUOTED.match(rest)
        if quoted is None:
            return None, ""
        behind = rest[quoted.end() :].lstrip(" ")
        if behind.startswith(": ") or behind == ":":
            key = quoted.group()[1:-1]
            return (None, "") if "\\" in key or "''" in key or not key else (key, behind[1:].strip(" "))
        return "", rest
    place = rest.find(": ")
    if place < 0:
        if not rest.endswith(":"):
            return (None, "") if "\t" in rest else ("", rest)
        place = len(rest) - 1
    key = rest[:place].rstrip(" ")
    if not key or first in _NO_KEY or " #" in key or "\t" in key or key == "<<" or _NUMBER.match(key):
        return None, ""
    return key, rest[place + 1 :].strip(" ")


def _odd(value: str) -> bool:
    first = value[0]
    if first in _MARKS or value[:1] == "\t":
        return True
    if first in "\"'":
        quoted = _QUOTED.match(value)
        if quoted is None:
            return True
        behind = value[quoted.end() :].strip(" ")
        return bool(behind) and behind[0] != "#"
    if first == "[":
        return (
            "{" in value
            or "&" in value
            or "*" in value
            or "!" in value
            or "[" in value[1:]
            or (not value.endswith("]") or _NUMBER_IN_LIST.search(value) is not None)
        )
    return _NUMBER.match(value) is not None or first in "|>" or (first == "-" and value[:2] in ("-", "- "))
