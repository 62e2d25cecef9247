"""Publishing to a branch that only we write to: commits built without a checkout, pushed by compare-and-swap.

It knows bytes and paths, not what they mean. Nothing read from the branch may steer a decision: whoever publishes
renders from its own store. Commits live only in their attempt; the local ref moves after the remote's has.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

import msgspec
import pygit2

from engine.errors import ContractViolation, OperatorError, SettingsError, UnavailableError
from reconciler.git import GitResult
from reconciler.objects import MirrorDamaged
from reconciler.remote import Credentials, Remote
from reconciler.repository import Mirror
from reconciler.tree_build import build_tree
from reconciler.tree_walk import entries

DEFAULT_REF = "refs/heads/headwater/status"
LOCAL_REF = "refs/headwater/status"
ATTEMPTS = 10
FIRST_PAUSE = 0.05  # seconds, doubled with every attempt up to LONGEST_PAUSE, and spread out at random
LONGEST_PAUSE = 2.0
_VALUE_LIMIT = 500
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_TRAILER_KEY = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
# What the other side says when somebody was faster; any other refusal stays one however often it is tried.
_OVERTAKEN = re.compile(
    r"stale info|fetch first|non-fast-forward|needs force|failed to update ref|cannot lock ref|failed to lock"
    r"|incorrect old value|reference already exists|remote ref updated"
)


class StatusRejected(OperatorError):
    """The remote answers and refuses this push: a protected branch, a hook, a quota."""


class Signer(msgspec.Struct, frozen=True):
    """Whom the commits name as author and committer."""

    name: str = "Headwater"
    email: str = "headwater@localhost"


class TipReader:
    """The files of the branch as they are below the commit that is being made."""

    def __init__(self, repository: pygit2.Repository, tree: pygit2.Oid | None) -> None:
        self._repository = repository
        self._tree = tree

    @property
    def tree_id(self) -> str | None:
        """The tree of all these files; none when the branch is not there."""
        return None if self._tree is None else str(self._tree)

    def read(self, path: str) -> bytes | None:
        """The bytes at `path`, or none."""
        if self._tree is None:
            return None
        try:
            found = _tree(self._repository, str(self._tree))[path]
        except KeyError:
            return None
        return found.data if isinstance(found, pygit2.Blob) else None

    def paths(self, *prefixes: str) -> Iterator[str]:
        """The paths below the prefixes (none: all), in Git's order."""
        if self._tree is not None:
            yield from (entry.path for entry in entries(self._repository, self._tree, prefixes))


Changes = Mapping[str, bytes | None]
Trailers = tuple[tuple[str, str], ...]


class Draft(msgspec.Struct, frozen=True):
    """One commit to be made on whatever tip there is.

    Args:
        changes: bytes by path, None to remove; or what makes them from the tip, called again on every new tip.
        message: a subject, perhaps a body after an empty line.
        trailers: appended as `Key: value` lines, in this order; a key may come several times.
        when: the commit's date; now, when none.
        retold: message and trailers from what is changed on this tip, where that is not known before.
    """

    changes: Changes | Callable[[TipReader], Changes]
    message: str
    trailers: Trailers = ()
    when: datetime | None = None
    retold: Callable[[Changes], tuple[str, Trailers]] | None = None


