"""`Ready`, `Reconciling` and `Stalled` of a source and of its files: how a round ended, said in values.

Pure. Their meaning is Flux's: `Ready` is true when what is live is what the branch wants, false when it is known not
to be, and unknown while the remote does not answer (what was live stays live); `Reconciling` says that it will be
tried again by itself; `Stalled`, that somebody has to act first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from engine.errors import HeadwaterError, OperatorError, StoreConflict, UnavailableError, UserError
from engine.model.problem import Problem
from reconciler.plan import Held

APPLIED = "Applied"
NEW_REVISION = "NewRevision"
FLOW_INVALID = "FlowInvalid"
SETTINGS_INVALID = "SettingsInvalid"
DUPLICATE_IDENTITY = "DuplicateIdentity"
OWNED_ELSEWHERE = "OwnedElsewhere"
PRUNE_HELD = "PruneHeld"
BRANCH_MISSING = "BranchMissing"
INTERNAL_ERROR = "InternalError"

ConditionType = Literal["Ready", "Reconciling", "Stalled"]


class Condition(msgspec.Struct, frozen=True):
    """One thing that is so, is not so, or cannot be told (none).

    Args:
        reason: CamelCase constant, see the glossary.
        message: for people; may be empty.
        revision: the commit it was observed at; empty before the first.
        since: when it took this status.
    """

    type: ConditionType
    status: bool | None
    reason: str
    message: str
    revision: str
    since: datetime


class Trouble(msgspec.Struct, frozen=True):
    """Something that keeps a source from being ready.

    Args:
        waiting: it may pass by itself, and is tried again.
    """

    reason: str
    message: str
    waiting: bool = False


def short(revision: str) -> str:
    """A commit's id as people read it."""
    return revision[:7]


def of_round(
    revision: str, at: datetime, troubles: Sequence[Trouble], note: str, before: Iterable[Condition] = ()
) -> tuple[Condition, ...]:
    """The conditions of a source after a round.

    Args:
        revision: what is applied now; empty when nothing ever was.
        troubles: the gravest first.
        note: what else there is to say of a good end.
        before: the conditions until now; what keeps its status keeps its time.
    """
    waiting = [trouble for trouble in troubles if trouble.waiting]
    stalled = [trouble for trouble in troubles if not trouble.waiting]
    done = f"applied {short(revision)}{note}" if revision else "nothing is applied yet"
    ready: bool | None = not troubles
    if waiting:
        ready = None if revision and not stalled else False
    return _since(
        before,
        at,
        (
            _condition("Ready", ready, troubles, done, revision, at),
            _condition("Reconciling", bool(waiting), waiting, "", revision, at),
            _condition("Stalled", bool(stalled), stalled, "", revision, at),
        ),
    )


def under_way(
    revision: str, target: str, at: datetime, before: Iterable[Condition] = ()
) -> tuple[Condition, ...]:
    """The conditions of a source while `target` is being applied over `revision`."""
    now = [Trouble(NEW_REVISION, f"applying {short(target)}")]
    stalled = [each for each in before if each.type == "Stalled"]
    conditions = (
        _condition("Ready", None, now, "", revision, at),
        _condition("Reconciling", True, now, "", revision, at),
        *(stalled or [_condition("Stalled", False, (), "", revision, at)]),
    )
    return _since(before, at, conditions)


def of_file(
    revision: str, at: datetime, reason: str, message: str, before: Iterable[Condition] = ()
) -> tuple[Condition, ...]:
    """The conditions of a flow file that is refused."""
    return of_round(revision, at, [Trouble(reason, message)], "", before)


def _condition(
    kind: ConditionType,
    status: bool | None,
    troubles: Sequence[Trouble],
    otherwise: str,
    revision: str,
    at: datetime,
) -> Condition:
    reason = troubles[0].reason if troubles else APPLIED
    message = "; ".join(trouble.message for trouble in troubles) if troubles else otherwise
    return Condition(kind, status, reason, message, revision, at)


def _since(
    before: Iterable[Condition], at: datetime, conditions: Iterable[Condition]
) -> tuple[Condition, ...]:
    known = {(each.type, each.status): each.since for each in before}
    return tuple(
        msgspec.structs.replace(each, since=known.get((each.type, each.status), at)) for each in conditions
    )


def failed(error: Exception, revision: str) -> Trouble:
    """What an error that ended a round means for the source."""
    kept = f"; {short(revision)} stays live" if revision else ""
    if isinstance(error, UnavailableError | StoreConflict):
        return Trouble(error.reason, f"{error}{kept}", waiting=True)
    if isinstance(error, UserError | OperatorError):
        return Trouble(error.reason, f"{error}{kept}")
    told = f": {error}" if isinstance(error, HeadwaterError) else ""
    return Trouble(INTERNAL_ERROR, f"a fault inside Headwater{told}; see the daemon's log{kept}")


def branch_missing(branch: str, revision: str) -> Trouble:
    """The tracked branch is not there: deleted, or nothing was ever committed to it."""
    if revision:
        what = (
            f"the branch `{branch}` is gone; {short(revision)} stays live and nothing is pruned, restore it"
        )
    else:
        what = f"there is no branch `{branch}`; push a first commit to it, or follow another one"
    return Trouble(BRANCH_MISSING, what)


def settings_invalid(problems: Sequence[Problem]) -> Trouble:
    """The repository's settings are refused."""
    return Trouble(
        SETTINGS_INVALID, f"{problems[0]}{_more(len(problems))}; the last good settings stay in force"
    )


def prune_held(held: Held) -> Trouble:
    """The breaker holds removals back."""
    names = ", ".join(".".join(each.identity) for each in held.removals[:3])
    names += ", …" if len(held.removals) > 3 else ""
    return Trouble(
        PRUNE_HELD,
        f"{len(held.removals)} removals are held back ({names}): {held.why}; confirm {held.digest}, or restore them",
    )


def files_refused(reason: str, count: int, first: Problem) -> Trouble:
    """Some flow files are refused for one reason."""
    files = "1 file is refused" if count == 1 else f"{count} files are refused"
    return Trouble(reason, f"{files}, what was live before stays: {first}")


def _more(count: int) -> str:
    return f" and {count - 1} more" if count > 1 else ""
