"""The bounds of one rendering: what a hostile template may cost at most. Knows nothing of templates themselves.

Every bound ends in an `ExpressionError`, never in a hang or a full memory.
"""

from __future__ import annotations

from time import monotonic
from typing import Final

from engine.errors import ExpressionError

TEMPLATE_CHARS: Final = 1_000_000
"""Length of a template's text."""
NESTING: Final = 120
"""Depth of nested expressions, tags and operator chains."""
OUTPUT_CHARS: Final = 16_000_000
"""Length of a rendered text, and of any string made on the way."""
ITEMS: Final = 200_000
"""Items of a list made by an expression, and turns of all loops of one rendering."""
STEPS: Final = 5_000_000
"""Steps of one operation that compares everything with everything."""
CALLS: Final = 60
"""Depth of macros and of `render()` inside each other."""
PASSES: Final = 100
"""Passes of the recursive `render()` (dialect, section 5)."""
SECONDS: Final = 10.0
"""Time for one rendering, looked at in loops and calls."""
REGEX_CHARS: Final = 2_000
"""Length of a regular expression."""
REGEX_SECONDS: Final = 1.0
"""Time for one use of a regular expression."""
PATTERN_CHARS: Final = 500
"""Length of a date or number pattern."""


def deadline() -> float:
    """The instant, on the monotonic clock, at which a rendering that starts now has to be over."""
    return monotonic() + SECONDS


def check_time(until: float) -> None:
    """Raise ExpressionError when `until` has passed."""
    if monotonic() > until:
        raise ExpressionError(f"Rendering took longer than {SECONDS:g} s", hint="make its loops smaller")


def check_text(chars: int) -> None:
    """Raise ExpressionError when a text of `chars` characters would be too long."""
    if chars > OUTPUT_CHARS:
        raise ExpressionError(
            f"An expression made a text of more than {OUTPUT_CHARS} characters",
            hint="hand large data on as a file",
        )


def check_items(count: int) -> None:
    """Raise ExpressionError when a list of `count` items would be too long."""
    if count > ITEMS:
        raise ExpressionError(
            f"An expression made a list of more than {ITEMS} items", hint="hand large data on as a file"
        )


def check_work(steps: int) -> None:
    """Raise ExpressionError when one operation would take `steps` steps and that is too many."""
    if steps > STEPS:
        raise ExpressionError("An expression works on too much data", hint="hand large data on as a file")
