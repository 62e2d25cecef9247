"""Looking back on main children, and beginning them anew (`core.flow.LoopUntil`, `core.flow.WorkingDirectory` …).

A flowable that looks back is asked once more when its main children have ended: what it then says are outputs, a
failure of its own, or that another round begins after a time. The task runs of the round before are forgotten.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from engine.errors import HeadwaterError
from engine.machine import children
from engine.machine.draft import Draft
from engine.machine.table import worse
from engine.model.commands import Wake
from engine.model.events import Rendered
from engine.model.execution import Scope, TaskRun, run_key
from engine.model.state import State
from engine.model.task import Flowable, Verdict

replace = msgspec.structs.replace


def looked_back(draft: Draft, run: TaskRun, event: Rendered) -> None:
    """What a flowable needed to look back is rendered: take its verdict."""
    scope = run.scope
    if scope is None or run.state is not State.RUNNING:
        return
    if scope.phase != "review" or event.stage != children.stage(scope):
        return
    draft.busy -= 1
    verdict = Verdict(error=event.error) if event.error else _verdict(draft, run, scope, event)
    draft.put(replace(run, outputs={**run.outputs, **verdict.outputs}, error=verdict.error or run.error))
    if verdict.error:
        draft.say(run.key, "ERROR", verdict.error)
        draft.set_scope(run.key, replace(scope, worst=worse(scope.worst, State.FAILED)))
    elif verdict.again is not None and not draft.stopping:
        draft.busy += 1
        draft.set_scope(run.key, replace(scope, phase="between"))
        draft.ask(Wake(run.key, scope.rounds, draft.at + timedelta(seconds=verdict.again)))
        return
    children.phase_done(draft, run.key)


def _verdict(draft: Draft, run: TaskRun, scope: Scope, event: Rendered) -> Verdict:
    task = draft.node(run).task
    assert isinstance(task, Flowable)
    try:
        return task.review(event.values, scope.rounds, (draft.at - run.history[0].at).total_seconds())
    except HeadwaterError as error:
        return Verdict(error=str(error))


def due(run: TaskRun, number: int) -> bool:
    """Whether it waits to begin the round after the one of that number."""
    return run.scope is not None and run.scope.phase == "between" and run.scope.rounds == number


def next_round(draft: Draft, run: TaskRun) -> None:
    """The time of another round has come."""
    scope = run.scope
    assert scope is not None
    draft.busy -= 1
    _forget_children(draft, run)
    fresh = replace(
        scope,
        phase="main",
        worst=State.SUCCESS,
        broken=False,
        count=scope.count + 1,
        rounds=scope.rounds + 1,
    )
    draft.set_scope(run.key, fresh)
    children.fill(draft, run.key)


def give_up(draft: Draft, run: TaskRun) -> None:
    """Do not wait any longer, for a look back or another round: the end is decided."""
    draft.busy -= 1
    draft.then(lambda: children.phase_done(draft, run.key))


def _forget_children(draft: Draft, run: TaskRun) -> None:
    """Drop every task run below one; costs what there is to drop."""
    pending = [run]
    while pending:
        owner = pending.pop()
        task = draft.node(owner).task
        assert isinstance(task, Flowable)
        for branch in task.branches():
            for path in _paths(draft, owner, branch):
                for node in draft.graph.branch(owner.task_id, branch):
                    child = draft.run(run_key(node.task.id, path))
                    if child is None:
                        continue
                    if child.scope is not None:
                        pending.append(child)
                    else:
                        draft.drop(child.key)
        if owner is not run:
            draft.drop(owner.key)


def _paths(draft: Draft, owner: TaskRun, branch: str) -> list[tuple[int, ...]]:
    if branch in ("errors", "finally") or owner.scope is None:
        return [owner.path]
    if owner.key in draft.values:
        return [(*owner.path, number) for number in range(len(draft.values[owner.key]))]
    if owner.scope.rounds:
        return [(*owner.path, owner.scope.rounds - 1)]
    return [owner.path]
