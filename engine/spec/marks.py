"""The exact and slow YAML reader: plain data together with the place of every node.

Reads the YAML 1.2 core schema as the fast parser does, and besides: refuses duplicate keys, naming both lines;
follows anchors and merge keys within bounds; keeps numbers as text where their spelling would be lost (`0012`).
ruamel composes the nodes, we only walk them.
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

Path = tuple[str | int, ...]

MAX_DEPTH = 100
MAX_NODES = 100_000  # after anchors are followed

_CORE = "tag:yaml.org,2002:"
_KNOWN_TAGS = frozenset(
    _CORE + name
    for name in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp", "merge", "value")
)
_INT = re.compile(r"[-+]?(?:0|[1-9]\d*)")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?")
_INFINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)")
_NAN = frozenset({".nan", ".NaN", ".NAN"})
_LONE = re.compile("[\ud800-\udfff]")
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_BARE_EXPRESSION = re.compile(r"(?:^|[:\-,\[] |^ *)\{\{")
QUOTE_IT = 'a bare `{{` starts a YAML map; quote the expression: "{{ … }}"'


class Fault(NamedTuple):
    """Something wrong with the YAML itself; line and column from 1, 0 for the whole file."""

    line: int
    column: int
    path: Path
    message: str


class Marked(NamedTuple):
    """What a text says, where each of its nodes stands, and what is wrong with it.

    Args:
        places: line and column of every value, from 1, by path.
        keys: line and column of every key of a map, by the path of its value.
    """

    data: Any
    places: dict[Path, tuple[int, int]]
    keys: dict[Path, tuple[int, int]]
    faults: tuple[Fault, ...]


def read(text: str) -> Marked:
    """Read one document. Never raises: what cannot be read is a fault, and data is then none."""
    try:
        node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        return Marked(None, {}, {}, (_marked_fault(error, text),))
    except YAMLError as error:
        return Marked(None, {}, {}, (Fault(0, 0, (), f"this is not YAML: {_first_line(str(error))}"),))
    except RecursionError:
        return Marked(None, {}, {}, (Fault(0, 0, (), "nested too deep to be read"),))
    except (ValueError, TypeError, IndexError, AttributeError, KeyError) as error:  # the parser's own slips
        return Marked(None, {}, {}, (Fault(0, 0, (), f"this is not YAML: {_first_line(str(error))}"),))
    if node is None:
        return Marked(None, {}, {}, ())
    walk = _Walk()
    try:
        data = walk.value(node, (), 0)
    except _TooMuch as error:
        walk.faults.append(Fault(*_place(node), (), str(error)))
        data = None
    return Marked(data, walk.places, walk.keys, tuple(walk.faults))


def core_scalar(text: str) -> Any:
    """The value of a plain scalar in the YAML 1.2 core schema; numbers with leading zeros stay text."""
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if _INT.fullmatch(text):
        return int(text) if len(text) <= 300 else text
    if _BASED.fullmatch(text):
        return int(text[2:], 8 if text[1] == "o" else 16)
    if _FLOAT.fullmatch(text) and not re.match(r"[-+]?0\d", text):
        return float(text)
    if _INFINITE.fullmatch(text):
        return -math.inf if text[0] == "-" else math.inf
    return math.nan if text in _NAN else text


class _TooMuch(Exception):
    pass


class _Walk:
    """One walk over composed nodes."""

    def __init__(self) -> None:
        self.places: dict[Path, tuple[int, int]] = {}
        self.keys: dict[Path, tuple[int, int]] = {}
        self.faults: list[Fault] = []
        self._count = 0

    def value(self, node: Node, path: Path, depth: int) -> Any:
        self._count += 1
        if self._count > MAX_NODES:
            raise _TooMuch(f"more than {MAX_NODES} values once anchors are followed; write less")
        if depth > MAX_DEPTH:
            raise _TooMuch(f"nested deeper than {MAX_DEPTH} levels")
        self.places[path] = _place(node)
        tag = str(node.tag)
        if tag not in _KNOWN_TAGS:
            shown = tag.replace(_CORE, "!!")[:40]
            self._fault(node, path, f"the tag `{shown}` is not supported; remove it")
        if isinstance(node, SequenceNode):
            return [self.value(item, (*path, place), depth + 1) for place, item in enumerate(node.value)]
        if isinstance(node, MappingNode):
            return self._mapping(node, path, depth)
        value = _scalar(node)
        if isinstance(value, str) and _LONE.search(value):
            self._fault(node, path, "half of a surrogate pair is no character; write the whole character")
        return value

    def _mapping(self, node: MappingNode, path: Path, depth: int) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        merged: dict[Any, Any] = {}
        lines: dict[Any, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                bare = node.flow_style and isinstance(key_node, MappingNode) and key_node.flow_style
                self._fault(key_node, path, QUOTE_IT if bare else "a key has to be text, not a map or a list")
                continue
            key = _scalar(key_node)
            if key == "<<" and key_node.style is None:
                self._merge(merged, value_node, path, depth)
                continue
            here = (*path, key if isinstance(key, int) and not isinstance(key, bool) else str(key))
            line = key_node.start_mark.line + 1
            if key in lines:
                self._fault(
                    key_node,
                    here,
                    f"duplicate key `{str(key)[:80]}`; it is already given in line {lines[key]}",
                )
                continue
            lines[key] = line
            self.keys[here] = _place(key_node)
            result[key] = self.value(value_node, here, depth + 1)
        return {**merged, **result} if merged else result

    def _merge(self, merged: dict[Any, Any], node: Node, path: Path, depth: int) -> None:
        for source in node.value if isinstance(node, SequenceNode) else [node]:
            if not isinstance(source, MappingNode):
                self._fault(source, path, "`<<` merges a map or a list of maps")
                continue
            for key, value in self._mapping(source, path, depth + 1).items():
                merged.setdefault(key, value)

    def _fault(self, node: Node, path: Path, message: str) -> None:
        self.faults.append(Fault(*_place(node), path, message))


def _scalar(node: Node) -> Any:
    text = str(node.value)
    quoted = getattr(node, "style", None) is not None
    said_text = str(node.tag) == _CORE + "str"
    if quoted or (said_text and not isinstance(core_scalar(text), str)):
        return text
    return core_scalar(text)


def _place(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0][:200]


def _marked_fault(error: MarkedYAMLError, text: str) -> Fault:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    problem = _first_line(error.problem or error.context or "cannot be read")
    lines = text.split("\n")
    for number in (line - 1, line - 2):
        found = _BARE_EXPRESSION.search(lines[number]) if 0 <= number < len(lines) else None
        if found:
            return Fault(number + 1, found.end() - 1, (), QUOTE_IT)
    if "expected a single document" in str(error):
        return Fault(line, column, (), "several documents in one file; write one flow a file")
    if "\\t" in problem:
        return Fault(line, column, (), "a tab cannot indent YAML; use spaces")
    context = f" ({_first_line(error.context)})" if error.context and error.problem else ""
    return Fault(line, column, (), f"this is not YAML: {problem}{context}")
