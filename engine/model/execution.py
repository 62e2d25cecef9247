"""An execution and its task runs: the snapshot that the machine steps from event to event.

Values only, which never refer back to what holds them: the collector of cycles need not look at them (`gc=False`),
and so costs nothing however many there are. Task runs live in a persistent map, so that a step costs what it changes
and not what there is.

A task run's `key` is its place in the flow, and so its name within the execution: the task's id, and behind a
colon the number of the iteration for each loop around it, outermost first (`load`, `load:3`, `load:3.1`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import immutables
import msgspec

from engine.ids import derived_id
from engine.model.shape import Sequence, Shape
from engine.model.state import State

Phase = Literal["main", "review", "between", "errors", "finally", "after"]
Kind = Literal["NORMAL", "TEST"]
ROOT = ""  # the key under which the flow itself owns its tasks


class Moment(msgspec.Struct, frozen=True, gc=False):
    """A state, and when it was entered (UTC)."""

    state: State
    at: datetime


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """One try of a task run; `history` holds its states."""

    number: int
    history: tuple[Moment, ...]

    @property
    def state(self) -> State:
        """The state it is in."""
        return self.history[-1].state


class Scope(msgspec.Struct, frozen=True, gc=False):
    """How far the children of a flowable, or of the flow itself, have come.

    Args:
        shape: how the children of the present phase are walked.
        phase: main children, then `errors` where they failed, then `finally`, then (flow only) `after`. Some
            flowables look back on their main children (`review`), and may begin another round after a time
            (`between`).
        started: children (of an `Each`: iterations) begun in this phase.
        running: of these, the ones that have not ended.
        worst: the worst end of the main children; of later phases only what must lift it.
        broken: something failed in this phase, so that nothing new starts in it.
        count: how many children or iterations the phase has in all.
        rounds: how often the main children were begun anew (`Repeat`).
        main: how the main children were walked, once a later phase has begun.
    """

    shape: Shape = Sequence()
    phase: Phase = "main"
    started: int = 0
    running: int = 0
    worst: State = State.SUCCESS
    broken: bool = False
    count: int = 0
    rounds: int = 0
    main: Shape | None = None


class Child(msgspec.Struct, frozen=True, gc=False):
    """The child execution a task run started, and what its end will mean."""

    execution_id: str
    wait: bool = True
    transmit_failed: bool = True


class Children(msgspec.Struct, frozen=True, gc=False):
    """The many child executions of one attempt, known by their numbers from 1.

    Args:
        count: how many there are to be.
        started: how many were asked for.
        open: the numbers of those that have not ended; a bounded number of them.
        ended: how many have ended in each state.
    """

    attempt: int
    count: int
    wait: bool = True
    transmit_failed: bool = True
    started: int = 0
    open: tuple[int, ...] = ()
    ended: dict[str, int] = {}


class TaskRun(msgspec.Struct, frozen=True, gc=False):
    """A running (or ended) task.

    Args:
        seq: the order of creation within the execution, from 0.
        parent: key of the flowable's task run that owns it; `ROOT` for the flow itself.
        path: number of the iteration for each loop around it, outermost first.
        value: what the innermost loop is at, as text; none outside loops.
        scope: only flowables have one, once their shape is known.
        number: the try of the execution (`Execution.number`) that took it up last.
    """

    key: str
    id: str
    seq: int
    task_id: str
    parent: str
    phase: Phase
    path: tuple[int, ...]
    history: tuple[Moment, ...]
    value: str | None = None
    attempts: tuple[Attempt, ...] = ()
    outputs: dict[str, Any] = {}
    error: str = ""
    scope: Scope | None = None
    child: Child | None = None
    children: Children | None = None
    number: int = 0

    @property
    def state(self) -> State:
        """The state it is in."""
        return self.history[-1].state

    @property
    def iteration(self) -> int | None:
        """Number of the innermost loop's iteration, from 0; none outside loops."""
        return self.path[-1] if self.path else None


