"""Who listens to the ends of executions: the Flow triggers of live flows, in memory, by the flows they can hear of.

Owned by the engine's thread; filled from the store at the start and by every deployment. An end that nobody
listens to costs two look-ups here and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from engine.errors import HeadwaterError
from engine.model.execution import FlowRef
from engine.model.flow import Flow
from engine.triggers.flow import Flow as FlowTrigger

log = logging.getLogger(__name__)
Name = tuple[str, str]  # namespace and id of a flow


@dataclass(frozen=True, slots=True)
class Hearer:
    """A Flow trigger and the flow it belongs to."""

    namespace: str
    flow_id: str
    trigger: FlowTrigger


class Hearers:
    """The Flow triggers of live flows."""

    def __init__(self) -> None:
        self._of: dict[Name, tuple[Hearer, ...]] = {}
        self._named: dict[Name, dict[Name, None]] = {}
        self._any: dict[Name, None] = {}

    def of(self, flow: FlowRef) -> Iterator[Hearer]:
        """Those that may want to know of an end of that flow; a flow never hears of itself."""
        upstream = (flow.namespace, flow.id)
        for owner in sorted({*self._any, *self._named.get(upstream, ())}):
            if owner != upstream:
                yield from self._of[owner]

    def own(self, namespace: str, flow_id: str) -> tuple[Hearer, ...]:
        """The triggers of a flow."""
        return self._of.get((namespace, flow_id), ())

    def put(self, flow: Flow) -> None:
        """Take over the Flow triggers of a flow that is live now."""
        owner = (flow.namespace, flow.id)
        self.drop(*owner)
        mine = tuple(
            Hearer(*owner, trigger)
            for trigger in flow.triggers
            if isinstance(trigger, FlowTrigger) and not trigger.disabled and not flow.disabled
        )
        if not mine:
            return
        self._of[owner] = mine
        for hearer in mine:
            named = _upstreams(hearer)
            if named is None:
                self._any[owner] = None
            for upstream in named or ():
                self._named.setdefault(upstream, {})[owner] = None

    def drop(self, namespace: str, flow_id: str) -> None:
        """Forget the triggers of a flow."""
        owner = (namespace, flow_id)
        for hearer in self._of.pop(owner, ()):
            for upstream in _upstreams(hearer) or ():
                owners = self._named.get(upstream, {})
                owners.pop(owner, None)
                if not owners:
                    self._named.pop(upstream, None)
        self._any.pop(owner, None)


def _upstreams(hearer: Hearer) -> Iterable[Name] | None:
    try:
        return hearer.trigger.upstreams()
    except HeadwaterError as error:
        log.warning(
            "trigger %s of %s.%s never fires: %s",
            hearer.trigger.id,
            hearer.namespace,
            hearer.flow_id,
            error,
        )
        return ()
