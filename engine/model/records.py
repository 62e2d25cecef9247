"""The rows around executions: live flows, trigger states, fires, work, log lines. Plain values for the store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec

from engine.model.commands import AnyCommand
from engine.model.events import AnyEvent
from engine.model.flow import Flow
from engine.model.run import RunHandle
from engine.model.state import State
from engine.model.task import Level


class LogEntry(msgspec.Struct, frozen=True, gc=False):
    """One line of an execution's log, already masked. `key` is `ROOT` for the execution as a whole."""

    execution_id: str
    at: datetime
    level: Level
    message: str
    key: str = ""
    task_id: str = ""
    task_run_id: str = ""
    attempt: int = 0


class Work(msgspec.Struct, frozen=True, gc=False):
    """Something that has to happen once its execution's commit is durable; gone when it has.

    Args:
        id: names it for ever, so that repeats are harmless.
        execution_id: the execution it came from, or is meant for.
        command: what to carry out, or
        event: what to deliver to the execution.
        due: not before (UTC); none means now.
        handle: the run that was started for it.
        seen: how many lines of its stdout and stderr are in the log already.
    """

    id: str
    execution_id: str
    command: AnyCommand | None = None
    event: AnyEvent | None = None
    due: datetime | None = None
    handle: RunHandle | None = None
    seen: tuple[int, int] = (0, 0)


class FlowVersion(msgspec.Struct, frozen=True):
    """One version of a flow, kept as long as it is live or an execution is pinned to it.

    Args:
        source: name of the flows repository it came from; empty for local files.
        content: the flow file, as it is in Git.
        defaults: the plugin defaults of its repository that it was made with.
        triggers: its triggers' ids.
        at: when it went live (UTC).
    """

    namespace: str
    id: str
    revision: int
    commit: str
    blob: str
    path: str
    source: str
    content: bytes
    at: datetime
    disabled: bool = False
    triggers: tuple[str, ...] = ()
    defaults: str = ""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A flow that a commit wants live.

    Args:
        flow: compiled from `content`.
        path: of its file in the repository.
        blob: id of the content.
        defaults: the plugin defaults of its repository that it was made with.
    """

    flow: Flow
    content: bytes
    path: str
    blob: str
    defaults: str = ""


class Backfill(msgspec.Struct, frozen=True):
    """Due times of the past that a schedule goes through, one by one, before it goes on as usual.

    Args:
        id: names it for ever; one that is repeated over the same time runs everything again.
        start, end: the first and the last instant that may be due.
        current: the due time that is next.
        resume: the due time that the schedule goes on with afterwards.
        inputs, labels: added to those of the trigger.
    """

    id: str
    start: datetime
    end: datetime
    current: datetime
    resume: datetime | None = None
    paused: bool = False
    inputs: dict[str, Any] = {}
    labels: dict[str, str] = {}


class TriggerState(msgspec.Struct, frozen=True):
    """Where a trigger of a live flow stands.

    Args:
        next_due: the due time that fires next; none: it fires by itself no more, or never did.
        last_due: the due time that fired last.
        execution_id: its last execution, which locks it until that has ended.
        spec: digest of the trigger as written; a change of it starts the schedule anew from now.
        suspended: somebody stopped it.
        backfill: the past it goes through at the moment; `next_due` is then of this past.
    """

    namespace: str
    flow_id: str
    trigger_id: str
    type: str = ""
    next_due: datetime | None = None
    last_due: datetime | None = None
    execution_id: str | None = None
    spec: str = ""
    suspended: bool = False
    backfill: Backfill | None = None

    @property
    def upcoming(self) -> datetime | None:
        """When it fires next as it is written, whatever past it goes through."""
        return self.backfill.resume if self.backfill else self.next_due


class Fire(msgspec.Struct, frozen=True):
    """A due time that fired; its first four fields are unique for ever."""

    namespace: str
    flow_id: str
    trigger_id: str
    due: datetime
    execution_id: str


class Report(msgspec.Struct, frozen=True):
    """Something the outside world is to be told: coalesced by topic and key, retried until done.

    Args:
        topic: `execution` or `flow`.
        key: an execution's id, or `namespace/id`.
        serial: grows with every change, so that a change while it is being written is not lost.
    """

    topic: Literal["execution", "flow"]
    key: str
    serial: int = 0


class Summary(msgspec.Struct, frozen=True):
    """An execution in a list: what can be told without its task runs."""

    id: str
    namespace: str
    flow_id: str
    revision: int
    commit: str
    state: State
    created: datetime
    ended: datetime | None
    trigger_id: str | None = None
    labels: dict[str, str] = {}

    @property
    def seconds(self) -> float | None:
        """How long it took; none while it runs."""
        return (self.ended - self.created).total_seconds() if self.ended else None


class Query(msgspec.Struct, frozen=True):
    """Which executions to list, newest first; none means any.

    Args:
        below: whether the namespaces below `namespace` count too.
        since, until: when it was created; `until` itself is not in it.
    """

    namespace: str | None = None
    flow_id: str | None = None
    states: tuple[State, ...] = ()
    trigger_id: str | None = None
    since: datetime | None = None
    labels: dict[str, str] = {}
    limit: int = 50
    offset: int = 0
    until: datetime | None = None
    below: bool = False


class LogQuery(msgspec.Struct, frozen=True):
    """Which log lines, of those written before `until`; none means any."""

    until: datetime
    since: datetime | None = None
    namespace: str | None = None
    below: bool = False
    flow_id: str | None = None
    execution_id: str | None = None
    levels: tuple[Level, ...] = ()
