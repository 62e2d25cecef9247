"""Going again through a flow: restart, replay, another status for a task run (dialect, section 4.6). Pure.

All three come to the same: the walk begins anew from the flow's first task, and wherever it comes to a task that
has a task run already, it takes that up (`Draft.take_up`): what ended stays as it is, what is marked RESTARTED runs
again. So nothing about branches, loops and limits has to be known here twice; what is decided here is only which
task runs stay, which run again, and which are forgotten.
"""

from __future__ import annotations

from enum import Enum, auto

import immutables
import msgspec

from engine.machine import table
from engine.machine.draft import Draft
from engine.machine.graph import Graph
from engine.model.events import Restarted, StatusChanged
from engine.model.execution import ROOT, Attempt, Execution, Moment, Scope, TaskRun, run_id
from engine.model.shape import Dag, Each, Parallel, Sequence, Shape
from engine.model.state import State
from engine.model.task import Flowable

replace = msgspec.structs.replace
RESTARTABLE = frozenset({State.FAILED, State.KILLED, State.CANCELLED, State.PAUSED})


class Fate(Enum):
    """What becomes of a task run of an earlier try."""

    STAY = auto()
    AGAIN = auto()
    GONE = auto()


# Which task runs stay


def fates(graph: Graph, execution: Execution, start: TaskRun | None = None) -> dict[str, Fate]:
    """What becomes of every task run, by key, when the flow is gone through again.

    What went well stays, with all below it; what did not runs again; `errors`, `finally` and `afterExecution` are
    forgotten, as are the children of what can only run as a whole.

    Args:
        graph: of the flow the execution is pinned to.
        start: the task run to begin at: it and all that came after it are forgotten, what lies around it runs again.
    """
    found: dict[str, Fate] = {}
    emptied: set[str] = set()  # task runs whose children are forgotten
    settled: set[str] = set()  # task runs below which all stays
    around = {run.key for run in _line(execution, start)} if start is not None else set()
    for run in execution.task_runs():
        if run.parent in settled:
            settled.add(run.key)
            found[run.key] = Fate.STAY
        elif run.phase != "main" or run.parent in emptied or _comes_after(graph, execution, run, start):
            emptied.add(run.key)
            found[run.key] = Fate.GONE
        elif run.key in around or not run.state.good:
            if _only_whole(graph, run):
                emptied.add(run.key)
            found[run.key] = Fate.AGAIN
        else:
            settled.add(run.key)
            found[run.key] = Fate.STAY
    return found


def _only_whole(graph: Graph, run: TaskRun) -> bool:
    """Whether a task can only be run again with all its children: a loop of rounds, a shared directory."""
    task = graph.nodes[run.task_id].task
    rounds = run.scope is not None and run.scope.rounds > 0
    return rounds or (isinstance(task, Flowable) and task.shares_directory)


def _line(execution: Execution, run: TaskRun) -> list[TaskRun]:
    """The task runs around one, outermost first, and itself."""
    line = [run]
    while line[-1].parent != ROOT:
        line.append(execution.runs[line[-1].parent])
    return line[::-1]


def _comes_after(graph: Graph, execution: Execution, run: TaskRun, start: TaskRun | None) -> bool:
    """Whether a task run is `start`, or one that begins only after it has ended."""
    if start is None:
        return False
    if run.key == start.key:
        return True
    ours, its = _line(execution, run), _line(execution, start)
    for place, (mine, other) in enumerate(zip(ours, its, strict=False)):
        if mine.key != other.key:
            owner = its[place - 1] if place else None
            return _follows(graph, execution, owner, mine, other)
    return len(ours) > len(its)  # below it


def _follows(
    graph: Graph, execution: Execution, owner: TaskRun | None, run: TaskRun, before: TaskRun
) -> bool:
    """Whether of two children of one owner the first begins only after the other has ended."""
    scope = execution.scope if owner is None else owner.scope or Scope()
    shape = (Sequence() if owner is None else scope.main or scope.shape) or Sequence()
    index, other = (graph.nodes[each.task_id].index for each in (run, before))
    depth = len(owner.path) if owner else 0
    mine, its = run.path[depth : depth + 1], before.path[depth : depth + 1]
    return _after(shape, run.task_id, before.task_id, (mine, index), (its, other))


