"""Firing what is due, and handing schedules over when flows change; inside the engine's turns.

The rules are `engine.machine.schedule`; here they meet the store.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from engine import expressions
from engine.errors import HeadwaterError
from engine.ids import derived_id
from engine.machine import schedule
from engine.model.execution import Cause, Execution
from engine.model.flow import Flow
from engine.model.records import Backfill, Deployment, Fire, FlowVersion, TriggerState
from engine.model.trigger import Schedulable, Trigger
from engine.runtime import births, endings, reacting
from engine.runtime.checks import CheckRefused
from engine.runtime.functions import Functions
from engine.runtime.turn import Turn

log = logging.getLogger(__name__)
Key = tuple[str, str, str]
_MOST = 100  # due times of a trigger that are fired in one turn; the others follow at once
_READY = 200  # flows of one deployment whose graphs are made at once; the rest when they are first run


# Firing


def fire_due(turn: Turn) -> None:
    """Fire every due time that has come."""
    for stored in turn.around.store.due_triggers(turn.at):
        key = (stored.namespace, stored.flow_id, stored.trigger_id)
        state = turn.batch.triggers.get(key, stored)
        if state is None:
            continue
        try:
            _fire(turn, state)
        except Exception:
            log.exception("trigger %s of %s.%s cannot fire", state.trigger_id, state.namespace, state.flow_id)
            _set(turn, msgspec.structs.replace(state, suspended=True))


def _fire(turn: Turn, state: TriggerState) -> None:
    version, graph = turn.library.live(state.namespace, state.flow_id)
    trigger = trigger_of(graph.flow, state.trigger_id)
    if not isinstance(trigger, Schedulable):
        _set(turn, msgspec.structs.replace(state, next_due=None))
        return
    for _ in range(_MOST):
        if not schedule.owed(state, turn.at):
            break
        due = schedule.candidate(trigger, state, turn.at)
        if due is None:
            state = schedule.passed_over(trigger, state, turn.at)
            break
        execution = _start(turn, version, trigger, due, state.backfill)
        state = schedule.fired(trigger, state, due, execution)
    _set(turn, state)


def _start(
    turn: Turn, version: FlowVersion, trigger: Schedulable, due: datetime, backfill: Backfill | None
) -> Execution | None:
    """Start the execution of a due time; none when its conditions do not hold."""
    variables = trigger.variables(due)
    cause = Cause(trigger.id, trigger.type, variables)
    names = (version.namespace, version.id, trigger.id, due.astimezone(UTC).isoformat())
    identity = derived_id(*names, backfill.id) if backfill else derived_id(*names)
    try:
        render = _renderer(turn, version)
        if not trigger.evaluate({"trigger": variables, "schedule": variables}, render):
            return None
        wish = births.Submission(
            namespace=version.namespace,
            flow_id=version.id,
            inputs={
                **render(trigger.inputs, {"trigger": variables, "schedule": variables}),
                **(backfill.inputs if backfill else {}),
            },
            labels={**trigger.labels, **(backfill.labels if backfill else {})},
            cause=cause,
            id=identity,
        )
        execution = turn.submit(wish)
    except CheckRefused as error:
        log.info("trigger %s of %s.%s starts nothing: %s", trigger.id, version.namespace, version.id, error)
        return None
    except HeadwaterError as error:
        execution = turn.refuse(version, cause, identity, str(error))
    if backfill is None:  # a backfill may go through the same past again
        turn.batch.fires.append(Fire(version.namespace, version.id, trigger.id, due, execution.id))
    return execution


def _renderer(turn: Turn, version: FlowVersion) -> Any:
    graph = turn.library.of_version(version)
    blank = Execution(id="", flow=births.ref_of(turn.around.store, version), history=())
    functions = Functions(turn.around, graph, blank, None).table()
    known = turn.around.variables()
    known["flow"] = {"id": version.id, "namespace": version.namespace, "revision": version.revision}
    known["vars"] = graph.flow.variables

    def render(template: Any, seen: Mapping[str, Any]) -> Any:
        return expressions.render_deep(template, expressions.Scope({**known, **seen}, functions))

    return render


def _set(turn: Turn, state: TriggerState) -> None:
    turn.batch.triggers[state.namespace, state.flow_id, state.trigger_id] = state


def trigger_of(flow: Flow, trigger_id: str) -> Trigger | None:
    """The trigger of that id, unless it or its flow is disabled."""
    if flow.disabled:
        return None
    return next((each for each in flow.triggers if each.id == trigger_id and not each.disabled), None)


# After an outage


def recover(turn: Turn) -> None:
    """Apply `recoverMissedSchedules` to what came due while no daemon ran, and free locks of ended executions."""
    for state in turn.around.store.triggers():
        changed = state
        if state.execution_id is not None and turn.get(state.execution_id) is None:
            changed = msgspec.structs.replace(changed, execution_id=None)
        elif state.execution_id is not None:
            execution = turn.get(state.execution_id)
            if execution is not None and execution.state.terminal:
                changed = msgspec.structs.replace(changed, execution_id=None)
        if state.next_due is not None and state.next_due <= turn.at:
            _, graph = turn.library.live(state.namespace, state.flow_id)
            trigger = trigger_of(graph.flow, state.trigger_id)
            if isinstance(trigger, Schedulable):
                changed = schedule.recovered(trigger, changed, turn.at)
        if changed is not state:
            _set(turn, changed)


# Changing flows


def deploy(
    turn: Turn,
    source: str,
    commit: str,
    changed: Sequence[Deployment],
    removed: Sequence[tuple[str, str]],
) -> bool:
    """Make flows live and take flows off, handing their schedules over.

    Returns:
        False when a schedule that changes still owes a due time: fire what is due, then call again.
    """
    store = turn.around.store
    versions: list[FlowVersion] = []
    triggers: dict[Key, TriggerState | None] = {}
    for each in changed:
        last = store.last_revision(each.flow.namespace, each.flow.id)
        before = _triggers(turn, each.flow) if last else {}
        versions.append(_version(turn, source, commit, each, last))
        after = dict(_states(each.flow, before, turn.at))
        for trigger_id, old in before.items():
            if after.get(trigger_id) is not old and schedule.owed(old, turn.at):
                return False
            if trigger_id not in after:
                triggers[each.flow.namespace, each.flow.id, trigger_id] = None
        for trigger_id, state in after.items():
            if state is not before.get(trigger_id):
                triggers[each.flow.namespace, each.flow.id, trigger_id] = state
    for namespace, flow_id in removed:
        for old in store.triggers(namespace, flow_id):
            if schedule.owed(old, turn.at):
                return False
            triggers[namespace, flow_id, old.trigger_id] = None
    store.put_flows(versions, removed, triggers)
    for version, each in zip(versions[:_READY], changed, strict=False):
        turn.library.keep(version, each.flow)
    store.put("heads", {source: commit})
    _live(turn, changed, removed)
    for namespace, flow_id in [*removed, *((each.namespace, each.id) for each in versions)]:
        turn.batch.reports.add(("flow", f"{namespace}/{flow_id}"))
    return True


def _triggers(turn: Turn, flow: Flow) -> dict[str, TriggerState]:
    return {state.trigger_id: state for state in turn.around.store.triggers(flow.namespace, flow.id)}


def _live(turn: Turn, changed: Sequence[Deployment], removed: Sequence[tuple[str, str]]) -> None:
    """Let everything else that follows live flows know of a change of them."""
    hearers = turn.library.hearers
    for each in changed:
        name = (each.flow.namespace, each.flow.id)
        before = hearers.own(*name)
        hearers.put(each.flow)
        reacting.forget(turn, before, hearers.own(*name))
        endings.next_queued(turn, *name)
    for name in removed:
        reacting.forget(turn, hearers.own(*name), ())
        hearers.drop(*name)


def _version(turn: Turn, source: str, commit: str, each: Deployment, last: int) -> FlowVersion:
    # Of a flow that never was there is nothing to look up; a first load is made of these.
    live = turn.around.store.flow(each.flow.namespace, each.flow.id) if last else None
    if live is not None and (live.content, live.defaults) == (each.content, each.defaults):
        return msgspec.structs.replace(live, path=each.path, source=source)
    return FlowVersion(
        namespace=each.flow.namespace,
        id=each.flow.id,
        revision=last + 1,
        commit=commit,
        blob=each.blob,
        path=each.path,
        source=source,
        content=each.content,
        at=turn.at,
        disabled=each.flow.disabled,
        triggers=tuple(trigger.id for trigger in each.flow.triggers),
        defaults=each.defaults,
    )


def _states(
    flow: Flow, before: Mapping[str, TriggerState], now: datetime
) -> Iterator[tuple[str, TriggerState]]:
    for trigger in flow.triggers:
        active = trigger_of(flow, trigger.id)
        fresh = TriggerState(
            namespace=flow.namespace,
            flow_id=flow.id,
            trigger_id=trigger.id,
            type=trigger.type,
            spec=_digest(flow, trigger),
        )
        dates = active if isinstance(active, Schedulable) else None
        yield trigger.id, schedule.handed_over(before.get(trigger.id), fresh, dates, now)


def _digest(flow: Flow, trigger: Trigger) -> str:
    """What makes a schedule another one: its dates and whether it is on, not what it hands to its executions."""
    kept = {"id", "type", "cron", "timezone", "with_seconds", "dates", "disabled", "interval"}
    written = trigger.model_dump_json(include=kept)
    return hashlib.sha256(f"{flow.disabled}\n{written}".encode()).hexdigest()[:16]
