"""The filter `yaml`: values as block YAML, in the very layout of the dialect's own writer.

That writer indents lists by one blank and puts a map or list inside a list on a line of its own; it quotes as little
as it can. Templates feed the result to `indent`, so the layout matters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from engine.expressions import limits
from engine.expressions.registry import filter_named
from engine.expressions.values import is_list, to_json, to_text

_WORDS: Final = ("false", "n", "no", "null", "off", "on", "true", "y", "yes", "~", "")
_RESERVED: Final = frozenset(shape for word in _WORDS for shape in (word, word.capitalize(), word.upper()))
_QUOTABLE: Final = re.compile(
    r"[\[\]{},]|:(?:\s|$)|(?:^|\s)#|^[-?:](?:\s|$)|^[&*!|>'\"%@`]|^\s|\s$|^---|^\.\.\."
)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def _string(text: str, indent: int) -> str:
    if "\n" in text and not _CONTROL.search(text) and not text.startswith((" ", "\n")):
        chomp = "-" if not text.endswith("\n") else "+" if text.endswith("\n\n") else ""
        pad = " " * max(indent, 2)
        lines = (text[:-1] if text.endswith("\n") else text).split("\n")
        return "|" + chomp + "".join("\n" + (pad + line if line else "") for line in lines)
    if text in _RESERVED or _QUOTABLE.search(text) or _CONTROL.search(text) or "\n" in text:
        return to_json(text)
    return text


def _scalar(value: Any, indent: int) -> str:
    if value is None:
        return "null"
    return _string(value, indent) if isinstance(value, str) else to_text(value)


def _lines(value: Any, indent: int) -> list[str]:
    """The lines of a non-empty list or map whose keys stand at `indent`."""
    pad = " " * indent
    found: list[str] = []
    if isinstance(value, Mapping):
        for key, item in value.items():
            found += _entry(f"{pad}{_string(to_text(key), indent)}:", item, indent + 2, indent)
    else:
        for item in value:
            found += _entry(f"{pad} -", item, indent + 2, indent + 2)
    return found


def _entry(head: str, item: Any, indent: int, list_indent: int) -> list[str]:
    if isinstance(item, Mapping):
        return [head, *_lines(item, indent)] if len(item) else [head + " {}"]
    if is_list(item):
        return [head, *_lines(item, list_indent)] if len(item) else [head + " []"]
    return [f"{head} {_scalar(item, indent)}"]


@filter_named("yaml")
def _yaml(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, Mapping) or is_list(value):
        if not len(value):
            return "{}\n" if isinstance(value, Mapping) else "[]\n"
        lines = _lines(value, 0)
    else:
        lines = [_scalar(value, 0)]
    limits.check_text(sum(map(len, lines)))
    return "\n".join(lines) + "\n"
