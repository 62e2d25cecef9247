"""What flowables have done outside: their own work before or after their children, and tidying up behind them.

Both are work of the store, repeated until they are done: a runner knows the runs by their keys, and tidying up what
is gone does nothing. Knows runners only by their port.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from engine.errors import HeadwaterError
from engine.machine.graph import Graph
from engine.model.commands import Evaluate, Tidy
from engine.model.events import Rendered
from engine.model.execution import Execution
from engine.model.records import LogEntry, Work
from engine.model.run import RunRequest, RunResult
from engine.model.task import Settling
from engine.ports import Runner, SharingRunner
from engine.runtime.context import RunContext
from engine.runtime.core import Core
from engine.runtime.inside import told
from engine.runtime.turn import Turn
from engine.runtime.worker import start_run

log = logging.getLogger(__name__)


class Settler:
    """The work of flowables under way, as tasks of one group.

    Args:
        core: takes the results.
        runner: gives the runner of a name. Raises UserError for an unknown one.
        group: in which it runs; nothing outlives it.
    """

    def __init__(self, core: Core, runner: Callable[[str], Runner], group: asyncio.TaskGroup) -> None:
        self._core = core
        self._runner = runner
        self._group = group
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._of_run: dict[str, asyncio.Lock] = {}

    def take(self, work: Work, execution: Execution, graph: Graph) -> None:
        """Take up work, unless it is under way."""
        if work.id not in self._tasks:
            task = self._group.create_task(self._carry(work, execution, graph), name=f"work {work.id}")
            self._tasks[work.id] = task
            task.add_done_callback(lambda _: self._tasks.pop(work.id, None))

    def leave(self) -> None:
        """Let go of everything: the next daemon takes it up again."""
        for task in self._tasks.values():
            task.cancel()

    async def _carry(self, work: Work, execution: Execution, graph: Graph) -> None:
        command = work.command
        assert isinstance(command, Evaluate | Tidy)
        run = execution.runs.get(command.key)
        task = graph.nodes[run.task_id].task if run is not None else None
        if run is None or not isinstance(task, Settling):
            self._core.write(lambda turn: _done(turn, work))
            return
        stage = command.stage if isinstance(command, Evaluate) else 0
        context = RunContext(self._core.around, graph, execution, run, stage, self._write)
        place = f"{execution.id}/{run.key}"
        async with self._of_run.setdefault(place, asyncio.Lock()):  # nothing is laid in behind the tidying up
            if isinstance(command, Evaluate):
                answer = await self._settle(task, stage, context, run.key)
                self._core.write(lambda turn: _answer(turn, work, answer))
            else:
                await self._tidy(task, context)
                self._core.write(lambda turn: _done(turn, work))
                self._of_run.pop(place, None)

    def _write(self, entry: LogEntry) -> None:
        self._core.log([entry])

    async def _settle(self, task: Settling, stage: int, context: RunContext, key: str) -> Rendered:
        values: dict[str, Any] = {}
        error = ""
        try:
            values = dict(await task.settle(stage, context, self._run))
        except Exception as problem:
            error = self._core.around.masker.text(told(problem))
        return Rendered(self._core.around.clock.now(), key, values, error=error, stage=stage)

    @asynccontextmanager
    async def _run(self, request: RunRequest, runner: str | None) -> AsyncIterator[RunResult]:
        chosen = self._runner(runner or self._core.around.default_runner)
        handle = await start_run(chosen, request)
        yield await chosen.wait(handle)
        await chosen.cleanup(handle)

    async def _tidy(self, task: Settling, context: RunContext) -> None:
        shared = context.directory
        try:
            for name in dict.fromkeys(task.runners(context)):
                runner = self._runner(name or self._core.around.default_runner)
                if shared is not None and isinstance(runner, SharingRunner):
                    await runner.remove_workspace(shared)
        except HeadwaterError as error:
            log.warning("could not tidy up behind %s: %s", context.key, error)


def _done(turn: Turn, work: Work) -> None:
    turn.batch.work[work.id] = None


def _answer(turn: Turn, work: Work, answer: Rendered) -> None:
    _done(turn, work)
    turn.deliver(work.execution_id, answer)