class StatusBranch:
    """One branch of one remote that we write to.

    Args:
        mirror_path: folder of a bare repository of its own, not a source's mirror: neither waits for the other.
        url: a URL or a checked `Remote`.
        ref: the branch's full name; no other ref of the remote is ever touched.
        credentials: for `url`; not used when that is a `Remote`.
        author: whom the commits name.

    Raises:
        SettingsError: the URL or the ref is not acceptable.
    """

    def __init__(
        self,
        mirror_path: str | os.PathLike[str],
        url: str | Remote,
        ref: str = DEFAULT_REF,
        credentials: Credentials | None = None,
        author: Signer | None = None,
        *,
        timeout: float = 120.0,
    ) -> None:
        if not ref.startswith("refs/heads/"):
            raise SettingsError(f"{ref[:200]!r} is not a branch", hint="give it as refs/heads/NAME")
        self.ref = ref
        self.mirror = Mirror(
            mirror_path, url, ref.removeprefix("refs/heads/"), credentials, ref=LOCAL_REF, timeout=timeout
        )
        self.author = author or Signer()

    async def publish(
        self,
        changes: Changes | Callable[[TipReader], Changes],
        message: str,
        trailers: Sequence[tuple[str, str]] = (),
        when: datetime | None = None,
    ) -> str | None:
        """Commit and push one draft; see `publish_all`."""
        return await self.publish_all([Draft(changes, message, tuple(trailers), when)])

    async def publish_all(self, drafts: Sequence[Draft]) -> str | None:
        """Make a commit of each draft that changes something, and push them together.

        Safe to repeat: what has arrived already changes nothing. When somebody else has pushed meanwhile, the drafts
        are made again on the new tip.

        Returns:
            the branch's new tip; none when nothing would change and nothing was pushed.

        Raises:
            StatusRejected: the remote refuses such pushes.
            CredentialError: the remote refuses us.
            UnavailableError: it does not answer, or others were faster `ATTEMPTS` times.
        """
        async with self.mirror.locked() as lock:
            self.mirror.folder.prepare()
            tip = None if self.mirror.suspected else self.mirror.tip()
            if tip is None:
                tip = await self.mirror.fetch_locked(lock)
            for attempt in range(ATTEMPTS):
                if attempt:
                    await asyncio.sleep(_pause(attempt))
                    tip = await self.mirror.fetch_locked(lock)
                try:
                    commit = await asyncio.to_thread(self._commit_all, tip, drafts)
                except (MirrorDamaged, pygit2.GitError):
                    self.mirror.suspected = True
                    continue
                if commit is None or commit == tip:
                    return None
                if self._arrived(await self.mirror.push(lock, commit, tip)):
                    self.mirror.set_tip(commit)
                    return commit
        raise UnavailableError(
            f"{self.mirror.remote.display}: others pushed to {self.ref} {ATTEMPTS} times in between",
            hint="it is tried again",
            reason="StatusContended",
        )

    async def refresh(self) -> str | None:
        """Fetch the remote's tip and return it; none when there is no such branch. Raises as `Mirror.fetch`."""
        return await self.mirror.fetch()

    async def tidy(self) -> bool:
        """Pack what has piled up; cheap when there is little. See `Mirror.tidy`."""
        return await self.mirror.tidy()

    def _commit_all(self, tip: str | None, drafts: Sequence[Draft]) -> str | None:
        """The commits of the drafts on `tip`: the last one's id, or `tip` when nothing changes."""
        repository = self.mirror.handle()
        parent = tip
        for draft in drafts:
            parent = self._commit(repository, parent, draft)
        return parent

    def _commit(self, repository: pygit2.Repository, parent: str | None, draft: Draft) -> str | None:
        base = _tree(repository, parent).id if parent else None
        changes = draft.changes(TipReader(repository, base)) if callable(draft.changes) else draft.changes
        try:
            tree = build_tree(repository, base, changes)
        except KeyError as error:
            raise MirrorDamaged(f"{self.mirror.path}: {error} is missing") from error
        if tree == base or (base is None and not len(_tree(repository, str(tree)))):
            return parent
        if draft.retold is not None:
            message, trailers = draft.retold(changes)
            draft = msgspec.structs.replace(draft, message=message, trailers=trailers)
        when = draft.when or datetime.now(UTC)
        signer = pygit2.Signature(self.author.name, self.author.email, int(when.timestamp()), 0)
        parents = [pygit2.Oid(hex=parent)] if parent else []
        return str(repository.create_commit(None, signer, signer, commit_message(draft), tree, parents))

    def _arrived(self, result: GitResult) -> bool:
        """Whether the push was taken; false when others were faster. Raises when trying again would be no use."""
        if result.code == 0:
            return True
        refusal = _refusal(result.stdout)
        if refusal is None:
            self.mirror.suspected = self.mirror.remote.explain(result.stderr) is None
            raise self.mirror.failure(result)
        if _OVERTAKEN.search(refusal):
            return False
        said = [
            line for line in result.stderr.splitlines() if line.startswith("remote:") and line[7:].strip()
        ]
        words = self.mirror.remote.redact(" ".join([refusal, *said]))[:_VALUE_LIMIT]
        raise StatusRejected(
            f"{self.mirror.remote.display}: the push to {self.ref} is refused: {words}",
            hint="permit Headwater to push to this branch, or set another status branch",
        )


def commit_message(draft: Draft) -> str:
    """The whole message. Values come from strangers: their line breaks must not make trailers of their own.

    Raises:
        ContractViolation: a trailer's key is none.
    """
    lines = []
    for key, value in draft.trailers:
        if not _TRAILER_KEY.fullmatch(key):
            raise ContractViolation(f"{key!r} is not the key of a trailer")
        lines.append(f"{key}: {_CONTROL.sub(' ', value).strip()[:_VALUE_LIMIT]}")
    message = draft.message.strip() or "Update"
    return f"{message}\n\n" + "".join(f"{line}\n" for line in lines) if lines else f"{message}\n"


def _tree(repository: pygit2.Repository, name: str) -> pygit2.Tree:
    try:
        return repository[pygit2.Oid(hex=name)].peel(pygit2.Tree)
    except KeyError as error:
        raise MirrorDamaged(f"{repository.path}: {name} is missing") from error


def _refusal(stdout: bytes) -> str | None:
    """What the porcelain says of a ref that was not taken (git-push(1), OUTPUT); none when it says nothing."""
    for line in stdout.decode("utf-8", "replace").splitlines():
        if line.startswith("!\t"):
            return line.rpartition("\t")[2]
    return None


def _pause(attempt: int) -> float:
    return min(FIRST_PAUSE * 2.0 ** (attempt - 1), LONGEST_PAUSE) * random.uniform(0.5, 1.5)  # noqa: S311
