"""What the end of an execution sets off, all of it in the turn in which it ends.

Its caller is told, its trigger is unlocked or stopped, the next in the queue begins, and Flow triggers hear of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from engine import ids
from engine.errors import HeadwaterError
from engine.model.events import Begun, ChildEnded
from engine.model.execution import Execution
from engine.model.state import State
from engine.runtime import promises, reacting

if TYPE_CHECKING:
    from engine.runtime.turn import Turn


def ended(turn: Turn, execution_id: str, state: State) -> None:
    """Take up what follows from the end of an execution in `state`."""
    execution = turn.get(execution_id)
    assert execution is not None
    turn.outward.ended.append(execution)
    if execution.caller is not None and state is not State.RETRIED:
        caller = execution.caller
        event = ChildEnded(
            turn.at,
            caller.key,
            caller.attempt,
            execution_id,
            state,
            execution.outputs,
            ids.chance(),
            caller.number,
        )
        turn.deliver(caller.execution_id, event)
    promises.forget(turn, execution)
    _unlock(turn, execution)
    next_queued(turn, execution.flow.namespace, execution.flow.id)
    reacting.heard(turn, execution)


def _unlock(turn: Turn, execution: Execution) -> None:
    """Let the trigger fire again that waited for this end, or stop it for good (dialect, section 3.1)."""
    cause = execution.cause
    if cause is None:
        return
    for stored in turn.around.store.triggers(execution.flow.namespace, execution.flow.id):
        key = (stored.namespace, stored.flow_id, stored.trigger_id)
        held = turn.batch.triggers.get(key, stored)
        if held is None:
            continue
        changed = held
        if held.execution_id == execution.id:
            changed = msgspec.structs.replace(changed, execution_id=None)
        if (held.trigger_id, held.type) == (cause.id, cause.type) and _stops(turn, execution):
            changed = msgspec.structs.replace(changed, suspended=True)
            turn.batch.reports.add(("flow", f"{held.namespace}/{held.flow_id}"))
        if changed is not held:
            turn.batch.triggers[key] = changed


def _stops(turn: Turn, execution: Execution) -> bool:
    """Whether the trigger's `stopAfter` names the state this execution ended in."""
    try:
        _, graph = turn.library.live(execution.flow.namespace, execution.flow.id)
    except HeadwaterError:
        return False
    assert execution.cause is not None
    wanted = execution.cause.id
    return any(each.id == wanted and execution.state in each.stop_after for each in graph.flow.triggers)


def next_queued(turn: Turn, namespace: str, flow_id: str) -> None:
    """Begin as many waiting executions of a flow as the limit of its live version leaves room for."""
    name = f"{namespace}.{flow_id}"
    while (waiting := turn.live.queued(name, turn.batch.executions)) is not None:
        execution = turn.get(waiting)
        assert execution is not None
        limit = turn.limit(execution.flow)
        if limit is not None and turn.live.running(name, turn.batch.executions) >= limit.limit:
            return
        turn.deliver(waiting, Begun(turn.at))
