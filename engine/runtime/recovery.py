"""Taking up again after a stop or a crash: what the store holds is all there is, and it is enough."""

from __future__ import annotations

import logging

from engine.errors import HeadwaterError
from engine.machine.pending import awaited, pending
from engine.model.events import ChildEnded
from engine.model.execution import Execution
from engine.model.records import Query, Work
from engine.model.state import TERMINAL, State
from engine.runtime import endings, scheduler
from engine.runtime.core import Core
from engine.runtime.live import finished
from engine.runtime.turn import Turn
from engine.type_names import canonical

log = logging.getLogger(__name__)
FLOW_TRIGGER = "core.trigger.Flow"
_PAGE = 500
_OPEN = tuple(state for state in State if state not in TERMINAL)


def recover(core: Core) -> list[Work]:
    """Load what has not ended and ask again for what it waits for; before the engine's thread starts.

    Returns:
        the work and timers to hand out once it has.
    """
    store = core.around.store
    _listen(core)
    work = store.work()
    ids = {each.execution_id for each in work}
    offset = 0
    while page := store.executions(Query(states=_OPEN, limit=_PAGE, offset=offset)):
        ids.update(summary.id for summary in page)
        offset += len(page)
    under_way = {each.id for each in work}
    for execution_id in sorted(ids):
        execution = store.execution(execution_id)
        if execution is None or (finished(execution) and not _to_start_again(work, execution_id)):
            continue
        for secret in execution.secrets:
            core.around.masker.add(secret)
        if not finished(execution):
            core.live.update({execution.id: execution})
            _ask(core, execution, under_way)
    return work


def _listen(core: Core) -> None:
    """Find the Flow triggers of live flows; only flows that have one are compiled."""
    states = core.around.store.triggers()
    for name in {
        (state.namespace, state.flow_id) for state in states if canonical(state.type).short == FLOW_TRIGGER
    }:
        try:
            core.library.hearers.put(core.library.live(*name)[1].flow)
        except HeadwaterError as error:
            log.warning("the Flow triggers of %s.%s do not fire: %s", *name, error)


def _to_start_again(work: list[Work], execution_id: str) -> bool:
    return any(each.execution_id == execution_id and each.command is not None for each in work)


def _ask(core: Core, execution: Execution, under_way: set[str]) -> None:
    try:
        graph = core.library.graph(execution.flow)
    except HeadwaterError:
        return
    for command in pending(graph, execution):
        key, attempt = getattr(command, "key", ""), getattr(command, "attempt", 0)
        if f"{execution.id}/{key}/{attempt}" not in under_way:
            core.leave_over(execution.id, command)


def catch_up(turn: Turn) -> None:
    """In the first turn: tell callers of children that ended unheard, fill free slots, see to missed schedules."""
    for execution in list(turn.live.executions.values()):
        for run in execution.task_runs():
            for child_id, number in awaited(execution.id, run):
                child = turn.get(child_id)
                if child is not None and child.state.terminal and child.state is not State.RETRIED:
                    attempt, state, outputs = len(run.attempts), child.state, child.outputs
                    event = ChildEnded(turn.at, run.key, attempt, child_id, state, outputs, number=number)
                    turn.deliver(execution.id, event)
    for name in {(each.flow.namespace, each.flow.id) for each in turn.live.executions.values()}:
        endings.next_queued(turn, *name)
    scheduler.recover(turn)
