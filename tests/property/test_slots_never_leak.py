"""Concurrency slots under everything that may happen to executions: never too many, none lost, none left behind.

The engine's turns are taken by hand, over a real store and without a runner: attempts end as drawn. A crash throws
away everything but the store.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import ManualClock
from engine.errors import NotPermitted
from engine.model.commands import Run, StartAgain
from engine.model.events import AttemptEnded, AttemptStarted, KillAsked, PauseAsked, ResumeAsked
from engine.model.execution import Execution
from engine.model.records import Query, Work
from engine.model.state import State
from engine.model.task import TaskResult
from engine.runtime import recovery, reviving, scheduler
from engine.runtime.births import Submission
from engine.runtime.core import Core
from engine.runtime.library import Library
from engine.runtime.turn import Turn
from runners.process import ProcessRunner
from tests.support.engine import deployment, service_at

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOLDS = (State.RUNNING, State.PAUSED, State.RESTARTED, State.KILLING, State.RETRYING)
FLOW = """
id: f
namespace: n
concurrency: {{limit: {limit}, behavior: {behavior}}}
tasks:
  - id: work
    type: scripts.shell.Commands
    commands: ["true"]
    retry: {{type: constant, interval: PT1S, maxAttempts: 2, behavior: {retry}}}
  - {{id: wait, type: core.flow.Pause}}
"""
ACTS = (
    "submit",
    "submit",
    "answer",
    "answer",
    "kill",
    "pause",
    "resume",
    "restart",
    "replay",
    "time",
    "crash",
)


class House:
    """An engine whose thread is this one."""

    def __init__(self, folder: Path, flow: str, limit: int) -> None:
        self.clock = ManualClock(START)
        whole = service_at(
            folder, ProcessRunner(folder), clock=self.clock
        )  # nothing is ever given to the runner
        self.around = whole.around
        self.store = whole.around.store
        self._compile = whole.library._compile
        self.limit = limit
        self.core = self._core()
        self.do(lambda turn: scheduler.deploy(turn, "s", "c", [deployment(flow)], []))

    def _core(self) -> Core:
        return Core(self.around, Library(self.store, self._compile))

    def do(self, act: Any) -> Any:
        """One request, and all that follows from it without anybody else."""
        future = self.core.call(act)
        messages = self.core._drain([])
        while messages or self.core._left:
            messages = self.core._attempt(messages)
        return future.result(timeout=0)

    def crash(self) -> None:
        """Lose everything but the store, and begin again."""
        self.core = self._core()
        recovery.recover(self.core)
        self.do(recovery.catch_up)

    def executions(self) -> list[Execution]:
        """All there ever were, oldest first."""
        found = reversed(self.store.executions(Query(limit=1000)))
        return [each for summary in found if (each := self.store.execution(summary.id)) is not None]

    def work(self, *, timers: bool) -> list[Work]:
        return [each for each in self.store.work() if (each.due is not None) is timers]

    def answer(self, work: Work, state: State, *, started: bool = True) -> None:
        command = work.command
        assert isinstance(command, Run)
        at = self.clock.now()

        def act(turn: Turn) -> None:
            if started:
                turn.deliver(work.execution_id, AttemptStarted(at, command.key, command.attempt))
            ended = AttemptEnded(at, command.key, command.attempt, TaskResult(state=state))
            turn.deliver(work.execution_id, ended)

        self.do(act)

    def time(self) -> None:
        """Let every timer come."""
        self.clock.advance(timedelta(seconds=5))
        for work in self.work(timers=True):
            if isinstance(work.command, StartAgain):
                self.do(lambda turn, each=work: turn.start_again(each.execution_id))
            elif work.event is not None:
                self.do(lambda turn, each=work: turn.deliver(each.execution_id, each.event))

    def holds_true(self) -> None:
        """Never more than the limit; whoever waits, waits because it is reached; memory is as the store."""
        executions = self.executions()
        running = [each for each in executions if each.state in HOLDS]
        assert len(running) <= self.limit
        if any(each.state is State.QUEUED for each in executions):
            assert len(running) == self.limit
        assert self.core.live.running("n.f", {}) == len(running)
        assert not any(each.state is State.CREATED for each in executions)


def take(house: House, act: str, draw: Any) -> None:
    """Do one thing to one of the executions."""
    at = house.clock.now()
    if act == "submit":
        house.do(lambda turn: turn.submit(Submission("n", "f")))
        return
    if act in ("time", "crash"):
        house.time() if act == "time" else house.crash()
        return
    if act == "answer":
        work = house.work(timers=False)
        if work:
            state = draw(st.sampled_from([State.SUCCESS, State.FAILED]))
            house.answer(draw(st.sampled_from(work)), state, started=draw(st.booleans()))
        return
    executions = house.executions()
    if not executions:
        return
    one = draw(st.sampled_from(executions)).id
    events = {"kill": KillAsked(at), "pause": PauseAsked(at), "resume": ResumeAsked(at)}
    if act in events:
        house.do(lambda turn: turn.deliver(one, events[act]))
        return
    revive = reviving.restart if act == "restart" else reviving.replay
    try:
        house.do(lambda turn: revive(turn, one))
    except NotPermitted:
        return


def play_out(house: House) -> None:
    """Let everything end."""
    for _ in range(400):
        house.time()
        open_ones = [each for each in house.executions() if not each.state.terminal]
        work = house.work(timers=False)
        if not open_ones and not work and not house.work(timers=True):
            return
        for each in work:
            house.answer(each, State.SUCCESS)
        for one in open_ones:
            house.do(lambda turn, each=one: turn.deliver(each.id, ResumeAsked(house.clock.now())))
        house.holds_true()
    raise AssertionError([(each.id, each.state) for each in house.executions()])


@settings(max_examples=60, deadline=None)
@given(
    st.data(),
    st.integers(1, 2),
    st.sampled_from(["QUEUE", "QUEUE", "CANCEL", "FAIL"]),
    st.sampled_from(["RETRY_FAILED_TASK", "CREATE_NEW_EXECUTION"]),
    st.lists(st.sampled_from(ACTS), min_size=3, max_size=14),
)
def test_slots_are_never_exceeded_never_lost_and_all_come_back(
    data: st.DataObject, limit: int, behavior: str, retry: str, acts: list[str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        house = House(Path(folder), FLOW.format(limit=limit, behavior=behavior, retry=retry), limit)
        try:
            for act in acts:
                take(house, act, data.draw)
                house.holds_true()
            play_out(house)
            assert all(each.state.terminal for each in house.executions())
            assert house.core.live.executions == {}
            assert house.core.live._by_flow == {}
            house.crash()
            assert house.core.live.executions == {}
        finally:
            house.store.close()
