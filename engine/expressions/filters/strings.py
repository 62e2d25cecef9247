"""Filters over text. Null stays null; what is not text is refused, unless the dialect takes any value's text."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, Final

import regex

from engine.errors import ExpressionError
from engine.expressions import limits
from engine.expressions.registry import filter_named
from engine.expressions.values import is_list, java_text, kind, to_text

_NOT_IN_SLUG: Final = regex.compile(r"[^\w-]", regex.ASCII)
_LINE_ENDS: Final = ("\r\n", "\n\r", "\n", "\r")
_ESCAPES: Final = {"single": ("'", "\\'"), "double": ('"', '\\"'), "shell": ("'", "'\\''")}


def text_of(value: Any, name: str) -> str:
    """The value, which has to be a string. Raises ExpressionError."""
    if not isinstance(value, str):
        raise ExpressionError(
            f"`{name}` needs a string, but got {kind(value)}",
            hint="turn it into text with the filter `string`",
        )
    return value


@filter_named("upper")
def _upper(value: Any) -> Any:
    return None if value is None else text_of(value, "upper").upper()


@filter_named("lower")
def _lower(value: Any) -> Any:
    return None if value is None else text_of(value, "lower").lower()


@filter_named("trim")
def _trim(value: Any) -> Any:
    return None if value is None else text_of(value, "trim").strip()


@filter_named("capitalize")
def _capitalize(value: Any) -> Any:
    if value is None:
        return None
    text = text_of(value, "capitalize")
    start = len(text) - len(text.lstrip())
    return text[:start] + text[start : start + 1].title() + text[start + 1 :]


@filter_named("title")
def _title(value: Any) -> Any:
    if value is None:
        return None
    text = text_of(value, "title")
    before = " " + text
    return "".join(
        char.title() if ahead.isspace() else char for ahead, char in zip(before, text, strict=False)
    )


@filter_named("abbreviate", takes=("length",), required=1)
def _abbreviate(value: Any, length: Any) -> Any:
    if value is None:
        return None
    text, width = text_of(value, "abbreviate"), int(length)
    if width < 0:
        raise ExpressionError("`abbreviate` needs a length of at least 0")
    if len(text) < width or len(text) <= 3:
        return text
    return text[:width] if width <= 3 else text[: width - 3] + "..."


@filter_named("string")
def _string(value: Any) -> Any:
    return None if value is None else to_text(value)


@filter_named("slugify")
def _slugify(value: Any) -> Any:
    if value is None:
        return None
    dashed = "".join("-" if char.isspace() else char for char in to_text(value))
    slug = _NOT_IN_SLUG.sub("", unicodedata.normalize("NFD", dashed)).replace("_", "-")
    return "-".join(part for part in slug.split("-") if part).lower()


def _cut(name: str, cut: Callable[[str, str], str]) -> None:
    @filter_named(name, takes=("separator",), required=1)
    def apply(value: Any, separator: Any) -> Any:
        return None if value is None else cut(to_text(value), to_text(separator))


_cut("substringBefore", lambda text, mark: text.partition(mark)[0] if mark else "")
_cut("substringAfter", lambda text, mark: text.partition(mark)[2] if mark else text)
_cut(
    "substringBeforeLast",
    lambda text, mark: (text.rpartition(mark)[0] if mark in text else text) if mark else text,
)
_cut(
    "substringAfterLast",
    lambda text, mark: (text.rpartition(mark)[2] if mark in text else "") if mark else "",
)


@filter_named("startsWith", takes=("value",), required=1)
def _starts_with(value: Any, start: Any) -> Any:
    return None if value is None else text_of(value, "startsWith").startswith(to_text(start))


@filter_named("endsWith", takes=("value",), required=1)
def _ends_with(value: Any, end: Any) -> Any:
    return None if value is None else text_of(value, "endsWith").endswith(to_text(end))


def _indented(value: Any, amount: Any, prefix: Any, name: str) -> tuple[str, str, str]:
    """The text, its line end, and what to put before a line."""
    if isinstance(amount, bool) or not isinstance(amount, int) or amount < 0:
        raise ExpressionError(f"`{name}` needs an integer of at least 0 as `amount`")
    text = to_text(value)
    end = next((end for end in _LINE_ENDS if end in text), "\n")
    unit = " " if prefix is None else to_text(prefix)
    limits.check_text((text.count(end) + 1) * amount * len(unit) + len(text))
    return text, end, unit * amount


@filter_named("indent", takes=("amount", "prefix"), required=1)
def _indent(value: Any, amount: Any, prefix: Any = None) -> Any:
    if value is None or value == "":
        return value
    text, end, before = _indented(value, amount, prefix, "indent")
    return text.replace(end, end + before)


@filter_named("nindent", takes=("amount", "prefix"), required=1)
def _nindent(value: Any, amount: Any, prefix: Any = None) -> Any:
    if value is None or value == "":
        return value
    text, end, before = _indented(value, amount, prefix, "nindent")
    return (end + text).replace(end, end + before)


@filter_named("escapeChar", takes=("type",), required=1)
def _escape_char(value: Any, style: Any) -> Any:
    if value is None:
        return None
    pair = _ESCAPES.get(style.lower()) if isinstance(style, str) else None
    if pair is None:
        raise ExpressionError("`escapeChar` needs `single`, `double` or `shell`")
    return each_text(value, lambda text: text.replace(*pair))


def each_text(value: Any, change: Callable[[str], str]) -> Any:
    """Change a text, or all texts inside lists and maps."""
    if isinstance(value, Mapping):
        return {key: each_text(item, change) for key, item in value.items()}
    if is_list(value):
        return [each_text(item, change) for item in value]
    return change(value if isinstance(value, str) else java_text(value))
