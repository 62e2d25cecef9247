"""Walking children: how each shape begins, what follows when a child ends, and how phases follow each other.

An owner is a flowable's task run, by key, or the flow itself (`ROOT`). Its main children come first; then it may
look back on them (`engine.machine.rounds`); if they failed, its `errors`; then, always but after a kill, its
`finally`; then it closes. Sources: dialect, 2.1 and 4.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec

from engine.errors import HeadwaterError
from engine.machine import ending
from engine.machine.draft import Draft
from engine.machine.graph import Node
from engine.machine.table import fails, worse
from engine.model.commands import Evaluate, Run, Wake
from engine.model.execution import ROOT, Phase, Scope, TaskRun, loop_text, run_key
from engine.model.shape import Dag, Each, Nothing, Parallel, Repeat, Sequence, Shape, Wait
from engine.model.state import State
from engine.model.task import Flowable, Task

replace = msgspec.structs.replace
_BRANCH: dict[Phase, str] = {"errors": "errors", "finally": "finally", "after": "after"}


# Beginning


def create(draft: Draft, owner: str, node: Node, path: tuple[int, ...], value: str | None) -> None:
    """Create the task run of a child, or take up that of an earlier try, and ask for what it needs first."""
    known = draft.run(run_key(node.task.id, path))
    if known is None:
        run = draft.add_run(node, owner, draft.scope(owner).phase, path, value)
    else:
        run = draft.take_up(known, owner)
        if run.state.terminal:
            draft.then(lambda: child_ended(draft, run))
            return
    task = node.task
    if isinstance(task, Flowable):
        # In a test something else may stand in for it: that is asked where properties are rendered.
        if task.asks() or draft.execution.kind != "NORMAL":
            draft.ask(Evaluate(run.key))
        else:
            draft.then(lambda: open_flowable(draft, run.key, {}))
    elif not draft.execution.held:
        draft.ask(Run(run.key, len(run.attempts) + 1))


def open_flowable(draft: Draft, key: str, values: Mapping[str, Any]) -> None:
    """Pick a flowable's shape from its rendered properties and begin its children."""
    run = draft.run(key)
    if run is None or run.state is not State.CREATED:
        return
    draft.busy -= 1
    if draft.stopping:
        end_run(draft, run, State.KILLED)
        return
    task = draft.node(run).task
    assert isinstance(task, Flowable)
    run = draft.move_run(run, State.RUNNING)
    try:
        shape = task.shape(values)
        outputs = task.outputs(values)
    except HeadwaterError as error:
        draft.say(key, "ERROR", str(error))
        end_run(draft, run, State.FAILED, error=str(error))
        return
    if isinstance(shape, Each):
        draft.keep_values(key, shape.values)
    draft.put(replace(run, outputs=outputs))
    begin(draft, key, "main", shape)


def begin(draft: Draft, owner: str, phase: Phase, shape: Shape) -> None:
    """Begin a phase of `owner`."""
    before = Scope() if phase == "main" else draft.scope(owner)
    count = _count(draft, owner, shape)
    rounds = count if isinstance(shape, Repeat) else before.rounds
    if isinstance(shape, Each):
        shape = replace(shape, values=())
    main = None if phase == "main" else before.main or before.shape
    scope = Scope(shape=shape, phase=phase, worst=before.worst, count=count, rounds=rounds, main=main)
    draft.set_scope(owner, scope)
    match shape:
        case Wait() if count == 0:
            _wait(draft, owner, shape)
        case _ if count == 0:
            draft.then(lambda: phase_done(draft, owner))
        case _:
            fill(draft, owner)


def _count(draft: Draft, owner: str, shape: Shape) -> int:
    row = draft.graph.branch(draft.task_id(owner), _branch(shape))
    match shape:
        case Each(values=values):
            return len(values) if row else 0
        case Repeat():
            return 1 if row else 0
        case _:
            return len(row)


def _branch(shape: Shape) -> str:
    match shape:
        case Nothing():
            return ""
        case Wait(first=first):
            return first
        case _:
            return shape.branch


def _wait(draft: Draft, key: str, shape: Wait) -> None:
    run = draft.move_run(draft.expect(key), State.PAUSED)
    draft.paused += 1
    if shape.seconds is not None:
        draft.ask(Wake(run.key, waits(run), draft.at + timedelta(seconds=shape.seconds)))


def waits(run: TaskRun) -> int:
    """How often a paused task run has waited before: the timer of an earlier wait means nothing to a later one."""
    return sum(moment.state is State.PAUSED for moment in run.history) - 1


def fill(draft: Draft, owner: str) -> None:
    """Start as many children (or iterations) of `owner` as its shape now allows."""
    scope = draft.scope(owner)
    row = draft.graph.branch(draft.task_id(owner), _branch(scope.shape))
    path = () if owner == ROOT else draft.expect(owner).path
    started = scope.started
    picked: list[tuple[Node, tuple[int, ...], str | None]] = []
    match scope.shape:
        case Sequence() | Wait():
            picked.append((row[started], path, None))
        case Repeat():
            picked.append((row[0], (*path, started), None))
        case Parallel(limit=limit):
            room = scope.count if limit == 0 else limit - scope.running
            picked = [(node, path, None) for node in row[started : started + max(room, 0)]]
        case Each(limit=limit):
            room = scope.count if limit == 0 else limit - scope.running
            values = draft.values[owner]
            for number in range(started, min(started + max(room, 0), scope.count)):
                picked.append((row[0], (*path, number), loop_text(values[number])))
        case Dag(needs=needs, limit=limit):
            room = scope.count if limit == 0 else limit - scope.running
            there = {node.task.id for node in row}
            ready = [
                node
                for node in row
                if _ready(draft, node, there.intersection(needs.get(node.task.id, ())), path)
            ]
            picked = [(node, path, None) for node in ready[: max(room, 0)]]
        case _:
            pass
    draft.set_scope(owner, replace(scope, started=started + len(picked), running=scope.running + len(picked)))
    for node, place, what in picked:
        create(draft, owner, node, place, what)


