"""What a revision wants live: from a file's bytes to its record, and from all claims to one version an identity.

Pure. Three rules give every flow a last-good version: a refused file never replaces and never removes what is live,
two files that claim one identity are both refused, and a flow that another source made live stays that source's.
It must not know Git or the store.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Literal

import msgspec

from engine.model.problem import Problem
from engine.model.records import Deployment
from engine.model.types import Types
from engine.spec.compile import Checked, check_flow
from reconciler.inventory import FlowFile, Identity, Inventory, Live, Version

Check = Callable[[bytes, str, str], Checked]
"""(content, path) of a flow file, and its repository's plugin defaults, to the flow or its problems."""


_log = logging.getLogger(__name__)
_NAME = rb":[ \t]+[\"']?([A-Za-z0-9][A-Za-z0-9._-]{0,149})[\"']?[ \t]*(?:#.*)?\r?$"
_ID = re.compile(rb"^id" + _NAME, re.MULTILINE)
_NAMESPACE = re.compile(rb"^namespace" + _NAME, re.MULTILINE)
_UNREADABLE = {
    "symlink": "this is a symbolic link, and links are not followed; put the file itself here",
    "submodule": "this is a submodule, and submodules are not read; put the files themselves here",
    "overlong": "this folder's path is too long to be read; shorten it",
}


def checker(types: Types) -> Check:
    """The check of a reconcile: refuses what is wrong. What is only suspicious is for those who review a change."""

    return partial(_check, types)


def _check(types: Types, content: bytes, path: str, defaults: str) -> Checked:
    return check_flow(content, path, types, defaults, warn=False)


def is_flow_file(path: str, kind: str, folders: Iterable[str]) -> bool:
    """Whether an entry below the flow folders is one to look at: a flow file, or what hides flows from us."""
    if kind in ("submodule", "overlong"):
        return True
    return path.endswith((".yaml", ".yml")) or (kind == "symlink" and path in folders)


def unreadable(path: str, blob: str, kind: str) -> FlowFile | None:
    """The record of an entry that must not be read as a file; none for one that may be."""
    message = _UNREADABLE.get(kind)
    return None if message is None else refused(path, blob, message, kind)


def refused(path: str, blob: str, message: str, kind: str = "file") -> FlowFile:
    """The record of a file that is refused as a whole."""
    return FlowFile(path, blob, kind, refused=True, problems=(Problem(path, 0, 0, "", message),))


def read_flow(
    path: str, blob: str, content: bytes, check: Check, defaults: str = ""
) -> tuple[FlowFile, Deployment | None]:
    """The record of a flow file and, if it is valid, what would be deployed."""
    try:
        checked = check(content, path, defaults)
    except Exception:  # one file must never keep the others from being read
        _log.exception("the flow file %s could not be checked", path)
        return refused(path, blob, "checking this file failed inside Headwater; see the daemon's log"), None
    line = _line(content)
    if checked.flow is None:
        namespace, flow_id = (_claimed(pattern, content) for pattern in (_NAMESPACE, _ID))
        return FlowFile(path, blob, "file", namespace, flow_id, line, True, checked.problems), None
    flow = checked.flow
    record = FlowFile(
        path, blob, "file", flow.namespace, flow.id, line, False, checked.problems, checked.defaults
    )
    return record, Deployment(flow, content, path, blob, checked.defaults)


def _line(content: bytes) -> int:
    found = _ID.search(content)
    return content.count(b"\n", 0, found.start()) + 1 if found else 0


def _claimed(pattern: re.Pattern[bytes], content: bytes) -> str:
    """What a refused file says of itself, as far as a glance at its lines can tell."""
    found = pattern.search(content)
    return found.group(1).decode("ascii") if found else ""


class Dispute(msgspec.Struct, frozen=True):
    """Why valid files that claim an identity cannot have it.

    Args:
        reason: as in a condition.
        paths: the files, sorted.
        owner: the source whose flow it is.
    """

    reason: Literal["DuplicateIdentity", "OwnedElsewhere"]
    paths: tuple[str, ...]
    owner: str = ""


class Resolution(msgspec.Struct, frozen=True):
    """What is wanted of the identities that were asked about.

    Args:
        wanted: the version each should have; one that is missing is to go.
        disputes: by identity.
    """

    wanted: Mapping[Identity, Version]
    disputes: Mapping[Identity, Dispute]


def touched(before: Inventory, after: Inventory, live: Live, paths: Iterable[str]) -> set[Identity]:
    """Every identity for which a change of the files at `paths` could mean something."""
    found: set[Identity] = set()
    for path in paths:
        found |= live.paths.get(path, frozenset())
        for inventory in (before, after):
            file = inventory.files.get(path)
            if file is not None and file.identity is not None:
                found.add(file.identity)
    return found


def resolve(
    asked: Iterable[Identity],
    inventory: Inventory,
    live: Live,
    owners: Mapping[Identity, str],
    doomed: frozenset[Identity] = frozenset(),
) -> Resolution:
    """What the files want of each identity in `asked`.

    Args:
        live: what this source has made live; it stays wherever the files do not clearly say something else.
        owners: other sources by the identities that they have made live.
        doomed: identities whose removal waits for a confirmation; a file that breaks now does not save them.
    """
    wanted: dict[Identity, Version] = {}
    disputes: dict[Identity, Dispute] = {}
    for identity in asked:
        version, dispute = _resolve(identity, inventory, live, owners.get(identity, ""), identity in doomed)
        if version is not None:
            wanted[identity] = version
        if dispute is not None:
            disputes[identity] = dispute
    return Resolution(wanted, disputes)


def _resolve(
    identity: Identity, inventory: Inventory, live: Live, owner: str, doomed: bool
) -> tuple[Version | None, Dispute | None]:
    claimants = inventory.claimants(identity)
    valid = [file for file in claimants if not file.refused]
    before = live.versions.get(identity)
    paths = tuple(file.path for file in valid)
    if len(valid) > 1:
        return before, Dispute("DuplicateIdentity", paths)
    if valid and owner:
        return None, Dispute("OwnedElsewhere", paths, owner)
    if valid:
        return Version(valid[0].path, valid[0].blob, valid[0].defaults), None
    if before is None:
        return None, None
    origin = inventory.files.get(before.path)
    spared = bool(claimants) or (origin is not None and origin.refused and not doomed)
    return (before if spared else None), None


def disputed(identity: Identity, dispute: Dispute, inventory: Inventory) -> list[Problem]:
    """What to tell about each of the files that cannot have an identity."""
    name = ".".join(identity)
    problems = []
    for path in dispute.paths:
        if dispute.owner:
            message = f"the flow {name} belongs to the source `{dispute.owner}`; choose another id"
        else:
            others = " and ".join(f"`{other}`" for other in dispute.paths[:5] if other != path)
            message = (
                f"the flow {name} is also in {others}; neither replaces what is live, give one another id"
            )
        file = inventory.files.get(path)
        line = file.line if file is not None else 0
        problems.append(Problem(path, line, 1 if line else 0, "id", message))
    return problems
