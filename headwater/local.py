"""An engine for one command: a store in memory, files and runs in a temporary folder, no triggers, no daemon.

All flows of a repository are there, for subflows; each is compiled when it is first needed, so that a broken one
harms only those who need it. It must not know how progress is shown.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from engine.clock import SystemClock
from engine.errors import NotFound, UserError
from engine.expressions import Scope
from engine.ids import random_id
from engine.model.execution import Execution
from engine.model.flow import Flow
from engine.model.input_values import FileInput
from engine.model.inputs import flat
from engine.model.records import FlowVersion, LogEntry, Query, Work
from engine.model.state import State
from engine.model.text import nearest
from engine.plugins import registry
from engine.ports import Runner
from engine.runtime.births import Submission
from engine.runtime.context import scope_of
from engine.runtime.library import Library
from engine.runtime.surroundings import StandIn, Surroundings, nothing
from engine.service import Service
from engine.spec.compile import compile_flow
from engine.store.files import LocalFiles
from engine.store.sqlite import SqliteStore
from headwater.settings import Settings
from headwater.trees import File, Identity, Tree, identify
from runners.process import ProcessRunner

_MANY = 1_000_000
_LOOK = 0.1  # seconds between two looks at the logs, and at whether anything can still happen
_KILL_PATIENCE = 15.0


class Watcher(Protocol):
    """Is told, on the event loop, what happens."""

    def changed(self, executions: Sequence[Execution]) -> None:
        """These executions have a new snapshot."""
        ...

    def logged(self, entries: Sequence[LogEntry]) -> None:
        """These lines were written, masked already."""
        ...


class Result(NamedTuple):
    """What an execution came to.

    Args:
        first: the execution that was asked for.
        last: the same, or its last try where the whole flow was tried again.
        others: all that it led to.
        waiting: it waits for a person, and nothing will move by itself.
    """

    first: Execution
    last: Execution
    others: tuple[Execution, ...]
    logs: tuple[LogEntry, ...]
    waiting: bool


class Catalog:
    """The flows of a tree by identity, read no further than that.

    Args:
        tree: a repository's files.
        complain: is told of every file that cannot take part.
    """

    def __init__(self, tree: Tree, complain: Callable[[str], None]) -> None:
        self.files: dict[Identity, File] = {}
        twice: set[Identity] = set()
        for problem in tree.problems:
            complain(str(problem))
        for file in tree.flows:
            identity = identify(file.content)
            if identity is None:
                complain(
                    f"{file.path} is left out: it does not say which flow it is; `headwater validate` says more"
                )
            elif identity in self.files:
                complain(
                    f"{file.path} and {self.files[identity].path} are both {'.'.join(identity)}; left out"
                )
                twice.add(identity)
            else:
                self.files[identity] = file
        for identity in twice:
            del self.files[identity]

    def find(self, name: str) -> Identity:
        """The flow of a name `namespace.id` or `namespace/id`. Raises NotFound."""
        for separator in "/", ".":
            for identity in self.files:
                if separator.join(identity) == name:
                    return identity
        near = nearest(name.replace("/", "."), (".".join(identity) for identity in self.files))
        hint = f"did you mean `{near}`?" if near else "`headwater flows --repo …` lists them"
        raise NotFound(f"there is no flow `{name}`", hint=hint)


def compiled(tree: Tree, file: File) -> Flow:
    """The flow of a file of a tree. Raises FlowInvalid."""
    return compile_flow(file.content, file.path, registry(), tree.defaults)


class LocalEngine:
    """A running engine with the flows of one tree. Made by `local_engine`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._following: _Following | None = None
        self.mask = service.around.masker

    def flow(self, identity: Identity) -> Flow:
        """A flow, compiled. Raises FlowInvalid with all its problems, NotFound."""
        return self._service.library.live(*identity)[1].flow

    async def start(
        self, identity: Identity, given: Mapping[str, str], labels: Mapping[str, str]
    ) -> Execution:
        """Start a flow.

        Args:
            given: inputs as typed: text, or `@path` of a file for an input of type FILE.

        Raises:
            FlowInvalid: it has problems.
            InputInvalid: the inputs do not fit.
        """
        flow = self.flow(identity)
        execution_id = random_id()
        inputs = {name: self._input(flow, name, value, execution_id) for name, value in given.items()}
        wish = Submission(*identity, inputs=inputs, labels=dict(labels), id=execution_id)
        return await self._service.submit(wish)

    def _input(self, flow: Flow, name: str, value: str, execution_id: str) -> str:
        declared = {each.id: each for each in flat(flow.inputs)}
        if name not in declared:
            near = nearest(name, declared)
            known = ", ".join(f"`{each}`" for each in declared) or "none"
            raise UserError(
                f"flow {flow.namespace}.{flow.id} has no input `{name}`",
                hint=f"did you mean `{near}`?" if near else f"its inputs: {known}",
            )
        if not isinstance(declared[name], FileInput) or not value.startswith("@"):
            return value
        source = Path(value[1:])
        if not source.is_file():
            raise NotFound(f"input `{name}`: there is no file `{source}`", hint="check the path behind the @")
        identity = (flow.namespace, flow.id)
        return self.keep_file(identity, execution_id, f"{name}/{source.name}", str(source))

    async def submit(self, wish: Submission) -> Execution:
        """Start what is wished for. Raises FlowInvalid, InputInvalid, NotPermitted."""
        self.flow((wish.namespace, wish.flow_id))
        return await self._service.submit(wish)

    def keep_file(self, identity: Identity, execution_id: str, name: str, source: str | bytes) -> str:
        """Keep a file (a local path, or bytes) as an input of an execution; returns its URI."""
        namespace, flow_id = identity
        folder = f"{namespace.replace('.', '/')}/{flow_id}/executions/{execution_id}/inputs"
        return self._service.around.files.put(f"{folder}/{name}", source)

    def scope(self, execution: Execution, task_id: str | None, more: Mapping[str, Any]) -> Scope:
        """What an expression sees of an execution, and with a task's id of that task's last run; `more` besides."""
        runs = [run for run in execution.task_runs() if run.task_id == task_id]
        graph = self._service.library.graph(execution.flow)
        seen = scope_of(self._service.around, graph, execution, runs[-1] if runs else None)
        return Scope({**seen.variables, **more}, seen.functions)

    async def resume(self, execution_id: str) -> None:
        """Let everything that is paused in an execution go on. Raises InputInvalid when it asks for inputs."""
        await self._service.resume(execution_id)

    async def follow(self, execution_id: str, watcher: Watcher) -> Result:
        """Wait until an execution and all that it led to have ended, or nothing moves any more without a person.

        May be called again for the same execution, to go on; no log line is told twice.
        """
        following = self._following = self._following or _Following(self._service, execution_id, watcher)
        async with self._service.listening(following.changed):
            return await following.to_the_end()

    async def kill(self) -> None:
        """Kill everything, and wait for it to be gone."""
        store = self._service.store
        alive = [each.id for each in store.executions(Query(limit=_MANY)) if not each.state.terminal]
        for execution_id in alive:
            try:
                await self._service.kill(execution_id)
            except UserError:
                continue  # it has ended meanwhile, or with its parent
        async with asyncio.timeout(_KILL_PATIENCE):
            for execution_id in alive:
                await self._service.wait(execution_id)


