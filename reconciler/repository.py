"""The bare mirror of a source's branch: ask the remote, fetch, read; heals itself after a kill or a damaged disk.

There is no clone step and never a work tree: the first fetch of an empty mirror is the clone, so that a kill at any
moment leaves nothing special to repair. This module must not know flows, plans or forges.
"""

from __future__ import annotations

import os
from contextlib import AbstractAsyncContextManager

import pygit2

from engine.errors import NotFound, OperatorError, SettingsError, UnavailableError
from reconciler.git import GitResult, git
from reconciler.mirror_folder import MirrorFolder
from reconciler.objects import MirrorDamaged, Objects
from reconciler.remote import Credentials, Remote

SOURCE_REF = "refs/headwater/source"
LOOSE_LIMIT = 2_000
PACK_LIMIT = 50
LOCK_PATIENCE = 30.0  # seconds
_MISSING_BRANCH = "fatal: couldn't find remote ref "


class Mirror(Objects):
    """One branch of one remote, kept in a bare repository of its own.

    The folder belongs to this mirror; two daemons on one folder take turns. After a force push the old commits stay
    readable: nothing is ever pruned.

    Args:
        path: the folder; made on first use, together with files beside it that begin with its name.
        url: a URL or a checked `Remote`.
        branch: its short name, such as `main`.
        credentials: for `url`; not used when that is a `Remote`.
        ref: the local ref that holds the tip.
        timeout: seconds for one command.

    Raises:
        SettingsError: the URL or the branch's name is not acceptable.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        url: str | Remote,
        branch: str,
        credentials: Credentials | None = None,
        *,
        ref: str = SOURCE_REF,
        timeout: float = 300.0,
    ) -> None:
        super().__init__(path)
        store = f"{self.path}.known_hosts"
        self.remote = url if isinstance(url, Remote) else Remote(url, credentials, known_hosts_store=store)
        self.branch = branch
        self.remote_ref = f"refs/heads/{branch}"
        self.ref = ref
        self.folder = MirrorFolder(self.path)
        self._timeout = timeout
        self.suspected = False
        """Whether something here could not be read: the next fetch checks every object, and starts anew if need be."""
        if branch.startswith("-") or not pygit2.reference_is_valid_name(self.remote_ref):
            raise SettingsError(
                f"{branch[:200]!r} is not the name of a branch", hint="give it without refs/heads/"
            )

    async def remote_revision(self) -> str | None:
        """The commit that the remote's branch is at now; none when it has no such branch. The mirror is not touched.

        Raises:
            UnavailableError: the remote does not answer.
            CredentialError: it refuses us.
        """
        result = await self._run("ls-remote", "--quiet", "--", self.remote.url, self.remote_ref, cwd="/")
        if result.code:
            raise self.failure(result)
        for line in result.stdout.decode("utf-8", "replace").splitlines():
            revision, _, name = line.partition("\t")
            if name == self.remote_ref:
                return revision
        return None

    async def fetch(self) -> str | None:
        """Bring the branch's tip and its history here and return it; none when the remote has no such branch.

        Raises:
            UnavailableError: the remote does not answer, or another process holds the mirror.
            CredentialError: the remote refuses us.
            OperatorError: the mirror cannot be written.
        """
        async with self.locked() as lock:
            return await self.fetch_locked(lock)

    def locked(self) -> AbstractAsyncContextManager[int]:
        """Hold the mirror's folder; see `MirrorFolder.locked`. What is held longer is an outage to whoever waits."""
        return self.folder.locked(min(self._timeout, LOCK_PATIENCE))

    async def fetch_locked(self, lock: int) -> str | None:
        """As `fetch`, for a caller that has entered `locked` already."""
        result = None
        for _ in range(2):
            self.folder.prepare()
            if self.suspected:
                await self._repair(lock)
            result = await self._fetch(lock)
            if result.code == 0 and self._tip_is_whole():
                return self.tip()
            if result.code and _branch_is_missing(result.stderr):
                self._drop_tip()
                return None
            if result.code and self.remote.explain(result.stderr):
                break
            self.suspected = True
            self.folder.sweep_again()
        assert result is not None
        raise self.failure(result)

    def tip(self) -> str | None:
        """The commit last fetched; none before the first fetch and after the branch has gone."""
        try:
            return str(self.handle().lookup_reference(self.ref).target)
        except (KeyError, NotFound):
            return None
        except (ValueError, pygit2.GitError):  # an empty or garbled file, as a power cut leaves it
            self.suspected = True
            return None

    async def push(self, lock: int, commit: str, expected: str | None) -> GitResult:
        """Move the remote's branch from `expected` (none: not there) to `commit`, or change nothing.

        Returns:
            the ended command; its output is in git's porcelain format.
        """
        lease = f"--force-with-lease={self.remote_ref}:{expected or ''}"
        return await self._run(
            "push", "--porcelain", "--no-verify", "--no-recurse-submodules", lease,
            "--", self.remote.url, f"{commit}:{self.remote_ref}", lock=lock,
        )  # fmt: skip

    def set_tip(self, commit: str) -> None:
        """Note where the remote's branch is known to be."""
        self.handle().references.create(self.ref, commit, force=True)

    async def tidy(self) -> bool:
        """Pack loose objects when there are many; costs one directory listing when there are not. Nothing is pruned.

        Returns:
            whether anything was packed.
        """
        if self.folder.loose_objects() < LOOSE_LIMIT and self.folder.packs() < PACK_LIMIT:
            return False
        async with self.locked() as lock:
            self.folder.prepare()
            # Geometric: what is packed already is only touched when the new is about as large, and the unreachable
            # (commits before a force push, which executions may be pinned to) are packed with the rest.
            result = await self._run("repack", "--geometric=2", "-d", "--quiet", lock=lock)
        if result.code:
            self.suspected = True
        return result.code == 0

    def _suspect(self) -> None:
        self.suspected = True

    async def _fetch(self, lock: int) -> GitResult:
        return await self._run(
            "fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-auto-maintenance",
            "--no-write-fetch-head", "--no-show-forced-updates",
            "--", self.remote.url, f"+{self.remote_ref}:{self.ref}", lock=lock,
        )  # fmt: skip

    async def _run(self, *args: str, cwd: str | None = None, lock: int | None = None) -> GitResult:
        env = self.remote.env
        if cwd is None:
            cwd, env = self.path, {**env, "GIT_DIR": self.path}
        fds = () if lock is None else (lock,)
        config = self.remote.config
        try:
            return await git(*args, cwd=cwd, env=env, config=config, timeout=self._timeout, pass_fds=fds)
        except BaseException:
            self.folder.sweep_again()  # git may have been ended by force
            raise

    async def _repair(self, lock: int) -> None:
        """Check every object that is here; replace the mirror when one is unsound."""
        result = await self._run("fsck", "--full", "--no-dangling", "--no-progress", lock=lock)
        if result.code:
            self.folder.replace()
        self.suspected = False

    def _tip_is_whole(self) -> bool:
        """Whether the tip's commit and root folder can be read: a cheap look, not a check."""
        tip = self.tip()
        try:
            return tip is not None and self.handle()[self.tree_id(tip)] is not None
        except (KeyError, pygit2.GitError, NotFound, MirrorDamaged):
            return False

    def _drop_tip(self) -> None:
        """Forget the tip, but hold on to its history, so that a restored branch costs nothing to fetch."""
        tip = self.tip()
        if tip is not None:
            references = self.handle().references
            references.create(f"{self.ref}-last", tip, force=True)
            references.delete(self.ref)

    def failure(self, result: GitResult) -> Exception:
        """The error that a failed command is to be raised as."""
        known = self.remote.explain(result.stderr)
        if known is not None:
            return known
        text = self.remote.last_words(result.stderr)
        if "No space left" in result.stderr or "Read-only file system" in result.stderr:
            return OperatorError(
                f"{self.path}: the mirror cannot be written ({text})",
                hint="free some space in the data folder",
                reason="MirrorUnwritable",
            )
        return UnavailableError(
            f"{self.remote.display}: git failed ({text})",
            hint="it is tried again",
            reason="SourceUnavailable",
        )


def _branch_is_missing(stderr: str) -> bool:
    return any(line.startswith(_MISSING_BRANCH) for line in stderr.splitlines())
