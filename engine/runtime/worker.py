"""Carrying out attempts outside the engine: by a runner, or as a coroutine of the daemon.

An attempt is taken up by its key, so that taking it up twice (after a crash, above all) is the same as once: a run
that its runner still knows is adopted, not started again. Knows runners only by their port.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from functools import partial

import msgspec

from engine import ids
from engine.errors import HeadwaterError, UnavailableError
from engine.machine.graph import Graph
from engine.model.commands import Run
from engine.model.duration import seconds_of
from engine.model.events import AttemptEnded, AttemptStarted
from engine.model.execution import Execution, TaskRun
from engine.model.records import Work
from engine.model.run import RunHandle, RunRequest
from engine.model.state import State
from engine.model.task import Inline, Instant, Task, TaskResult, Templated
from engine.model.task import Work as WorkTask
from engine.ports import LocalRunner, RememberingRunner, Runner
from engine.runtime.control import InlineRunContext
from engine.runtime.core import Core
from engine.runtime.following import Follower
from engine.runtime.inside import told
from engine.runtime.templating import described
from engine.runtime.turn import Turn

log = logging.getLogger(__name__)

_GRACE = 10.0  # seconds between asking a run to end and ending it
_TRIES = 5  # of a runner that does not answer
_FIRST_PAUSE = 0.5  # seconds before the second of them, doubling


class _Attempt:
    """One attempt under way."""

    def __init__(self, core: Core, work: Work, execution: Execution, graph: Graph, run: TaskRun) -> None:
        assert isinstance(work.command, Run)
        self.work = work
        self.execution = execution
        self.graph = graph
        self.run = run
        self.number = work.command.attempt
        self.type = graph.nodes[run.task_id].task
        self.context = InlineRunContext(core, graph, execution, run, self.number)
        self.begun = len(run.attempts) == self.number
        self.started_at = run.attempts[-1].history[-1].at if self.begun else self.context.now
        self.task: asyncio.Task[None] | None = None
        self.runner: Runner | None = None
        self.handle: RunHandle | None = None
        self.follower: Follower | None = None
        self.ended = False
        self.stopped = False
        self.left = False

    def timeout(self) -> float | None:
        """Seconds that are left of the attempt's time; none without a limit. Raises UserError."""
        if self.type.timeout is None:
            return None
        limit = seconds_of(self.context.render(self.type.timeout))
        spent = (self.context.now - self.started_at).total_seconds()
        return max(limit - spent, 0.0)


