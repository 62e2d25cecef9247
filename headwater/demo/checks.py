"""How the demo makes sure: looks that are repeated for a bounded time, and what it says when something did not happen.

It must not know the story or how things are shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from engine.errors import HeadwaterError, UnavailableError

PATIENCE = 20.0  # seconds that a step may take before it counts as failed
_BETWEEN = 0.02  # seconds between two looks

Found = TypeVar("Found")


class StepFailed(Exception):
    """A step did not happen.

    Args:
        expected: what should have been seen.
        seen: what was seen instead.
    """

    def __init__(self, expected: str, seen: str) -> None:
        super().__init__(f"expected {expected}, saw {seen}")
        self.expected = expected
        self.seen = seen


class NotYet(Exception):
    """What a look raises while the expected is not there; its text is what was seen."""


def wait_for(
    expected: str, look: Callable[[], Found], alive: Callable[[], None], seconds: float = PATIENCE
) -> Found:
    """Look again and again until there is something to see.

    Args:
        expected: told when it does not come.
        look: returns what is found, or raises NotYet.
        alive: raises StepFailed when waiting has become pointless.
        seconds: how long; 0 looks once.

    Raises:
        StepFailed: it did not come in time, or it never can.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            return look()
        except (NotYet, UnavailableError) as error:
            seen = str(error)
        except HeadwaterError as error:
            raise StepFailed(expected, str(error)) from error
        except (LookupError, TypeError, ValueError) as error:
            raise StepFailed(expected, f"an answer that cannot be read ({error!r})") from error
        alive()
        if time.monotonic() > end:
            raise StepFailed(f"{expected} within {seconds:.0f} s" if seconds else expected, seen)
        time.sleep(_BETWEEN)
