"""Keeping watch over what a flow promises of its executions, its `sla` (dialect, section 1.6).

A promise of time is a timer that lies in the store; an assertion is asked on every change. What a broken one means
is the machine's to say.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from engine import expressions
from engine.errors import HeadwaterError
from engine.model.events import SlaBroken
from engine.model.execution import Execution
from engine.model.flow import Sla
from engine.model.records import Work
from engine.runtime.context import scope_of

if TYPE_CHECKING:
    from engine.runtime.turn import Turn

log = logging.getLogger(__name__)


def watch(turn: Turn, execution: Execution) -> None:
    """Set the timers of an execution that is created, or begins again, now."""
    for sla in _slas(turn, execution):
        if sla.duration is not None and sla.id not in execution.broken:
            due = turn.at + sla.duration
            event = SlaBroken(due, sla.id, execution.number)
            turn.put_work(Work(timer_id(execution.id, sla.id), execution.id, event=event, due=due))


def ask(turn: Turn, execution: Execution) -> None:
    """Ask an execution that has changed and not ended for what it has to fulfil all the time."""
    if execution.state.terminal:
        return
    for sla in _slas(turn, execution):
        if (
            sla.assertion is not None
            and sla.id not in execution.broken
            and not _fulfils(turn, execution, sla)
        ):
            turn.deliver(execution.id, SlaBroken(turn.at, sla.id, execution.number))
            return  # whatever else is broken shows in the execution as it stands then


def forget(turn: Turn, execution: Execution) -> None:
    """Take back the timers of an execution that has ended."""
    for sla in _slas(turn, execution):
        if sla.duration is not None:
            turn.batch.work[timer_id(execution.id, sla.id)] = None


def timer_id(execution_id: str, sla_id: str) -> str:
    """The name of a promise's timer."""
    return f"{execution_id}/sla/{sla_id}"


def _slas(turn: Turn, execution: Execution) -> tuple[Sla, ...]:
    return turn.library.graph(execution.flow).flow.sla


def _fulfils(turn: Turn, execution: Execution, sla: Sla) -> bool:
    """Whether an assertion holds; what cannot be told yet is not broken."""
    scope = scope_of(turn.around, turn.library.graph(execution.flow), execution)
    try:
        return expressions.truthy(expressions.render_deep(sla.assertion, scope))
    except HeadwaterError as error:
        log.debug("SLA %s cannot be told: %s", sla.id, turn.around.masker.text(str(error)))
        return True