def _ready(draft: Draft, node: Node, needs: set[str], path: tuple[int, ...]) -> bool:
    if _taken(draft, run_key(node.task.id, path)) is not None:
        return False
    ends = (_taken(draft, run_key(need, path)) for need in needs)
    return all(end is not None and end.state.terminal for end in ends)


def _taken(draft: Draft, key: str) -> TaskRun | None:
    """The task run under `key`, unless it is of an earlier try and its turn has not come yet."""
    run = draft.run(key)
    return run if run is not None and run.number == draft.execution.number else None


# Ending


def end_run(draft: Draft, run: TaskRun, state: State, error: str = "") -> None:
    """Move a task run to its terminal state and let its owner go on."""
    ended = draft.move_run(run, state, error=error or run.error)
    draft.then(lambda: child_ended(draft, ended))


def child_ended(draft: Draft, child: TaskRun) -> None:
    """A child of some owner has ended: take note, and start what follows."""
    owner = child.parent
    scope = draft.scope(owner)
    if child.phase != scope.phase:
        return
    shape = scope.shape
    if isinstance(shape, Each) and shape.failure != "stop":
        worst = scope.worst if shape.failure == "forgive" else _worst(scope, child.state)
        scope = replace(scope, worst=worst)
    else:
        scope = replace(scope, worst=_worst(scope, child.state), broken=scope.broken or fails(child.state))
    if isinstance(shape, Each | Repeat):
        row = draft.graph.branch(draft.task_id(owner), shape.branch)
        index = draft.node(child).index
        if index + 1 < len(row) and not fails(child.state) and not draft.stopping:
            draft.set_scope(owner, scope)
            create(draft, owner, row[index + 1], child.path, child.value)
            return
    scope = replace(scope, running=scope.running - 1)
    draft.set_scope(owner, scope)
    if not (scope.broken or draft.stopping) and scope.started < scope.count:
        fill(draft, owner)
    elif scope.running == 0:
        phase_done(draft, owner)


def _worst(scope: Scope, state: State) -> State:
    match scope.phase:
        case "main":
            return worse(scope.worst, state)
        case "finally":
            # A clean-up that fails must be seen, even when the work itself went well.
            return worse(scope.worst, State.FAILED) if fails(state) else scope.worst
        case _:
            return scope.worst


def phase_done(draft: Draft, owner: str) -> None:
    """A phase of `owner` is over: open the next one that has tasks, or close the owner."""
    scope = draft.scope(owner)
    if not draft.stopping:
        if scope.phase == "main" and owner != ROOT and _goes_on(draft, owner, scope):
            return
        for phase in _following(scope):
            if draft.graph.branch(draft.task_id(owner), _BRANCH[phase]):
                begin(draft, owner, phase, Sequence(_BRANCH[phase]))
                return
    if scope.phase == "after":
        return
    if owner == ROOT:
        ending.close_flow(draft)
    else:
        draft.then(lambda: close_flowable(draft, owner))


def _goes_on(draft: Draft, key: str, scope: Scope) -> bool:
    """Whether something else follows the main children of a flowable before its phases do: a wait, a look back."""
    task = draft.node(draft.expect(key)).task
    assert isinstance(task, Flowable)
    failed = scope.broken or fails(scope.worst)
    if isinstance(scope.shape, Wait) and not failed:
        _wait(draft, key, scope.shape)
        return True
    if scope.count == 0 or not task.looks_back(failed):
        return False
    draft.busy += 1
    draft.set_scope(key, replace(scope, phase="review"))
    draft.ask(Evaluate(key, stage(scope)))
    return True


def stage(scope: Scope) -> int:
    """Which look back it is, from 1."""
    return max(scope.rounds, 1)


def _following(scope: Scope) -> tuple[Phase, ...]:
    match scope.phase:
        case "main" | "review" if scope.worst is State.FAILED:
            return ("errors", "finally")
        case "main" | "review" | "errors":
            return ("finally",)
        case _:
            return ()


def close_flowable(draft: Draft, key: str) -> None:
    """All phases of a flowable are over: it ends as its children did, as far as it does not tolerate it."""
    run = draft.expect(key)
    if run.state.terminal:
        return
    task = draft.node(run).task
    assert isinstance(task, Flowable)
    state = draft.scope(key).worst
    if draft.execution.ending in (State.KILLED, State.RETRIED) and state is not State.KILLED:
        state = State.KILLED if draft.execution.ending is State.KILLED else State.RETRIED
    if state is State.FAILED and task.tolerates():
        state = State.WARNING
    end_run(draft, run, tolerated(task, state))


def tolerated(task: Task, state: State) -> State:
    """What a task's end counts as, by its `allowFailure` and `allowWarning` (dialect, 4.2)."""
    if state is State.FAILED and task.allow_failure:
        state = State.WARNING
    if state is State.WARNING and task.allow_warning:
        state = State.SUCCESS
    return state
