"""What `headwater audit` tells: the commits that changed a flow, each with the executions that ran from it.

An execution names the commit that the repository was at; it belongs to the last change of its flow up to there. Reads
Git only; it must not know how the answer is shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from engine.errors import NotFound
from engine.model.text import nearest
from headwater.trees import FLOW_FOLDERS, SETTINGS, Identity, git_folder, identify
from reconciler.audit import ExecutionRecord, FlowChange, executions, flow_history, verified
from reconciler.objects import CommitInfo, Objects
from reconciler.settings_file import RepositorySettings, read_settings


class Change(NamedTuple):
    """A commit that changed the flow, and what ran from it, the last recorded first."""

    commit: CommitInfo
    kind: str
    path: str
    signature: str
    signer: str
    executions: tuple[ExecutionRecord, ...]


class Audit(NamedTuple):
    """The whole answer.

    Args:
        changes: newest first.
        elsewhere: executions from commits that this history does not have.
        status_ref: where the executions were read; empty when the repository does not have that branch.
    """

    namespace: str
    id: str
    changes: tuple[Change, ...]
    elsewhere: tuple[ExecutionRecord, ...]
    status_branch: str
    status_ref: str


def audit_flow(name: str, repo: Path, revision: str, signers: Path | None) -> Audit:
    """Everything that Git tells of a flow.

    Args:
        name: `namespace.id` or `namespace/id`; it need not exist any more.
        signers: a file of allowed signers; none leaves signatures unverified.

    Raises:
        NotFound: there is no such repository, commit, or history of such a flow.
        SettingsError: `signers` cannot be read.
        UnavailableError: the repository is damaged.
    """
    folder = git_folder(repo)
    if folder is None:
        raise NotFound(f"`{repo}` is no Git repository", hint="give the path of a flows repository as --repo")
    objects = Objects(folder)
    settings = _settings(objects, objects.resolve(revision))
    folders = settings.flows if settings else FLOW_FOLDERS
    for namespace, flow_id in _readings(name):
        changes = list(flow_history(folder, revision, (namespace, flow_id), identify, folders))
        if changes:
            break
    else:
        raise _unknown(name, objects, objects.resolve(revision), folders)
    if signers is not None:
        changes = asyncio.run(verified(folder, changes, str(signers)))
    branch = settings.status.branch if settings else RepositorySettings().status.branch
    ref = _status_ref(objects, branch)
    records = list(executions(folder, ref, namespace, flow_id)) if ref else []
    by_change, elsewhere = _assigned(objects, changes, records)
    told = tuple(
        Change(
            each.commit,
            each.kind,
            each.path,
            each.signature,
            each.signer,
            tuple(by_change.get(each.commit.id, ())),
        )
        for each in changes
    )
    return Audit(namespace, flow_id, told, tuple(elsewhere), branch, ref)


def _readings(name: str) -> list[Identity]:
    """What a name may mean; an id may hold dots too, and the shortest id is the likeliest."""
    if "/" in name:
        namespace, _, flow_id = name.partition("/")
        return [(namespace, flow_id)]
    parts = name.split(".")
    return [(".".join(parts[:cut]), ".".join(parts[cut:])) for cut in range(len(parts) - 1, 0, -1)][:10]


def _settings(objects: Objects, commit: str) -> RepositorySettings | None:
    content = objects.read_path(commit, SETTINGS)
    return read_settings(content).settings if content else None


def _unknown(name: str, objects: Objects, commit: str, folders: tuple[str, ...]) -> NotFound:
    known = [
        ".".join(identity)
        for entry in objects.files(commit, folders)
        if entry.kind == "file" and (identity := identify(objects.read(entry.blob_id)))
    ]
    near = nearest(name.replace("/", "."), known)
    hint = f"did you mean `{near}`?" if near else "`headwater flows --repo …` lists those there are"
    return NotFound(f"no commit has a flow `{name}`", hint=hint)


def _status_ref(objects: Objects, branch: str) -> str:
    for ref in (f"refs/remotes/origin/{branch}", f"refs/heads/{branch}"):
        try:
            objects.resolve(ref)
        except NotFound:
            continue
        return ref
    return ""


def _assigned(
    objects: Objects, changes: list[FlowChange], records: Iterable[ExecutionRecord]
) -> tuple[dict[str, list[ExecutionRecord]], list[ExecutionRecord]]:
    found: dict[str, list[ExecutionRecord]] = {}
    elsewhere: list[ExecutionRecord] = []
    known: dict[str, str] = {}
    for record in records:
        if record.revision not in known:
            known[record.revision] = _change_at(objects, changes, record.revision)
        change = known[record.revision]
        (found.setdefault(change, []) if change else elsewhere).append(record)
    return found, elsewhere


def _change_at(objects: Objects, changes: list[FlowChange], revision: str) -> str:
    """The last change up to a commit; empty when the commit is not known here."""
    try:
        for change in changes:
            if change.commit.id == revision or objects.is_ancestor(change.commit.id, revision):
                return change.commit.id
    except NotFound:
        return ""
    return ""
