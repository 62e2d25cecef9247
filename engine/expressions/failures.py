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


class RefusedError(PlacedError):
    """A host function has nothing to give, such as a key or secret that does not exist; `??` swallows it."""


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


def told(message: str, text: str, line: int = 0, column: int = 0, hint: str = "") -> ToldError:
    """An error with its template and its place, as `message. (template:line:column)`; 0 is an unknown place."""
    where = "".join(f":{number}" for number in (line, column) if number)
    return ToldError(f"{message.rstrip('.')}. ({shorten(text)}{where})", hint)


def tell(error: ExpressionError, text: str) -> ExpressionError:
    """What leaves the package: the error with the text of its template."""
    if isinstance(error, ToldError):
        return error
    if isinstance(error, Undefined):
        found = f"`{shorten(text)}` at line {error.line}"
        return ToldError(f"Unable to find `{error.name}` used in the expression {found}")
    if isinstance(error, PlacedError):
        return told(error.message, text, error.line, error.column, error.hint)
    return told(error.message, text, hint=error.hint)
