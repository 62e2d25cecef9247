"""What is missing on the status branch and what does not belong there: compared by paths, decided by the store.

Pure. The branch is never believed: what is ours is written again from the store when somebody else was there, and
what is not ours goes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec

from engine.model.records import Summary
from reconciler.status.documents import README, RECONCILE, execution_path, flow_paths
from reconciler.status.facts import Name


class Repair(msgspec.Struct, frozen=True):
    """What to do.

    Args:
        remove: paths that go.
        flows: whose files are to be written.
        executions: ids of ended ones whose documents are to be written, oldest first.
    """

    remove: tuple[str, ...]
    flows: tuple[Name, ...]
    executions: tuple[str, ...]


def inspect(
    present: Collection[str], flows: Iterable[Name], kept: Sequence[Summary], *, trusted: bool
) -> Repair:
    """Compare the branch's tip with what the store knows.

    Args:
        present: the paths on the tip; a set is quickest.
        flows: the live ones.
        kept: executions within their retention, newest first, in any state.
        trusted: whether the tip is as we left it; otherwise everything is written again.
    """
    names = sorted(flows)
    wanted = {path for name in names for path in flow_paths(*name)}
    documents = {execution_path(each.id, each.created): each for each in kept}
    strays = [path for path in present if path not in wanted and path not in documents]
    ended = [(path, each.id) for path, each in reversed(documents.items()) if each.state.terminal]
    return Repair(
        remove=tuple(sorted(path for path in strays if path not in (README, RECONCILE))),
        flows=tuple(name for name in names if not trusted or not present_all(present, flow_paths(*name))),
        executions=tuple(key for path, key in ended if not trusted or path not in present),
    )


def present_all(present: Collection[str], paths: Iterable[str]) -> bool:
    """Whether none of the paths is missing."""
    return all(path in present for path in paths)
