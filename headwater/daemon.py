"""The daemon: the one place where concrete classes meet, and the life of the process around them.

Start: store, engine, HTTP server, then the sources. Stop (SIGTERM, SIGINT): the other way round; what runs in
processes of its own goes on and is taken up again by the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

import uvicorn
import uvloop
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

from engine.errors import NotFound, SettingsError, UserError
from engine.model.execution import Execution
from engine.model.records import Query
from engine.model.state import State
from engine.plugins import registry
from engine.ports import Runner
from engine.runtime.library import Library
from engine.runtime.surroundings import Surroundings
from engine.service import Service
from engine.spec.compile import compile_flow
from engine.store.files import LocalFiles
from engine.store.sqlite import SqliteStore
from headwater.logs import log_to
from headwater.settings import Settings
from headwater.sources import FollowedSource, mirror_of
from reconciler.namespace_files import MirrorNamespaceFiles
from reconciler.report import ReconcileStatus
from reconciler.repository import Mirror
from reconciler.status.badge import Badge, label
from reconciler.status.documents import flow_badge
from reconciler.status.facts import flow_facts, refused_files
from reconciler.watch import Watch
from runners.process import ProcessRunner
from runners.process.environment import FALLBACK_PATH
from webhooks.api import Desk, api_routes
from webhooks.app import Parts, create_app
from webhooks.guard import Guard
from webhooks.hooks import HookReceiver, HookSource
from webhooks.metrics import Metrics
from webhooks.pages import page_routes
from webhooks.server import server_config

log = logging.getLogger(__name__)
_SHUTDOWN_SECONDS = 5  # for open HTTP connections
_RUNNING = (State.RUNNING, State.RESTARTED, State.KILLING, State.RETRYING)


class Daemon:
    """A running daemon.

    Args:
        address: host and port it listens on, the real port also where the settings said 0.
    """

    def __init__(self, service: Service, sources: Sequence[FollowedSource], address: tuple[str, int]) -> None:
        self.service = service
        self.sources = sources
        self.address = address

    @property
    def url(self) -> str:
        """Where it is reached."""
        host, port = self.address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Daemon]:
    """A daemon for as long as the block lasts.

    Raises:
        SettingsError: something in the settings cannot be had, such as the port.
        OperatorError: the store or the data folder cannot be used.
    """
    settings.data.mkdir(parents=True, exist_ok=True)
    mirrors = [mirror_of(settings, source) for source in settings.sources]
    async with AsyncExitStack() as stack:
        store = SqliteStore(settings.store_path, synchronous=settings.store.synchronous)
        stack.callback(store.close)
        runner = ProcessRunner(settings.runs_path, settings.search_path or FALLBACK_PATH)
        stack.push_async_callback(runner.close)
        await runner.open()
        service = _service(settings, store, runner, mirrors)
        await stack.enter_async_context(service.running())
        turn = asyncio.Lock()
        measured = CollectorRegistry()
        ProcessCollector(registry=measured)
        PlatformCollector(registry=measured)
        metrics = Metrics(measured, lambda: {each.name: each.reconciler.status for each in sources})
        sources = [
            FollowedSource(settings, source, mirror, service, turn, metrics.reconciled)
            for source, mirror in zip(settings.sources, mirrors, strict=True)
        ]
        await stack.enter_async_context(metrics.following(service))
        server = await stack.enter_async_context(_serving(settings, service, sources, measured))
        await stack.enter_async_context(_following(service, sources))
        yield Daemon(service, sources, server)


def _service(settings: Settings, store: SqliteStore, runner: Runner, mirrors: Sequence[Mirror]) -> Service:
    around = Surroundings(
        store=store,
        files=LocalFiles(settings.files_path),
        namespace_files=MirrorNamespaceFiles(mirrors),
        secrets=[settings.secrets],
        globals=settings.globals,
        envs=settings.envs,
        environment=settings.environment,
        url=settings.url,
        default_runner=settings.default_runner,
        refused_networks=settings.http.refused,
    )
    # Known from the start, so that what an earlier daemon left in the store is masked too.
    for value in settings.secrets.values():
        around.masker.add(value)
    if settings.api.token is not None:
        around.masker.add(settings.api.token.get_secret_value())
    types = registry()
    library = Library(store, lambda each: compile_flow(each.content, each.path, types, each.defaults))

    def named(name: str) -> Runner:
        if name.rpartition(".")[2].lower() != runner.name:
            raise UserError(
                f"there is no runner `{name}`", hint="`headwater plugins list` shows what there is"
            )
        return runner

    return Service(around, library, named)


@asynccontextmanager
async def _following(service: Service, sources: Sequence[FollowedSource]) -> AsyncIterator[None]:
    """Follow the sources, and tell their writers of what the engine commits."""

    def changed(_: Sequence[Execution]) -> None:
        for source in sources:
            source.nudge_writer()

    async with service.listening(changed), asyncio.TaskGroup() as group:
        for source in sources:
            source.start(group)
        yield
        for task in asyncio.all_tasks():
            if task.get_name().startswith(("watch ", "status of ")):
                task.cancel()


# HTTP


@asynccontextmanager
async def _serving(
    settings: Settings, service: Service, sources: Sequence[FollowedSource], metrics: CollectorRegistry
) -> AsyncIterator[tuple[str, int]]:
    watch = Watch(source.watcher for source in sources)
    hooks = HookReceiver(_hooks(settings), watch.nudge, _Ledger(service), service.around.clock)

    async def ready() -> Sequence[str]:
        return [
            f"source {source.name} has not been read yet"
            for source in sources
            if source.reconciler.status is None
        ]

    async def badge(namespace: str, flow_id: str) -> Badge | None:
        return await asyncio.to_thread(_badge, service, sources, namespace, flow_id)

    async def confirm(name: str, digest: str) -> ReconcileStatus:
        return (await _source(sources, name).reconciler.confirm(digest)).status

    desk = Desk(
        service, lambda: {each.name: each.reconciler.status for each in sources}, watch.nudge, confirm
    )
    guard = _guard(settings)
    routes = [*api_routes(desk, guard), *page_routes(desk, guard)]
    app = create_app(Parts(ready=ready, hooks=hooks, badges=badge, metrics=metrics, routes=routes))
    host, port = settings.address
    config = server_config(app, host=host, port=port)
    config.timeout_graceful_shutdown = _SHUTDOWN_SECONDS
    server = _Server(config)
    try:
        socket = config.bind_socket()
        socket.listen(config.backlog)  # so that nobody is turned away who heard of it before uvicorn listens
    except SystemExit:  # uvicorn's way to say that it could not
        raise SettingsError(
            f"cannot listen on {settings.listen}", hint="is another daemon running?"
        ) from None
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.serve(sockets=[socket]), name="http server")
        yield socket.getsockname()[:2]
        desk.streams.close()
        server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: the daemon decides when to stop, and in which order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None."""
        yield


