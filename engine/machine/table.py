"""The law: which state may follow which, for executions and for task runs (dialect, section 4.2).

Everything that moves a state goes through here; the diagram in the manual is drawn from these tables. This
module knows no flow, no event and no reason.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.errors import IllegalTransition
from engine.model.state import TERMINAL, State

S = State

EXECUTION: Mapping[State, frozenset[State]] = {
    S.CREATED: frozenset({S.QUEUED, S.RUNNING, S.KILLED, S.CANCELLED, S.FAILED}),
    S.QUEUED: frozenset({S.RUNNING, S.KILLED, S.CANCELLED, S.FAILED}),
    S.RUNNING: frozenset({S.PAUSED, S.KILLING, S.SUCCESS, S.WARNING, S.FAILED, S.CANCELLED, S.RETRIED}),
    S.PAUSED: frozenset({S.RESTARTED, S.KILLING, S.FAILED}),
    S.RESTARTED: frozenset({S.RUNNING, S.QUEUED, S.KILLED, S.FAILED}),
    S.KILLING: frozenset({S.KILLED, S.FAILED}),
    # Nothing leaves an end by itself: only a person does, by a restart.
    **dict.fromkeys((S.SUCCESS, S.WARNING, S.FAILED, S.KILLED, S.CANCELLED), frozenset({S.RESTARTED})),
}

TASK_RUN: Mapping[State, frozenset[State]] = {
    S.CREATED: frozenset({S.RUNNING, S.SKIPPED, S.KILLED, S.FAILED}),
    S.RUNNING: frozenset(
        {
            *(S.PAUSED, S.RETRYING, S.RESTARTED),
            *(S.SUCCESS, S.WARNING, S.FAILED, S.KILLED, S.CANCELLED, S.RETRIED, S.SKIPPED),
        }
    ),
    S.PAUSED: frozenset({S.RUNNING, S.RESTARTED, S.KILLED, S.FAILED}),
    S.RETRYING: frozenset({S.CREATED, S.KILLED, S.FAILED}),
    S.RESTARTED: frozenset({S.CREATED, S.KILLED, S.FAILED}),
    **dict.fromkeys(TERMINAL, frozenset({S.RESTARTED})),
}

# What a person may declare something to have ended as, whatever it ended as.
DECLARABLE = TERMINAL - {S.RETRIED}

_NOTHING: frozenset[State] = frozenset()


def may(law: Mapping[State, frozenset[State]], old: State, new: State) -> bool:
    """Whether `law` (`EXECUTION` or `TASK_RUN`) lets `new` follow `old`."""
    return new in law.get(old, _NOTHING)


def check(law: Mapping[State, frozenset[State]], old: State, new: State, what: str) -> None:
    """Raise IllegalTransition, naming `what` moved, unless the move is lawful."""
    if not may(law, old, new):
        why = "it had ended" if old in TERMINAL else "the table does not allow it"
        raise IllegalTransition(f"{what} cannot go from {old} to {new}: {why}")


_SEVERITY = {State.KILLED: 3, State.FAILED: 2, State.CANCELLED: 2, State.RETRIED: 2, State.WARNING: 1}


def worse(a: State, b: State) -> State:
    """The end that prevails when children end differently: KILLED, FAILED, WARNING, else SUCCESS."""
    rank = max(_SEVERITY.get(a, 0), _SEVERITY.get(b, 0))
    if rank == 0:
        return State.SUCCESS
    winner = a if _SEVERITY.get(a, 0) == rank else b
    return State.FAILED if winner is State.CANCELLED else winner


def fails(state: State) -> bool:
    """Whether a child that ended so stops what comes after it."""
    return _SEVERITY.get(state, 0) >= 2
