"""Calls of functions, macros and blocks: who answers a name, and what is raised when that goes wrong.

A function of the host comes before the built-in one of that name, both before a macro (dialect, section 5.1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from engine.errors import ExpressionError, HeadwaterError, UserError
from engine.expressions import nodes
from engine.expressions.access import Run
from engine.expressions.failures import PlacedError, RefusedError, place
from engine.expressions.registry import Builtin
from engine.expressions.scope import HOST_FUNCTIONS, Frame
from engine.expressions.values import to_text

Macro: TypeAlias = Callable[[Frame, list[Any], dict[str, Any]], str]


def function_call(
    node: nodes.Call,
    given: Sequence[Run],
    named: Sequence[tuple[str, Run]],
    builtin: Builtin | None,
    bound: Sequence[Run],
    macros: dict[str, Macro],
) -> Run:
    """The closure of a call.

    Args:
        node: the call.
        given: its positional arguments.
        named: its named arguments.
        builtin: the built-in function of that name, if there is one.
        bound: all arguments in the order of the built-in function's parameters.
        macros: the template's macros; looked at only when the call runs.
    """
    name, line, column = node.name, node.line, node.column

    def run(frame: Frame) -> Any:
        host = frame.functions.get(name)
        if host is not None and name != "now":
            return _host(host, node, [one(frame) for one in given], {key: one(frame) for key, one in named})
        if builtin is not None:
            return _builtin(builtin, frame, [one(frame) for one in bound], line, column)
        if name not in macros:
            raise PlacedError(_missing(name), "", line, column)
        positional = [one(frame) for one in given]
        arguments = {key: one(frame) for key, one in named}
        try:
            return macros[name](frame, positional, arguments)
        except ExpressionError as error:
            raise place(error, name, None, line, column) from None

    return run


def _builtin(builtin: Builtin, frame: Frame, values: list[Any], line: int, column: int) -> Any:
    try:
        return builtin.call(frame, *values) if builtin.context else builtin.call(*values)
    except HeadwaterError as error:
        raise place(error, builtin.name, None, line, column) from None
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        why = f": {error}" if isinstance(error, ValueError) else ""
        message = f"The function `{builtin.name}` cannot be applied to these arguments{why}"
        raise PlacedError(message, "", line, column) from None


def _host(host: Callable[..., Any], node: nodes.Call, positional: list[Any], named: dict[str, Any]) -> Any:
    try:
        return host(*positional, **named)
    except UserError as error:
        raise RefusedError(error.message, error.hint, node.line, node.column) from None
    except TypeError as error:
        message = f"The function `{node.name}` cannot be called with these arguments: {error}"
        raise PlacedError(message, "", node.line, node.column) from error


def _missing(name: str) -> str:
    if name in HOST_FUNCTIONS:
        return f"The function `{name}` is not available here"
    return f"There is no function or macro `{name}`"


def block_call(node: nodes.Call, name_of: Run, blocks: dict[str, Callable[[Frame], str]]) -> Run:
    """The closure of `block(name)`, which shows a block of the template once more."""

    def run(frame: Frame) -> str:
        name = to_text(name_of(frame))
        if name not in blocks:
            raise PlacedError(f"There is no block `{name}`", "", node.line, node.column)
        frame.enter()
        try:
            return blocks[name](frame)
        finally:
            frame.depth -= 1

    return run
