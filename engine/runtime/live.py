"""The executions that have not ended, in memory, as they were committed last; owned by the engine's thread."""

from __future__ import annotations

from collections.abc import Mapping

from engine.model.execution import Execution
from engine.model.state import State

_WAITING = frozenset({State.CREATED, State.QUEUED})


class Live:
    """Executions by id, and by flow for the concurrency limits: slots are counted, never booked, so none can leak."""

    def __init__(self) -> None:
        self.executions: dict[str, Execution] = {}
        self._by_flow: dict[str, dict[str, None]] = {}

    def update(self, changed: Mapping[str, Execution]) -> None:
        """Take over what was committed; what has ended is let go."""
        for execution in changed.values():
            if finished(execution):
                self.executions.pop(execution.id, None)
                mine = self._by_flow.get(execution.flow.name)
                if mine is not None:
                    mine.pop(execution.id, None)
                    if not mine:
                        del self._by_flow[execution.flow.name]
            else:
                self.executions[execution.id] = execution
                self._by_flow.setdefault(execution.flow.name, {})[execution.id] = None

    def _of_flow(self, name: str, newer: Mapping[str, Execution]) -> list[Execution]:
        known = self._by_flow.get(name, {})
        mine = [newer.get(each) or self.executions[each] for each in known]
        mine.extend(each for each in newer.values() if each.flow.name == name and each.id not in known)
        return mine

    def running(self, name: str, newer: Mapping[str, Execution], but: str = "") -> int:
        """How many executions of a flow (not counting the one called `but`) hold a slot, with a turn's changes."""
        return sum(
            not each.state.terminal and each.state not in _WAITING and each.id != but
            for each in self._of_flow(name, newer)
        )

    def queued(self, name: str, newer: Mapping[str, Execution]) -> str | None:
        """The execution of a flow that has waited longest for a slot."""
        waiting = [each for each in self._of_flow(name, newer) if each.state is State.QUEUED]
        return min(waiting, key=lambda each: (each.created, each.id)).id if waiting else None


def finished(execution: Execution) -> bool:
    """Whether nothing more will happen to it."""
    if not execution.state.terminal:
        return False
    return execution.scope.phase != "after" or execution.busy + execution.paused == 0