def _after(
    shape: Shape,
    task_id: str,
    before: str,
    mine: tuple[tuple[int, ...], int],
    its: tuple[tuple[int, ...], int],
) -> bool:
    match shape:
        case Parallel():
            return False
        case Dag(needs=needs):
            return before in _needed(needs, task_id)
        case Each(limit=limit) if limit != 1 and mine[0] != its[0]:
            return False
        case _:
            return mine > its


def _needed(needs: dict[str, tuple[str, ...]], task_id: str) -> set[str]:
    """All that a task of a Dag waits for, also through others."""
    found: set[str] = set()
    pending = [task_id]
    while pending:
        for need in needs.get(pending.pop(), ()):
            if need not in found:
                found.add(need)
                pending.append(need)
    return found


# The same execution again


def restart(draft: Draft, event: Restarted) -> None:
    """Mark what is to run again, forget what is to be forgotten; the walk begins with `Begun`."""
    execution = draft.execution
    if draft.state not in RESTARTABLE or draft.busy:
        return
    for key, fate in fates(draft.graph, execution).items():
        _apply(draft, draft.expect(key), fate)
    draft.change(caller=event.caller or execution.caller)
    _anew(draft)


def change_status(draft: Draft, event: StatusChanged) -> None:
    """Take a task run to have ended otherwise and go on behind it; or an execution that has ended."""
    if event.state not in table.DECLARABLE or draft.busy or draft.state is State.RETRIED:
        return
    if event.key == ROOT:
        if draft.state.terminal and draft.state is not event.state:
            draft.change(history=(*draft.execution.history, Moment(event.state, event.at)))
        return
    run = draft.run(event.key)
    if run is None or not _declarable(draft, run):
        return
    around = {each.key for each in _line(draft.execution, run)[:-1]}
    gone: set[str] = set()
    for each in draft.all_runs():
        if each.phase != "main" or each.parent in gone:
            gone.add(each.key)
            draft.drop(each.key)
        elif each.key in around or not each.state.terminal:
            _apply(draft, each, Fate.AGAIN)
    draft.put(_declared(run, event))
    _anew(draft)


def _declarable(draft: Draft, run: TaskRun) -> bool:
    over = draft.state.terminal or draft.state is State.PAUSED
    main = all(each.phase == "main" for each in _line(draft.execution, run))
    return over and main and (run.state.terminal or run.state is State.PAUSED)


def _declared(run: TaskRun, event: StatusChanged) -> TaskRun:
    moment = Moment(event.state, event.at)
    attempts = run.attempts
    if attempts:
        attempts = (*attempts[:-1], Attempt(attempts[-1].number, (*attempts[-1].history, moment)))
    error = "" if event.state.good else run.error
    return replace(run, history=(*run.history, moment), attempts=attempts, error=error)


def _apply(draft: Draft, run: TaskRun, fate: Fate) -> None:
    if fate is Fate.GONE:
        draft.drop(run.key)
    elif fate is Fate.AGAIN:
        draft.move_run(run, State.RESTARTED, scope=None, child=None, error="")


def _anew(draft: Draft) -> None:
    draft.paused = 0
    draft.change(
        number=draft.execution.number + 1,
        labels={**draft.execution.labels, "system.restarted": "true"},
        scope=Scope(),
        outputs={},
        error="",
        ending=None,
        held=False,
    )
    draft.move(State.RESTARTED)


# Another execution


def carried_over(
    old: Graph, new: Graph, execution: Execution, birth: Execution, start: TaskRun | None
) -> Execution:
    """`birth`, a new execution, with the task runs that another one of the same flow hands on to it.

    Args:
        old: the flow that `execution` is pinned to.
        new: the flow that `birth` is pinned to; what it does not have any more is left behind.
        start: where to begin; none: wherever it did not go well.
    """
    stay = fates(old, execution, start)
    runs = {}
    for run in execution.task_runs():
        known = run.parent == ROOT or run.parent in runs or stay[run.parent] is not Fate.STAY
        if stay[run.key] is Fate.STAY and run.task_id in new.nodes and known:
            runs[run.key] = replace(run, id=run_id(birth.id, run.key), number=0)
    values = {key: held for key, held in execution.values.items() if key in runs}
    return replace(
        birth,
        runs=immutables.Map(runs),
        values=immutables.Map(values),
        seq=execution.seq,
        variables={**birth.variables, **execution.variables},
    )
