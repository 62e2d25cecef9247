"""Reading a local repository's commits, trees and blobs with pygit2: no work tree, no filters, nothing followed.

Every call may run in any thread: each thread has a handle of its own, renewed when the folder is replaced. Nothing
here talks to a remote or writes. Identifiers are lower-case hexadecimal strings.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import cast

import msgspec
import pygit2
from pygit2.enums import FileMode, ObjectType, RepositoryOpenFlag

from engine.errors import NotFound, UnavailableError, UserError
from reconciler.tree_walk import Change, Entry, changed_entries, entries

READ_LIMIT = 16 * 1024 * 1024
_LFS = b"version https://git-lfs.github.com/spec/v1\n"
_MESSAGE_LIMIT = 64 * 1024


class CommitInfo(msgspec.Struct, frozen=True):
    """What a commit says about itself; names and text as its author wrote them, so: hostile.

    Args:
        committed, authored: UTC.
        trailers: `(key, value)` in the order of the message.
    """

    id: str
    tree_id: str
    parents: tuple[str, ...]
    author_name: str
    author_email: str
    authored: datetime
    committed: datetime
    subject: str
    message: str
    trailers: tuple[tuple[str, str], ...]
    signed: bool


class MirrorDamaged(UnavailableError):
    """An object that must be there is missing or unreadable; the next fetch repairs the mirror."""


class Objects:
    """The objects of the repository at `path` (a bare repository, or a work tree's `.git`)."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(path)
        self._local = threading.local()

    def resolve(self, name: str) -> str:
        """The commit that a full or short id, a branch, a tag or an expression such as `HEAD~2` names.

        Raises:
            NotFound: it names no commit.
        """
        try:
            found = self.handle().revparse_single(name).peel(pygit2.Commit)
        except (KeyError, ValueError, pygit2.GitError) as error:
            raise NotFound(f"there is no commit `{name[:200]}`", hint="check the revision") from error
        return str(found.id)

    def tree_id(self, revision: str) -> str:
        """The tree of a commit. Raises NotFound."""
        return str(self._commit(revision).tree_id)

    def files(self, revision: str, prefixes: tuple[str, ...] = ()) -> Iterator[Entry]:
        """Every entry of a commit that is not a folder, in Git's order.

        Args:
            revision: a commit's id.
            prefixes: files or folders to look at, without a slash at the end; none means all of them.

        Raises:
            NotFound: there is no such commit.
            UserError: more entries than `tree_walk.ENTRY_LIMIT`.
            MirrorDamaged: the mirror has lost something.
        """
        repository = self.handle()
        tree = self._commit(revision).tree_id
        with self._watching():
            yield from entries(repository, tree, prefixes)

    def changes(self, old: str | None, new: str | None, prefixes: tuple[str, ...] = ()) -> Iterator[Change]:
        """What differs between two commits; folders that are equal are not opened.

        Renames are not guessed: a moved file is one gone and one come. `None` stands for an empty tree. The order is
        the same every time but not sorted.

        Raises:
            NotFound: there is no such commit.
            UserError: more entries than `tree_walk.ENTRY_LIMIT`.
            MirrorDamaged: the mirror has lost something.
        """
        repository = self.handle()
        trees = [self._commit(revision).tree_id if revision else None for revision in (old, new)]
        with self._watching():
            yield from changed_entries(repository, trees[0], trees[1], prefixes)

    def read(self, blob_id: str, limit: int = READ_LIMIT) -> bytes:
        """The bytes of a blob.

        Raises:
            NotFound: there is no such blob.
            UserError: it has more than `limit` bytes (reason `FileTooLarge`); it is not read then.
            MirrorDamaged: it cannot be read.
        """
        database = self.handle().odb
        with self._watching():
            try:
                oid = pygit2.Oid(hex=blob_id)
                kind, size = database.read_header(oid)
            except (KeyError, ValueError) as error:
                self._suspect()
                raise NotFound(f"there is no blob {blob_id[:64]}") from error
            if kind != ObjectType.BLOB:
                raise NotFound(f"{blob_id} is not a blob")
            if size > limit:
                raise UserError(
                    f"the file has {size} bytes, the limit is {limit}",
                    hint="make it smaller",
                    reason="FileTooLarge",
                )
            return database.read(oid)[1]

    def read_path(self, revision: str, path: str, limit: int = READ_LIMIT) -> bytes | None:
        """The bytes of the regular file at `path` in a commit; none when there is no such file.

        Raises:
            NotFound: there is no such commit.
            UserError: it has more than `limit` bytes.
        """
        commit = self._commit(revision)
        try:
            entry = commit.tree[path]
        except (KeyError, ValueError):
            return None
        if entry.filemode not in (FileMode.BLOB, FileMode.BLOB_EXECUTABLE):
            return None
        return self.read(str(entry.id), limit)

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether `new` holds all of `old`'s history; false too when `old` is unknown here. Raises NotFound."""
        target = self._commit(new).id
        try:
            origin = self._commit(old).id
        except NotFound:
            return False
        with self._watching():
            return bool(origin == target or self.handle().descendant_of(target, origin))

    def is_related(self, one: str, other: str) -> bool:
        """Whether two commits have an ancestor in common; false too when one of them is unknown here."""
        try:
            ids = (self._commit(one).id, self._commit(other).id)
        except NotFound:
            return False
        with self._watching():
            return self.handle().merge_base(*ids) is not None

    def commit_info(self, revision: str) -> CommitInfo:
        """What the commit says about itself. Raises NotFound."""
        return commit_info(self._commit(revision))

    def _commit(self, revision: str) -> pygit2.Commit:
        repository = self.handle()
        with self._watching():
            try:
                found = repository[pygit2.Oid(hex=revision)]
            except (KeyError, ValueError) as error:
                raise NotFound(
                    f"there is no commit {revision[:64]} here", hint="check the revision"
                ) from error
        if found.type != ObjectType.COMMIT:
            raise NotFound(f"{revision} is not a commit", hint="check the revision")
        return cast("pygit2.Commit", found)

    def handle(self) -> pygit2.Repository:
        """This thread's pygit2 handle, renewed when the folder was replaced; not to be kept. Raises NotFound."""
        try:
            state = os.stat(self.path)
            key = (state.st_dev, state.st_ino)
            cached: tuple[tuple[int, int], pygit2.Repository] | None = getattr(self._local, "handle", None)
            if cached is None or cached[0] != key:
                cached = (key, pygit2.Repository(self.path, RepositoryOpenFlag.NO_SEARCH))
                self._local.handle = cached
        except (OSError, pygit2.GitError) as error:
            raise NotFound(f"{self.path} is not a Git repository", hint="check the path") from error
        return cached[1]

    def _watching(self) -> _Watch:
        return _Watch(self)

    def _suspect(self) -> None:
        """Something could not be read; a mirror looks into it at its next fetch."""


class _Watch:
    """Turns libgit2's complaint about an unreadable object into `MirrorDamaged`."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (KeyError, pygit2.GitError, OSError)):
            self._objects._suspect()
            raise MirrorDamaged(
                f"{self._objects.path}: an object is missing or unreadable ({error})"[:300],
                hint="the next fetch repairs it",
                reason="SourceDamaged",
            ) from error


def is_lfs_pointer(data: bytes) -> bool:
    """Whether a file is a Git LFS pointer and not the content itself (git-lfs, docs/spec.md)."""
    return len(data) < 1024 and data.startswith(_LFS)


def commit_info(commit: pygit2.Commit) -> CommitInfo:
    """The value of a pygit2 commit; undecodable text is replaced, over-long text cut."""
    message = commit.raw_message[:_MESSAGE_LIMIT].decode("utf-8", "replace")
    return CommitInfo(
        id=str(commit.id),
        tree_id=str(commit.tree_id),
        parents=tuple(str(parent) for parent in commit.parent_ids),
        author_name=commit.author.raw_name.decode("utf-8", "replace")[:200],
        author_email=commit.author.raw_email.decode("utf-8", "replace")[:200],
        authored=_instant(commit.author.time),
        committed=_instant(commit.commit_time),
        subject=message.lstrip().partition("\n")[0].strip()[:500],
        message=message,
        trailers=_trailers(message),
        signed=_signed(commit),
    )


def _instant(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def _signed(commit: pygit2.Commit) -> bool:
    try:
        return commit.gpg_signature[0] is not None
    except KeyError:
        return False


def _trailers(message: str) -> tuple[tuple[str, str], ...]:
    """The `Key: value` lines of the last paragraph. pygit2's own list folds repeated keys, which batches need."""
    paragraphs = message.rstrip().split("\n\n")
    if len(paragraphs) < 2:
        return ()
    pairs = []
    for line in paragraphs[-1].splitlines():
        key, separator, value = line.partition(": ")
        if not separator or not key or not all(c.isascii() and (c.isalnum() or c == "-") for c in key):
            return ()
        pairs.append((key, value.strip()))
    return tuple(pairs)
