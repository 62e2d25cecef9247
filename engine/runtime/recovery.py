"""Taking up again after a stop or a crash: what the store holds is all there is, and it is enough."""

from __future__ import annotations

from engine.errors import HeadwaterError
from engine.machine.pending import pending
from engine.model.events import ChildEnded
from engine.model.execution import Execution
from engine.model.records import Query, Work
from engine.model.state import TERMINAL, State
from engine.runtime import scheduler
from engine.runtime.core import Core
from engine.runtime.live import finished
from engine.runtime.turn import Turn

_PAGE = 500
_OPEN = tuple(state for state in State if state not in TERMINAL)


def recover(core: Core) -> list[Work]:
    """Load what has not ended and ask again for what it waits for; before the engine's thread starts.

    Returns:
        the work and timers to hand out once it has.
    """
    store = core.around.store
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
    """In the first turn: tell callers of children that ended unheard, and see to schedules missed meanwhile."""
    for execution in list(turn.live.executions.values()):
        for run in execution.task_runs():
            if run.child is None or run.state is not State.RUNNING:
                continue
            child = turn.get(run.child.execution_id)
            if child is not None and child.state.terminal and child.state is not State.RETRIED:
                attempt = len(run.attempts)
                turn.deliver(
                    execution.id,
                    ChildEnded(turn.at, run.key, attempt, child.id, child.state, child.outputs),
                )
    scheduler.recover(turn)
