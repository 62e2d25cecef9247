"""One followed flows repository, put together: mirror, reconciler, watcher and the writer of its status branch.

It must not know HTTP.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from importlib.metadata import version

from engine.plugins import registry
from engine.runtime.births import last_good
from engine.service import Service
from headwater.sections import Credentials as CredentialSettings
from headwater.sections import Source
from headwater.settings import Settings
from reconciler.desired import checker
from reconciler.loop import Reconciler
from reconciler.remote import Credentials, Remote
from reconciler.report import ReconcileStatus
from reconciler.repository import Mirror
from reconciler.status.branch import StatusBranch
from reconciler.status.facts import refused_files
from reconciler.status.writer import StatusWriter
from reconciler.watch import Watcher

OnStatus = Callable[[ReconcileStatus], Awaitable[None]]


class FollowedSource:
    """A source while the daemon follows it.

    Args:
        mirror: see `mirror_of`; given, because namespace files are read from it too.
        turn: one for all sources, so that no two claim a flow at the same moment.
        on_status: told of every new status.
    """

    def __init__(
        self,
        settings: Settings,
        source: Source,
        mirror: Mirror,
        service: Service,
        turn: asyncio.Lock,
        on_status: Callable[[ReconcileStatus], None],
    ) -> None:
        self.name = source.name
        self.writer: StatusWriter | None = None
        self._settings = settings
        self._source = source
        self._service = service
        self._on_status = on_status
        self._written: asyncio.Task[None] | None = None
        self._branch = ""
        self._group: asyncio.TaskGroup | None = None
        self.reconciler = Reconciler(
            source.name,
            mirror,
            service.store,
            service,
            checker(registry()),
            service.around.clock,
            self._reported,
            checker=_judge(),
            turn=turn,
        )
        self.watcher = Watcher(self.reconciler, source.poll)

    def start(self, group: asyncio.TaskGroup) -> None:
        """Follow the source, as tasks of `group`."""
        self._group = group
        group.create_task(self.watcher.run(), name=f"watch {self.name}")

    def nudge_writer(self) -> None:
        """There may be results to write."""
        if self.writer is not None:
            self.writer.nudge()

    async def _reported(self, status: ReconcileStatus) -> None:
        await self._note_last_good(status)
        self._on_status(status)
        if not self._source.status.enabled:
            return
        branch = self._source.status.branch or self.reconciler.settings.status.branch
        if branch != self._branch:
            self._write_to(branch)
        if self.writer is not None:
            await self.writer.reconciled(status)

    async def _note_last_good(self, status: ReconcileStatus) -> None:
        """Executions of a flow whose file is refused run from the commit of its last good version, not the newest."""
        space, store = last_good(self.name), self._service.store
        wanted: dict[str, str] = {}
        for namespace, flow_id in refused_files(status):
            version = await asyncio.to_thread(store.flow, namespace, flow_id)
            if version is not None:
                wanted[f"{namespace}/{flow_id}"] = version.commit
        known = await asyncio.to_thread(store.items, space)
        if wanted != known:
            await self._service.remember(space, wanted, [name for name in known if name not in wanted])

    def _write_to(self, branch: str) -> None:
        """Begin to write to a branch; a reviewed commit may name another one at any time."""
        assert self._group is not None
        if self._written is not None:
            self._written.cancel()
        self._branch = branch
        folder = self._settings.mirrors_path / f"{self.name}.status"
        url = self._source.status.url or self._source.url
        remote = remote_of(self._settings, url, self._source.credentials, f"{folder}.known_hosts")
        target = StatusBranch(folder, remote, f"refs/heads/{branch}")
        around = self._service.around
        self.writer = StatusWriter(around.store, self.name, target, around.masker.value, around.clock)
        self._written = self._group.create_task(self.writer.run(), name=f"status of {self.name}")


def _judge() -> str:
    """Names what judges flow files: this version and every type that is installed; another one judges anew."""
    known = [name for group in ("tasks", "triggers", "conditions") for name in registry().names(group)]
    return f"{version('headwater')} {hashlib.sha256(' '.join(known).encode()).hexdigest()[:12]}"


def mirror_of(settings: Settings, source: Source) -> Mirror:
    """The mirror of a source. Raises SettingsError when its URL or branch is not acceptable."""
    folder = settings.mirrors_path / source.name
    remote = remote_of(settings, source.url, source.credentials, f"{folder}.known_hosts")
    return Mirror(folder, remote, source.branch)


def remote_of(settings: Settings, url: str, given: CredentialSettings, known_hosts: str) -> Remote:
    """A remote with the credentials that the operator gave for it."""
    credentials = Credentials(
        username=given.username or ("git" if given.secret else ""),
        password=given.secret,
        ssh_key_file=str(given.ssh_key) if given.ssh_key else "",
        known_hosts=given.known_hosts,
    )
    return Remote(url, credentials, known_hosts_store=known_hosts, inherited=settings.inherited)
