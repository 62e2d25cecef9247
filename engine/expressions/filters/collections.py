"""Filters over lists and maps. They never change what they are given: a changed copy comes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import ExpressionError
from engine.expressions import limits
from engine.expressions.registry import filter_named
from engine.expressions.values import is_list, java_text, kind, to_json, to_text


def _list(value: Any, name: str) -> list[Any]:
    if not is_list(value):
        raise ExpressionError(f"`{name}` needs a list, but got {kind(value)}")
    return list(value)


@filter_named("length")
def _length(value: Any) -> int:
    return len(value) if isinstance(value, str | Mapping) or is_list(value) else 0


@filter_named("first")
def _first(value: Any) -> Any:
    if value is None:
        return None
    items = value if isinstance(value, str) else _list(value, "first")
    return items[0] if items else None


@filter_named("last")
def _last(value: Any) -> Any:
    if value is None:
        return None
    items = value if isinstance(value, str) else _list(value, "last")
    return items[-1] if items else None


@filter_named("default", takes=("default",), required=1)
def _default(value: Any, default: Any = None) -> Any:
    blank = value is None or (isinstance(value, str) and not value.strip())
    empty = blank or ((isinstance(value, Mapping) or is_list(value)) and not len(value))
    return default if empty else value


@filter_named("join", takes=("separator",))
def _join(value: Any, separator: Any = None) -> Any:
    if value is None:
        return None
    items = [java_text(item) for item in _list(value, "join")]
    glue = "" if separator is None else to_text(separator)
    limits.check_text(sum(map(len, items)) + len(glue) * len(items))
    return glue.join(items)


@filter_named("reverse")
def _reverse(value: Any) -> Any:
    return None if value is None else _list(value, "reverse")[::-1]


def _sorted(value: Any, name: str, *, descending: bool) -> Any:
    if value is None:
        return None
    items = _list(value, name)
    numbers = all(isinstance(item, int | float) and not isinstance(item, bool) for item in items)
    if (
        not numbers
        and not all(isinstance(item, str) for item in items)
        and {type(item) for item in items} != {bool}
    ):
        raise ExpressionError(f"`{name}` needs a list of numbers or of strings")
    return sorted(items, reverse=descending)


@filter_named("sort")
def _sort(value: Any) -> Any:
    return _sorted(value, "sort", descending=False)


@filter_named("rsort")
def _rsort(value: Any) -> Any:
    return _sorted(value, "rsort", descending=True)


@filter_named("slice", takes=("fromIndex", "toIndex"))
def _slice(value: Any, start: Any = None, end: Any = None) -> Any:
    if value is None:
        return None
    items = value if isinstance(value, str) else _list(value, "slice")
    first = 0 if start is None else int(start)
    last = len(items) if end is None else int(end)
    if first < 0:
        raise ExpressionError("`slice` needs a `fromIndex` of at least 0")
    if last <= len(items) and end is not None and first >= last:
        raise ExpressionError("`slice` needs a `toIndex` greater than its `fromIndex`")
    if first > len(items):
        raise ExpressionError(f"`slice` starts at {first}, beyond the end at {len(items)}")
    return items[first:last]


@filter_named("merge", takes=("items",), required=1)
def _merge(value: Any, items: Any = None) -> Any:
    if value is None and items is None:
        raise ExpressionError("`merge` got null on both sides")
    if value is None or items is None:
        return items if value is None else value
    if isinstance(value, Mapping):
        if isinstance(items, Mapping):
            return {**value, **items}
        return {**value, **{to_text(item): item for item in _list(items, "merge")}}
    merged = _list(value, "merge")
    merged += (
        [{key: item} for key, item in items.items()] if isinstance(items, Mapping) else _list(items, "merge")
    )
    limits.check_items(len(merged))
    return merged


@filter_named("keys")
def _keys(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, Mapping):
        return list(value)
    return list(range(len(_list(value, "keys"))))


@filter_named("values")
def _values(value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ExpressionError(f"`values` needs a map, but got {kind(value)}")
    return list(value.values())


@filter_named("flatten")
def _flatten(value: Any) -> Any:
    if value is None:
        return None
    flat: list[Any] = []
    for item in _list(value, "flatten"):
        flat += item if is_list(item) else [item]
        limits.check_items(len(flat))
    return flat


@filter_named("chunk", takes=("size",), required=1)
def _chunk(value: Any, size: Any) -> Any:
    if value is None:
        return None
    items, step = _list(value, "chunk"), int(size)
    if step < 1:
        raise ExpressionError("`chunk` needs a size of at least 1")
    return [items[start : start + step] for start in range(0, len(items), step)]


@filter_named("distinct")
def _distinct(value: Any) -> Any:
    if value is None:
        return None
    if not is_list(value):
        raise ExpressionError("Input must be a list")
    kept: list[Any] = []
    seen: set[Any] = set()
    for item in value:
        # equal values have one key, except that 1 and true are not equal
        key = to_json(item) if isinstance(item, Mapping | list | tuple) else (isinstance(item, bool), item)
        if key not in seen:
            seen.add(key)
            kept.append(item)
    return kept
