"""What the status branch tells of a flow. Values, and how they are read from the store.

Nothing here changes by itself with time, so that the same state makes the same files (docs/adr/0008): executions
that are merely running are left out. It must not know how the facts are shown.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from engine.model.records import FlowVersion, Query, Summary, TriggerState
from engine.model.state import TERMINAL, State
from engine.ports import Store
from reconciler.report import FileStatus, ReconcileStatus

LAST_EXECUTIONS = 10
SHOWN = (*sorted(TERMINAL), State.PAUSED)
"""Executions in these states are told of; in all others they are on their way."""

Name = tuple[str, str]
"""Namespace and id of a flow."""


class FlowFacts(msgspec.Struct, frozen=True):
    """How a live flow stands.

    Args:
        revision: counts its versions; `commit` is the one its live version came with, from the file `path`.
        executions: the last ones that ended or are paused, newest first.
        refused: its file as it is now, when that is refused while this version stays live.
    """

    namespace: str
    id: str
    revision: int
    commit: str
    path: str
    disabled: bool = False
    triggers: tuple[TriggerState, ...] = ()
    executions: tuple[Summary, ...] = ()
    refused: FileStatus | None = None

    @property
    def name(self) -> str:
        """`namespace.id`."""
        return f"{self.namespace}.{self.id}"

    @property
    def next_due(self) -> datetime | None:
        """When one of its triggers fires next, as far as that is known beforehand."""
        due = [each.upcoming for each in self.triggers if each.upcoming and not each.suspended]
        return None if self.disabled else min(due, default=None)

    @property
    def decisive(self) -> Summary | None:
        """The last execution that says how the flow is doing: not one that somebody ended, or that is tried again."""
        undecided = (State.CANCELLED, State.KILLED, State.RETRIED, State.SKIPPED)
        return next((each for each in self.executions if each.state not in undecided), None)


def flow_facts(store: Store, version: FlowVersion, refused: FileStatus | None = None) -> FlowFacts:
    """Read the facts of a live flow."""
    query = Query(namespace=version.namespace, flow_id=version.id, states=SHOWN, limit=LAST_EXECUTIONS)
    return FlowFacts(
        namespace=version.namespace,
        id=version.id,
        revision=version.revision,
        commit=version.commit,
        path=version.path,
        disabled=version.disabled,
        triggers=tuple(store.triggers(version.namespace, version.id)),
        executions=tuple(store.executions(query)),
        refused=refused,
    )


def refused_files(status: ReconcileStatus) -> dict[Name, FileStatus]:
    """The refused file of each live flow that has one; of several, the first by path."""
    refused: dict[Name, FileStatus] = {}
    for file in status.files:
        if file.conditions and file.problems and file.live:
            refused.setdefault((file.namespace, file.id), file)
    return refused
