"""The ports of the engine: what it asks of runners, of file storage, of secret providers.

Small required Protocols; extra abilities are Protocols of their own. Drivers are entry points, see
`engine.plugins`. This module must not know any driver.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from engine.model.events import AnyEvent
from engine.model.execution import Execution
from engine.model.records import (
    Fire,
    FlowVersion,
    LogEntry,
    LogQuery,
    Query,
    Report,
    Summary,
    TriggerState,
    Work,
)
from engine.model.run import LogLine, RunHandle, RunRequest, RunResult
from engine.model.state import State


class Runner(Protocol):
    """Carries out run requests somewhere. Every method may be called again after a restart of the daemon."""

    name: str

    async def start(self, request: RunRequest) -> RunHandle:
        """Start the run, or return the handle of the one already started under `request.key`.

        Raises:
            UserError: the request cannot be carried out as it stands (no such command, file refused).
            UnavailableError: the place where it would run does not answer.
        """
        ...

    async def find(self, key: str) -> RunHandle | None:
        """The handle of the run started under `key`, running or ended, unless it was cleaned up or never started."""
        ...

    async def wait(self, handle: RunHandle) -> RunResult:
        """Wait for the end. Cancelling this coroutine leaves the run alone."""
        ...

    def logs(self, handle: RunHandle, after: str = "") -> AsyncIterator[LogLine]:
        """The run's lines from `after` (empty: from its start), live; ends when the run has ended and all is read."""
        ...

    async def cancel(self, handle: RunHandle, grace: float) -> None:
        """End the run and everything it started: politely, then after `grace` seconds by force. Repeatable."""
        ...

    async def cleanup(self, handle: RunHandle) -> None:
        """Forget the run and remove what it left behind. Repeatable."""
        ...


@runtime_checkable
class LocalRunner(Protocol):
    """A runner whose working directories are folders of this machine, known before a run starts."""

    def working_directory(self, key: str, workspace: str | None = None) -> str:
        """The folder in which the run of `key` will begin."""
        ...


@runtime_checkable
class RememberingRunner(Protocol):
    """A runner that still knows after a crash which runs it keeps."""

    async def left_over(self, wanted: Collection[str]) -> list[RunHandle]:
        """The runs that it keeps under other keys than the `wanted` ones. Raises UnavailableError."""
        ...


@runtime_checkable
class SharingRunner(Protocol):
    """A runner whose runs can share a working directory (`RunRequest.workspace`)."""

    async def remove_workspace(self, workspace: str) -> None:
        """Remove a shared working directory. Repeatable."""
        ...


