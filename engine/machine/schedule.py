"""When schedules fire: the hand-over from one due time to the next, across commits, locks and outages. Pure.

A due time fires once: the store keeps (flow, trigger, due time) unique, and the next due time always follows from
the last one. Sources: dialect, sections 3.1 and 3.2.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from engine.model.execution import Execution
from engine.model.records import Backfill, TriggerState
from engine.model.trigger import Schedulable

replace = msgspec.structs.replace
_SKIPS = 100_000  # due times that may be passed over in one go


def handed_over(
    old: TriggerState | None, fresh: TriggerState, trigger: Schedulable | None, now: datetime
) -> TriggerState:
    """The state of a trigger after a commit that may have changed it.

    Unchanged as written, it keeps its place: no due time is missed or doubled. Changed, or new, it starts from now
    and never before what it fired last; what its old form still owed must have been fired before.

    Args:
        fresh: the trigger as the commit has it, without a place.
        trigger: the schedule; none for triggers without due times, or for a disabled one.
    """
    if old is not None and old.spec == fresh.spec:
        return old
    last = old.last_due if old is not None else None
    start = max(now, last) if last is not None else now
    return replace(
        fresh,
        next_due=trigger.next_due(start) if trigger is not None else None,
        last_due=last,
        execution_id=old.execution_id if old is not None else None,
    )


def owed(state: TriggerState, now: datetime) -> bool:
    """Whether a due time has come that is free to fire."""
    return (
        state.next_due is not None
        and state.next_due <= now
        and state.execution_id is None
        and not state.suspended
    )


def candidate(trigger: Schedulable, state: TriggerState, now: datetime) -> datetime | None:
    """The due time to fire now: the first one owed that is not later than `lateMaximumDelay`; none if all are."""
    due = state.next_due
    if state.backfill is None and trigger.late_maximum_delay is not None:
        for _ in range(_SKIPS):
            if due is None or due >= now - trigger.late_maximum_delay:
                break
            due = trigger.next_due(due)
    return due if due is not None and due <= now else None


def fired(
    trigger: Schedulable, state: TriggerState, due: datetime, execution: Execution | None
) -> TriggerState:
    """The state after the due time `due` started an execution, or none because its conditions do not hold."""
    running = execution is not None and not execution.state.terminal
    lock = execution.id if execution is not None and running and not trigger.allow_concurrent else None
    if state.backfill is not None:
        return replace(_after_backfilled(trigger, state, state.backfill, due), execution_id=lock)
    last = due if execution is not None else state.last_due
    return replace(state, next_due=trigger.next_due(due), last_due=last, execution_id=lock)


def passed_over(trigger: Schedulable, state: TriggerState, now: datetime) -> TriggerState:
    """The state when everything owed is later than allowed: on to the first due time after now."""
    return replace(state, next_due=trigger.next_due(now))


def recovered(trigger: Schedulable, state: TriggerState, now: datetime) -> TriggerState:
    """The state after an outage, by `recoverMissedSchedules`: ALL keeps what is owed, LAST the newest, NONE nothing."""
    if state.backfill is not None or state.next_due is None or state.next_due > now:
        return state
    match trigger.recover_missed_schedules:
        case "NONE":
            return replace(state, next_due=trigger.next_due(now))
        case "LAST":
            return replace(state, next_due=trigger.previous_due(now) or state.next_due)
        case _:
            return state


# Backfills: due times of the past, one by one (dialect, section 3.2)


def backfilled(trigger: Schedulable, state: TriggerState, wish: Backfill) -> TriggerState | None:
    """The state of a trigger that begins to go through the past of `wish`; none when nothing was due in it."""
    first = trigger.next_due(wish.start - timedelta(microseconds=1))
    if first is None or first > wish.end:
        return None
    return replace(
        state, next_due=first, backfill=replace(wish, current=first, resume=state.next_due, paused=False)
    )


def _after_backfilled(
    trigger: Schedulable, state: TriggerState, backfill: Backfill, due: datetime
) -> TriggerState:
    following = trigger.next_due(due)
    if following is None or following > backfill.end:
        return backfill_ended(state)
    return replace(state, next_due=following, backfill=replace(backfill, current=following))


def backfill_paused(state: TriggerState, *, paused: bool) -> TriggerState:
    """The state when its backfill is to wait, or to go on."""
    if state.backfill is None:
        return state
    return replace(
        state,
        next_due=None if paused else state.backfill.current,
        backfill=replace(state.backfill, paused=paused),
    )


def backfill_ended(state: TriggerState) -> TriggerState:
    """The state when its backfill is over, or given up: on with the due time it was at before."""
    if state.backfill is None:
        return state
    return replace(state, next_due=state.backfill.resume, backfill=None)
