"""Bitbucket's webhooks, Cloud and Data Center: `X-Hub-Signature: sha256=…` over the raw body.

Source: support.atlassian.com "Manage webhooks" and "Event payloads" (Cloud), confluence.atlassian.com
"Event payload" (Data Center). One push may move several refs, and all of them count. Data Center's
connection test (`diagnostics:ping`) is not signed; it is answered and changes nothing. It must not know
HTTP nor any source.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from reconciler.forges import payload, signature
from reconciler.forges.base import Delivery, ForgeEvent, Malformed, RefChange

_SIGNATURE = "X-Hub-Signature"
_PING = "diagnostics:ping"


class _Link(msgspec.Struct):
    href: str = ""


class _Links(msgspec.Struct):
    html: _Link = msgspec.field(default_factory=_Link)


class _CloudRepository(msgspec.Struct):
    uuid: str
    full_name: str
    links: _Links = msgspec.field(default_factory=_Links)


class _Target(msgspec.Struct):
    hash: str


class _Side(msgspec.Struct):
    type: str
    name: str
    target: _Target


class _CloudChange(msgspec.Struct):
    old: _Side | None = None
    new: _Side | None = None


class _Changes(msgspec.Struct):
    changes: list[_CloudChange]


class _CloudPush(msgspec.Struct):
    push: _Changes
    repository: _CloudRepository


class _Project(msgspec.Struct):
    key: str


class _CenterRepository(msgspec.Struct):
    id: int
    slug: str
    project: _Project


class _Ref(msgspec.Struct):
    id: str


class _CenterChange(msgspec.Struct, rename="camel"):
    ref: _Ref
    from_hash: str
    to_hash: str


class _CenterPush(msgspec.Struct):
    repository: _CenterRepository
    changes: list[_CenterChange]


class Bitbucket:
    """Bitbucket Cloud and Bitbucket Data Center; the event's key tells which."""

    def check_secrets(self, secrets: Sequence[str]) -> None:
        """See `Hook.check_secrets`."""
        signature.check_secrets(secrets)

    def verify(self, delivery: Delivery, secrets: Sequence[str]) -> None:
        """See `Hook.verify`. A ping without a signature passes, one with a wrong signature does not."""
        given = delivery.headers.get(_SIGNATURE.lower())
        if given is None and delivery.headers.get("x-event-key") == _PING:
            return
        signature.require_hex(given or "", delivery.body, secrets, header=_SIGNATURE, prefix="sha256=")

    def parse(self, delivery: Delivery) -> ForgeEvent:
        """See `Hook.parse`."""
        name = payload.event_name(delivery, "x-event-key")
        if name == _PING:
            return ForgeEvent("ping", name)
        if name == "repo:push":
            return _cloud(name, delivery)
        if name == "repo:refs_changed":
            return _data_center(name, delivery)
        return ForgeEvent("other", name)


def _cloud(name: str, delivery: Delivery) -> ForgeEvent:
    push = payload.decode(delivery.body, _CloudPush)
    found = push.repository
    return ForgeEvent(
        kind="push",
        name=name,
        delivery_id=payload.event_name(delivery, "x-request-uuid"),
        repository=payload.repository(found.uuid, found.full_name, found.links.html.href),
        refs=_bounded([_cloud_change(each) for each in push.push.changes]),
    )


def _cloud_change(change: _CloudChange) -> RefChange:
    side = change.new or change.old
    if side is None:
        raise Malformed("a change of the push has neither an old nor a new side", reason="PayloadInvalid")
    folder = "tags" if side.type in ("tag", "annotated_tag") else "heads"
    before = change.old.target.hash if change.old else None
    after = change.new.target.hash if change.new else None
    return payload.change(f"refs/{folder}/{side.name}", before, after)


def _data_center(name: str, delivery: Delivery) -> ForgeEvent:
    push = payload.decode(delivery.body, _CenterPush)
    found = push.repository
    return ForgeEvent(
        kind="push",
        name=name,
        delivery_id=payload.event_name(delivery, "x-request-id"),
        repository=payload.repository(found.id, f"{found.project.key}/{found.slug}", ""),
        refs=_bounded([payload.change(each.ref.id, each.from_hash, each.to_hash) for each in push.changes]),
    )


def _bounded(refs: Sequence[RefChange]) -> tuple[RefChange, ...]:
    if not refs or len(refs) > payload.MAX_REFS:
        raise Malformed(
            f"a push names between 1 and {payload.MAX_REFS} refs, not {len(refs)}", reason="PayloadInvalid"
        )
    return tuple(refs)
