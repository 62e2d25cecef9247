"""From a diff to what will be done now and what is held back until somebody confirms it: the breaker.

Pure. A hold is sticky: what it holds is pruned only under its own digest, however small later revisions make it look.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence

import msgspec

from reconciler.diff import FlowChange
from reconciler.inventory import Identity, Inventory

HANDFUL = 3
"""As many removals never count as many, whatever their share."""


class Held(msgspec.Struct, frozen=True):
    """Removals that wait for a confirmation.

    Args:
        why: what tripped the breaker, as the end of a sentence.
        digest: confirms these removals and no others.
    """

    removals: tuple[FlowChange, ...]
    why: str
    digest: str


class Plan(msgspec.Struct, frozen=True):
    """What applying will do.

    Args:
        changes: all that is done.
        held: what is not done yet.
    """

    changes: tuple[FlowChange, ...]
    held: Held | None = None

    @property
    def deployed(self) -> tuple[FlowChange, ...]:
        """The flows that go live, or move."""
        return tuple(change for change in self.changes if change.kind != "removed")

    @property
    def pruned(self) -> tuple[FlowChange, ...]:
        """The flows that go away."""
        return tuple(change for change in self.changes if change.kind == "removed")


class Circumstances(msgspec.Struct, frozen=True):
    """What the breaker looks at besides the removals themselves.

    Args:
        live: how many flows are live before anything is done.
        breaker: the greatest share of them that may go at once.
        empty: the revision has no flow file at all.
        vanished: flow folders in which nothing is left.
        unrelated: the revision shares no history with the one applied before.
        held: what is held already, and why.
        confirmed: a digest that somebody has confirmed, or empty.
    """

    live: int
    breaker: float = 0.5
    empty: bool = False
    vanished: tuple[str, ...] = ()
    unrelated: bool = False
    held: Collection[Identity] = ()
    held_why: str = ""
    confirmed: str = ""


def plan(changes: Sequence[FlowChange], now: Circumstances) -> Plan:
    """What to do about a diff: additions and changes always, removals when nothing speaks against them."""
    removals = tuple(change for change in changes if change.kind == "removed")
    why = _why_held(removals, now)
    if not why or digest(removals) == now.confirmed:
        return Plan(tuple(changes))
    kept = tuple(change for change in changes if change.kind != "removed")
    return Plan(kept, Held(removals, why, digest(removals)))


def _why_held(removals: Sequence[FlowChange], now: Circumstances) -> str:
    if not removals:
        return ""
    if now.held_why and any(change.identity in now.held for change in removals):
        return now.held_why
    if now.unrelated:
        return "the branch's history has nothing in common with the one applied before"
    if now.empty:
        return "the revision has no flow file at all"
    if now.vanished:
        return f"nothing is left in the folder {' and '.join(f'`{name}`' for name in now.vanished)}"
    if len(removals) > HANDFUL and len(removals) > now.breaker * now.live:
        return f"that is more than the share of {now.breaker:g} that `prune.breaker` allows"
    return ""


def vanished(folders: Iterable[str], removals: Iterable[FlowChange], inventory: Inventory) -> tuple[str, ...]:
    """The flow folders that lose a flow and have no flow file any more."""
    lost = {f"{folder}/" for folder in folders}
    lost = {
        folder for folder in lost if any(each.path.startswith(folder) for each in removals)
    }  # most revisions remove nothing, and then no file is looked at
    for path in inventory.files if lost else ():
        lost = {folder for folder in lost if not path.startswith(folder)}
        if not lost:
            break
    return tuple(sorted(folder.rstrip("/") for folder in lost))


def digest(changes: Iterable[FlowChange]) -> str:
    """What somebody confirms: the same for the same changes of the same contents, 32 hexadecimal digits."""
    text = msgspec.json.encode(sorted((each.kind, each.namespace, each.id, each.blob) for each in changes))
    return hashlib.blake2b(text, digest_size=16).hexdigest()
