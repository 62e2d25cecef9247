"""What it means that an execution breaks a promise of its flow (dialect, section 1.6)."""

from __future__ import annotations

from engine.machine import kill
from engine.machine.draft import Draft
from engine.model.events import SlaBroken
from engine.model.execution import ROOT
from engine.model.flow import Sla
from engine.model.state import State

_ENDS = {"FAIL": State.FAILED, "CANCEL": State.CANCELLED}


def broken(draft: Draft, event: SlaBroken) -> None:
    """Note it, once; then fail or cancel the execution where the promise says so."""
    execution = draft.execution
    sla = next((each for each in draft.graph.flow.sla if each.id == event.sla), None)
    if sla is None or draft.state.terminal or draft.state is State.KILLING:
        return
    if event.sla in execution.broken or event.number != execution.number:
        return
    draft.change(broken=(*execution.broken, sla.id), labels={**execution.labels, **sla.labels})
    message = f"SLA `{sla.id}` is broken: {_why(sla)}"
    end = _ENDS.get(sla.behavior)
    draft.say(ROOT, "WARN" if end is None else "ERROR", message)
    if end is not None:
        draft.change(error=message)
        kill.cut_short(draft, end)


def _why(sla: Sla) -> str:
    if sla.duration is not None:
        return f"it runs for longer than {sla.duration}"
    return "its assertion does not hold"
