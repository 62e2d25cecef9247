"""How the children of a flowable are to be walked: the shapes that the machine knows.

A flowable task picks a shape, once, from its rendered properties; `engine.machine` walks it. A new flowable
therefore adds a task type and nothing else.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Sequence(msgspec.Struct, frozen=True, tag="sequence"):
    """The tasks of `branch` one by one; stops at the first failure."""

    branch: str = "tasks"


class Parallel(msgspec.Struct, frozen=True, tag="parallel"):
    """All tasks of `branch`, at most `limit` at a time (0: no limit); after a failure nothing new starts."""

    branch: str = "tasks"
    limit: int = 0


class Dag(msgspec.Struct, frozen=True, tag="dag"):
    """The tasks of `branch`, each once its `needs` have ended; at most `limit` at a time (0: no limit)."""

    needs: dict[str, tuple[str, ...]]
    branch: str = "tasks"
    limit: int = 0


class Each(msgspec.Struct, frozen=True, tag="each"):
    """The tasks of `branch` in order, once for every one of `values`, `limit` values at a time (0: no limit).

    Args:
        values: text; for the entries of a map, pairs of its key and the text.
        failure: what a failing iteration does: `stop` lets no other begin, `note` only counts in the end,
            `forgive` not even that.
    """

    values: tuple[Any, ...]
    branch: str = "tasks"
    limit: int = 1
    failure: Literal["stop", "note", "forgive"] = "stop"


class Repeat(msgspec.Struct, frozen=True, tag="repeat"):
    """The tasks of `branch` one by one, in rounds, until the flowable has had enough; only the last round is kept."""

    branch: str = "tasks"


class Wait(msgspec.Struct, frozen=True, tag="wait"):
    """Wait for a person or for time; then, if it goes on well, walk the tasks of `branch` one by one.

    Args:
        seconds: how long until it goes on by itself; none means until somebody resumes it.
        state: the state it ends in when the time is over (SUCCESS, WARNING, FAILED or CANCELLED).
        branch: what follows a wait that ends well; empty: nothing.
        first: what comes before the wait; empty: nothing.
    """

    seconds: float | None = None
    state: str = "SUCCESS"
    branch: str = ""
    first: str = ""


class Nothing(msgspec.Struct, frozen=True, tag="nothing"):
    """No children at all: an `If` without `else`, a `Switch` without a match."""


Shape = Sequence | Parallel | Dag | Each | Repeat | Wait | Nothing
