"""Asking a schedule to go through its past, one due time after the other (dialect, section 3.2). Within a turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from engine.errors import InputInvalid, NotFound, NotPermitted
from engine.ids import random_id
from engine.machine import schedule
from engine.model.records import Backfill, TriggerState
from engine.model.trigger import Schedulable
from engine.runtime.scheduler import trigger_of
from engine.runtime.turn import Turn

Name = tuple[str, str, str]
"""Namespace, flow id and trigger id."""


def begin(
    turn: Turn,
    name: Name,
    start: datetime,
    end: datetime | None = None,
    inputs: Mapping[str, Any] | None = None,
    labels: Mapping[str, str] | None = None,
) -> TriggerState:
    """Begin a backfill; the schedule goes on as usual when it is over.

    Args:
        start, end: aware; what was due from the one to the other, both included; now when no end is given.
        inputs, labels: added to the trigger's.

    Raises:
        NotFound: there is no such trigger.
        NotPermitted: it is no schedule, is disabled, or goes through another backfill.
        InputInvalid: nothing was due in that time, or the time lies in the future.
    """
    state = _state(turn, name)
    trigger = _schedule(turn, name)
    if state.backfill is not None:
        raise NotPermitted(
            f"trigger `{name[2]}` goes through a backfill already", hint="wait for its end, or delete it"
        )
    end = min(end or turn.at, turn.at)
    if start > end:
        raise InputInvalid("a backfill begins in the past, and before it ends", hint="give an earlier start")
    wish = Backfill(random_id(), start, end, start, inputs=dict(inputs or {}), labels=dict(labels or {}))
    begun = schedule.backfilled(trigger, state, wish)
    if begun is None:
        raise InputInvalid(f"trigger `{name[2]}` was not due in that time", hint="choose another time")
    return _set(turn, begun)


def pause(turn: Turn, name: Name) -> TriggerState:
    """Let a backfill wait. Raises NotFound, NotPermitted when there is none."""
    return _change(turn, name, lambda state: schedule.backfill_paused(state, paused=True))


def unpause(turn: Turn, name: Name) -> TriggerState:
    """Let a backfill go on. Raises NotFound, NotPermitted when there is none."""
    return _change(turn, name, lambda state: schedule.backfill_paused(state, paused=False))


def delete(turn: Turn, name: Name) -> TriggerState:
    """Give a backfill up; what it started runs on. Raises NotFound, NotPermitted when there is none."""
    return _change(turn, name, schedule.backfill_ended)


def _change(turn: Turn, name: Name, change: Callable[[TriggerState], TriggerState]) -> TriggerState:
    state = _state(turn, name)
    if state.backfill is None:
        raise NotPermitted(f"trigger `{name[2]}` goes through no backfill", hint="begin one")
    return _set(turn, change(state))


def _state(turn: Turn, name: Name) -> TriggerState:
    for stored in turn.around.store.triggers(name[0], name[1]):
        if stored.trigger_id == name[2]:
            state = turn.batch.triggers.get(name, stored)
            if state is not None:
                return state
    raise NotFound(
        f"there is no trigger `{name[2]}` of a flow {name[0]}.{name[1]}",
        hint="check the namespace, the flow and the trigger",
    )


def _schedule(turn: Turn, name: Name) -> Schedulable:
    trigger = trigger_of(turn.library.live(name[0], name[1])[1].flow, name[2])
    if trigger is None:
        raise NotPermitted(f"trigger `{name[2]}` is disabled", hint="enable it in the flow file")
    if not isinstance(trigger, Schedulable):
        raise NotPermitted(f"trigger `{name[2]}` is no schedule", hint="only schedules know what was due")
    return trigger


def _set(turn: Turn, state: TriggerState) -> TriggerState:
    turn.batch.triggers[state.namespace, state.flow_id, state.trigger_id] = state
    turn.batch.reports.add(("flow", f"{state.namespace}/{state.flow_id}"))
    return state