class _Following:
    """Watches one execution and what comes of it."""

    def __init__(self, service: Service, execution_id: str, watcher: Watcher) -> None:
        self._service = service
        self._store = service.store
        self._id = execution_id
        self._watcher = watcher
        self._known: dict[str, Execution] = {}
        self._read: dict[str, int] = {}
        self._logs: list[LogEntry] = []
        self._moved = asyncio.Event()

    def changed(self, executions: Sequence[Execution]) -> None:
        for execution in executions:
            self._known[execution.id] = execution
        if executions:
            self._watcher.changed(executions)
            self._moved.set()

    async def to_the_end(self) -> Result:
        self.changed([await self._service.execution(self._id)])
        still = 0
        while True:
            self._look_at_logs()
            if self._at_rest():
                if self._ended():
                    return self._result(waiting=False)
                still += 1
                if still > 2:
                    return self._result(waiting=True)
            else:
                still = 0
            self._moved.clear()
            try:
                async with asyncio.timeout(_LOOK):
                    await self._moved.wait()
                    still = 0
            except TimeoutError:
                continue

    def _at_rest(self) -> bool:
        """Whether nothing runs and no timer is set."""
        quiet = all(
            each.state.terminal or each.state is State.PAUSED or not each.busy
            for each in self._known.values()
        )
        return quiet and not any(self._awaited(work) for work in self._store.work())

    def _awaited(self, work: Work) -> bool:
        """Whether something may still come of it: not of a timer whose execution was killed."""
        execution = self._known.get(work.execution_id)
        return work.command is not None or execution is None or not execution.state.terminal

    def _ended(self) -> bool:
        return all(summary.state.terminal for summary in self._store.executions(Query(limit=_MANY)))

    def _look_at_logs(self) -> None:
        for execution_id in list(self._known):
            while found := self._store.logs(execution_id, self._read.get(execution_id, 0)):
                self._read[execution_id] = found[-1][0]
                entries = [entry for _, entry in found]
                self._logs.extend(entries)
                self._watcher.logged(entries)

    def _result(self, *, waiting: bool) -> Result:
        summaries = reversed(self._store.executions(Query(limit=_MANY)))
        found = [self._store.execution(summary.id) for summary in summaries]
        every = [execution for execution in found if execution is not None]
        # The store is ahead of what the listener was told.
        self._known.update((each.id, each) for each in every)
        self._watcher.changed(every)
        self._look_at_logs()
        first = next(each for each in every if each.id == self._id)
        tries = [each for each in every if each.original_id == self._id and each.caller is None]
        last = max(tries, key=lambda each: each.number, default=first)
        others = tuple(each for each in every if each.id != self._id)
        return Result(first, last, others, tuple(self._logs), waiting)


