"""What the status branch is to show now, read from the store: which executions to tell of, which files changed.

Keeps a row of each live flow in memory, so that one result costs one flow and not all of them. Reads only; runs in
one thread at a time, off the event loop. It must not know Git or when things are written.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import msgspec

from engine.model.records import FlowVersion, Query, Report, Summary
from engine.model.state import State
from engine.ports import Store
from reconciler.report import FileStatus, ReconcileStatus
from reconciler.status.documents import (
    README,
    RECONCILE,
    Mask,
    flow_files,
    flow_paths,
    source_file,
)
from reconciler.status.drafts import Told, told
from reconciler.status.facts import Name, flow_facts, refused_files
from reconciler.status.readme import Row, readme, row_of

log = logging.getLogger(__name__)
Files = dict[str, bytes | None]


class News(msgspec.Struct, frozen=True):
    """What a batch of reports comes to.

    Args:
        done: the reports that it covers.
        results: executions that ended, oldest first.
        flows: whose files may have changed.
        foreign: reports that are another source's.
    """

    done: tuple[Report, ...]
    results: tuple[Told, ...]
    flows: frozenset[Name]
    foreign: tuple[Report, ...]


class Board:
    """The state of one source's flows as people are to see it.

    Args:
        source: its name; flows of other sources are left to their own boards.
        mask: blanks out secrets.
    """

    def __init__(self, store: Store, source: str, mask: Mask) -> None:
        self._store = store
        self._source = source
        self._mask = mask
        self.status: ReconcileStatus | None = None
        self._refused: dict[Name, FileStatus] = {}
        self.rows: dict[Name, Row] = {}

    def load(self, status: ReconcileStatus) -> None:
        """Read every live flow of the source."""
        self.turn_to(status)
        self.rows = {
            (version.namespace, version.id): self._row(version)
            for version in self._store.flows()
            if version.source in ("", self._source)
        }

    def turn_to(self, status: ReconcileStatus) -> set[Name]:
        """Take in how the source stands now; returns the flows whose files change by that."""
        before, self._refused = self._refused, refused_files(status)
        self.status = status
        names = before.keys() | self._refused.keys()
        return {name for name in names if before.get(name) != self._refused.get(name)}

    def news(self, reports: Sequence[Report], foreign: frozenset[Report] = frozenset()) -> News:
        """Read what reports are about. An execution that cannot be told of is logged and counts as done."""
        done: list[Report] = []
        results: list[Told] = []
        flows: set[Name] = set()
        others: list[Report] = []
        for report in reports:
            if report in foreign:
                others.append(report)
                continue
            try:
                ours = self._take(report, results, flows)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                log.exception("%s %s cannot be told of", report.topic, report.key)
                ours = True
            (done if ours else others).append(report)
        results.sort(key=lambda each: (each.ended, each.path))
        return News(tuple(done), tuple(results), frozenset(flows), tuple(others))

    def _take(self, report: Report, results: list[Told], flows: set[Name]) -> bool:
        """Sort in one report; false when it is another source's."""
        if report.topic == "flow":
            namespace, _, flow_id = report.key.rpartition("/")
            flows.add((namespace, flow_id))
            return self._is_ours((namespace, flow_id))
        execution = self._store.execution(report.key)
        if execution is None:
            return True
        name = (execution.flow.namespace, execution.flow.id)
        if not self._is_ours(name, execution.flow.revision):
            return False
        row = self.rows.get(name)
        if execution.state.terminal:
            results.append(told(execution, self._mask))
            flows.add(name)
        elif execution.state is State.PAUSED or (row is not None and execution.id in row.shown):
            flows.add(name)
        return True

    def pages(self, names: Iterable[Name]) -> dict[Name, Files]:
        """The files of flows as they are to be now, None where they are to go; their rows are read anew."""
        return {name: self._page(name) for name in sorted(names)}

    def _page(self, name: Name) -> Files:
        version = self._store.flow(*name)
        if version is None or version.source not in ("", self._source):
            self.rows.pop(name, None)
            return dict.fromkeys(flow_paths(*name))
        facts = flow_facts(self._store, version, self._refused.get(name))
        self.rows[name] = row_of(facts)
        return {**flow_files(facts, self._mask)}

    def front(self) -> Files:
        """The files about all flows."""
        assert self.status is not None
        return {
            README: readme(self.status, self.rows.values(), self._mask),
            RECONCILE: source_file(self.status, self._mask),
        }

    def ended(self, execution_ids: Iterable[str]) -> list[Told]:
        """What there is to tell of executions; nothing of one that runs again or is gone."""
        found = filter(None, map(self._store.execution, execution_ids))
        return [told(execution, self._mask) for execution in found if execution.state.terminal]

    def executions(self, query: Query) -> list[Summary]:
        """The source's executions that a query asks for."""
        known: dict[Name, bool] = {}
        found = self._store.executions(query)
        for name in {(each.namespace, each.flow_id) for each in found}:
            known[name] = self._is_ours(name)
        return [each for each in found if known[each.namespace, each.flow_id]]

    def _is_ours(self, name: Name, revision: int | None = None) -> bool:
        """Whether a flow is this source's; one that nobody knows any more is."""
        version = self._store.flow(*name, revision)
        if version is None:
            version = self._store.flow(*name, self._store.last_revision(*name))
        return version is None or version.source in ("", self._source)

    def _row(self, version: FlowVersion) -> Row:
        name = version.namespace, version.id
        return row_of(flow_facts(self._store, version, self._refused.get(name)))
