"""The engine's one door: what can be asked of it, for the command line, the API, triggers and the reconciler alike.

It puts the engine's thread, the worker and the timekeeper together and speaks asyncio to the outside. It must not
know Git, HTTP or the command line.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

from engine.errors import NotFound
from engine.model.commands import Evaluate, Run, Tidy
from engine.model.events import KillAsked, PauseAsked
from engine.model.execution import Execution
from engine.model.records import Deployment, TriggerState, Work
from engine.model.state import State
from engine.ports import Runner, Store
from engine.runtime import backfilling, recovery, reviving, scheduler, webhook
from engine.runtime.asking import ask, resumed
from engine.runtime.births import Submission
from engine.runtime.core import Core
from engine.runtime.library import Library
from engine.runtime.settling import Settler
from engine.runtime.surroundings import Surroundings
from engine.runtime.timekeeper import Timekeeper
from engine.runtime.turn import Outward, Turn
from engine.runtime.worker import Worker

log = logging.getLogger(__name__)
T = TypeVar("T")
Listener = Callable[[Sequence[Execution]], None]


class Service:
    """The engine.

    Args:
        around: what executions find around them.
        library: compiled flows.
        runner: gives the runner of a name. Raises UserError for an unknown one.
    """

    def __init__(self, around: Surroundings, library: Library, runner: Callable[[str], Runner]) -> None:
        self.around = around
        self.library = library
        self._runner = runner
        self._core = Core(around, library)
        self._core.outside = self
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._listeners: list[Listener] = []

    @property
    def store(self) -> Store:
        """What lasts; to be read from, not written to."""
        return self.around.store

    # Running

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Service]:
        """Run while the block runs: take up again what was left, then serve."""
        self._loop = asyncio.get_running_loop()
        work = await asyncio.to_thread(recovery.recover, self._core)
        async with asyncio.TaskGroup() as group:
            self._worker = Worker(self._core, self._runner, group)
            self._settler = Settler(self._core, self._runner, group)
            self._clock = Timekeeper(self._core)
            default = self._runner(self.around.default_runner)
            await self._worker.sweep(default, {each.id for each in work})
            self._core.start()
            try:
                await self._do(recovery.catch_up)
                self._hand_out([(each, self.store.execution(each.execution_id)) for each in work])
                watching = group.create_task(self._clock.run(), name="timekeeper")
                yield self
                watching.cancel()
            finally:
                self._worker.leave()
                self._settler.leave()
                await asyncio.to_thread(self._core.stop)

    async def _do(self, act: Callable[[Turn], T]) -> T:
        return await asyncio.wrap_future(self._core.call(act))

    def after_commit(self, turn: Turn, outward: Outward) -> None:
        """Called in the engine's thread once a turn is durable: hand everything to the event loop."""
        changed = list(turn.batch.executions.values())
        # An execution may have changed in an earlier turn, and what it asks for be taken up in this one.
        work = [(each, turn.get(each.execution_id)) for each in outward.work]
        triggers = bool(turn.batch.triggers)
        if changed or work or outward.stops or triggers:
            self._loop.call_soon_threadsafe(self._outside, changed, work, outward.stops, triggers)

    def _outside(
        self,
        changed: list[Execution],
        work: list[tuple[Work, Execution | None]],
        stops: list[str],
        triggers: bool,
    ) -> None:
        self._hand_out(work)
        for work_id in stops:
            self._worker.stop(work_id)
        if triggers:
            self._clock.poke()
        for execution in changed:
            if execution.state.terminal or execution.state is State.PAUSED:
                self._wake(execution.id)
        for listener in list(self._listeners):
            listener(changed)

    def _hand_out(self, work: Sequence[tuple[Work, Execution | None]]) -> None:
        for each, execution in work:
            if each.due is not None:
                self._clock.add(each)
            elif execution is not None and isinstance(each.command, Run):
                self._worker.take(each, execution, self.library.graph(execution.flow))
                if execution.state is State.KILLING:
                    self._worker.stop(each.id)
            elif execution is not None and isinstance(each.command, Evaluate | Tidy):
                self._settler.take(each, execution, self.library.graph(execution.flow))

    def _wake(self, execution_id: str) -> None:
        for future in self._waiting.pop(execution_id, ()):
            if not future.done():
                future.set_result(None)

    # Executions

    async def submit(self, wish: Submission) -> Execution:
        """Start an execution; it is durable when this returns.

        Raises:
            NotFound: there is no such flow.
            NotPermitted: the flow is disabled.
            InputInvalid: the inputs do not fit.
        """
        return await self._do(lambda turn: turn.submit(wish))

    async def execution(self, execution_id: str) -> Execution:
        """An execution as it stands. Raises NotFound."""
        found = await asyncio.to_thread(self.store.execution, execution_id)
        if found is None:
            raise NotFound(f"there is no execution {execution_id}", hint="`headwater executions` lists them")
        return found

    async def wait(self, execution_id: str, *, paused: bool = False) -> Execution:
        """Wait for an execution to end (or, with `paused`, to pause) and return it. Raises NotFound."""
        while True:
            future = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(execution_id, []).append(future)
            execution = await self.execution(execution_id)
            if execution.state.terminal or (paused and execution.state is State.PAUSED):
                return execution
            await future

    async def kill(self, execution_id: str) -> Execution:
        """Kill an execution and its children. Raises NotFound, NotPermitted when it has ended."""
        return await self._do(lambda turn: ask(turn, execution_id, lambda turn, _: KillAsked(turn.at)))

    async def pause(self, execution_id: str) -> Execution:
        """Let nothing new start in an execution. Raises NotFound, NotPermitted when it has ended."""
        return await self._do(lambda turn: ask(turn, execution_id, lambda turn, _: PauseAsked(turn.at)))

    async def resume(
        self, execution_id: str, inputs: Mapping[str, Any] | None = None, task_id: str | None = None
    ) -> Execution:
        """Let a paused execution go on.

        Args:
            inputs: what the Pause task's `onResume` asks for.
            task_id: which paused task is meant; none means all.

        Raises:
            NotFound: there is no such execution, or no such paused task.
            NotPermitted: it is not paused.
            InputInvalid: the inputs do not fit.
        """
        return await self._do(lambda turn: ask(turn, execution_id, resumed(inputs or {}, task_id)))

    async def restart(self, execution_id: str, revision: int | None = None) -> Execution:
        """Go again through what did not go well; on another revision, in a new execution.

        Raises:
            NotFound: there is no such execution or revision.
            NotPermitted: there is nothing to restart, or the concurrency limit refuses it.
        """
        return await self._do(lambda turn: reviving.restart(turn, execution_id, revision))

    async def replay(
        self,
        execution_id: str,
        task: str | None = None,
        revision: int | None = None,
        inputs: Mapping[str, Any] | None = None,
        identity: str | None = None,
    ) -> Execution:
        """Go through the flow again in a new execution, from a task on; see `engine.runtime.reviving.replay`."""
        return await self._do(
            lambda turn: reviving.replay(turn, execution_id, task, revision, inputs, identity)
        )

    async def change_status(self, execution_id: str, state: State, task: str | None = None) -> Execution:
        """Declare how a task run, or the execution, ended; see `engine.runtime.reviving.change_status`."""
        return await self._do(lambda turn: reviving.change_status(turn, execution_id, state, task))

    async def force_run(self, execution_id: str) -> Execution:
        """Run what waits or is paused, whatever the limit says. Raises NotFound, NotPermitted."""
        return await self._do(lambda turn: reviving.force_run(turn, execution_id))

    async def unqueue(self, execution_id: str, state: State = State.RUNNING) -> Execution:
        """Take out of the queue, to run or to end. Raises NotFound, NotPermitted."""
        return await self._do(lambda turn: reviving.unqueue(turn, execution_id, state))

    async def call_webhook(
        self, namespace: str, flow_id: str, key: str, variables: Mapping[str, Any]
    ) -> webhook.Answer:
        """A call of a webhook trigger's URL; see `engine.runtime.webhook`. Raises NotFound, InputInvalid."""
        return await self._do(lambda turn: webhook.called(turn, namespace, flow_id, key, variables))

    async def backfill(
        self,
        trigger: backfilling.Name,
        start: datetime,
        end: datetime | None = None,
        inputs: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> TriggerState:
        """Let a schedule go through its past; see `engine.runtime.backfilling.begin`."""
        return await self._do(lambda turn: backfilling.begin(turn, trigger, start, end, inputs, labels))

    async def pause_backfill(self, trigger: backfilling.Name) -> TriggerState:
        """Let a backfill wait. Raises NotFound, NotPermitted when there is none."""
        return await self._do(lambda turn: backfilling.pause(turn, trigger))

    async def unpause_backfill(self, trigger: backfilling.Name) -> TriggerState:
        """Let a backfill go on. Raises NotFound, NotPermitted when there is none."""
        return await self._do(lambda turn: backfilling.unpause(turn, trigger))

    async def delete_backfill(self, trigger: backfilling.Name) -> TriggerState:
        """Give a backfill up. Raises NotFound, NotPermitted when there is none."""
        return await self._do(lambda turn: backfilling.delete(turn, trigger))

    # Flows

    async def deploy(
        self,
        source: str,
        commit: str,
        changed: Sequence[Deployment],
        removed: Sequence[tuple[str, str]],
    ) -> None:
        """Make flows live and take flows off, at once or not at all, without missing or doubling a due time.

        Args:
            source: name of the flows repository.
            commit: its commit; executions that start from now on are pinned to it.
            removed: (namespace, id) of flows that are gone.
        """
        while not await self._do(lambda turn: scheduler.deploy(turn, source, commit, changed, removed)):
            await self._do(scheduler.fire_due)
        self._clock.poke()

    # Listening

    @asynccontextmanager
    async def listening(self, listener: Listener) -> AsyncIterator[None]:
        """Call `listener`, on the event loop, with the executions that each commit changed."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    async def remember(self, space: str, values: Mapping[str, Any], remove: Sequence[str] = ()) -> None:
        """Set and remove JSON values of a space of the store."""
        await self._do(lambda turn: turn.around.store.put(space, values, remove))

    async def deliver_once(self, source: str, delivery_id: str) -> None:
        """Note a webhook delivery as done."""
        await self._do(lambda turn: turn.batch.deliveries.add((source, delivery_id)))

    async def fire_due(self) -> None:
        """Fire what is due now, without waiting for the timekeeper to notice."""
        await self._do(scheduler.fire_due)
