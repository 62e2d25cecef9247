"""How a rendering fails on its way out: first unplaced, then with a place, then told with the template's text.

Only `ExpressionError` in its last form leaves this package. Must not know how templates are evaluated.
"""

from __future__ import annotations

from engine.errors import ExpressionError, HeadwaterError, UserError
from engine.expressions.values import kind


def shorten(text: str) -> str:
    """A template's text as it fits into a message."""
    return text if len(text) <= 300 else text[:300] + "…"


class Undefined(ExpressionError):
    """A variable or attribute does not exist; `??`, `???`, `default` and `is defined` swallow it."""

    def __init__(self, name: str, line: int) -> None:
        super().__init__(f"Unable to find `{name}`", reason="ExpressionError")
        self.name = name
        self.line = line


class PlacedError(ExpressionError):
    """An error with the line and column (0 when unknown) of the operator, filter or function it comes from."""

    def __init__(self, message: str, hint: str, line: int, column: int) -> None:
        super().__init__(message, hint=hint, reason="ExpressionError")
        self.line = line
        self.column = column


class ToldError(ExpressionError):
    """An error that already shows its template: one from a template rendered inside another."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint=hint, reason="ExpressionError")


def place(error: Exception, name: str, value: object, line: int, column: int = 0) -> HeadwaterError:
    """What to raise for an error of the operation `name` on `value`: our own errors keep their words."""
    if isinstance(error, Undefined | PlacedError | ToldError):
        return error
    if isinstance(error, UserError):
        return PlacedError(error.message, error.hint, line, column)
    if isinstance(error, HeadwaterError):
        return error
    if isinstance(error, RecursionError):
        return PlacedError(f"`{name}` met data that is nested too deeply", "", line, column)
    why = f": {error}" if isinstance(error, ValueError) else ""
    return PlacedError(f"`{name}` cannot be applied to {kind(value)}{why}", "", line, column)


def tell(error: ExpressionError, text: str) -> ExpressionError:
    """What leaves the package: the error with the text of its template."""
    if isinstance(error, ToldError):
        return error
    shown = shorten(text)
    if isinstance(error, Undefined):
        return ToldError(
            f"Unable to find `{error.name}` used in the expression `{shown}` at line {error.line}"
        )
    where = ""
    if isinstance(error, PlacedError):
        where = f" at line {error.line}" + (f", column {error.column}" if error.column else "")
    return ToldError(f"{error.message} in the expression `{shown}`{where}", error.hint)
