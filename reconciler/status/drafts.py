"""The commits that tell of executions: a commit each, so that `git log` is the audit, or a list when there are many.

Pure. What the branch has already makes no commit again: after a crash between push and note the same executions are
told once more and nothing happens. It must not know the store or the remote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from engine.model.execution import Execution
from reconciler.status.branch import Changes, Draft, TipReader, Trailers
from reconciler.status.documents import Mask, execution_file, execution_path
from reconciler.status.facts import Name
from reconciler.status.symbols import SYMBOLS, length

ACTOR_LABEL = "system.username"
LISTED = 100
"""So many executions share a commit at most: an audit reads the first 64 KiB of a message."""


class Told(msgspec.Struct, frozen=True):
    """An ended execution as the branch is to have it.

    Args:
        path, data: its document.
        subject: one line, such as `company.etl.orders ✓ SUCCESS in 12.4 s`.
        trailers: in the order in which an audit reads them, `Headwater-Execution` first.
        flow: its namespace and id.
    """

    path: str
    data: bytes
    subject: str
    trailers: Trailers
    flow: Name
    ended: datetime


def told(execution: Execution, mask: Mask) -> Told:
    """What there is to tell of an execution that has ended."""
    ended = execution.ended or execution.history[-1].at
    took = length((ended - execution.created).total_seconds())
    subject = f"{execution.flow.name} {SYMBOLS[execution.state]} {execution.state} in {took}"
    trailers = [
        ("Headwater-Execution", execution.id),
        ("Headwater-Flow", execution.flow.name),
        ("Headwater-Revision", execution.flow.commit),
        ("Headwater-Trigger", execution.cause.id if execution.cause else ""),
        ("Headwater-Actor", execution.labels.get(ACTOR_LABEL, "")),
    ]
    return Told(
        path=execution_path(execution.id, execution.created),
        data=execution_file(execution, mask),
        subject=str(mask(subject)),
        trailers=tuple((key, str(mask(value))) for key, value in trailers if value),
        flow=(execution.flow.namespace, execution.flow.id),
        ended=ended,
    )


def drafts(
    results: Sequence[Told],
    pages: Mapping[Name, Changes],
    front: Changes,
    *,
    single: int,
    when: datetime,
) -> list[Draft]:
    """The commits for a batch.

    Args:
        results: executions that ended, oldest first.
        pages: files of flows, by flow; they come with the first execution of theirs, or at the end.
        front: the README and what else is about all flows; it comes with the last execution.
        single: so many executions get a commit each; the others share some.
        when: the date of a commit that is not about one execution.
    """
    groups = [results[n : n + 1] for n in range(min(single, len(results)))]
    groups += [results[n : n + LISTED] for n in range(single, len(results), LISTED)]
    made = []
    for group in groups:
        files = {path: data for each in group for path, data in pages.get(each.flow, {}).items()}
        if group is groups[-1]:
            files.update(front)
        made.append(_about(group, files, when))
    remainder = {path: data for files in pages.values() for path, data in files.items()} | dict(front)
    # When executions brought all of it already, this changes nothing and so becomes no commit.
    return [*made, Draft(remainder, "Update the status of flows", when=when)] if remainder else made


def _about(group: Sequence[Told], pages: Changes, when: datetime) -> Draft:
    """A commit about executions: none when the branch has every document of theirs as it is."""

    def changes(tip: TipReader) -> Changes:
        new = {each.path: each.data for each in group if tip.read(each.path) != each.data}
        return {**pages, **new} if new else {}

    if len(group) == 1:
        return Draft(changes, group[0].subject, group[0].trailers, group[0].ended)

    def retold(changed: Changes) -> tuple[str, Trailers]:
        new = [each for each in group if each.path in changed]
        trailers = tuple(trailer for each in new for trailer in each.trailers)
        return (f"{len(new)} executions ended" if len(new) > 1 else new[0].subject), trailers

    return Draft(changes, "", when=when, retold=retold)
