"""Who changed a flow and when, and which executions ran from which revision: answered from Git alone.

Reads commits and blobs with pygit2; only the check of signatures runs git. Takes what recognises a flow in a file as a
callable, so that it must not know the dialect, the store or the daemon. All it reads was written by strangers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec
import pygit2
from pygit2.enums import SortMode

from engine.errors import HeadwaterError, SettingsError, UnavailableError
from reconciler.git import git
from reconciler.objects import CommitInfo, MirrorDamaged, Objects, commit_info
from reconciler.tree_walk import Change

FLOW_PREFIXES = ("flows", "_flows")
DOCUMENT_LIMIT = 4 * 1024 * 1024
FLOW_FILE_LIMIT = 1024 * 1024

Signature = Literal["unsigned", "signed (not verified)", "good", "bad"]
Identity = tuple[str, str]
Identify = Callable[[bytes], Identity | None]
"""Namespace and id of the flow that a file holds; none when it holds none, or cannot be read as one."""

# git-log(1), %G?: only G is a good signature by an allowed signer. An unknown signer (U), an expired or revoked key
# (X, Y, R) and a wrong signature (B) are bad; what cannot be checked (E, N) stays unverified.
_VERDICTS: dict[str, Signature] = {"G": "good", "B": "bad", "U": "bad", "X": "bad", "Y": "bad", "R": "bad"}


class FlowChange(msgspec.Struct, frozen=True):
    """A commit that changed a flow.

    Args:
        commit: who, when and why.
        kind: what happened to the flow's file.
        path: where the file is after the commit, or was before it was removed.
        signature: `good` and `bad` only come from `verified`.
        signer: the principal that signed, when the signature is good; not necessarily the author.
    """

    commit: CommitInfo
    kind: Literal["added", "changed", "moved", "removed"]
    path: str
    signature: Signature
    signer: str = ""


class ExecutionRecord(msgspec.Struct, frozen=True):
    """An execution as the status branch last told of it.

    Args:
        revision: the commit of the flows repository that it ran from; empty when not told.
        state: its state; empty when its document is gone or unreadable.
        started, ended: ISO 8601, or empty.
        trigger, actor: what and who started it, or empty.
        recorded: the commit of the status branch.
    """

    id: str
    revision: str
    state: str
    started: str
    ended: str
    trigger: str
    actor: str
    recorded: str


def flow_history(
    repo_path: str | os.PathLike[str],
    revision: str,
    identity: Identity,
    identify: Identify,
    prefixes: tuple[str, ...] = FLOW_PREFIXES,
) -> Iterator[FlowChange]:
    """The commits up to `revision` that changed the flow `(namespace, id)`, newest first, across moves of its file.

    A merge counts only when it differs from each of its parents, as in `git log`.

    Raises:
        NotFound: there is no such repository or commit.
        UnavailableError: the repository is damaged.
    """
    objects = Objects(repo_path)
    start = objects.resolve(revision)
    tracer = _Tracer(objects, identity, identify)
    for info in _history(objects, start):
        steps = [
            tracer.step(objects.changes(parent, info.id, prefixes)) for parent in info.parents or (None,)
        ]
        if all(steps) and steps[0]:
            kind, path = steps[0]
            signature: Signature = "signed (not verified)" if info.signed else "unsigned"
            yield FlowChange(info, kind, path, signature)


async def verified(
    repo_path: str | os.PathLike[str], changes: Sequence[FlowChange], allowed_signers_file: str
) -> list[FlowChange]:
    """The same changes with their signatures checked against a file of allowed signers (ssh-keygen(1)).

    What cannot be checked is never good.

    Raises:
        SettingsError: the file cannot be read.
        UnavailableError: git fails.
    """
    signers = _readable(allowed_signers_file)
    signed = [change.commit.id for change in changes if change.commit.signed]
    verdicts = await _verdicts(Objects(repo_path).path, signed, signers) if signed else {}
    return [_judged(change, verdicts) for change in changes]


def executions(
    repo_path: str | os.PathLike[str], status_ref: str, namespace: str, flow_id: str
) -> Iterator[ExecutionRecord]:
    """The executions of a flow that the status branch tells of, the last recorded first, each once.

    Found by the trailers of its commits, so also those whose documents have left the tip.

    Raises:
        NotFound: there is no such repository or ref.
        UnavailableError: the repository is damaged.
    """
    objects = Objects(repo_path)
    names = {f"{namespace}/{flow_id}", f"{namespace}.{flow_id}"}
    seen: set[str] = set()
    for info in _history(objects, objects.resolve(status_ref)):
        groups = [
            group
            for group in _groups(info.trailers)
            if group["Flow"] in names and group["Execution"] not in seen
        ]
        if not groups:
            continue
        documents = _documents(objects, info)
        for group in groups:
            if group["Execution"] not in seen:
                seen.add(group["Execution"])
                yield _record(group, documents.get(group["Execution"]), info.id)


class _Tracer:
    """Says what a list of changed files means for one flow."""

    def __init__(self, objects: Objects, identity: Identity, identify: Identify) -> None:
        self._objects = objects
        self._identity = identity
        self._identify = identify
        self._known: dict[str, Identity | None] = {}
        self._paths: set[str] = set()

    def step(
        self, changes: Iterator[Change]
    ) -> tuple[Literal["added", "changed", "moved", "removed"], str] | None:
        before: list[Change] = []
        after: list[Change] = []
        for change in changes:
            old, new = self._of(change.old_blob, change.old_mode), self._of(change.new_blob, change.new_mode)
            # A version that cannot be read belongs to the flow which the file held before or holds after.
            unreadable = change.path in self._paths and not old and not new
            if old == self._identity or (
                change.old_blob and not old and (new == self._identity or unreadable)
            ):
                before.append(change)
            if new == self._identity or (
                change.new_blob and not new and (old == self._identity or unreadable)
            ):
                after.append(change)
        self._paths.update(change.path for change in (*before, *after))
        if before and after:
            moved = before[0].path not in {change.path for change in after}
            return ("moved" if moved else "changed"), after[0].path
        if after:
            return "added", after[0].path
        return ("removed", before[0].path) if before else None

    def _of(self, blob: str | None, mode: int) -> Identity | None:
        if blob is None or mode not in (0o100644, 0o100755):
            return None
        if blob not in self._known:
            try:
                self._known[blob] = self._identify(self._objects.read(blob, FLOW_FILE_LIMIT))
            except MirrorDamaged:
                raise
            except HeadwaterError:
                self._known[blob] = None
        return self._known[blob]


def _history(objects: Objects, start: str) -> Iterator[CommitInfo]:
    repository = objects.handle()
    try:
        for commit in repository.walk(pygit2.Oid(hex=start), SortMode.TOPOLOGICAL | SortMode.TIME):
            yield commit_info(commit)
    except (KeyError, pygit2.GitError) as error:
        raise UnavailableError(
            f"{objects.path}: the history is incomplete ({error})",
            hint="fetch it whole",
            reason="HistoryIncomplete",
        ) from error


def _readable(path: str) -> str:
    if not os.access(path, os.R_OK):
        raise SettingsError(f"{path}: cannot be read", hint="set the file of allowed signers")
    return os.path.abspath(path)


async def _verdicts(path: str, commits: Sequence[str], signers: str) -> dict[str, tuple[str, str]]:
    result = await git(
        "log", "--no-walk=unsorted", "--no-mailmap", "--no-show-signature", "--format=%H%x09%G?%x09%GS", "--stdin",
        cwd=path,
        config=(
            ("gpg.ssh.allowedSignersFile", signers),
            ("gpg.ssh.program", "ssh-keygen"),
            ("gpg.program", "gpg"),
            ("gpg.x509.program", "gpgsm"),
            ("safe.directory", path),
        ),
        input="".join(f"{commit}\n" for commit in commits).encode(),
    )  # fmt: skip
    if result.code:
        raise UnavailableError(f"{path}: git could not check the signatures ({result.stderr.strip()[-200:]})")
    verdicts = {}
    for line in result.stdout.decode("utf-8", "replace").splitlines():
        commit, _, rest = line.partition("\t")
        verdict, _, signer = rest.partition("\t")
        verdicts[commit] = (verdict, signer)
    return verdicts


def _judged(change: FlowChange, verdicts: dict[str, tuple[str, str]]) -> FlowChange:
    verdict, signer = verdicts.get(change.commit.id, ("", ""))
    if change.signature == "unsigned" or verdict not in _VERDICTS:
        return change
    return msgspec.structs.replace(
        change, signature=_VERDICTS[verdict], signer=signer if verdict == "G" else ""
    )


def _groups(trailers: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """One map for each execution that a commit tells of: its trailer opens a group, the others follow it."""
    groups: list[dict[str, str]] = []
    for key, value in trailers:
        name = key.removeprefix("Headwater-")
        if name == "Execution":
            groups.append({"Execution": value, "Flow": "", "Revision": "", "Trigger": "", "Actor": ""})
        elif groups and key != name and name in groups[-1]:
            groups[-1][name] = value
    return groups


class _State(msgspec.Struct, rename="camel"):
    current: str = ""
    start_date: str | None = None
    end_date: str | None = None


class _Trigger(msgspec.Struct):
    id: str = ""


class _Document(msgspec.Struct):
    id: str
    state: _State
    commit: str | None = None
    trigger: _Trigger | None = None


def _documents(objects: Objects, info: CommitInfo) -> dict[str, _Document]:
    """The execution documents that a commit of the status branch set, by execution."""
    documents = {}
    parent = info.parents[0] if info.parents else None
    for change in objects.changes(parent, info.id, ("executions",)):
        if change.new_blob is None or not change.path.endswith(".json"):
            continue
        try:
            document = msgspec.json.decode(objects.read(change.new_blob, DOCUMENT_LIMIT), type=_Document)
        except MirrorDamaged:
            raise
        except (HeadwaterError, msgspec.DecodeError, RecursionError):
            continue
        documents[document.id] = document
    return documents


def _record(group: dict[str, str], document: _Document | None, recorded: str) -> ExecutionRecord:
    state = document.state if document else _State()
    trigger = document.trigger.id if document and document.trigger else ""
    return ExecutionRecord(
        id=group["Execution"],
        revision=group["Revision"] or (document.commit if document and document.commit else ""),
        state=state.current[:32],
        started=(state.start_date or "")[:40],
        ended=(state.end_date or "")[:40],
        trigger=(group["Trigger"] or trigger)[:200],
        actor=group["Actor"],
        recorded=recorded,
    )
