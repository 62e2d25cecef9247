"""Reading from the mirror what differs between two revisions: which files, what they say, which settings hold.

Reads a file only when its content is new, off the event loop and in slices, so that the daemon stays awake while
thousands are read. It must not know what is live.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence

import msgspec

from engine.errors import NotFound, UserError
from engine.model.problem import Problem
from engine.model.records import Deployment
from engine.spec.defaults import kept
from engine.spec.document import MAX_BYTES
from reconciler.desired import Check, is_flow_file, read_flow, refused, unreadable
from reconciler.inventory import FlowFile, Inventory
from reconciler.objects import MirrorDamaged, Objects
from reconciler.settings_file import (
    MAX_BYTES as SETTINGS_LIMIT,
)
from reconciler.settings_file import (
    SETTINGS_PATH,
    RepositorySettings,
    SettingsRead,
    read_settings,
)
from reconciler.settings_file import (
    refused as settings_refused,
)

SLICE = 50  # files; a slice takes some 20 ms


class Listed(msgspec.Struct, frozen=True):
    """An entry below the flow folders that has to be looked at.

    Args:
        defaults: the repository's plugin defaults that it is to be judged with.
    """

    path: str
    blob: str
    kind: str
    defaults: str = ""


class Listing(msgspec.Struct, frozen=True):
    """What differs from the revision before.

    Args:
        settings: those that hold now, and what is wrong with the file if it is not they.
        entries: what is new or has another content.
        gone: paths of flow files that are no more.
    """

    settings: RepositorySettings
    settings_problems: tuple[Problem, ...]
    entries: tuple[Listed, ...]
    gone: tuple[str, ...]


class Scan(msgspec.Struct, frozen=True):
    """What was found.

    Args:
        files: records of the listing's entries.
        flows: what each valid one of them would deploy, by path.
    """

    listing: Listing
    files: tuple[FlowFile, ...]
    flows: dict[str, Deployment]

    @property
    def paths(self) -> dict[str, None]:
        """Every path that differs, once."""
        return dict.fromkeys((*self.listing.gone, *(file.path for file in self.files)))


class Scanner:
    """Reads a source's repository.

    Args:
        objects: the mirror.
        check: compiles a flow file; called in threads.
        branch: the tracked branch.
    """

    def __init__(self, objects: Objects, check: Check, branch: str) -> None:
        self._objects = objects
        self._check = check
        self._branch = branch

    async def look(
        self,
        old: str,
        new: str,
        settings: RepositorySettings,
        problems: tuple[Problem, ...],
        inventory: Inventory,
    ) -> Listing:
        """Find out what differs between two commits.

        Args:
            old: what `settings`, `problems` and `inventory` were made of; empty for none.

        Raises:
            UserError: the tree is too large.
            MirrorDamaged: the mirror has lost something.
        """
        return await asyncio.to_thread(self._list, old, new, settings, problems, inventory)

    async def read(self, listing: Listing) -> Scan:
        """Read and compile everything that a listing names. Raises MirrorDamaged."""
        files: list[FlowFile] = []
        flows: dict[str, Deployment] = {}
        async for file, deployment in self._read(listing.entries):
            files.append(file)
            if deployment is not None:
                flows[file.path] = deployment
        return Scan(listing, tuple(files), flows)

    async def load(self, listed: Sequence[Listed]) -> dict[str, Deployment]:
        """Compile flows that were found valid in an earlier round, by path. Raises MirrorDamaged."""
        return {file.path: flow async for file, flow in self._read(listed) if flow is not None}

    async def _read(self, entries: Sequence[Listed]) -> AsyncIterator[tuple[FlowFile, Deployment | None]]:
        for start in range(0, len(entries), SLICE):
            for each in await asyncio.to_thread(self._read_all, entries[start : start + SLICE]):
                yield each

    def _list(
        self,
        old: str,
        new: str,
        settings: RepositorySettings,
        problems: tuple[Problem, ...],
        inventory: Inventory,
    ) -> Listing:
        try:
            changes = [*self._objects.changes(old or None, new, (SETTINGS_PATH, *settings.flows))]
        except NotFound:  # the mirror was made anew after a force push: the old commit is nowhere any more
            old, changes = "", []
        folders, defaults = settings.flows, settings.plugin_defaults
        if not old or any(change.path == SETTINGS_PATH for change in changes):
            read = self._settings(new)
            settings, problems = read.settings or settings, read.problems
        anew = settings.plugin_defaults != defaults
        if not old or anew or settings.flows != folders:
            return self._list_all(new, settings, problems, inventory, anew=anew)
        entries, gone = [], []
        rules = kept(settings.plugin_defaults)
        for change in changes:
            if change.path == SETTINGS_PATH:
                continue
            if change.new_blob is not None and is_flow_file(change.path, change.kind, settings.flows):
                entries.append(Listed(change.path, change.new_blob, _kind(change.kind), rules))
            elif change.path in inventory.files:
                gone.append(change.path)
        return Listing(settings, problems, tuple(entries), tuple(gone))

    def _list_all(
        self,
        new: str,
        settings: RepositorySettings,
        problems: tuple[Problem, ...],
        inventory: Inventory,
        *,
        anew: bool,
    ) -> Listing:
        """All files; those that are as they were too when they have to be judged `anew`."""
        entries, gone = [], dict.fromkeys(inventory.files)
        rules = kept(settings.plugin_defaults)
        for entry in self._objects.files(new, settings.flows):
            if not is_flow_file(entry.path, entry.kind, settings.flows):
                continue
            gone.pop(entry.path, None)
            known = inventory.files.get(entry.path)
            if anew or known is None or (known.blob, known.kind) != (entry.blob_id, _kind(entry.kind)):
                entries.append(Listed(entry.path, entry.blob_id, _kind(entry.kind), rules))
        return Listing(settings, problems, tuple(entries), tuple(gone))

    def _settings(self, revision: str) -> SettingsRead:
        found = next(iter(self._objects.files(revision, (SETTINGS_PATH,))), None)
        if found is None:
            return read_settings(None)
        if found.path != SETTINGS_PATH or _kind(found.kind) != "file":
            return settings_refused("this has to be a file; links, folders and submodules are not followed")
        try:
            content = self._objects.read(found.blob_id, SETTINGS_LIMIT)
        except UserError as error:
            return settings_refused(str(error))
        return read_settings(content, self._branch)

    def _read_all(self, entries: Sequence[Listed]) -> list[tuple[FlowFile, Deployment | None]]:
        return [*self._read_each(entries)]

    def _read_each(self, entries: Sequence[Listed]) -> Iterator[tuple[FlowFile, Deployment | None]]:
        for entry in entries:
            record = unreadable(entry.path, entry.blob, entry.kind)
            if record is not None:
                yield record, None
                continue
            try:
                content = self._objects.read(entry.blob, MAX_BYTES)
            except NotFound as error:  # its folder names it, so it has to be here
                raise MirrorDamaged(
                    f"{entry.path}: its content {entry.blob} is missing in the mirror",
                    hint="the next fetch repairs it",
                    reason="SourceDamaged",
                ) from error
            except UserError as error:
                yield refused(entry.path, entry.blob, str(error)), None
            else:
                yield read_flow(entry.path, entry.blob, content, self._check, entry.defaults)


def _kind(kind: str) -> str:
    return "file" if kind == "executable" else kind
