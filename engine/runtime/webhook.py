"""Calls of webhook triggers (dialect, section 3.3): the key is the credential, the call becomes an execution."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine import expressions
from engine.errors import HeadwaterError, NotFound
from engine.ids import random_id
from engine.machine.graph import Graph
from engine.model.execution import Cause, Execution
from engine.model.trigger import Called
from engine.runtime import births
from engine.runtime.functions import Functions
from engine.runtime.turn import Turn


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call came to: an execution, or none because the trigger's conditions do not hold."""

    trigger: Called
    execution: Execution | None


def called(turn: Turn, namespace: str, flow_id: str, key: str, variables: Mapping[str, Any]) -> Answer:
    """Start the execution that a call asks for.

    Args:
        variables: `body`, `headers`, `parameters` and `path` of the call, the `trigger.*` of expressions.

    Raises:
        NotFound: no such flow, or no trigger with that key; the two are not told apart.
        InputInvalid: the inputs that the trigger makes of the call do not fit.
    """
    unknown = NotFound("there is no webhook at this address", hint="check namespace, flow and key")
    try:
        version, graph = turn.library.live(namespace, flow_id)
    except NotFound:
        raise unknown from None
    blank = Execution(id="", flow=births.ref_of(turn.around.store, version), history=())
    functions = Functions(turn.around, graph, blank, None).table()
    known = {**turn.around.variables(), "flow": {"id": flow_id, "namespace": namespace}}

    def render(template: Any, seen: Mapping[str, Any]) -> Any:
        return expressions.render_deep(template, expressions.Scope({**known, **seen}, functions))

    trigger = _trigger(graph, key, render)
    if trigger is None or turn.suspended(namespace, flow_id, trigger.id):
        raise unknown
    seen = {"trigger": dict(variables), "vars": graph.flow.variables}
    if not trigger.evaluate(seen, render):
        return Answer(trigger, None)
    wish = births.Submission(
        namespace=namespace,
        flow_id=flow_id,
        inputs=render(trigger.inputs, seen),
        labels=dict(trigger.labels),
        cause=Cause(trigger.id, trigger.type, dict(variables)),
        id=random_id(),
    )
    return Answer(trigger, turn.submit(wish))


def _trigger(graph: Graph, key: str, render: Any) -> Called | None:
    """The webhook trigger with that key; all are compared, in constant time."""
    found = None
    if graph.flow.disabled:
        return None
    for trigger in graph.flow.triggers:
        if not isinstance(trigger, Called) or trigger.disabled:
            continue
        try:
            wanted = str(render(trigger.key, {"vars": graph.flow.variables}))
        except HeadwaterError:
            continue
        if wanted and hmac.compare_digest(wanted.encode(), key.encode("utf-8", "surrogatepass")):
            found = trigger
    return found
