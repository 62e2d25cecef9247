"""The built-in functions of the dialect (section 5.4). Importing this package registers them."""

from engine.expressions.functions import (
    calendar,
    files,
    flow,
    identifiers,
    numbers,
    parsing,
    rendering,
    secrecy,
)

__all__ = ["calendar", "files", "flow", "identifiers", "numbers", "parsing", "rendering", "secrecy"]
