"""The life of a task run that does something: attempts start, end, are retried; children of other flows end."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from engine.machine import children, kill, retry
from engine.machine.draft import Draft
from engine.machine.table import fails
from engine.model.commands import Run, StartAgain, Wake
from engine.model.events import AttemptEnded, AttemptStarted, ChildEnded, ChildStarted, StoodIn
from engine.model.execution import Attempt, Moment, TaskRun
from engine.model.retry import Retry
from engine.model.state import State
from engine.model.task import TaskResult

replace = msgspec.structs.replace


def begin(draft: Draft, run: TaskRun, attempt: int, at: datetime) -> TaskRun | None:
    """The run with its attempt begun; none when the event is late: another attempt, or the run has ended."""
    if run.state is State.RUNNING and len(run.attempts) == attempt:
        return run
    if run.state is State.CREATED and len(run.attempts) == attempt - 1:
        begun = Attempt(attempt, (Moment(State.CREATED, run.history[-1].at), Moment(State.RUNNING, at)))
        return draft.move_run(run, State.RUNNING, at, attempts=(*run.attempts, begun))
    return None


def started(draft: Draft, event: AttemptStarted) -> None:
    """An attempt has begun to run."""
    run = draft.run(event.key)
    if run is not None:
        begin(draft, run, event.attempt, event.at)


def child_started(draft: Draft, event: ChildStarted) -> None:
    """A child execution was created; if nobody waits for it, the task run is done."""
    run = draft.run(event.key)
    begun = run and begin(draft, run, event.attempt, event.at)
    if begun is None or begun.child is not None:
        return
    begun = draft.put(replace(begun, child=event.child))
    if not event.child.wait:
        conclude(draft, begun, TaskResult(outputs={"executionId": event.child.execution_id}), 0.0)


def child_ended(draft: Draft, event: ChildEnded) -> None:
    """A child execution that a task run waits for has ended (dialect, 2.1 Subflow)."""
    run = draft.run(event.key)
    if run is None or run.child is None or run.state is not State.RUNNING:
        return
    if len(run.attempts) != event.attempt:
        return
    state = State.SUCCESS
    if run.child.transmit_failed:
        state = {State.KILLED: State.KILLED, State.WARNING: State.WARNING}.get(
            event.state, State.FAILED if fails(event.state) else State.SUCCESS
        )
    outputs = {"executionId": event.execution_id, "state": str(event.state), "outputs": event.outputs}
    error = f"child execution {event.execution_id} ended {event.state}" if fails(state) else ""
    conclude(draft, run, TaskResult(state=state, outputs=outputs, error=error), event.chance)


def ended(draft: Draft, event: AttemptEnded) -> None:
    """An attempt is over."""
    run = draft.run(event.key)
    if run is None or run.state.terminal:
        return
    if event.result.state is State.SKIPPED and run.state is State.CREATED:
        draft.busy -= 1
        children.end_run(draft, run, State.SKIPPED)
        return
    begun = begin(draft, run, event.attempt, event.started or event.at)
    if begun is not None:
        draft.stop_children(begun)
        conclude(draft, begun, event.result, event.chance)


def stood_in(draft: Draft, event: StoodIn) -> None:
    """A task run, of a flowable too, ends as a test wants it: no child begins, and nothing is tried again."""
    run, result = draft.run(event.key), event.result
    begun = run and begin(draft, run, len(run.attempts) + 1, event.at)
    if begun is None:
        return
    closed = _close(draft, begun, result.state)
    begun = draft.put(replace(begun, outputs=result.outputs, error=result.error, attempts=closed))
    if result.error:
        draft.say(begun.key, "ERROR", result.error)
    draft.busy -= 1
    children.end_run(draft, begun, children.tolerated(draft.node(begun).task, result.state))


def conclude(draft: Draft, run: TaskRun, result: TaskResult, chance: float) -> None:
    """Take an attempt's result: try again, or end the task run."""
    state = result.state
    if draft.execution.ending is State.KILLED and fails(state):
        state = State.KILLED
    run = draft.put(
        replace(run, outputs=result.outputs, error=result.error, attempts=_close(draft, run, state))
    )
    if result.error:
        draft.say(run.key, "ERROR", result.error)
    _apply(draft, result)
    if state is State.FAILED and not draft.stopping and _tried_again(draft, run, chance):
        return
    draft.busy -= 1
    children.end_run(draft, run, _final(draft, run, state))
    if result.end is not None:
        kill.stop_all(draft, result.end)


def _close(draft: Draft, run: TaskRun, state: State) -> tuple[Attempt, ...]:
    last = run.attempts[-1]
    return (*run.attempts[:-1], replace(last, history=(*last.history, Moment(state, draft.at))))


def _apply(draft: Draft, result: TaskResult) -> None:
    if result.labels:
        draft.change(labels={**draft.execution.labels, **result.labels})
    if result.variables:
        merged: dict[str, Any] = {**draft.execution.variables, **result.variables}
        draft.change(variables={name: value for name, value in merged.items() if value is not None})


def _final(draft: Draft, run: TaskRun, state: State) -> State:
    policy = retry.policy(draft.graph, run.task_id)
    if state is State.SUCCESS and len(run.attempts) > 1 and policy is not None and policy.warning_on_retry:
        state = State.WARNING
    return children.tolerated(draft.node(run).task, state)


def _tried_again(draft: Draft, run: TaskRun, chance: float) -> bool:
    policy = retry.policy(draft.graph, run.task_id)
    if policy is None:
        return False
    due = retry.next_try(policy, run, draft.execution, draft.at, chance)
    if due is None:
        return False
    if policy.behavior == "CREATE_NEW_EXECUTION":
        _start_again(draft, run, due)
    else:
        _wait_for_retry(draft, run, policy, due)
    return True


def _start_again(draft: Draft, run: TaskRun, due: datetime) -> None:
    draft.change(ending=State.RETRIED)
    draft.ask(StartAgain(due))
    draft.busy -= 1
    children.end_run(draft, run, State.RETRIED)
    kill.let_go(draft)


def _wait_for_retry(draft: Draft, run: TaskRun, policy: Retry, due: datetime) -> None:
    draft.move_run(run, State.RETRYING, child=None, children=None)
    seconds = (due - draft.at).total_seconds()
    of = f" of {policy.max_attempts}" if policy.max_attempts else ""
    draft.say(run.key, "WARN", f"attempt {len(run.attempts)}{of} failed, next in {seconds:g} s")
    draft.ask(Wake(run.key, len(run.attempts), due))


def try_again(draft: Draft, run: TaskRun) -> None:
    """The time of a retry has come."""
    draft.move_run(run, State.CREATED)
    if not draft.execution.held:
        draft.ask(Run(run.key, len(run.attempts) + 1))
