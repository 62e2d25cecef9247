"""What the docstring of a model says: of the model, and of each of its properties. Pure.

The reference and the JSON Schema take their words from here, so that a thing is explained once.
"""

from __future__ import annotations

import inspect
import re

from pydantic import BaseModel


def summary(model: type[BaseModel]) -> str:
    """All of the docstring before its `Args:`; empty for a model without one of its own."""
    return inspect.cleandoc(model.__dict__.get("__doc__") or "").partition("\n\nArgs:")[0]


def about(model: type[BaseModel]) -> dict[str, str]:
    """What the docstrings' `Args:` say of each field, its own and inherited; `a, b: …` counts for both."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if issubclass(each, BaseModel):
            found.update(_arguments(each.__dict__.get("__doc__") or ""))
    return found


def _arguments(docstring: str) -> dict[str, str]:
    text = inspect.cleandoc(docstring).partition("Args:\n")[2]
    found: dict[str, str] = {}
    names: list[str] = []
    for line in text.splitlines():
        if match := re.match(r"^    (\w+(?:, \w+)*): (.*)$", line):
            names = match[1].split(", ")
            found.update(dict.fromkeys(names, match[2]))
        elif line.startswith("        "):
            found.update({name: f"{found[name]} {line.strip()}" for name in names})
    return found
