"""The machine over random flows and random histories: every execution ends, nothing is lost, replay tells the same."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.machine.again import carried_over
from engine.machine.fold import fold
from engine.machine.graph import Graph, build
from engine.machine.pending import pending
from engine.machine.step import step
from engine.machine.table import DECLARABLE
from engine.model.commands import AnyCommand, Call, Ended, Evaluate, Run, Stop, StopChild, Wake
from engine.model.events import (
    AnyEvent,
    AttemptEnded,
    AttemptStarted,
    Begun,
    ChildEnded,
    ChildrenWanted,
    ChildStarted,
    KillAsked,
    PauseAsked,
    Queued,
    Rendered,
    Restarted,
    ResumeAsked,
    SlaBroken,
    StatusChanged,
    TimeCame,
)
from engine.model.execution import ROOT, Child, Execution, FlowRef, Moment, TaskRun, child_id
from engine.model.flow import Flow
from engine.model.state import State
from engine.model.task import Flowable, Many, TaskResult
from engine.plugins import registry

T0 = datetime(2026, 1, 1, tzinfo=UTC)

_flags = st.fixed_dictionaries(
    {},
    optional={
        "allowFailure": st.booleans(),
        "disabled": st.sampled_from([False, False, False, True]),
        "runIf": st.just("{{ true }}"),
        "retry": st.sampled_from(
            [
                {"type": "constant", "interval": "PT1S", "maxAttempts": 2},
                {
                    "type": "constant",
                    "interval": "PT1S",
                    "maxAttempts": 2,
                    "behavior": "CREATE_NEW_EXECUTION",
                },
            ]
        ),
    },
)
_leaf = st.builds(lambda flags: {"type": "core.log.Log", "message": "x", **flags}, _flags)
_pause = st.builds(
    lambda wait, first: {"type": "core.flow.Pause", **wait, **first},
    st.sampled_from([{}, {"pauseDuration": "PT1S"}]),
    st.one_of(st.just({}), st.builds(lambda task: {"onPause": task}, _leaf)),
)


def _blocks(children: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    some = st.lists(children, min_size=1, max_size=3)
    handlers = st.fixed_dictionaries({}, optional={"errors": some, "finally": some})
    limits = st.integers(0, 2)
    return st.one_of(
        st.builds(
            lambda tasks, more, flags: {"type": "core.flow.Sequential", "tasks": tasks, **more, **flags},
            some,
            handlers,
            _flags,
        ),
        st.builds(
            lambda tasks, more, limit: {
                "type": "core.flow.Parallel",
                "tasks": tasks,
                "concurrent": limit,
                **more,
            },
            some,
            handlers,
            limits,
        ),
        st.builds(
            lambda tasks, limit, n: {
                "type": "core.flow.ForEach",
                "values": [f"v{i}" for i in range(n)],
                "concurrencyLimit": limit,
                "tasks": tasks,
            },
            some,
            limits,
            st.integers(0, 3),
        ),
        st.builds(lambda tasks: {"type": "core.flow.AllowFailure", "tasks": tasks}, some),
        st.builds(
            lambda tasks, more, values, limit, transmit: {
                "type": "core.flow.Loop",
                "values": values,
                "concurrencyLimit": limit,
                "transmitFailed": transmit,
                "tasks": tasks,
                **more,
            },
            some,
            handlers,
            st.sampled_from([[], ["a", "a"], {"x": 1, "y": [2]}, '["a"]']),
            limits,
            st.booleans(),
        ),
        st.builds(
            lambda more, flags, wait, transmit: {
                "type": "core.flow.ForEachItem",
                "items": "{{ outputs.x.uri }}",
                "namespace": "n",
                "flowId": "child",
                "wait": wait,
                "transmitFailed": transmit,
                **more,
                **flags,
            },
            handlers,
            _flags,
            st.booleans(),
            st.booleans(),
        ),
        st.builds(
            lambda tasks, more: {
                "type": "core.flow.WorkingDirectory",
                "tasks": tasks,
                "inputFiles": {"a": "b"},
                "outputFiles": ["*"],
                **more,
            },
            st.lists(_leaf, min_size=1, max_size=3),
            handlers,
        ),
        st.builds(
            lambda tasks, more, n, fail: {
                "type": "core.flow.LoopUntil",
                "tasks": tasks,
                "condition": False,
                "checkFrequency": {"interval": "PT1S", "maxIterations": n},
                "failOnMaxReached": fail,
                **more,
            },
            some,
            handlers,
            st.integers(1, 3),
            st.booleans(),
        ),
        st.builds(
            lambda tasks: {
                "type": "core.flow.Dag",
                "tasks": [
                    {"task": task, **({"dependsOn": [i - 1]} if i else {})} for i, task in enumerate(tasks)
                ],
            },
            some,
        ),
    )


_task = st.recursive(_leaf | _pause, _blocks, max_leaves=8)
_tasks = st.lists(_task, min_size=1, max_size=3)


def _named(tasks: Any, numbers: count[int]) -> Any:
    """Give every task an id of its own, and `dependsOn` the id of the task before."""
    if isinstance(tasks, list):
        named = [_named(task, numbers) for task in tasks]
        for i, entry in enumerate(named):
            if isinstance(entry, dict) and "dependsOn" in entry:
                entry["dependsOn"] = [named[i - 1]["task"]["id"]]
        return named
    if not isinstance(tasks, dict):
        return tasks
    made = {
        key: _named(value, numbers) if isinstance(value, dict | list) else value
        for key, value in tasks.items()
    }
    if "type" in made and str(made["type"]).startswith("core."):
        made["id"] = f"t{next(numbers)}"
    return made


def _graph(tasks: list[Any], errors: list[Any], last: list[Any]) -> Graph:
    numbers = count()
    document = {
        "id": "f",
        "namespace": "n",
        "tasks": _named(tasks, numbers),
        "errors": _named(errors, numbers),
        "finally": _named(last, numbers),
        "sla": [
            {"id": "quick", "type": "MAX_DURATION", "duration": "PT1H", "behavior": "FAIL"},
            {"id": "wish", "type": "MAX_DURATION", "duration": "PT1H", "behavior": "NONE"},
        ],
    }
    return build(Flow.model_validate(document, context={"types": registry()}))


class World:
    """An outside that answers every command sooner or later, in an order and with ends drawn at random."""

    def __init__(self, graph: Graph, draw: Any) -> None:
        self.graph = graph
        self.draw = draw
        self.birth = Execution(id="e", flow=FlowRef("n", "f"), history=(Moment(State.CREATED, T0),))
        self.execution = self.birth
        self.events: list[AnyEvent] = []
        self.waiting: deque[AnyCommand] = deque()
        self.at = T0
        self.ended = 0
        self.kids: dict[str, Call] = {}
        self.never: set[str] = set()  # children that could not begin

    def take(self, event: AnyEvent) -> None:
        transition = step(self.graph, self.execution, event)
        again = step(self.graph, transition.execution, event)
        if not isinstance(event, PauseAsked | ResumeAsked):
            assert again.execution is transition.execution, f"a repeated {event} did something"
        if transition.execution is not self.execution:
            self.events.append(event)
        self.execution = transition.execution
        for command in transition.commands:
            if isinstance(command, Ended):
                self.ended += 1
            elif isinstance(command, Evaluate | Run | Call | Stop | StopChild | Wake):
                self.waiting.append(command)

    def answer(self) -> None:
        index = self.draw(st.integers(0, len(self.waiting) - 1))
        command = self.waiting[index]
        del self.waiting[index]
        self.at += timedelta(seconds=1)
        match command:
            case Evaluate(key=key, stage=stage):
                error = "no" if self.draw(st.integers(0, 9)) == 9 else ""
                self.take(Rendered(self.at, key, self._values(key, stage), error=error, stage=stage))
            case Run(key=key, attempt=attempt) if self._wants_children(key):
                count = self.draw(st.integers(0, 3))
                self.take(ChildrenWanted(self.at, key, attempt, count, *self._wishes(key)))
            case Call(key=key, attempt=attempt, number=number):
                child = child_id(self.execution.id, key, attempt, number)
                if self.draw(st.integers(0, 9)) == 9:
                    self.never.add(child)
                    self.take(AttemptEnded(self.at, key, attempt, TaskResult(state=State.FAILED)))
                    return
                self.take(ChildStarted(self.at, key, attempt, Child(child), number))
                if child not in self.kids:
                    self.kids[child] = command
                    self.waiting.append(StopChild(child))
            case StopChild(execution_id=child) if child in self.kids:
                call = self.kids[child]
                state = self.draw(st.sampled_from([State.SUCCESS, State.FAILED, State.WARNING, State.KILLED]))
                self.take(ChildEnded(self.at, call.key, call.attempt, child, state, number=call.number))
            case StopChild(execution_id=child) if child not in self.never:
                self.waiting.append(command)  # it has not begun yet
            case Run(key=key, attempt=attempt):
                if self.draw(st.booleans()):
                    self.take(AttemptStarted(self.at, key, attempt))
                state = self.draw(
                    st.sampled_from(
                        [State.SUCCESS, State.SUCCESS, State.FAILED, State.WARNING, State.SKIPPED]
                    )
                )
                self.take(AttemptEnded(self.at, key, attempt, TaskResult(state=state)))
            case Stop(key=key, attempt=attempt):
                self.take(AttemptEnded(self.at, key, attempt, TaskResult(state=State.KILLED)))
            case Wake(key=key, attempt=attempt, at=at):
                self.take(TimeCame(max(at, self.at), key, attempt))

    def wants(self, call: Call) -> bool:
        """Whether that child has not ended."""
        run = self.execution.runs.get(call.key)
        here = run is not None and run.state is State.RUNNING and run.children is not None
        return here and run.children.attempt == call.attempt and call.number in run.children.open

    def _wants_children(self, key: str) -> bool:
        run = self.execution.runs.get(key)
        return run is not None and isinstance(self.graph.nodes[run.task_id].task, Many)

    def _wishes(self, key: str) -> tuple[bool, bool]:
        node = self.graph.nodes[self.execution.runs[key].task_id]
        task: Any = self.graph.nodes[node.owner].task
        return task.wait, task.transmit_failed

    def _values(self, key: str, stage: int) -> dict[str, Any]:
        if key == ROOT or key not in self.execution.runs:
            return {}
        task = self.graph.nodes[self.execution.runs[key].task_id].task
        assert isinstance(task, Flowable)
        return dict(task.reviews() if stage else task.evaluates())


def play_out(
    world: World, data: st.DataObject, *, killed: bool = False, held: bool = False, late: bool = False
) -> None:
    """Answer whatever is asked until the execution has ended."""
    for turn in range(400):
        execution = world.execution
        if execution.state.terminal:
            return
        if held and turn == 2:
            world.take(PauseAsked(world.at))
            world.take(ResumeAsked(world.at))
        if late and turn == data.draw(st.integers(0, 6)):
            world.take(SlaBroken(world.at, data.draw(st.sampled_from(["quick", "wish"])), execution.number))
        if killed and turn == data.draw(st.integers(0, 6)):
            world.take(KillAsked(world.at))
        if world.waiting:
            world.answer()
        elif not execution.state.terminal:
            # Nothing is asked for any more: it can only be waiting for a person.
            assert execution.state is State.PAUSED, world.execution
            assert execution.paused > 0
            world.take(ResumeAsked(world.at))
    raise AssertionError("it does not end")


def has_ended_well(world: World, ends: int) -> None:
    """All that has to be true of an execution that has ended, `ends` times in all."""
    execution = world.execution
    assert execution.state.terminal
    assert world.ended == ends
    assert execution.busy == 0
    assert execution.paused == 0
    assert all(run.state.terminal for run in execution.runs.values())
    assert pending(world.graph, execution) == []
    assert fold(world.graph, world.birth, world.events) == execution
    assert len({run.seq for run in execution.runs.values()}) == len(execution.runs)


@settings(max_examples=200, deadline=None)
@given(
    st.data(), _tasks, st.lists(_leaf, max_size=2), st.lists(_leaf, max_size=2), st.booleans(), st.booleans()
)
def test_every_execution_ends_and_its_log_tells_how(
    data: st.DataObject, tasks: list[Any], errors: list[Any], last: list[Any], killed: bool, held: bool
) -> None:
    world = World(_graph(tasks, errors, last), data.draw)
    world.take(Begun(T0))
    play_out(world, data, killed=killed, held=held, late=data.draw(st.booleans()))
    has_ended_well(world, 1)
    if "quick" in world.execution.broken:
        assert world.execution.state in (State.FAILED, State.KILLED)
    if any(moment.state is State.KILLING for moment in world.execution.history):
        assert world.execution.state is State.KILLED


@settings(max_examples=150, deadline=None)
@given(st.data(), _tasks, st.lists(_leaf, max_size=2), st.lists(_leaf, max_size=2))
def test_what_is_gone_through_again_ends_again(
    data: st.DataObject, tasks: list[Any], errors: list[Any], last: list[Any]
) -> None:
    """Restarts and other statuses, with late answers of earlier tries still on their way."""
    world = World(_graph(tasks, errors, last), data.draw)
    world.take(Begun(T0))
    play_out(world, data, killed=data.draw(st.booleans()))
    ends = 1
    for _ in range(data.draw(st.integers(1, 3))):
        execution = world.execution
        kept = {key: run for key, run in execution.runs.items() if run.parent == ROOT and run.phase == "main"}
        good = {key for key, run in kept.items() if run.state.good}
        if data.draw(st.booleans()):
            world.take(Restarted(world.at))
        else:
            key = data.draw(st.sampled_from(sorted(execution.runs) or ["none"]))
            world.take(StatusChanged(world.at, key, data.draw(st.sampled_from(sorted(DECLARABLE)))))
            good = set()
        if world.execution is execution:
            continue
        ends += 1
        if data.draw(st.booleans()):
            world.take(Queued(world.at))
        world.take(Begun(world.at))
        play_out(world, data, killed=data.draw(st.booleans()), late=data.draw(st.booleans()))
        has_ended_well(world, ends)
        for key in good:
            assert world.execution.runs[key].history == kept[key].history, f"{key} went well and ran again"


@settings(max_examples=150, deadline=None)
@given(st.data(), _tasks, st.lists(_leaf, max_size=2))
def test_a_replay_ends_and_keeps_what_came_before(
    data: st.DataObject, tasks: list[Any], errors: list[Any]
) -> None:
    graph = _graph(tasks, errors, [])
    world = World(graph, data.draw)
    world.take(Begun(T0))
    play_out(world, data, killed=data.draw(st.booleans()))
    runs = [run for run in world.execution.task_runs() if _in_main(world.execution, run)]
    start = data.draw(st.sampled_from([None, *runs]))
    new = World(graph, data.draw)
    birth = Execution(id="r", flow=FlowRef("n", "f"), history=(Moment(State.CREATED, T0),))
    new.birth = new.execution = carried_over(graph, graph, world.execution, birth, start)
    assert all(run.state.terminal for run in new.birth.runs.values())
    if start is not None:
        assert start.key not in new.birth.runs
    new.take(Begun(T0))
    play_out(new, data)
    has_ended_well(new, 1)
    for key, run in new.birth.runs.items():
        assert new.execution.runs[key].history == run.history


def _in_main(execution: Execution, run: TaskRun) -> bool:
    return run.phase == "main" and (run.parent == ROOT or _in_main(execution, execution.runs[run.parent]))


@settings(max_examples=100, deadline=None)
@given(st.data(), _tasks)
def test_what_an_execution_waits_for_can_be_read_off_its_snapshot(
    data: st.DataObject, tasks: list[Any]
) -> None:
    """A daemon that forgets everything but the snapshot and the timers asks for exactly what was open."""
    world = World(_graph(tasks, [], []), data.draw)
    world.take(Begun(T0))
    for _ in range(data.draw(st.integers(0, 12))):
        if not world.waiting:
            break
        world.answer()
    asked = {
        (type(command), command.key)
        for command in world.waiting
        if isinstance(command, Evaluate | Run) and not world.execution.state.terminal
    }
    again = pending(world.graph, world.execution)
    assert {(type(each), each.key) for each in again if isinstance(each, Evaluate | Run)} == asked
    # Children that run already are asked for again, too, as nothing says that they do.
    assert {each for each in world.waiting if isinstance(each, Call) and world.wants(each)} <= set(again)
