"""Functions that look at the rendering itself: `render`, `renderOnce`, `printContext`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.errors import ExpressionError
from engine.expressions.registry import function_named
from engine.expressions.scope import Frame
from engine.expressions.template import render_inside
from engine.expressions.values import is_list


def _each(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {_each(key, change): _each(item, change) for key, item in value.items()}
    return [_each(item, change) for item in value] if is_list(value) else value


def _render(frame: Frame, value: Any, *, recursive: bool) -> Any:
    frame.enter()
    try:
        return _each(value, lambda text: render_inside(text, frame, recursive=recursive))
    finally:
        frame.depth -= 1


@function_named("render", takes=("template", "recursive"), required=1, context=True)
def _render_fully(frame: Frame, template: Any, recursive: Any = None) -> Any:
    if recursive is not None and not isinstance(recursive, bool):
        raise ExpressionError("`render` needs true or false as `recursive`")
    return _render(frame, template, recursive=recursive is not False)


@function_named("renderOnce", takes=("template",), required=1, context=True)
def _render_once(frame: Frame, template: Any) -> Any:
    return _render(frame, template, recursive=False)


@function_named("printContext", "fetchContext", context=True)
def _context(frame: Frame) -> dict[str, Any]:
    return dict(frame.variables)
