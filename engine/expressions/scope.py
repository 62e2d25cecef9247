"""What a template can see: variables and the host's functions. Must not know where either comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from engine.errors import ExpressionError
from engine.expressions import limits
from engine.expressions.failures import Undefined

HOST_FUNCTIONS: Final = frozenset(
    {
        "appLink",
        "assets",
        "credential",
        "env",
        "errorLogs",
        "fileEmpty",
        "fileExists",
        "fileSize",
        "http",
        "isFileEmpty",
        "kv",
        "read",
        "secret",
        "subflow",
    }
)
"""Functions of the dialect (section 5.4) that need the outside world, so the host has to bring them."""

_NO_FUNCTIONS: Mapping[str, Callable[..., Any]] = {}


class Scope:
    """The variables and functions of one rendering.

    Args:
        variables: by name. Values are plain data (None, bool, int, float, str, dates, lists, maps); maps at any
            level may be lazy `Mapping` objects: only what a template asks for is looked up, nothing is copied.
        functions: the host's data functions by name, called with the template's positional and named arguments.
            One may also replace a built-in function; `now` is special: it takes no argument and gives the present
            instant as an aware datetime, formatting stays ours.
    """

    __slots__ = ("functions", "variables")

    def __init__(
        self, variables: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]] = _NO_FUNCTIONS
    ) -> None:
        self.variables = variables
        self.functions = functions


class Barrier(dict[str, Any]):
    """Local variables that hide everything outside: those of a macro."""


class Frame:
    """The state of one rendering: scope, local variables, and what has been spent of the bounds."""

    __slots__ = ("deadline", "depth", "functions", "keep_raw", "locals", "turns", "variables")

    def __init__(self, scope: Scope, keep_raw: bool = False) -> None:
        self.variables = scope.variables
        self.functions = scope.functions
        self.locals: list[dict[str, Any]] = []
        self.deadline = 0.0
        self.depth = 0
        self.turns = 0
        self.keep_raw = keep_raw

    def nested(self, keep_raw: bool) -> Frame:
        """A frame for a template rendered inside this one: same variables, same budget."""
        inner = Frame(Scope(self.variables, self.functions), keep_raw)
        inner.locals = self.locals
        inner.deadline = self.deadline
        inner.depth = self.depth
        inner.turns = self.turns
        return inner

    def turn(self) -> None:
        """Count one turn of a loop."""
        self.turns += 1
        if self.turns > limits.ITEMS:
            raise ExpressionError(f"Loops turned more than {limits.ITEMS} times", hint="loop over less")
        self.check_time()

    def enter(self) -> None:
        """Count one level of calls; `depth` is to be lowered by the caller afterwards."""
        self.depth += 1
        if self.depth > limits.CALLS:
            raise ExpressionError(
                f"Macros or render() call each other more than {limits.CALLS} levels deep",
                hint="look for one that calls itself",
            )
        self.check_time()

    def check_time(self) -> None:
        """Raise ExpressionError when the time for this rendering is over; the first look starts the clock."""
        if self.deadline:
            limits.check_time(self.deadline)
        else:
            self.deadline = limits.deadline()

    def local(self) -> dict[str, Any]:
        """The innermost local variables."""
        if not self.locals:
            self.locals.append({})
        return self.locals[-1]

    def lookup(self, name: str, line: int) -> Any:
        """A variable by name, local ones first. Raises Undefined."""
        for layer in reversed(self.locals):
            if name in layer:
                return layer[name]
            if type(layer) is Barrier:
                raise Undefined(name, line)
        try:
            return self.variables[name]
        except KeyError:
            raise Undefined(name, line) from None


class Sink:
    """Collects output and bounds its length."""

    __slots__ = ("parts", "size")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.size = 0

    def write(self, text: str) -> None:
        """Append `text`."""
        self.size += len(text)
        if self.size > limits.OUTPUT_CHARS:
            limits.check_text(self.size)
        self.parts.append(text)

    def text(self) -> str:
        """All that was written."""
        return "".join(self.parts)
