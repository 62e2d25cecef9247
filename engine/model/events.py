"""What happens to an execution: the closed union of events that `engine.machine` steps over.

Each carries its time; together, in order, they are the execution's log, and folding them gives its snapshot.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from engine.model.execution import Caller, Child
from engine.model.state import State
from engine.model.task import TaskResult


class Event(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Something that happened, and when (UTC)."""

    at: datetime


class Begun(Event, frozen=True, gc=False):
    """The execution may run: no concurrency limit holds it."""


class Queued(Event, frozen=True, gc=False):
    """The flow's concurrency limit is reached; the execution waits for a slot."""


class Refused(Event, frozen=True, gc=False):
    """The execution ends before it began, in `state` (CANCELLED or FAILED)."""

    state: State
    message: str = ""


class Rendered(Event, frozen=True, gc=False):
    """The properties that a flowable asked for (or, under `ROOT`, the flow's outputs) are rendered.

    Args:
        stage: what it answers, see `Evaluate`.
        skipped: `runIf` was false.
        error: why it could not be rendered; empty when it could.
    """

    key: str
    values: dict[str, Any] = {}
    skipped: bool = False
    error: str = ""
    stage: int = 0


class AttemptStarted(Event, frozen=True, gc=False):
    """An attempt has begun to run."""

    key: str
    attempt: int


class AttemptEnded(Event, frozen=True, gc=False):
    """An attempt is over.

    Args:
        started: when it began, for attempts that never reported their start.
        chance: a random number in [0, 1), from which a random retry delay follows.
    """

    key: str
    attempt: int
    result: TaskResult
    started: datetime | None = None
    chance: float = 0.0


class ChildStarted(Event, frozen=True, gc=False):
    """A task run has started a child execution; the one of that number, if it starts many."""

    key: str
    attempt: int
    child: Child
    number: int | None = None


class ChildrenWanted(Event, frozen=True, gc=False):
    """An attempt has begun that starts `count` child executions."""

    key: str
    attempt: int
    count: int
    wait: bool = True
    transmit_failed: bool = True


class ChildEnded(Event, frozen=True, gc=False):
    """A child execution has ended; the one of that number, if its task run started many."""

    key: str
    attempt: int
    execution_id: str
    state: State
    outputs: dict[str, Any] = {}
    chance: float = 0.0
    number: int | None = None


class StoodIn(Event, frozen=True, gc=False):
    """A test says how a task ended that was not run (dialect, section 4.11)."""

    key: str
    result: TaskResult


class TimeCame(Event, frozen=True, gc=False):
    """The time that a task run waited for has come: a retry, the end of a pause, the next round of a loop."""

    key: str
    attempt: int


class KillAsked(Event, frozen=True, gc=False):
    """Somebody wants it killed, and unless `children` is false the executions it waits for too."""

    children: bool = True


class PauseAsked(Event, frozen=True, gc=False):
    """Somebody wants nothing new to start."""


class ResumeAsked(Event, frozen=True, gc=False):
    """Somebody lets it go on.

    Args:
        key: the paused task run meant; none means all of them, and the hold of the whole execution.
        outputs: what the paused task run gives on, such as the `onResume` inputs.
    """

    key: str | None = None
    outputs: dict[str, Any] = {}


class Restarted(Event, frozen=True, gc=False):
    """Somebody lets an ended or paused execution go again through all that did not go well.

    Args:
        caller: the task run that waits for it from now on; none: whoever did before.
    """

    caller: Caller | None = None


class StatusChanged(Event, frozen=True, gc=False):
    """Somebody says how a task run (under `ROOT`: the execution) is to be taken to have ended."""

    key: str
    state: State


class SlaBroken(Event, frozen=True, gc=False):
    """The execution breaks a promise of its flow.

    Args:
        sla: its id.
        number: the try of the execution that it is about (`Execution.number`).
    """

    sla: str
    number: int = 1


class Quarantined(Event, frozen=True, gc=False):
    """A bug of ours: this execution alone is ended as FAILED."""

    message: str


AnyEvent = (
    Begun
    | Queued
    | Refused
    | Rendered
    | AttemptStarted
    | AttemptEnded
    | ChildStarted
    | ChildrenWanted
    | ChildEnded
    | StoodIn
    | TimeCame
    | KillAsked
    | PauseAsked
    | ResumeAsked
    | Restarted
    | StatusChanged
    | SlaBroken
    | Quarantined
)
