"""How a source stands, by hand: statuses and refused files for what tells of them."""

from __future__ import annotations

from engine.model.problem import Problem
from reconciler import conditions
from reconciler.conditions import Trouble
from reconciler.report import Counts, FileStatus, ReconcileStatus
from tests.support.store_values import NOON

REVISION = "a91be04" + "0" * 33


def refused(flow: str = "prod.etl/load", message: str = "tasks is empty", live: bool = True) -> FileStatus:
    """A file of `flow` that is refused at its third line."""
    namespace, _, flow_id = flow.partition("/")
    path = f"flows/{flow_id}.yaml"
    problem = Problem(path, 3, 1, "tasks", message)
    stands = conditions.of_file(REVISION, NOON, conditions.FLOW_INVALID, str(problem))
    return FileStatus(path, namespace, flow_id, live, (problem,), stands)


def a_status(*files: FileStatus, revision: str = REVISION, source: str = "prod") -> ReconcileStatus:
    """A source that is ready, but for the files that are refused."""
    troubles = []
    if files:
        troubles = [conditions.files_refused(conditions.FLOW_INVALID, len(files), files[0].problems[0])]
    return ReconcileStatus(
        source=source,
        revision=revision,
        conditions=conditions.of_round(revision, NOON, troubles, ""),
        at=NOON,
        files=files,
        counts=Counts(files=4, live=4, stalled=len(files)),
    )


def unreachable(revision: str = REVISION) -> ReconcileStatus:
    """A source whose remote does not answer."""
    trouble = Trouble("SourceUnavailable", "example.org does not answer", waiting=True)
    return ReconcileStatus("prod", revision, conditions.of_round(revision, NOON, [trouble], ""), NOON)
