"""How a source stands after a round, as one frozen value: what everybody who tells of it is handed.

Pure: it is made from the outcome of a round and from what is known, and kept in the store. It must not know how it is
shown or where it is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from engine.model.problem import Problem
from reconciler import conditions
from reconciler.conditions import Condition, ConditionType, Trouble
from reconciler.desired import Dispute, disputed
from reconciler.diff import FlowChange
from reconciler.inventory import Identity, Inventory, Live
from reconciler.plan import Held

LISTED = 1000
"""As many files, changes and held removals are listed; the counts tell of all."""


class FileStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """A flow file about which there is something to say.

    Args:
        namespace, id: whom it claims to be, or empty where that cannot be told.
        live: whether a version of that flow is live.
        conditions: empty when there are only warnings.
    """

    path: str
    namespace: str
    id: str
    live: bool
    problems: tuple[Problem, ...]
    conditions: tuple[Condition, ...] = ()


class Counts(msgspec.Struct, frozen=True):
    """How many: flow files, live flows, refused files; and of the last applied changes each kind."""

    files: int = 0
    live: int = 0
    stalled: int = 0
    added: int = 0
    changed: int = 0
    moved: int = 0
    removed: int = 0


class ReconcileStatus(msgspec.Struct, frozen=True):
    """How a source stands.

    Args:
        source: its name.
        revision: the commit that is applied; empty when none ever was.
        conditions: `Ready`, `Reconciling`, `Stalled`, in this order.
        problems: of the repository's settings.
        files: those with problems, ordered by path.
        changes: what the revision changed when it was applied.
        held: removals that wait for a confirmation.
        at: when the round that found all this began.
        seconds: how long it took.
    """

    source: str
    revision: str
    conditions: tuple[Condition, ...]
    at: datetime
    seconds: float = 0.0
    problems: tuple[Problem, ...] = ()
    files: tuple[FileStatus, ...] = ()
    counts: Counts = Counts()
    changes: tuple[FlowChange, ...] = ()
    held: Held | None = None

    def condition(self, kind: ConditionType) -> Condition | None:
        """The condition of a type; none before the first round."""
        return next((each for each in self.conditions if each.type == kind), None)

    @property
    def ready(self) -> bool:
        """Whether what is live is known to be what the branch wants."""
        found = self.condition("Ready")
        return found is not None and found.status is True

    @property
    def all_problems(self) -> tuple[Problem, ...]:
        """Everything that is wrong with the repository's files, warnings too, ordered by path."""
        return (*self.problems, *(problem for file in self.files for problem in file.problems))

    def same_as(self, other: ReconcileStatus | None) -> bool:
        """Whether both say the same, but for when it was found and how long that took."""
        return other is not None and self == msgspec.structs.replace(other, at=self.at, seconds=self.seconds)


class Facts(msgspec.Struct, frozen=True):
    """What is known of a source when a round has ended, however it ended.

    Args:
        revision: as in `ReconcileStatus`.
        changes: what this round has done; none when it was not about to do anything.
        troubles: what ended the round early.
        rewritten: the revision that this one's history left out, or empty.
    """

    source: str
    revision: str
    at: datetime
    seconds: float
    inventory: Inventory
    live: Live
    disputes: Mapping[Identity, Dispute]
    settings_problems: tuple[Problem, ...] = ()
    held: Held | None = None
    changes: tuple[FlowChange, ...] | None = None
    troubles: tuple[Trouble, ...] = ()
    rewritten: str = ""


def status_of(facts: Facts, before: ReconcileStatus | None) -> ReconcileStatus:
    """The status that follows from the facts; `before` is the one until now."""
    files = _files(facts, before)
    stalled = [file for file in files if file.conditions]
    changes = facts.changes
    if changes is None:
        changes = before.changes if before else ()
        counts = before.counts if before else Counts()
    else:
        counts = _count(changes)
    note = ""
    if facts.rewritten:
        note = f" (history rewritten: {conditions.short(facts.rewritten)} is no longer part of it)"
    troubles = [*facts.troubles, *_troubles(facts, stalled)]
    return ReconcileStatus(
        source=facts.source,
        revision=facts.revision,
        conditions=conditions.of_round(
            facts.revision, facts.at, troubles, note, before.conditions if before else ()
        ),
        at=facts.at,
        seconds=facts.seconds,
        problems=facts.settings_problems,
        files=tuple(files[:LISTED]),
        counts=msgspec.structs.replace(
            counts, files=len(facts.inventory.files), live=len(facts.live.versions), stalled=len(stalled)
        ),
        changes=changes[:LISTED],
        held=_cut(facts.held),
    )


def _count(changes: Iterable[FlowChange]) -> Counts:
    numbers: dict[str, int] = {}
    for change in changes:
        numbers[change.kind] = numbers.get(change.kind, 0) + 1
    return Counts(**numbers)


def _cut(held: Held | None) -> Held | None:
    return held and msgspec.structs.replace(held, removals=held.removals[:LISTED])


def _troubles(facts: Facts, stalled: Iterable[FileStatus]) -> Iterable[Trouble]:
    if facts.settings_problems:
        yield conditions.settings_invalid(facts.settings_problems)
    if facts.held is not None:
        yield conditions.prune_held(facts.held)
    by_reason: dict[str, list[FileStatus]] = {}
    for file in stalled:
        by_reason.setdefault(file.conditions[0].reason, []).append(file)
    for reason in (conditions.DUPLICATE_IDENTITY, conditions.OWNED_ELSEWHERE, conditions.FLOW_INVALID):
        if files := by_reason.get(reason):
            yield conditions.files_refused(reason, len(files), _worst(files[0].problems))


def _worst(problems: tuple[Problem, ...]) -> Problem:
    return next((problem for problem in problems if problem.severity == "error"), problems[0])


def _files(facts: Facts, before: ReconcileStatus | None) -> list[FileStatus]:
    reasons = dict.fromkeys(facts.inventory.troubled, conditions.FLOW_INVALID)
    problems: dict[str, list[Problem]] = {
        path: list(facts.inventory.files[path].problems) for path in reasons
    }
    for identity, dispute in facts.disputes.items():
        for problem in disputed(identity, dispute, facts.inventory):
            reasons[problem.path] = dispute.reason
            problems.setdefault(problem.path, []).append(problem)
    known = {file.path: file.conditions for file in before.files} if before and reasons else {}
    return [
        _file(facts, path, reasons[path], tuple(problems[path]), known.get(path, ()))
        for path in sorted(reasons)
    ]


def _file(
    facts: Facts, path: str, reason: str, problems: tuple[Problem, ...], before: Iterable[Condition]
) -> FileStatus:
    file = facts.inventory.files[path]
    identity = file.identity
    if identity is None or identity not in facts.live.versions:
        identity = next(iter(sorted(facts.live.paths.get(path, ()))), identity)
    live = identity is not None and identity in facts.live.versions
    stands: tuple[Condition, ...] = ()
    if any(problem.severity == "error" for problem in problems):
        message = str(_worst(problems))
        stands = conditions.of_file(facts.revision, facts.at, reason, message, before)
    return FileStatus(path, *(identity or ("", "")), live, problems, stands)