@asynccontextmanager
async def local_engine(
    settings: Settings, tree: Tree, catalog: Catalog, stand_in: StandIn = nothing
) -> AsyncIterator[LocalEngine]:
    """An engine with the flows of a tree, for as long as the block runs; all that it wrote is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="headwater-", ignore_cleanup_errors=True) as folder:
        store = SqliteStore(synchronous="NORMAL")
        store.put_flows([_version(tree, identity, file) for identity, file in catalog.files.items()], [], {})
        store.put("heads", {"": tree.commit})
        around = Surroundings(
            store=store,
            files=LocalFiles(Path(folder, "files")),
            namespace_files=tree.namespace_files,
            secrets=[settings.secrets],
            globals=settings.globals,
            envs=settings.envs,
            environment=settings.environment,
            url=settings.url,
            default_runner=settings.default_runner,
            stand_in=stand_in,
            refused_networks=settings.http.refused,
        )
        process = ProcessRunner(
            Path(folder, "runs"), *filter(None, [settings.search_path]), cache=settings.cache_path
        )
        service = Service(
            around,
            Library(store, lambda each: compile_flow(each.content, each.path, registry(), each.defaults)),
            _named(process),
        )
        try:
            async with service.running():
                yield LocalEngine(service)
        finally:
            await process.close()
            store.close()


def _version(tree: Tree, identity: Identity, file: File) -> FlowVersion:
    now = SystemClock().now()
    return FlowVersion(
        *identity, 1, tree.commit, file.blob, file.path, "", file.content, now, defaults=tree.defaults
    )


def _named(process: Runner) -> Callable[[str], Runner]:
    def runner(name: str) -> Runner:
        if name != process.name:
            raise UserError(
                f"there is no runner `{name}` here", hint="without a daemon only `process` is there"
            )
        return process

    return runner
