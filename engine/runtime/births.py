"""How an execution comes into being: its flow's version, its inputs checked, its labels; and its second try.

Makes values only; whoever calls puts them into the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from engine import expressions
from engine.errors import NotPermitted
from engine.ids import derived_id, random_id
from engine.machine.graph import Graph
from engine.model.execution import Caller, Cause, Execution, FlowRef, Kind, Moment
from engine.model.flow import Flow
from engine.model.inputs import read_inputs, secrets_of
from engine.model.records import FlowVersion
from engine.model.state import State
from engine.ports import Store
from engine.runtime.functions import Functions
from engine.runtime.surroundings import Surroundings

CORRELATION = "system.correlationId"


class Submission(msgspec.Struct, frozen=True):
    """A wish for an execution.

    Args:
        inputs: as the caller gave them, by id; files are URIs already stored.
        labels: added to the flow's own.
        cause: the trigger it comes from; none when a person asked.
        revision: of the flow; none means the live one.
        id: of the execution, where it follows from something else; repeats are then harmless.
        caller: the task run that waits for it.
        kind: a TEST sets off nothing else.
    """

    namespace: str
    flow_id: str
    inputs: dict[str, Any] = {}
    labels: dict[str, str] = {}
    cause: Cause | None = None
    revision: int | None = None
    id: str | None = None
    caller: Caller | None = None
    kind: Kind = "NORMAL"


def last_good(source: str) -> str:
    """The space of the store with the flows whose file a source's newest commit spoilt: `namespace/id` to commit."""
    return f"last_good/{source}"


def ref_of(store: Store, version: FlowVersion) -> FlowRef:
    """How an execution names the version it is pinned to: by the newest commit of its repository that has it."""
    older = store.get(last_good(version.source), f"{version.namespace}/{version.id}")
    head = older or store.get("heads", version.source) or version.commit
    return FlowRef(version.namespace, version.id, version.revision, head, version.blob)


def born(
    around: Surroundings, version: FlowVersion, graph: Graph, wish: Submission, at: datetime
) -> Execution:
    """The execution that a wish asks for, not yet begun.

    Raises:
        NotPermitted: the flow is disabled.
        InputInvalid: its inputs do not fit.
    """
    flow = graph.flow
    check_enabled(flow)
    identity = wish.id or random_id()
    empty = Execution(
        id=identity,
        flow=ref_of(around.store, version),
        history=(Moment(State.CREATED, at),),
        cause=wish.cause,
    )
    inputs = read_inputs(flow.inputs, wish.inputs, _renderer(around, graph, empty))
    secrets = secrets_of(flow.inputs, inputs)
    for secret in secrets:
        around.masker.add(secret)
    labels = {**flow.labels, **wish.labels}
    labels.setdefault(CORRELATION, identity)
    return msgspec.structs.replace(
        empty,
        inputs=inputs,
        labels=labels,
        variables=dict(flow.variables),
        caller=wish.caller,
        kind=wish.kind,
        original_id=identity,
        secrets=secrets,
    )


def check_enabled(flow: Flow) -> None:
    """Raises NotPermitted when a flow is disabled."""
    if flow.disabled:
        raise NotPermitted(f"flow {flow.namespace}.{flow.id} is disabled", hint="remove `disabled: true`")


def follower_id(execution_id: str) -> str:
    """The id of the next try of a whole flow."""
    return derived_id(execution_id, "again")


def _renderer(around: Surroundings, graph: Graph, execution: Execution) -> Any:
    functions = Functions(around, graph, execution, None).table()
    known = around.variables()
    known["flow"] = {"id": execution.flow.id, "namespace": execution.flow.namespace}
    if execution.cause is not None:
        known["trigger"] = execution.cause.variables

    def render(template: Any, variables: Mapping[str, Any]) -> Any:
        return expressions.render_deep(template, expressions.Scope({**known, **variables}, functions))

    return render


def again(execution: Execution, at: datetime) -> Execution:
    """The next try of a whole flow (dialect, section 1.5, CREATE_NEW_EXECUTION): same inputs, same ancestry."""
    identity = follower_id(execution.id)
    labels = {key: value for key, value in execution.labels.items() if key != CORRELATION}
    return Execution(
        id=identity,
        flow=execution.flow,
        history=(Moment(State.CREATED, at),),
        inputs=execution.inputs,
        variables=execution.variables,
        labels={**labels, CORRELATION: execution.labels.get(CORRELATION, execution.id)},
        cause=execution.cause,
        caller=execution.caller,
        original_id=execution.original_id,
        number=execution.number + 1,
        first_created=execution.first_started,
        kind=execution.kind,
        secrets=execution.secrets,
    )
