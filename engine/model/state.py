"""The states of an execution and of a task run, and the groups they fall into (dialect, section 4.2).

Which state may follow which is not said here but in `engine.machine.table`.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """A state of an execution or of a task run."""

    CREATED = "CREATED"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    RESTARTED = "RESTARTED"
    RETRYING = "RETRYING"
    KILLING = "KILLING"
    SUCCESS = "SUCCESS"
    WARNING = "WARNING"
    FAILED = "FAILED"
    KILLED = "KILLED"
    CANCELLED = "CANCELLED"
    RETRIED = "RETRIED"
    SKIPPED = "SKIPPED"

    @property
    def terminal(self) -> bool:
        """Whether nothing follows by itself."""
        return self in TERMINAL

    @property
    def good(self) -> bool:
        """Whether what ran did what it should, perhaps with a warning."""
        return self in GOOD


TERMINAL = frozenset(
    {
        State.SUCCESS,
        State.WARNING,
        State.FAILED,
        State.KILLED,
        State.CANCELLED,
        State.RETRIED,
        State.SKIPPED,
    }
)
GOOD = frozenset({State.SUCCESS, State.WARNING, State.SKIPPED})
