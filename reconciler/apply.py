"""Making a plan happen: the engine is handed the flows that go live and the names of those that go.

Safe to repeat: what is live already is not deployed again, and a revision counts as applied only after the engine has
said that its flows are durable. It must not know how the plan came about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from engine.errors import UserError
from engine.model.records import Deployment
from reconciler.inventory import Live, Version
from reconciler.plan import Plan
from reconciler.scan import Listed, Scanner


class Deployer(Protocol):
    """What the reconciler asks of the engine; `engine.service.Service` is one."""

    async def deploy(
        self,
        source: str,
        commit: str,
        changed: Sequence[Deployment],
        removed: Sequence[tuple[str, str]],
    ) -> None:
        """Make flows live and take others off, at once or not at all; durable when it returns. Repeatable.

        A flow whose content is live already keeps its revision, whatever its path.
        """
        ...

    async def remember(self, space: str, values: Mapping[str, Any], remove: Sequence[str] = ()) -> None:
        """Set and remove JSON values of a space of the store in one transaction."""
        ...


async def apply(
    deployer: Deployer,
    scanner: Scanner,
    source: str,
    revision: str,
    plan: Plan,
    flows: Mapping[str, Deployment],
    live: Live,
) -> Live:
    """Carry a plan out and return what is live then.

    Args:
        flows: compiled flows of this round, by path; others are compiled anew.

    Raises:
        UserError: a file that was valid cannot be compiled any more, because a plugin has gone.
        UnavailableError: the store cannot be written.
    """
    missing = [
        Listed(change.path, change.blob, "file", change.defaults)
        for change in plan.deployed
        if (flow := flows.get(change.path)) is None
        or (flow.blob, flow.defaults) != (change.blob, change.defaults)
    ]
    loaded = {**flows, **await scanner.load(missing)} if missing else flows
    deployments = []
    for change in plan.deployed:
        if change.path not in loaded:
            raise UserError(
                f"{change.path}: this flow was valid and is so no more",
                hint="look whether a plugin is missing, and restart the daemon",
                reason="FlowInvalid",
            )
        deployments.append(loaded[change.path])
    removed = [change.identity for change in plan.pruned]
    await deployer.deploy(source, revision, deployments, removed)
    versions = {
        change.identity: Version(change.path, change.blob, change.defaults) for change in plan.deployed
    }
    return live.updated(versions, removed)
