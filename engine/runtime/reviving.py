"""Beginning again what has ended, and letting go ahead what waits (dialect, sections 4.6 and 4.9).

Checked and delivered within a turn. What is kept and what runs again is `engine.machine.again`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from engine.errors import InputInvalid, NotFound, NotPermitted
from engine.ids import random_id
from engine.machine import again, table
from engine.model.events import (
    AnyEvent,
    Begun,
    KillAsked,
    Refused,
    Restarted,
    ResumeAsked,
    StatusChanged,
)
from engine.model.execution import ROOT, Caller, Execution, Moment, TaskRun
from engine.model.state import State
from engine.runtime import births, promises

if TYPE_CHECKING:
    from engine.runtime.turn import Turn

REPLAYED = {"system.replay": "true"}
_DECIDED = {State.CANCELLED, State.FAILED}


def known(turn: Turn, execution_id: str) -> Execution:
    """An execution, its secrets masked from now on. Raises NotFound."""
    execution = turn.get(execution_id)
    if execution is None:
        raise NotFound(f"there is no execution {execution_id}", hint="`headwater executions` lists them")
    for secret in execution.secrets:
        turn.around.masker.add(secret)
    return execution


# Restart


def restart(turn: Turn, execution_id: str, revision: int | None = None) -> Execution:
    """Let an execution go again through all that did not go well.

    Args:
        revision: of its flow, on which to go on; another one than its own makes a new execution.

    Raises:
        NotFound: there is no such execution, or no such revision.
        NotPermitted: there is nothing to restart, or its flow's concurrency limit refuses it.
    """
    execution = known(turn, execution_id)
    if execution.state not in again.RESTARTABLE:
        raise NotPermitted(
            f"execution {execution_id} is {execution.state}: there is nothing to restart", hint="replay it"
        )
    _at_rest(execution)
    if revision is not None and revision != execution.flow.revision:
        return _another(turn, execution, None, revision, {}, random_id())
    return _revive(turn, execution, Restarted(turn.at))


def restart_child(turn: Turn, execution_id: str, caller: Caller) -> Execution | None:
    """Restart a child execution for a task run that is itself restarted; none when there is nothing to restart."""
    execution = turn.get(execution_id)
    while execution is not None and execution.state is State.RETRIED:
        execution = turn.get(births.follower_id(execution.id))
    if execution is None or not execution.state.terminal or execution.busy:
        return None
    if execution.state not in again.RESTARTABLE:
        return None
    return _revive(turn, known(turn, execution.id), Restarted(turn.at, caller))


def _at_rest(execution: Execution) -> None:
    if execution.busy:
        raise NotPermitted(
            f"tasks of execution {execution.id} are still at work", hint="wait for their end, or kill it"
        )


def _revive(turn: Turn, execution: Execution, event: AnyEvent) -> Execution:
    """Deliver an event that makes an execution RESTARTED, and begin it as far as its limit lets it."""
    begin = turn.slot(execution, turn.limit(execution.flow))
    if isinstance(begin, Refused):
        raise NotPermitted(begin.message, hint="try again when one of them has ended")
    turn.deliver(execution.id, event)
    promises.watch(turn, known(turn, execution.id))
    turn.deliver(execution.id, begin)
    return turn.get(execution.id) or execution


# Replay


def replay(
    turn: Turn,
    execution_id: str,
    task: str | None = None,
    revision: int | None = None,
    inputs: Mapping[str, Any] | None = None,
    identity: str | None = None,
) -> Execution:
    """Go through an execution's flow again, in a new execution.

    Args:
        task: where to begin: id or key of a task run, or id of a task that ran once; none: at the beginning.
        revision: of the flow; none: the one it ran on.
        inputs: instead of, or besides, those it had.
        identity: of the new execution; a repeat is then harmless.

    Raises:
        NotFound: there is no such execution, task run or revision.
        NotPermitted: the task is in a branch that only follows from others, or the flow is disabled.
        InputInvalid: the inputs do not fit, or several task runs are meant.
    """
    execution = known(turn, execution_id)
    start = _main(execution, _meant(execution, task)) if task else None
    identity = identity or random_id()
    if (made := turn.get(identity)) is not None:
        return made
    return _another(turn, execution, start, revision, inputs or {}, identity, whole=task is None)


def _another(
    turn: Turn,
    execution: Execution,
    start: TaskRun | None,
    revision: int | None,
    inputs: Mapping[str, Any],
    identity: str,
    *,
    whole: bool = False,
) -> Execution:
    flow = execution.flow
    version, graph = turn.library.live(flow.namespace, flow.id, revision or flow.revision)
    if inputs or revision is not None:
        wish = births.Submission(
            namespace=flow.namespace,
            flow_id=flow.id,
            inputs={**execution.inputs, **inputs},
            labels=execution.labels,
            cause=execution.cause,
            id=identity,
            kind=execution.kind,
        )
        birth = births.born(turn.around, version, graph, wish, turn.at)
    else:
        births.check_enabled(graph.flow)
        birth = Execution(
            id=identity,
            flow=flow,
            history=(Moment(State.CREATED, turn.at),),
            inputs=execution.inputs,
            variables=dict(graph.flow.variables),
            cause=execution.cause,
            kind=execution.kind,
            secrets=execution.secrets,
        )
    birth = msgspec.structs.replace(
        birth,
        labels={**birth.labels, **execution.labels, **REPLAYED},
        parent_id=execution.id,
        original_id=execution.original_id or execution.id,
    )
    if not whole:
        birth = again.carried_over(turn.library.graph(flow), graph, execution, birth, start)
    return turn.admit(birth, turn.limit(birth.flow))


def _meant(execution: Execution, task: str) -> TaskRun:
    runs = execution.task_runs()
    found = [run for run in runs if task in (run.id, run.key)] or [run for run in runs if run.task_id == task]
    if not found:
        raise NotFound(
            f"no task `{task[:300]}` ran in execution {execution.id}", hint="`headwater executions` shows it"
        )
    if len(found) > 1:
        keys = ", ".join(f"`{run.key}`" for run in found[:10])
        raise InputInvalid(f"task `{task}` ran {len(found)} times: {keys}", hint="name one of them")
    return found[0]


def _main(execution: Execution, run: TaskRun) -> TaskRun:
    place = run
    while place.phase == "main" and place.parent != ROOT:
        place = execution.runs[place.parent]
    if place.phase != "main":
        raise NotPermitted(
            f"task `{run.key}` belongs to a branch that only follows when others ended",
            hint="name a main task",
        )
    return run


# Another status


def change_status(turn: Turn, execution_id: str, state: State, task: str | None = None) -> Execution:
    """Declare how a task run ended, and go on behind it; without `task`, how the execution ended.

    Raises:
        NotFound: there is no such execution or task run.
        NotPermitted: it has not ended, or nothing can be declared to have ended in that state.
        InputInvalid: several task runs are meant.
    """
    execution = known(turn, execution_id)
    if state not in table.DECLARABLE:
        names = ", ".join(sorted(table.DECLARABLE))
        raise NotPermitted(f"nothing can be declared {state}", hint=f"one of {names}")
    if execution.state is State.RETRIED:
        raise NotPermitted(f"execution {execution_id} was tried again", hint="take its last try")
    _at_rest(execution)
    if task is None:
        if not execution.state.terminal:
            raise NotPermitted(f"execution {execution_id} is {execution.state}, it has not ended")
        turn.deliver(execution_id, StatusChanged(turn.at, ROOT, state))
        return turn.get(execution_id) or execution
    run = _main(execution, _meant(execution, task))
    over = execution.state.terminal or execution.state is State.PAUSED
    if not over or not (run.state.terminal or run.state is State.PAUSED):
        raise NotPermitted(f"task `{run.key}` is {run.state}, and execution {execution_id} {execution.state}")
    return _revive(turn, execution, StatusChanged(turn.at, run.key, state))


# The queue


def force_run(turn: Turn, execution_id: str) -> Execution:
    """Let an execution run now that waits for its turn or is paused, whatever the limit says.

    Raises:
        NotFound: there is no such execution.
        NotPermitted: it neither waits nor is paused.
    """
    execution = known(turn, execution_id)
    if execution.state in (State.CREATED, State.QUEUED):
        turn.deliver(execution_id, Begun(turn.at))
    elif execution.state is State.PAUSED:
        turn.deliver(execution_id, ResumeAsked(turn.at))
    else:
        raise NotPermitted(f"execution {execution_id} is {execution.state}: nothing holds it back")
    return turn.get(execution_id) or execution


def unqueue(turn: Turn, execution_id: str, state: State = State.RUNNING) -> Execution:
    """Take an execution out of the queue: let it run now, or end it in another state.

    Raises:
        NotFound: there is no such execution.
        NotPermitted: it is not queued, or cannot leave the queue for that state.
    """
    execution = known(turn, execution_id)
    if execution.state is not State.QUEUED:
        raise NotPermitted(f"execution {execution_id} is {execution.state}, not QUEUED")
    event: AnyEvent
    if state is State.RUNNING:
        event = Begun(turn.at)
    elif state is State.KILLED:
        event = KillAsked(turn.at)
    elif state in _DECIDED:
        event = Refused(turn.at, state, "taken out of the queue")
    else:
        raise NotPermitted(
            f"nothing leaves the queue as {state}", hint="RUNNING, CANCELLED, FAILED or KILLED"
        )
    turn.deliver(execution_id, event)
    return turn.get(execution_id) or execution
