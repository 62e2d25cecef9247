"""Firing Flow triggers: what the end of an execution sets off in other flows (dialect, section 3.4).

All of it happens in the turn in which the execution ends, so that an end is heard exactly once; what has come
together so far lasts in the store. The rules are `engine.triggers.flow` and `engine.triggers.gathering`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from engine import expressions, ids
from engine.errors import HeadwaterError
from engine.machine.graph import Graph
from engine.model.execution import Cause, Execution
from engine.model.input_values import as_text
from engine.model.records import FlowVersion
from engine.model.state import State
from engine.runtime import births
from engine.runtime.checks import CheckRefused
from engine.runtime.context import scope_of
from engine.runtime.functions import Functions
from engine.runtime.hearers import Hearer
from engine.triggers import gathering
from engine.triggers.gathering import Gathered, Gathering, Upstream

if TYPE_CHECKING:
    from engine.runtime.turn import Turn

log = logging.getLogger(__name__)
SPACE = "gathered"
Render = Callable[[Any, Mapping[str, Any]], Any]


def heard(turn: Turn, execution: Execution) -> None:
    """Let every Flow trigger that may want to hear of the end of `execution`."""
    if execution.kind != "NORMAL" or execution.state is State.RETRIED:
        return
    for hearer in turn.library.hearers.of(execution.flow):
        try:
            _Hearing(turn, hearer, execution).hear()
        except Exception:
            log.exception(
                "trigger %s of %s.%s cannot fire", hearer.trigger.id, hearer.namespace, hearer.flow_id
            )


def upstream_of(execution: Execution) -> Upstream:
    """The end of an execution as Flow triggers see it."""
    return Upstream(
        execution_id=execution.id,
        namespace=execution.flow.namespace,
        flow_id=execution.flow.id,
        revision=execution.flow.revision,
        state=execution.state,
        at=execution.history[-1].at,
        number=sum(moment.state.terminal for moment in execution.history),
        labels=execution.labels,
        outputs=execution.outputs,
        again=any(len(run.attempts) > 1 for run in execution.runs.values()),
    )


def forget(turn: Turn, gone: Iterable[Hearer], now: Iterable[Hearer]) -> None:
    """Forget what triggers have gathered that a commit took away or asks something else of."""
    specs = {(each.trigger.id, spec_of(each.trigger)) for each in now}
    for each in gone:
        if (each.trigger.id, spec_of(each.trigger)) not in specs:
            for known in each.trigger.gatherings():
                turn.batch.documents[SPACE, _key(each, known)] = None


def _key(hearer: Hearer, each: Gathering) -> str:
    return f"{hearer.namespace}/{hearer.flow_id}/{hearer.trigger.id}/{each.id}"


class _Hearing:
    """One trigger and the end of one execution."""

    def __init__(self, turn: Turn, hearer: Hearer, execution: Execution) -> None:
        self._turn = turn
        self._hearer = hearer
        self._trigger = hearer.trigger
        self._execution = execution
        self._version, self._graph = turn.library.live(hearer.namespace, hearer.flow_id)
        self._upstream = upstream_of(execution)
        self._render = _renderer(turn, self._version, self._graph, execution)

    def hear(self) -> None:
        if self._turn.suspended(self._version.namespace, self._version.id, self._trigger.id):
            return
        try:
            ends = self._ends()
        except HeadwaterError as error:
            self._cannot(error)
            return
        if ends:
            self._fire(ends)

    def _ends(self) -> tuple[Upstream, ...]:
        """The ends that fire the trigger together; none when it does not fire."""
        variables = {"trigger": self._upstream.variables()}
        if not self._trigger.hears(variables, self._render):
            return ()
        gatherings = self._trigger.gatherings()
        met = {each.id: gathering.meets(each, variables, self._render) for each in gatherings}
        before = {each.id: self._kept(each) for each in gatherings}
        heard = gathering.hear(gatherings, before, self._upstream, met)
        for each in gatherings:
            if heard.after[each.id] != before[each.id]:
                self._keep(each, heard.after[each.id])
        return heard.ends

    def _kept(self, each: Gathering) -> Gathered:
        document = self._turn.document(SPACE, _key(self._hearer, each))
        if document is None or document.get("spec") != spec_of(self._trigger):
            return Gathered()
        return msgspec.convert(document["gathered"], Gathered)

    def _keep(self, each: Gathering, gathered: Gathered) -> None:
        empty = not gathered.met and gathered.fired is None
        document = {"spec": spec_of(self._trigger), "gathered": msgspec.to_builtins(gathered)}
        self._turn.batch.documents[SPACE, _key(self._hearer, each)] = None if empty else document

    # Firing

    def _fire(self, ends: Sequence[Upstream]) -> None:
        variables = self._variables(ends)
        cause = Cause(self._trigger.id, self._trigger.type, variables)
        identity = self._identity(sorted(end.identity for end in ends))
        correlation = self._correlation()
        try:
            seen = {"trigger": variables}
            labels = {key: as_text(self._render(value, seen)) for key, value in self._trigger.labels.items()}
            wish = births.Submission(
                namespace=self._version.namespace,
                flow_id=self._version.id,
                inputs=self._render(self._trigger.inputs, seen),
                labels={**labels, births.CORRELATION: correlation},
                cause=cause,
                id=identity,
            )
            self._turn.submit(wish)
        except CheckRefused as error:
            log.info("trigger %s starts nothing: %s", self._trigger.id, error)
        except HeadwaterError as error:
            self._turn.refuse(self._version, cause, identity, str(error), correlation)

    def _variables(self, ends: Sequence[Upstream]) -> dict[str, Any]:
        known = self._upstream.variables()
        names = ("executionId", "namespace", "flowId", "flowRevision", "state")
        outputs = gathering.outputs_of(
            ends, self._upstream, by_flow_first=bool(self._trigger.depends_on or self._trigger.preconditions)
        )
        return {**{name: known[name] for name in names}, "outputs": outputs}

    def _identity(self, ends: list[str]) -> str:
        return ids.derived_id(self._version.namespace, self._version.id, self._trigger.id, *ends)

    def _correlation(self) -> str:
        return self._execution.labels.get(births.CORRELATION, self._execution.id)

    def _cannot(self, error: HeadwaterError) -> None:
        """It cannot be told whether the trigger fires: it does not, and if it wants to, that is seen."""
        why = self._turn.around.masker.text(str(error))
        name = f"{self._version.namespace}.{self._version.id}"
        log.warning(
            "trigger %s of %s cannot tell whether it fires: %s",
            self._trigger.id,
            name,
            why,
            extra={"execution_id": self._execution.id},
        )
        if self._trigger.fail_on_trigger_error:
            cause = Cause(self._trigger.id, self._trigger.type, self._variables([self._upstream]))
            identity = self._identity([self._upstream.identity])
            self._turn.refuse(self._version, cause, identity, str(error), self._correlation())


def spec_of(trigger: Any) -> str:
    """What decides whether ends gathered for a trigger still count after a commit changed it."""
    kept = {"conditions", "preconditions", "depends_on", "mode", "window"}
    return ids.derived_id(trigger.model_dump_json(include=kept, serialize_as_any=True))


def _renderer(turn: Turn, version: FlowVersion, graph: Graph, execution: Execution) -> Render:
    """Renders as the listening flow, which also sees the execution that ended: its outputs, inputs, labels."""
    seen = scope_of(turn.around, turn.library.graph(execution.flow), execution).variables
    blank = Execution(id="", flow=births.ref_of(turn.around.store, version), history=())
    functions = Functions(turn.around, graph, blank, None).table()
    own = {
        "flow": {"id": version.id, "namespace": version.namespace, "revision": version.revision},
        "vars": graph.flow.variables,
    }

    def render(template: Any, variables: Mapping[str, Any]) -> Any:
        return expressions.render_deep(template, expressions.Scope({**seen, **own, **variables}, functions))

    return render
