"""What the machine wants done: the closed union of commands that `engine.runtime` carries out.

Each is safe to repeat: it names what it is about by execution, key and attempt.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from engine.model.state import State
from engine.model.task import Level


class Command(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Something to be done outside the machine."""


class Evaluate(Command, frozen=True, gc=False):
    """Render what a flowable asks for (under `ROOT`: the flow's outputs); answered by `Rendered`.

    Args:
        stage: 0 before its children begin; else it looks back on the round of that number, from 1.
    """

    key: str
    stage: int = 0


class Run(Command, frozen=True, gc=False):
    """Carry out an attempt of a task; answered by `AttemptStarted`, `AttemptEnded` or `ChildStarted`."""

    key: str
    attempt: int


class Call(Command, frozen=True, gc=False):
    """Start the child execution of that number, from 1; answered by `ChildStarted`, or `AttemptEnded` if it cannot."""

    key: str
    attempt: int
    number: int


class Stop(Command, frozen=True, gc=False):
    """End a running attempt; it answers with `AttemptEnded`."""

    key: str
    attempt: int


class StopChild(Command, frozen=True, gc=False):
    """Kill a child execution."""

    execution_id: str


class Tidy(Command, frozen=True, gc=False):
    """Remove what a flowable that has ended kept outside for its children."""

    key: str


class Wake(Command, frozen=True, gc=False):
    """Send `TimeCame` for this task run's attempt at `at`."""

    key: str
    attempt: int
    at: datetime


class Say(Command, frozen=True, gc=False):
    """Write a line to the execution's log; `key` is `ROOT` for the execution as a whole."""

    key: str
    level: Level
    message: str


class StartAgain(Command, frozen=True, gc=False):
    """Create a new execution of the same flow with the same inputs at `at` (dialect: CREATE_NEW_EXECUTION)."""

    at: datetime


class Ended(Command, frozen=True, gc=False):
    """The execution has reached its terminal `state`: tell its caller, free its slot, report it."""

    state: State


AnyCommand = Evaluate | Run | Call | Stop | StopChild | Tidy | Wake | Say | StartAgain | Ended