class FlowRef(msgspec.Struct, frozen=True):
    """The flow an execution is pinned to for life.

    Args:
        revision: counts the versions of this flow, from 1.
        commit: the commit that was live when the execution was created; empty for uncommitted files.
        blob: id of the flow file's content.
    """

    namespace: str
    id: str
    revision: int = 1
    commit: str = ""
    blob: str = ""

    @property
    def name(self) -> str:
        """`namespace.id`."""
        return f"{self.namespace}.{self.id}"


class Cause(msgspec.Struct, frozen=True):
    """The trigger that started an execution and what it saw; `variables` are the `trigger.*` of expressions."""

    id: str
    type: str
    variables: dict[str, Any] = {}


class Caller(msgspec.Struct, frozen=True):
    """The task run of another execution that waits for this one, which is its child of that number if it has many."""

    execution_id: str
    key: str
    attempt: int
    number: int | None = None


class Execution(msgspec.Struct, frozen=True, gc=False):
    """A running (or ended) flow, as it stands after `version` events.

    Args:
        parent_id: the execution this one was replayed from.
        original_id: the first of a line of replays and retries.
        number: which try of the whole flow this is, from 1: retries that create a new execution, restarts.
        first_created: when the first of these tries was created; none for the first.
        seq: how many task runs it has had.
        busy: task runs that may still do something by themselves.
        paused: task runs that wait for a person or for time.
        kind: a TEST sets off nothing else, and fixtures may stand in for its tasks.
        held: a person paused the whole execution.
        ending: the state it is to end in, once somebody decided that (kill, `Exit`).
        broken: ids of the promises (`sla`) it has broken.
        secrets: values among its inputs that must never leave the process.
    """

    id: str
    flow: FlowRef
    history: tuple[Moment, ...]
    inputs: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    variables: dict[str, Any] = {}
    labels: dict[str, str] = {}
    cause: Cause | None = None
    caller: Caller | None = None
    parent_id: str | None = None
    original_id: str = ""
    number: int = 1
    first_created: datetime | None = None
    kind: Kind = "NORMAL"
    scope: Scope = Scope()
    runs: immutables.Map[str, TaskRun] = immutables.Map()
    values: immutables.Map[str, tuple[Any, ...]] = immutables.Map()
    seq: int = 0
    busy: int = 0
    paused: int = 0
    held: bool = False
    ending: State | None = None
    error: str = ""
    secrets: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    version: int = 0

    @property
    def state(self) -> State:
        """The state it is in."""
        return self.history[-1].state

    @property
    def created(self) -> datetime:
        """When it was created."""
        return self.history[0].at

    @property
    def first_started(self) -> datetime:
        """When the first try of the whole flow was created."""
        return self.first_created or self.created

    @property
    def ended(self) -> datetime | None:
        """When it reached its terminal state; none while it has not."""
        last = self.history[-1]
        return last.at if last.state.terminal else None

    def task_runs(self) -> list[TaskRun]:
        """All task runs in order of creation."""
        return sorted(self.runs.values(), key=lambda run: run.seq)


def run_key(task_id: str, path: tuple[int, ...]) -> str:
    """The key of a task's run at an iteration path; see the module's docstring."""
    return f"{task_id}:{'.'.join(map(str, path))}" if path else task_id


def run_id(execution_id: str, key: str) -> str:
    """The globally unique id of a task run."""
    return derived_id(execution_id, key)


def child_id(execution_id: str, key: str, attempt: int, number: int | None = None) -> str:
    """The id of the child execution that an attempt of a task run starts, or of the one of that number."""
    return derived_id(execution_id, key, str(attempt), *([] if number is None else [str(number)]))


def loop_text(value: Any) -> str:
    """What a loop shows of one of its values (see `Each`): the text, without the key."""
    return value if isinstance(value, str) else str(value[1])