class FileStorage(Protocol):
    """Internal storage: files that flows hand on, named by `headwater:///…` URIs (`kestra:///…` is read too)."""

    def put(self, path: str, source: str | bytes) -> str:
        """Keep `source` (a local path, or bytes) under the relative `path` and return its URI."""
        ...

    def local_path(self, uri: str) -> str:
        """A local path of that file. Raises NotFound, also for a path that leaves the storage."""
        ...

    def remove(self, prefix: str) -> int:
        """Remove everything below a relative path; returns how many files."""
        ...

    def written(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        """Every file below a relative path (empty: all), by its own path, and when it was last written (UTC)."""
        ...


class SecretProvider(Protocol):
    """Knows secrets by namespace and name."""

    def get(self, namespace: str, name: str) -> str | None:
        """The value, or none when this provider does not have it."""
        ...


class NamespaceFiles(Protocol):
    """The files of a namespace as they were at a commit."""

    def files(self, namespace: str, commit: str) -> Mapping[str, bytes]:
        """All files by relative path; empty when there are none."""
        ...


@dataclass(slots=True)
class Batch:
    """All that one commit of the engine makes durable, together or not at all.

    Args:
        executions: new snapshots by id.
        bases: version of each snapshot that was there before, 0 for a new one; another one there is a StoreConflict.
        touched: keys of the task runs that changed, by execution id; a key that the snapshot lacks was removed.
        valued: keys whose loop values are new, by execution id.
        events: (execution id, version after it, event), in order.
        work: by id; none removes it.
        triggers: by (namespace, flow id, trigger id); none removes it.
        fires: an already known one is a StoreConflict.
        reports: (topic, key) of what to tell the outside world.
        deliveries: (source, delivery id) of webhook deliveries that are done.
        documents: JSON values by (space, key); none removes one.
    """

    executions: dict[str, Execution] = field(default_factory=dict)
    bases: dict[str, int] = field(default_factory=dict)
    touched: dict[str, set[str]] = field(default_factory=dict)
    valued: dict[str, set[str]] = field(default_factory=dict)
    events: list[tuple[str, int, AnyEvent]] = field(default_factory=list)
    work: dict[str, Work | None] = field(default_factory=dict)
    logs: list[LogEntry] = field(default_factory=list)
    triggers: dict[tuple[str, str, str], TriggerState | None] = field(default_factory=dict)
    fires: list[Fire] = field(default_factory=list)
    reports: set[tuple[str, str]] = field(default_factory=set)
    deliveries: set[tuple[str, str]] = field(default_factory=set)
    documents: dict[tuple[str, str], Any] = field(default_factory=dict)

    def empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not (
            self.executions
            or self.events
            or self.work
            or self.logs
            or self.triggers
            or self.fires
            or self.reports
            or self.deliveries
            or self.documents
        )


class Store(Protocol):
    """What lasts. Every write is one transaction; reads may come from any thread, writes come from one.

    One class may play all the roles below; they are separate so that each reader names what it needs.
    """

    def commit(self, batch: Batch) -> None:
        """Make a batch durable before returning. Raises StoreConflict, UnavailableError (disk full, locked)."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...

    # Executions

    def execution(self, execution_id: str) -> Execution | None:
        """The snapshot, with all task runs and loop values."""
        ...

    def events(self, execution_id: str) -> list[AnyEvent]:
        """The execution's log from its first event."""
        ...

    def executions(self, query: Query) -> list[Summary]:
        """Executions, newest first."""
        ...

    def count(self, namespace: str, flow_id: str, states: Sequence[State]) -> int:
        """How many executions of a flow are in one of the states."""
        ...

    def matching(self, query: Query, most: int = 10_000) -> int:
        """How many executions fit a query, counted up to `most`; its limit and offset do not count."""
        ...

    def counts(self, query: Query) -> dict[tuple[str, str], int]:
        """How many executions fit, by namespace and flow id; the query's limit and offset do not count."""
        ...

    def forget(self, execution_ids: Sequence[str]) -> tuple[int, int]:
        """Forget executions with all that belongs to them: how many, and how many log lines.

        One that has not ended, or that is still to be reported, stays.
        """
        ...

    def work(self) -> list[Work]:
        """All that still has to happen, oldest first."""
        ...

    # Logs

    def logs(
        self, execution_id: str, after: int = 0, limit: int = 1000, key: str | None = None
    ) -> list[tuple[int, LogEntry]]:
        """Lines in order with their serial numbers, from the one behind `after`."""
        ...

    def old_logs(self, query: LogQuery, limit: int = 1000) -> list[int]:
        """Serial numbers of lines that fit, at most `limit`, oldest first."""
        ...

    def forget_logs(self, serials: Sequence[int]) -> int:
        """Forget lines by serial number; returns how many there were."""
        ...

    # Flows

    def put_flows(
        self,
        versions: Sequence[FlowVersion],
        retire: Sequence[tuple[str, str]],
        triggers: Mapping[tuple[str, str, str], TriggerState | None],
    ) -> None:
        """In one transaction: make `versions` live, take the (namespace, id)s of `retire` off, set trigger states."""
        ...

    def flow(self, namespace: str, flow_id: str, revision: int | None = None) -> FlowVersion | None:
        """The live version, or a given one as long as it is kept."""
        ...

    def flows(self, source: str | None = None) -> Iterable[FlowVersion]:
        """All live versions (of one source), ordered by name."""
        ...

    def last_revision(self, namespace: str, flow_id: str) -> int:
        """The highest revision that flow ever had; 0 if it never was."""
        ...

    def triggers(self, namespace: str | None = None, flow_id: str | None = None) -> list[TriggerState]:
        """Trigger states of live flows."""
        ...

    def due_triggers(self, until: datetime, limit: int = 1000) -> list[TriggerState]:
        """Triggers with `next_due` up to `until`, neither suspended nor locked by an execution, earliest first."""
        ...

    def next_due(self, beyond: datetime | None = None) -> datetime | None:
        """The earliest `next_due` (after `beyond`) of all triggers that are neither suspended nor locked."""
        ...

    # The outbox of reports

    def reports(self, limit: int = 1000) -> list[Report]:
        """What still has to be told, oldest first."""
        ...

    def reported(self, reports: Sequence[Report]) -> None:
        """These were told; one that changed meanwhile (a higher serial) stays."""
        ...

    # Documents of other rooms, and webhook deliveries

    def get(self, space: str, key: str) -> Any | None:
        """A JSON value by space (such as `inventory/prod`, `kv/company.etl`) and key."""
        ...

    def items(self, space: str) -> dict[str, Any]:
        """All JSON values of a space."""
        ...

    def spaces(self, prefix: str) -> list[str]:
        """The spaces that hold something and whose names begin so, in order."""
        ...

    def put(self, space: str, values: Mapping[str, Any], remove: Sequence[str] = ()) -> None:
        """Set and remove JSON values of a space in one transaction."""
        ...

    def delivered(self, source: str, delivery_id: str) -> bool:
        """Whether that webhook delivery was done before."""
        ...
