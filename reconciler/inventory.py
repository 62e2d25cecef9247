"""What a source's flow files say and what it has made live, as frozen values that share what did not change.

Pure. Every index is kept along, so that a change costs what changed and never what is there. It must not know Git,
the store or YAML.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Generic, TypeAlias, TypeVar

import msgspec
from immutables import Map

from engine.model.problem import Problem

Identity: TypeAlias = tuple[str, str]
"""Namespace and id: what a flow is known by, wherever its file lies."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Hashable)


class FlowFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """A flow file as a revision has it.

    Args:
        blob: id of its content.
        kind: as `tree_walk.Entry.kind`, with executables as `file`.
        namespace, id: whom it claims to be; of a refused file as far as it could be told, or empty.
        line: of its `id`; 0 when not found.
        refused: it has problems that keep it from going live.
        defaults: the plugin defaults of the repository that it was judged with, as far as they concern it.
    """

    path: str
    blob: str
    kind: str = "file"
    namespace: str = ""
    id: str = ""
    line: int = 0
    refused: bool = False
    problems: tuple[Problem, ...] = ()
    defaults: str = ""

    @property
    def identity(self) -> Identity | None:
        """Whom it claims to be, if that can be told."""
        return (self.namespace, self.id) if self.namespace and self.id else None


class Version(msgspec.Struct, frozen=True):
    """Which file and which content of it a flow is made of, with which plugin defaults."""

    path: str
    blob: str
    defaults: str = ""


class Inventory(msgspec.Struct, frozen=True):
    """The flow files of one revision.

    Args:
        files: by path.
        claims: paths of all files, refused ones too, that claim an identity.
        troubled: paths of the files with problems, each with itself; a set that shares what did not change.
    """

    files: Map[str, FlowFile] = Map()
    claims: Map[Identity, frozenset[str]] = Map()
    troubled: Map[str, None] = Map()

    def updated(self, files: Iterable[FlowFile], gone: Iterable[str]) -> Inventory:
        """The inventory after some files have changed or come, and others have gone."""
        records, claims, troubled = self.files.mutate(), _Index(self.claims), self.troubled.mutate()
        for path in gone:
            before = records.pop(path, None)
            troubled.pop(path, None)
            if before is not None and before.identity is not None:
                claims.remove(before.identity, path)
        for file in files:
            before = records.get(file.path)
            if before is not None and before.identity is not None:
                claims.remove(before.identity, file.path)
            records[file.path] = file
            if file.identity is not None:
                claims.add(file.identity, file.path)
            if file.problems:
                troubled[file.path] = None
            else:
                troubled.pop(file.path, None)
        return Inventory(records.finish(), claims.finish(), troubled.finish())

    def claimants(self, identity: Identity) -> list[FlowFile]:
        """Every file that claims an identity, refused ones too, ordered by path."""
        return [self.files[path] for path in sorted(self.claims.get(identity, frozenset()))]


class Live(msgspec.Struct, frozen=True):
    """What a source has made live.

    Args:
        versions: by identity.
        paths: the identities that came from a path.
    """

    versions: Map[Identity, Version] = Map()
    paths: Map[str, frozenset[Identity]] = Map()

    def updated(self, versions: Mapping[Identity, Version], gone: Iterable[Identity]) -> Live:
        """What is live after some flows went live and others were taken off."""
        live, paths = self.versions.mutate(), _Index(self.paths)
        for identity in (*gone, *versions):
            before = live.pop(identity, None)
            if before is not None:
                paths.remove(before.path, identity)
        for identity, version in versions.items():
            live[identity] = version
            paths.add(version.path, identity)
        return Live(live.finish(), paths.finish())


class _Index(Generic[K, V]):
    """A map of sets while it is being changed."""

    def __init__(self, index: Map[K, frozenset[V]]) -> None:
        self._sets = index.mutate()

    def add(self, key: K, member: V) -> None:
        self._sets[key] = self._sets.get(key, frozenset()) | {member}

    def remove(self, key: K, member: V) -> None:
        left = self._sets.get(key, frozenset()) - {member}
        if left:
            self._sets[key] = left
        else:
            self._sets.pop(key, None)

    def finish(self) -> Map[K, frozenset[V]]:
        return self._sets.finish()
