"""Reaching into values: variables, keys, indexes, and what a loop goes through.

Nothing here ever reads an attribute of a value: access is by key of a map and by index of a list, and that is all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from engine.expressions import limits
from engine.expressions.failures import PlacedError, Undefined
from engine.expressions.scope import Frame
from engine.expressions.values import Entry, is_list, java_text, kind

Run: TypeAlias = Callable[[Frame], Any]


def access(target: Any, key: Any, line: int) -> Any:
    """`target[key]`: a key of a map or an index of a list, nothing else. Raises Undefined."""
    try:
        if isinstance(target, Mapping):
            if isinstance(key, str):
                return target[key]
            if isinstance(key, int) and not isinstance(key, bool):
                return target[key] if key in target else target[str(key)]
        elif is_list(target) and not isinstance(key, bool):
            index = int(key) if isinstance(key, str) and key.isdecimal() and len(key) < 10 else key
            if isinstance(index, int) and index >= 0:
                return target[index]
    except (KeyError, IndexError):
        pass
    raise Undefined(_key_text(key), line)


def _key_text(key: Any) -> str:
    return java_text(key)[:100]


def variable_path(name: str, path: tuple[str, ...], line: int) -> Run:
    """The closure of a variable and the constant keys after it. It raises Undefined."""

    def variable(frame: Frame) -> Any:
        if frame.locals:
            return frame.lookup(name, line)
        try:
            return frame.variables[name]
        except KeyError:
            raise Undefined(name, line) from None

    def walk(frame: Frame) -> Any:
        value = variable(frame)
        if value is None:
            raise Undefined(name, line)
        for key in path:
            if type(value) is dict:
                try:
                    value = value[key]
                except KeyError:
                    raise Undefined(key, line) from None
            else:
                value = access(value, key, line)
        return value

    return walk if path else variable


def value_path(inner: Run, path: tuple[str, ...], line: int) -> Run:
    """The closure of any value and the constant keys after it. It raises Undefined."""
    if not path:
        return inner

    def walk(frame: Frame) -> Any:
        value = inner(frame)
        for key in path:
            value = access(value, key, line)
        return value

    return walk


def iterate(value: Any, line: int) -> list[Any]:
    """What a `for` loops over: the items of a list, the entries of a map. Raises ExpressionError."""
    if isinstance(value, Mapping):
        limits.check_items(len(value))
        return [Entry(key=key, value=item) for key, item in value.items()]
    if is_list(value):
        return list(value)
    raise PlacedError(f"`for` needs a list or a map, but got {kind(value)}", "", line, 0)
