"""The tables of filters, functions and tests, and how a call's arguments find their parameters.

The modules that fill the tables are imported by `engine.expressions.template`. Knows no filter by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from engine.errors import ExpressionError

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Builtin(NamedTuple):
    """A filter or function.

    Args:
        call: takes the input (filters), the frame (with `context`), then the arguments by position; an argument
            that is not given is None.
        parameters: the names of the arguments, as templates use them.
        required: how many of them have to be given.
        context: whether the frame is handed in.
        variadic: whether any number of positional arguments is taken.
    """

    name: str
    call: Callable[..., Any]
    parameters: tuple[str, ...]
    required: int
    context: bool
    variadic: bool


FILTERS: dict[str, Builtin] = {}
FUNCTIONS: dict[str, Builtin] = {}
TESTS: dict[str, Callable[[Any], bool]] = {}


def _adder(
    table: dict[str, Builtin],
    names: Sequence[str],
    parameters: tuple[str, ...],
    required: int,
    context: bool,
    variadic: bool,
) -> Callable[[_Function], _Function]:
    def add(call: _Function) -> _Function:
        for name in names:
            table[name] = Builtin(name, call, parameters, required, context, variadic)
        return call

    return add


def filter_named(
    *names: str, takes: tuple[str, ...] = (), required: int = 0
) -> Callable[[_Function], _Function]:
    """Register a filter under its name and older aliases."""
    return _adder(FILTERS, names, takes, required, context=False, variadic=False)


def function_named(
    *names: str, takes: tuple[str, ...] = (), required: int = 0, context: bool = False, variadic: bool = False
) -> Callable[[_Function], _Function]:
    """Register a function under its name and older aliases."""
    return _adder(FUNCTIONS, names, takes, required, context, variadic)


def test_named(name: str) -> Callable[[_Function], _Function]:
    """Register a test."""

    def add(call: _Function) -> _Function:
        TESTS[name] = call
        return call

    return add


def bind(
    builtin: Builtin, what: str, positional: Sequence[Any], named: Sequence[tuple[str, Any]]
) -> list[Any]:
    """Put arguments in the order of the parameters; None where one is not given, none at the end.

    Raises:
        ExpressionError: too many, unknown, repeated or missing arguments.
    """
    name, parameters = builtin.name, builtin.parameters
    if builtin.variadic:
        if named:
            raise ExpressionError(f"The {what} `{name}` takes no named arguments")
        return list(positional)
    if len(positional) > len(parameters):
        raise ExpressionError(f"The {what} `{name}` takes at most {len(parameters)} argument(s)")
    bound: list[Any] = [*positional, *[None] * (len(parameters) - len(positional))]
    for key, value in named:
        if key not in parameters:
            takes = ", ".join(f"`{parameter}`" for parameter in parameters) or "none"
            raise ExpressionError(f"The {what} `{name}` has no argument `{key}`", hint=f"it takes {takes}")
        if bound[parameters.index(key)] is not None:
            raise ExpressionError(f"The {what} `{name}` is given `{key}` twice")
        bound[parameters.index(key)] = value
    for index in range(builtin.required):
        if bound[index] is None:
            raise ExpressionError(f"The {what} `{name}` needs the argument `{parameters[index]}`")
    while bound and bound[-1] is None:
        bound.pop()
    return bound