class _Ledger:
    """Deliveries of forges in the store, so that a redelivery after a restart is harmless too."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def seen(self, source: str, delivery_id: str) -> bool:
        """Whether that delivery was done before."""
        return await asyncio.to_thread(self._service.store.delivered, source, delivery_id)

    async def done(self, source: str, delivery_id: str) -> None:
        """That delivery is done."""
        await self._service.deliver_once(source, delivery_id)


def _source(sources: Sequence[FollowedSource], name: str) -> FollowedSource:
    found = next((each for each in sources if each.name == name), None)
    if found is None:
        raise NotFound(f"there is no source `{name[:100]}`", hint="`headwater doctor` lists them")
    return found


def _guard(settings: Settings) -> Guard:
    token = settings.api.token.get_secret_value() if settings.api.token else ""
    ours = urlsplit(settings.url or "")
    return Guard(token, frozenset(name for name in (ours.netloc, ours.hostname) if name))


def _hooks(settings: Settings) -> list[HookSource]:
    return [
        HookSource(
            source.name,
            source.hook.forge,
            source.hook.plain_secrets,
            f"refs/heads/{source.branch}",
            source.hook.repository,
        )
        for source in settings.sources
        if source.hook is not None
    ]


def _badge(service: Service, sources: Sequence[FollowedSource], namespace: str, flow_id: str) -> Badge | None:
    version = service.store.flow(namespace, flow_id)
    if version is None:
        return None
    running = Query(namespace=namespace, flow_id=flow_id, states=_RUNNING, limit=1)
    if service.store.executions(running):
        return Badge(label(namespace, flow_id), "running")
    status = next((each.reconciler.status for each in sources if each.name == version.source), None)
    refused = refused_files(status).get((namespace, flow_id)) if status else None
    return flow_badge(flow_facts(service.store, version, refused), service.around.masker.value)


# The process


def serve(settings: Settings) -> int:
    """Run the daemon until it is told to stop; returns the exit code."""
    log_to(settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with running(settings) as daemon:
        log.info("listening on %s", daemon.url)
        for source in daemon.sources:
            log.info("following source %s", source.name)
        await stopping.wait()
        log.info("stopping")
    return 0
