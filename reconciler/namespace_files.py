"""The files of a namespace as they were at a commit, read from the sources' mirrors: `files/<namespace>/...`.

A namespace is one folder with its dots, such as `files/company.etl/`; a namespace does not see the files of its parent.
Contents are kept in memory by their ids, within bounds, because a commit seldom changes any of them. It must not know
who asks.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping

import msgspec

from engine.errors import NotFound, UserError
from reconciler.objects import Objects, is_lfs_pointer
from reconciler.settings_file import MAX_BYTES as SETTINGS_LIMIT
from reconciler.settings_file import SETTINGS_PATH, RepositorySettings, read_settings
from reconciler.tree_walk import Entry

FILE_LIMIT = 16 * 1024 * 1024
NAMESPACE_LIMIT = 64 * 1024 * 1024
COUNT_LIMIT = 10_000
_LISTINGS = 200


class _Listing(msgspec.Struct, frozen=True):
    """Blobs by path within the namespace."""

    blobs: dict[str, str]


class MirrorNamespaceFiles:
    """Plays `engine.ports.NamespaceFiles` on the mirrors of all sources.

    Args:
        mirrors: asked in turn for a commit.
        cache_bytes: how much content is kept in memory.
    """

    def __init__(self, mirrors: Iterable[Objects], cache_bytes: int = NAMESPACE_LIMIT) -> None:
        self._mirrors = tuple(mirrors)
        self._cache_bytes = cache_bytes
        self._held = 0
        self._contents: OrderedDict[str, bytes] = OrderedDict()
        self._listings: OrderedDict[tuple[str, str], _Listing] = OrderedDict()
        self._lock = threading.Lock()

    def files(self, namespace: str, commit: str) -> Mapping[str, bytes]:
        """All files by relative path; empty when there are none, or no mirror knows the commit. From any thread.

        Raises:
            UserError: they are too many or too large, or one is a Git LFS pointer.
            MirrorDamaged: a mirror has lost something.
        """
        if not namespace or "/" in namespace or namespace in (".", ".."):
            return {}
        for mirror in self._mirrors:
            try:
                tree = mirror.tree_id(commit)
            except NotFound:
                continue
            listing = self._listing(mirror, tree, commit, namespace)
            return {path: self._content(mirror, path, blob) for path, blob in listing.blobs.items()}
        return {}

    def _listing(self, mirror: Objects, tree: str, commit: str, namespace: str) -> _Listing:
        with self._lock:
            found = self._listings.get((tree, namespace))
        if found is None:
            found = _Listing(_list(mirror, commit, namespace))
            with self._lock:
                self._listings[tree, namespace] = found
                while len(self._listings) > _LISTINGS:
                    self._listings.popitem(last=False)
        return found

    def _content(self, mirror: Objects, path: str, blob: str) -> bytes:
        with self._lock:
            found = self._contents.get(blob)
            if found is not None:
                self._contents.move_to_end(blob)
                return found
        content = mirror.read(blob, FILE_LIMIT)
        if is_lfs_pointer(content):
            raise UserError(
                f"the namespace file {path} is a Git LFS pointer",
                hint="keep namespace files out of LFS",
                reason="NamespaceFileInvalid",
            )
        self._keep(blob, content)
        return content

    def _keep(self, blob: str, content: bytes) -> None:
        with self._lock:
            if blob not in self._contents and len(content) <= self._cache_bytes:
                self._contents[blob] = content
                self._held += len(content)
            while self._held > self._cache_bytes:
                self._held -= len(self._contents.popitem(last=False)[1])


def _list(mirror: Objects, commit: str, namespace: str) -> dict[str, str]:
    """The blobs of a namespace, of all its folders; links, submodules and what is no plain file are left out."""
    found: dict[str, Entry] = {}
    for folder in _settings(mirror, commit).files:
        root = f"{folder}/{namespace}"
        for entry in mirror.files(commit, (root,)):
            if entry.kind in ("file", "executable") and entry.path.startswith(f"{root}/"):
                found[entry.path.removeprefix(f"{root}/")] = entry
    size = sum(entry.size for entry in found.values())
    if size > NAMESPACE_LIMIT or len(found) > COUNT_LIMIT:
        raise UserError(
            f"namespace {namespace} has {len(found)} files of {size} bytes;"
            f" at most {COUNT_LIMIT} of {NAMESPACE_LIMIT} bytes are handed to tasks",
            hint="keep large files in an object store",
            reason="NamespaceFilesTooLarge",
        )
    return {path: entry.blob_id for path, entry in found.items()}


def _settings(mirror: Objects, commit: str) -> RepositorySettings:
    """The settings at that very commit; the defaults where they are refused."""
    try:
        content = mirror.read_path(commit, SETTINGS_PATH, SETTINGS_LIMIT)
    except UserError:
        content = None
    return read_settings(content).settings or RepositorySettings()
