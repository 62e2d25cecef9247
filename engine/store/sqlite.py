"""The embedded store: the `Store` port on one SQLite file.

Only the door: it opens transactions and hands them to the modules that know the tables. It must not hold state
of its own beside the connections, so that a killed process loses nothing that was committed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from engine.clock import Clock, SystemClock
from engine.model.events import AnyEvent
from engine.model.execution import Execution
from engine.model.records import FlowVersion, LogEntry, LogQuery, Query, Report, Summary, TriggerState, Work
from engine.model.state import State
from engine.ports import Batch
from engine.store import batches, executions, flows, outbox, upkeep
from engine.store.database import MEMORY, Database, Synchronous

_PRUNING = timedelta(hours=1)


class SqliteStore:
    """Keeps everything in one SQLite file; a commit is durable over a power loss unless `synchronous` is NORMAL.

    Reads may come from any thread, each sees one moment. Writes take turns; they are meant to come from one thread.

    Args:
        path: the file, made with its folder when it is not there; `:memory:` for one that ends with the object.
        synchronous: FULL, or NORMAL: then a power loss (not a crash) may take the last commits with it.
        clock: dates webhook deliveries, which are forgotten after a month.

    Raises:
        OperatorError: the file cannot be opened, is no database, or belongs to a newer version of Headwater.
        UnavailableError: another process holds it, or the disk is full.
    """

    def __init__(
        self, path: str | Path = MEMORY, *, synchronous: Synchronous = "FULL", clock: Clock | None = None
    ) -> None:
        self._clock = clock or SystemClock()
        self._pruned: datetime | None = None
        self._database = Database(path, synchronous)

    def commit(self, batch: Batch) -> None:
        """Make a batch durable before returning.

        Raises:
            StoreConflict: a snapshot has moved on (`SnapshotStale`) or a due time has fired (`FireKnown`); nothing
                of the batch is written.
            UnavailableError: the disk is full, or another process writes for too long; nothing is written.
            Bug: the batch holds what is no JSON value; nothing is written.
        """
        if batch.empty():
            return
        with self._database.writing() as connection:
            batches.write(connection, batch)
            if batch.deliveries:
                now = self._clock.now()
                outbox.deliver(connection, batch.deliveries, now)
                if self._pruned is None or now - self._pruned >= _PRUNING:
                    outbox.forget_deliveries(connection, now)
                    self._pruned = now

    def close(self) -> None:
        """Let go of files and connections. Repeatable."""
        self._database.close()

    def execution(self, execution_id: str) -> Execution | None:
        """The snapshot, with all task runs and loop values."""
        with self._database.reading() as connection:
            return executions.execution(connection, execution_id)

    def events(self, execution_id: str) -> list[AnyEvent]:
        """The execution's log from its first event."""
        with self._database.reading() as connection:
            return executions.events(connection, execution_id)

    def executions(self, query: Query) -> list[Summary]:
        """Executions, newest first."""
        with self._database.reading() as connection:
            return executions.executions(connection, query)

    def count(self, namespace: str, flow_id: str, states: Sequence[State]) -> int:
        """How many executions of a flow are in one of the states."""
        with self._database.reading() as connection:
            return executions.count(connection, namespace, flow_id, states)

    def matching(self, query: Query, most: int = 10_000) -> int:
        """How many executions fit a query, counted up to `most`; its limit and offset do not count."""
        with self._database.reading() as connection:
            return executions.matching(connection, query, most)

    def counts(self, query: Query) -> dict[tuple[str, str], int]:
        """How many executions fit, by namespace and flow id; the query's limit and offset do not count."""
        with self._database.reading() as connection:
            return upkeep.counts(connection, query)

    def forget(self, execution_ids: Sequence[str]) -> tuple[int, int]:
        """Forget executions that have ended and are reported: how many, and how many log lines."""
        with self._database.writing() as connection:
            return upkeep.forget(connection, execution_ids)

    def work(self) -> list[Work]:
        """All that still has to happen, oldest first."""
        with self._database.reading() as connection:
            return executions.work(connection)

    def logs(
        self, execution_id: str, after: int = 0, limit: int = 1000, key: str | None = None
    ) -> list[tuple[int, LogEntry]]:
        """Lines in order with their serial numbers, from the one behind `after`."""
        with self._database.reading() as connection:
            return executions.logs(connection, execution_id, after, limit, key)

    def old_logs(self, query: LogQuery, limit: int = 1000) -> list[int]:
        """Serial numbers of lines that fit, at most `limit`, oldest first."""
        with self._database.reading() as connection:
            return upkeep.old_logs(connection, query, limit)

    def forget_logs(self, serials: Sequence[int]) -> int:
        """Forget lines by serial number; returns how many there were."""
        with self._database.writing() as connection:
            return upkeep.forget_logs(connection, serials)

    def put_flows(
        self,
        versions: Sequence[FlowVersion],
        retire: Sequence[tuple[str, str]],
        triggers: Mapping[tuple[str, str, str], TriggerState | None],
    ) -> None:
        """In one transaction: take `retire` off with all their triggers, make `versions` live, set trigger states.

        Raises:
            StoreConflict: a revision that is kept would get another content; nothing is written.
        """
        with self._database.writing() as connection:
            flows.put_flows(connection, versions, retire, triggers)

    def flow(self, namespace: str, flow_id: str, revision: int | None = None) -> FlowVersion | None:
        """The live version, or a given one as long as it is kept."""
        with self._database.reading() as connection:
            return flows.flow(connection, namespace, flow_id, revision)

    def flows(self, source: str | None = None) -> list[FlowVersion]:
        """All live versions (of one source), ordered by namespace and id."""
        with self._database.reading() as connection:
            return flows.flows(connection, source)

    def last_revision(self, namespace: str, flow_id: str) -> int:
        """The highest revision that flow ever had; 0 if it never was."""
        with self._database.reading() as connection:
            return flows.last_revision(connection, namespace, flow_id)

    def triggers(self, namespace: str | None = None, flow_id: str | None = None) -> list[TriggerState]:
        """Trigger states of live flows, ordered by name."""
        with self._database.reading() as connection:
            return flows.triggers(connection, namespace, flow_id)

    def due_triggers(self, until: datetime, limit: int = 1000) -> list[TriggerState]:
        """Triggers with `next_due` up to `until`, neither suspended nor locked, earliest first."""
        with self._database.reading() as connection:
            return flows.due_triggers(connection, until, limit)

    def next_due(self, beyond: datetime | None = None) -> datetime | None:
        """The earliest `next_due` (after `beyond`) of all triggers that are neither suspended nor locked."""
        with self._database.reading() as connection:
            return flows.next_due(connection, beyond)

    def reports(self, limit: int = 1000) -> list[Report]:
        """What still has to be told, oldest first; a change of a waiting report does not cost it its place."""
        with self._database.reading() as connection:
            return outbox.reports(connection, limit)

    def reported(self, reports: Sequence[Report]) -> None:
        """These were told; one that changed meanwhile (a higher serial) stays."""
        with self._database.writing() as connection:
            outbox.reported(connection, reports)

    def get(self, space: str, key: str) -> Any | None:
        """A JSON value by space and key."""
        with self._database.reading() as connection:
            return outbox.get(connection, space, key)

    def items(self, space: str) -> dict[str, Any]:
        """All JSON values of a space, ordered by key."""
        with self._database.reading() as connection:
            return outbox.items(connection, space)

    def spaces(self, prefix: str) -> list[str]:
        """The spaces that hold something and whose names begin so, in order."""
        with self._database.reading() as connection:
            return upkeep.spaces(connection, prefix)

    def put(self, space: str, values: Mapping[str, Any], remove: Sequence[str] = ()) -> None:
        """Remove and set JSON values of a space in one transaction."""
        with self._database.writing() as connection:
            outbox.put(connection, space, values, remove)

    def delivered(self, source: str, delivery_id: str) -> bool:
        """Whether that webhook delivery was done before."""
        with self._database.reading() as connection:
            return outbox.delivered(connection, source, delivery_id)
