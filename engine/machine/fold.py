"""Folding an execution's log: the events, in order, give the snapshot. What recovery and the tests rely on."""

from __future__ import annotations

from collections.abc import Iterable

from engine.machine.graph import Graph
from engine.machine.step import step
from engine.model.events import AnyEvent
from engine.model.execution import Execution


def fold(graph: Graph, birth: Execution, events: Iterable[AnyEvent]) -> Execution:
    """The execution that `birth` (as it was created) becomes over `events`. Raises IllegalTransition."""
    execution = birth
    for event in events:
        execution = step(graph, execution, event).execution
    return execution
