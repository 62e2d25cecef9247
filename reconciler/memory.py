"""What a source remembers from round to round, and over a restart: its inventory and what it applied last.

Kept as rows of one space of the store, so that a round writes only what it changed, in one transaction. What is live
is not among them: the engine's flows are the truth of that. It must not know Git.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from immutables import Map

from engine.model.problem import Problem
from engine.ports import Store
from reconciler.desired import Dispute
from reconciler.inventory import FlowFile, Identity, Inventory, Live, Version
from reconciler.report import ReconcileStatus
from reconciler.settings_file import RepositorySettings

STATUS = "status"
_APPLIED = "applied"
_FILE = "file/"


class Applied(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the last round that went through has applied.

    Args:
        revision: a commit; empty when none ever was. The rows of files are those of this commit.
        settings: `.headwater.yaml` as it was last good.
        settings_problems: of that file at this revision.
        rewritten: the revision before, if the history of this one does not hold it.
        held, held_why: removals that the breaker holds back.
        confirmed: a digest that somebody has confirmed and that no round has used yet.
        checker: names what judged the files; another one judges them anew.
    """

    revision: str = ""
    settings: dict[str, Any] = {}
    settings_problems: tuple[Problem, ...] = ()
    rewritten: str = ""
    held: tuple[Identity, ...] = ()
    held_why: str = ""
    confirmed: str = ""
    checker: str = ""


class Memory(msgspec.Struct, frozen=True):
    """All of it at one moment.

    Args:
        disputes: identities that their files cannot have, and why.
        listed: whether the inventory can be trusted to be that of the applied revision.
        resolved: false after a restart: every identity has to be looked at once.
        checker: names what judges files from now on.
    """

    applied: Applied = Applied()
    settings: RepositorySettings = RepositorySettings()
    inventory: Inventory = Inventory()
    live: Live = Live()
    disputes: Map[Identity, Dispute] = Map()
    listed: bool = True
    resolved: bool = False
    checker: str = ""


def space(source: str) -> str:
    """The store's space for a source."""
    return f"reconcile/{source}"


def load(store: Store, source: str, checker: str = "") -> tuple[Memory, ReconcileStatus | None]:
    """What was remembered, and the status it came with. Blocks; takes about 0.2 s for 10,000 flows.

    Rows that cannot be read, or were made by another checker, are as good as none: the files are read again.
    """
    rows = store.items(space(source))
    try:
        applied = msgspec.convert(rows.get(_APPLIED, {}), Applied)
        settings = RepositorySettings.model_validate(applied.settings)
    except ValueError:
        applied, settings = Applied(), RepositorySettings()
    known = applied.checker == checker
    files = [
        _file(key[len(_FILE) :], row if known else None) for key, row in rows.items() if key.startswith(_FILE)
    ]
    live = {
        (each.namespace, each.id): Version(each.path, each.blob, each.defaults)
        for each in store.flows(source)
    }
    memory = Memory(
        applied=applied,
        settings=settings,
        inventory=Inventory().updated(files, ()),
        live=Live().updated(live, ()),
        listed=all(file.blob for file in files),
        checker=checker,
    )
    return memory, _status(rows.get(STATUS))


def rows(before: Memory, after: Memory, touched: Iterable[str]) -> tuple[dict[str, Any], list[str]]:
    """What to write and what to remove so that `after` is remembered.

    Args:
        touched: the paths whose files may differ.
    """
    written: dict[str, Any] = {}
    removed = []
    for path in touched:
        old, new = before.inventory.files.get(path), after.inventory.files.get(path)
        if new is None and old is not None:
            removed.append(_FILE + path)
        elif new is not None and new != old:
            written[_FILE + path] = msgspec.to_builtins(new)
    if after.applied != before.applied:
        written[_APPLIED] = msgspec.to_builtins(after.applied)
    return written, removed


def _file(path: str, row: Any) -> FlowFile:
    try:
        return msgspec.convert(row, FlowFile)
    except msgspec.ValidationError:
        return FlowFile(path, "")  # no content has this id, so the file is read again


def _status(row: Any) -> ReconcileStatus | None:
    try:
        return None if row is None else msgspec.convert(row, ReconcileStatus)
    except msgspec.ValidationError:
        return None
