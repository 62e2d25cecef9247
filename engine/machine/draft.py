"""An execution while it is being stepped: the only mutable thing in the machine, alive for one step.

It keeps the bookkeeping in one place (which runs changed, how many may still act, what is to be done outside),
so that the rules elsewhere read as rules. It knows the table of legal moves, but no rule.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from engine.errors import IllegalTransition
from engine.machine import table
from engine.machine.graph import Graph, Node
from engine.model.commands import AnyCommand, Say, StopChild, Tidy
from engine.model.execution import ROOT, Execution, Moment, Phase, Scope, TaskRun, child_id, run_id, run_key
from engine.model.state import State
from engine.model.task import Flowable, Level

replace = msgspec.structs.replace


class Draft:
    """A copy of `execution` to be changed at the time `at`."""

    def __init__(self, graph: Graph, execution: Execution, at: datetime) -> None:
        self.graph = graph
        self.at = at
        self.execution = execution
        self.runs = execution.runs.mutate()
        self.values = execution.values
        self.busy = execution.busy
        self.paused = execution.paused
        self.seq = execution.seq
        self.touched: set[str] = set()
        self.valued: set[str] = set()
        self.commands: list[AnyCommand] = []
        self.ended = False
        self.agenda: deque[Callable[[], None]] = deque()

    # What is there

    @property
    def state(self) -> State:
        """The execution's state."""
        return self.execution.state

    @property
    def stopping(self) -> bool:
        """Whether nothing new may start because the end is decided."""
        return self.execution.ending is not None

    def run(self, key: str) -> TaskRun | None:
        """The task run under `key`, if there is one."""
        found: TaskRun | None = self.runs.get(key)
        return found

    def all_runs(self) -> list[TaskRun]:
        """All task runs in order of creation."""
        keys = {*self.execution.runs, *self.touched}
        there = (self.run(key) for key in keys)
        return sorted((run for run in there if run is not None), key=lambda run: run.seq)

    def expect(self, key: str) -> TaskRun:
        """The task run under `key`, which must be there."""
        run = self.run(key)
        if run is None:
            raise IllegalTransition(f"there is no task run {key} in execution {self.execution.id}")
        return run

    def scope(self, owner: str) -> Scope:
        """How far the children of `owner` have come."""
        if owner == ROOT:
            return self.execution.scope
        scope = self.expect(owner).scope
        if scope is None:
            raise IllegalTransition(f"task run {owner} has no children yet")
        return scope

    def task_id(self, owner: str) -> str:
        """The task id under which the graph knows the branches of `owner`."""
        return ROOT if owner == ROOT else self.expect(owner).task_id

    def node(self, run: TaskRun) -> Node:
        """The node of a task run."""
        return self.graph.nodes[run.task_id]

    # Changing it

    def change(self, **fields: Any) -> None:
        """Set fields of the execution."""
        self.execution = replace(self.execution, **fields)

    def put(self, run: TaskRun) -> TaskRun:
        """Set a task run."""
        self.runs[run.key] = run
        self.touched.add(run.key)
        return run

    def set_scope(self, owner: str, scope: Scope) -> None:
        """Set how far the children of `owner` have come."""
        if owner == ROOT:
            self.change(scope=scope)
        else:
            self.put(replace(self.expect(owner), scope=scope))

    def move(self, state: State) -> None:
        """Move the execution to a state."""
        table.check(table.EXECUTION, self.state, state, f"execution {self.execution.id}")
        self.change(history=(*self.execution.history, Moment(state, self.at)))

    def move_run(self, run: TaskRun, state: State, at: datetime | None = None, **fields: Any) -> TaskRun:
        """Move a task run to a state, setting other fields with it."""
        table.check(table.TASK_RUN, run.state, state, f"task run {run.key}")
        if state.terminal:
            task = self.node(run).task
            if isinstance(task, Flowable) and task.shares_directory:
                self.ask(Tidy(run.key))
        return self.put(replace(run, history=(*run.history, Moment(state, at or self.at)), **fields))

    def add_run(
        self, node: Node, owner: str, phase: Phase, path: tuple[int, ...], value: str | None
    ) -> TaskRun:
        """Create the task run of a node."""
        key = run_key(node.task.id, path)
        self.seq += 1
        self.busy += 1
        return self.put(
            TaskRun(
                key=key,
                id=run_id(self.execution.id, key),
                seq=self.seq - 1,
                task_id=node.task.id,
                parent=owner,
                phase=phase,
                path=path,
                value=value,
                history=(Moment(State.CREATED, self.at),),
                number=self.execution.number,
            )
        )

    def take_up(self, run: TaskRun, owner: str) -> TaskRun:
        """Count a task run of an earlier try to this one: as it is when it has ended, else to be run again."""
        taken = self.put(replace(run, parent=owner, number=self.execution.number))
        if run.state.terminal:
            return taken
        self.busy += 1
        return self.move_run(taken, State.CREATED)

    def drop(self, key: str) -> None:
        """Forget a task run and, if it is a loop, what it went over."""
        del self.runs[key]
        self.touched.add(key)
        if key in self.values:
            self.values = self.values.delete(key)
            self.valued.add(key)

    def keep_values(self, key: str, values: tuple[Any, ...]) -> None:
        """Keep what a loop goes over."""
        self.values = self.values.set(key, values)
        self.valued.add(key)

    # What follows

    def ask(self, command: AnyCommand) -> None:
        """Want something done outside."""
        self.commands.append(command)

    def stop_children(self, run: TaskRun) -> None:
        """Want the child executions of a task run killed that have not ended."""
        if run.child is not None:
            self.ask(StopChild(run.child.execution_id))
        if run.children is not None:
            for number in run.children.open:
                self.ask(StopChild(child_id(self.execution.id, run.key, run.children.attempt, number)))

    def say(self, key: str, level: Level, message: str) -> None:
        """Want a line written to the log."""
        self.ask(Say(key, level, message))

    def then(self, act: Callable[[], None]) -> None:
        """Do `act` later in this step: consequences queue up instead of nesting."""
        self.agenda.append(act)

    def settle(self) -> None:
        """Do all that was put off."""
        while self.agenda:
            self.agenda.popleft()()

    def finish(self) -> Execution:
        """The execution after the step."""
        return replace(
            self.execution,
            runs=self.runs.finish(),
            values=self.values,
            seq=self.seq,
            busy=self.busy,
            paused=self.paused,
            version=self.execution.version + 1,
        )
