"""The folder of a bare mirror: made in one step, locked between processes, swept of what a kill left behind, replaced.

Whatever happened before, `prepare` ends with a folder that git can work in. It knows the files of a repository but
nothing of remotes, and runs no process.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pygit2

from engine.errors import OperatorError, UnavailableError

_LOCK_POLL = 0.02


class MirrorFolder:
    """The folder at `path`. All but `locked` must be called while the lock is held."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._swept = False

    @asynccontextmanager
    async def locked(self, timeout: float) -> AsyncIterator[int]:  # noqa: ASYNC109
        """Hold the folder against every other task and process; gives the lock's descriptor.

        A git process that inherits the descriptor holds the lock until it ends itself, so that one left over from a
        killed daemon is waited for and never worked against.

        Raises:
            UnavailableError: somebody else has held it for `timeout` seconds.
            OperatorError: the folder beside which it lies cannot be written.
        """
        descriptor = self._open_lock()
        try:
            await self._acquire(descriptor, timeout)
            yield descriptor
        finally:
            os.close(descriptor)

    def _open_lock(self) -> int:
        try:
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
            return os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unwritable(self.path, error) from error

    async def _acquire(self, descriptor: int, timeout: float) -> None:  # noqa: ASYNC109
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if asyncio.get_running_loop().time() > deadline:
                    raise UnavailableError(
                        f"{self.path}: another process has been using the mirror for {timeout:g} s",
                        hint="stop the other daemon, or give each its own data folder",
                        reason="MirrorBusy",
                    ) from error
                await asyncio.sleep(_LOCK_POLL)
            else:
                return

    def prepare(self) -> None:
        """Make the folder a sound, empty-handed bare repository if it is not one yet; sweep it on first use.

        Raises:
            OperatorError: it cannot be written.
        """
        try:
            if not self._opens():
                self.replace()
            if not self._swept:
                self._sweep()
                self._swept = True
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def replace(self) -> None:
        """Put a new, empty repository in the folder's place; the old one is kept once as `PATH.damaged`.

        In the place of an old one the new one is a link to a folder with a name of its own: libgit2 remembers packs by
        their real path for as long as any thread has them open, and would go on reading the damaged ones.
        """
        folder, name = os.path.split(self.path)
        fresh, damaged = f"{name}.new-{time.time_ns():x}", f"{self.path}.damaged"
        self._remove_unused()
        pygit2.init_repository(os.path.join(folder, fresh), bare=True)
        if not os.path.lexists(self.path):
            os.rename(os.path.join(folder, fresh), self.path)
            return
        _remove(damaged)
        current = os.path.realpath(self.path)
        if os.path.islink(self.path):
            os.unlink(self.path)
        if os.path.lexists(current):
            os.rename(current, damaged)
        os.symlink(fresh, self.path)

    def _remove_unused(self) -> None:
        """Remove new folders that never came into use, because we were killed in `replace`."""
        folder, name = os.path.split(self.path)
        current = os.path.realpath(self.path)
        for other in os.listdir(folder):
            if other.startswith(f"{name}.new-") and os.path.join(folder, other) != current:
                _remove(os.path.join(folder, other))

    def sweep_again(self) -> None:
        """Let the next `prepare` sweep once more: a command has failed for no known reason."""
        self._swept = False

    def loose_objects(self) -> int:
        """About how many loose objects there are: one of 256 folders is counted, as `git gc --auto` does."""
        with contextlib.suppress(OSError):
            return len(os.listdir(os.path.join(self.path, "objects", "17"))) * 256
        return 0

    def packs(self) -> int:
        """How many packs there are."""
        with contextlib.suppress(OSError):
            return sum(
                name.endswith(".pack") for name in os.listdir(os.path.join(self.path, "objects", "pack"))
            )
        return 0

    def _opens(self) -> bool:
        try:
            return pygit2.Repository(self.path, pygit2.enums.RepositoryOpenFlag.NO_SEARCH).is_bare
        except (pygit2.GitError, KeyError):
            return False

    def _sweep(self) -> None:
        """Remove locks and temporary files. Safe: whoever made them held the lock, and has ended."""
        for leftover in self._leftovers():
            _remove(leftover)

    def _leftovers(self) -> Iterator[str]:
        objects = os.path.join(self.path, "objects")
        for name in os.listdir(self.path):
            if name.endswith(".lock"):
                yield os.path.join(self.path, name)
        for folder, _, names in os.walk(os.path.join(self.path, "refs")):
            yield from (os.path.join(folder, name) for name in names if name.endswith(".lock"))
        for name in os.listdir(objects):
            if name.startswith(("tmp_", "incoming-")):
                yield os.path.join(objects, name)
            elif len(name) == 2 or name in ("pack", "info"):
                folder = os.path.join(objects, name)
                yield from (
                    os.path.join(folder, file)
                    for file in os.listdir(folder)
                    if file.startswith((".tmp-", "tmp_")) or file.endswith(".lock")
                )


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _unwritable(path: str, error: OSError) -> OperatorError:
    return OperatorError(
        f"{path}: the mirror cannot be written ({error.strerror})",
        hint="check the data folder's owner, mode and free space",
        reason="MirrorUnwritable",
    )