class Worker:
    """Attempts under way, as tasks of one group.

    Args:
        core: takes the results.
        runner: gives the runner of a name. Raises UserError for an unknown one.
        group: in which attempts run; nothing outlives it.
    """

    def __init__(self, core: Core, runner: Callable[[str], Runner], group: asyncio.TaskGroup) -> None:
        self._core = core
        self._runner = runner
        self._group = group
        self._attempts: dict[str, _Attempt] = {}
        self._sweeping: asyncio.Task[None] | None = None

    async def sweep(self, runner: Runner, wanted: Collection[str]) -> None:
        """Begin to clean up the runs whose end was durable when a daemon was killed; before anything is taken up."""
        if isinstance(runner, RememberingRunner):
            left = await runner.left_over(wanted)
            self._sweeping = self._group.create_task(_clean_all(runner, left), name="sweep")

    def take(self, work: Work, execution: Execution, graph: Graph) -> None:
        """Take up an attempt, unless it is under way."""
        assert isinstance(work.command, Run)
        run = execution.runs.get(work.command.key)
        if work.id in self._attempts or run is None:
            return
        attempt = _Attempt(self._core, work, execution, graph, run)
        self._attempts[work.id] = attempt
        attempt.task = self._group.create_task(self._carry(attempt), name=f"attempt {work.id}")

    def stop(self, work_id: str) -> None:
        """Ask an attempt to end; it will answer as KILLED."""
        attempt = self._attempts.get(work_id)
        if attempt is not None and not attempt.stopped and not attempt.ended:
            attempt.stopped = True
            if attempt.task is not None:
                attempt.task.cancel()

    def leave(self) -> None:
        """Let go of all attempts without ending their runs: the next daemon adopts them."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        for attempt in self._attempts.values():
            attempt.left = True
            if attempt.task is not None:
                attempt.task.cancel()

    async def _carry(self, attempt: _Attempt) -> None:
        try:
            await self._end(attempt, await self._result_or_kill(attempt))
        finally:
            self._attempts.pop(attempt.work.id, None)

    async def _result_or_kill(self, attempt: _Attempt) -> TaskResult:
        try:
            return await self._result(attempt)
        except asyncio.CancelledError:
            if attempt.left or not attempt.stopped:
                raise
            return TaskResult(state=State.KILLED)

    async def _end(self, attempt: _Attempt, result: TaskResult) -> None:
        attempt.ended = True
        chance = ids.chance() if result.state is State.FAILED else 0.0
        now = self._core.around.clock.now()
        ended = AttemptEnded(now, attempt.run.key, attempt.number, result, attempt.started_at, chance)
        end = partial(_end, attempt, ended)
        if attempt.runner is None or attempt.handle is None:
            self._core.write(end)
            return
        try:
            # A run that is forgotten before its end is durable would be started again after a crash.
            await asyncio.wrap_future(self._core.make_durable(end))
        except HeadwaterError as error:
            log.warning("the end of a run could not be kept: %s", error)
        else:
            await _clean(attempt.runner, attempt.handle)

    async def _result(self, attempt: _Attempt) -> TaskResult:
        try:
            seconds = attempt.timeout()
            task = attempt.type
            if isinstance(task, Templated):
                store, flow = self._core.around.store, attempt.execution.flow
                task = await asyncio.to_thread(described, task, store, flow, attempt.graph, attempt.context)
            if isinstance(task, WorkTask):
                return await self._run(attempt, task, seconds)
            return await self._inline(attempt, task, seconds)
        except TimeoutError:
            return TaskResult(state=State.FAILED, error=f"timed out: its `timeout` is {attempt.type.timeout}")
        except Exception as error:
            return TaskResult(state=State.FAILED, error=self._core.around.masker.text(told(error)))

    async def _inline(self, attempt: _Attempt, task: Task, seconds: float | None) -> TaskResult:
        started = AttemptStarted(attempt.started_at, attempt.run.key, attempt.number)
        self._core.deliver(attempt.execution.id, started)
        async with asyncio.timeout(seconds):
            if isinstance(task, Instant):  # that was templated
                return task.run(attempt.context)
            assert isinstance(task, Inline)
            return await task.run(attempt.context)

    async def _run(self, attempt: _Attempt, task: WorkTask, seconds: float | None) -> TaskResult:
        name, _ = task.runner(attempt.context)
        runner = attempt.runner = self._runner(name or self._core.around.default_runner)
        if isinstance(runner, LocalRunner):
            place = runner.working_directory(attempt.context.key, attempt.context.directory)
            attempt.context.place(place)
        # Rendered again when a run is adopted, so that its secrets are known and masked.
        if task.waits():
            request = await asyncio.to_thread(task.request, attempt.context)
        else:
            request = task.request(attempt.context)
        if (shared := attempt.context.directory) is not None:
            request = msgspec.structs.replace(request, workspace=shared)
        handle = attempt.handle = await start_run(runner, request)
        self._keep(attempt, handle)
        follower = attempt.follower = Follower(self._core, attempt.work, attempt.context)
        try:
            async with asyncio.timeout(seconds):
                result = await follower.follow(runner, handle)
        except (TimeoutError, asyncio.CancelledError):
            if not attempt.left:
                await runner.cancel(handle, _GRACE)
            raise
        if result.outcome == "vanished":
            return TaskResult(state=State.FAILED, error=result.message or f"{runner.name} lost the run")
        if not result.files:  # nothing that waits for a disk
            return task.result(attempt.context, result, follower.outputs, follower.metrics)
        return await asyncio.to_thread(
            task.result, attempt.context, result, follower.outputs, follower.metrics
        )

    def _keep(self, attempt: _Attempt, handle: RunHandle) -> None:
        """Make durable, before anybody waits, how to find the run again."""
        work = attempt.work = msgspec.structs.replace(attempt.work, handle=handle)
        started = AttemptStarted(attempt.started_at, attempt.run.key, attempt.number)

        def act(turn: Turn) -> None:
            turn.batch.work[work.id] = work
            turn.deliver(attempt.execution.id, started)

        self._core.write(act)


def _end(attempt: _Attempt, ended: AttemptEnded, turn: Turn) -> None:
    """The last lines and the end of an attempt become durable together."""
    if attempt.follower is not None:
        attempt.follower.finish(turn)
    turn.deliver(attempt.execution.id, ended)


async def start_run(runner: Runner, request: RunRequest) -> RunHandle:
    """Start a run on a runner, which may not answer at first. Raises HeadwaterError."""
    pause = _FIRST_PAUSE
    for left in reversed(range(_TRIES)):
        try:
            return await runner.start(request)
        except UnavailableError as error:
            if not left:
                raise
            await asyncio.sleep(error.retry_after or pause)
            pause *= 2
    raise AssertionError("unreachable")


async def _clean_all(runner: Runner, handles: Sequence[RunHandle]) -> None:
    for handle in handles:
        await _clean(runner, handle)


async def _clean(runner: Runner, handle: RunHandle) -> None:
    try:
        await runner.cleanup(handle)
    except HeadwaterError as error:
        log.warning("could not clean up after a run: %s", error)
