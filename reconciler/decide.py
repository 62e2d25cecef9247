"""One round's decision: from what was remembered and what was found to a plan, and to what is to be remembered after.

It puts the pure parts together and asks the two things they cannot know: whose a flow is that we do not have, and how
two commits are related. Blocks; runs in a thread.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from engine.ports import Store
from reconciler import desired
from reconciler.diff import FlowChange, diff
from reconciler.inventory import Identity, Inventory
from reconciler.memory import Applied, Memory
from reconciler.objects import Objects
from reconciler.plan import Circumstances, Plan, plan, vanished
from reconciler.scan import Scan


class Decision(msgspec.Struct, frozen=True):
    """What to do, and what is to be remembered once it is done; `after.live` is still what was live before."""

    plan: Plan
    after: Memory


def decide(
    source: str, objects: Objects, store: Store, known: Memory, revision: str, scan: Scan | None
) -> Decision:
    """Decide what `revision` means.

    Args:
        source: the source's name.
        scan: what differs from the revision that is known; none when nothing does.

    Raises:
        MirrorDamaged: the mirror has lost something.
    """
    inventory = known.inventory
    paths: Iterable[str] = ()
    settings, problems = known.settings, known.applied.settings_problems
    if scan is not None:
        inventory, paths = inventory.updated(scan.files, scan.listing.gone), scan.paths
        settings, problems = scan.listing.settings, scan.listing.settings_problems
    asked = _asked(known, inventory, paths)
    resolution = desired.resolve(
        asked, inventory, known.live, _owners(source, store, known, asked), frozenset(known.applied.held)
    )
    live = {name: known.live.versions[name] for name in asked if name in known.live.versions}
    changes = diff(live, resolution.wanted)
    rewritten = _rewritten(objects, known.applied, revision)
    folders = settings.flows
    made = plan(
        changes, _circumstances(objects, known, revision, inventory, changes, scan, rewritten, folders)
    )
    disputes = known.disputes.mutate()
    for identity in asked:
        disputes.pop(identity, None)
    disputes.update(resolution.disputes)
    applied = Applied(
        revision=revision,
        settings=settings.model_dump(mode="json", by_alias=True),
        settings_problems=problems,
        rewritten=rewritten,
        held=tuple(change.identity for change in made.held.removals) if made.held else (),
        held_why=made.held.why if made.held else "",
        checker=known.checker,
    )
    after = msgspec.structs.replace(
        known,
        applied=applied,
        settings=settings,
        inventory=inventory,
        disputes=disputes.finish(),
        listed=True,
        resolved=True,
    )
    return Decision(made, after)


def _asked(known: Memory, inventory: Inventory, paths: Iterable[str]) -> set[Identity]:
    if not known.resolved:
        return {*known.live.versions, *inventory.claims}
    foreign = {identity for identity, dispute in known.disputes.items() if dispute.owner}
    touched = desired.touched(known.inventory, inventory, known.live, paths)
    return touched | foreign | set(known.applied.held)


def _owners(source: str, store: Store, known: Memory, asked: Iterable[Identity]) -> dict[Identity, str]:
    """The other sources that own identities which this one would newly take."""
    owners = {}
    for identity in asked:
        if identity not in known.live.versions:
            version = store.flow(*identity)
            if version is not None and version.source not in ("", source):
                owners[identity] = version.source
    return owners


def _rewritten(objects: Objects, applied: Applied, revision: str) -> str:
    if revision == applied.revision:
        return applied.rewritten
    if not applied.revision or objects.is_ancestor(applied.revision, revision):
        return ""
    return applied.revision


def _circumstances(
    objects: Objects,
    known: Memory,
    revision: str,
    inventory: Inventory,
    changes: Iterable[FlowChange],
    scan: Scan | None,
    rewritten: str,
    folders: tuple[str, ...],
) -> Circumstances:
    removals = [change for change in changes if change.kind == "removed"]
    breakers = [known.settings.prune.breaker]
    if scan is not None:
        breakers.append(scan.listing.settings.prune.breaker)
    moved = bool(rewritten) and revision != known.applied.revision
    return Circumstances(
        live=len(known.live.versions),
        breaker=min(breakers),  # a revision must not disarm the breaker for itself
        empty=not inventory.files,
        vanished=vanished(folders, removals, inventory),
        unrelated=bool(removals) and moved and not objects.is_related(rewritten, revision),
        held=frozenset(known.applied.held),
        held_why=known.applied.held_why,
        confirmed=known.applied.confirmed,
    )
