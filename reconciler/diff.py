"""The differences between two sets of flows, such as live and desired.

Pure; `diff(x, x)` is empty, and `applied` undoes no more than `diff` has found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from reconciler.inventory import Identity, Version

Kind = Literal["added", "changed", "moved", "removed"]


class FlowChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """What becomes of one flow.

    Args:
        kind: `moved` when its content stays and only its path is another.
        path, blob: where it is and will be; of a removed flow, where it was.
        before: the path that it moves away from, where that is another.
        defaults: the plugin defaults that it is made with.
    """

    kind: Kind
    namespace: str
    id: str
    path: str
    blob: str
    before: str = ""
    defaults: str = ""

    @property
    def identity(self) -> Identity:
        """Namespace and id."""
        return (self.namespace, self.id)


def diff(live: Mapping[Identity, Version], wanted: Mapping[Identity, Version]) -> tuple[FlowChange, ...]:
    """What has to change so that `live` becomes `wanted`, ordered by identity."""
    changes = []
    for identity in sorted({*live, *wanted}):
        old, new = live.get(identity), wanted.get(identity)
        if old != new:
            changes.append(_change(identity, old, new))
    return tuple(changes)


def _change(identity: Identity, old: Version | None, new: Version | None) -> FlowChange:
    if new is None:
        assert old is not None
        return FlowChange("removed", *identity, old.path, old.blob)
    if old is None:
        return FlowChange("added", *identity, new.path, new.blob, defaults=new.defaults)
    before = old.path if old.path != new.path else ""
    kind: Kind = "moved" if (old.blob, old.defaults) == (new.blob, new.defaults) else "changed"
    return FlowChange(kind, *identity, new.path, new.blob, before, new.defaults)


def applied(live: Mapping[Identity, Version], changes: Iterable[FlowChange]) -> dict[Identity, Version]:
    """What is live once `changes` are."""
    result = dict(live)
    for change in changes:
        if change.kind == "removed":
            result.pop(change.identity, None)
        else:
            result[change.identity] = Version(change.path, change.blob, change.defaults)
    return result
