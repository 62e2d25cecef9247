"""Gitea's, Forgejo's and Gogs's webhooks: a bare hexadecimal HMAC-SHA256 of the JSON payload.

Source: `services/webhook/deliver.go` of go-gitea/gitea and Forgejo's documentation. A delivery carries the
headers of several forges at once, GitHub's among them; only the first present of Forgejo's, Gitea's and
Gogs's own counts, for the signature and for the event alike. Without a secret these forges send the header
empty. It must not know HTTP nor any source.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from reconciler.forges import payload, signature
from reconciler.forges.base import Delivery, ForgeEvent, Refused

_FAMILIES = ("Forgejo", "Gitea", "Gogs")


class _Repository(msgspec.Struct):
    id: int
    full_name: str
    html_url: str = ""


class _Push(msgspec.Struct):
    ref: str
    before: str
    after: str
    repository: _Repository


class Gitea:
    """Gitea, Forgejo and Gogs."""

    def check_secrets(self, secrets: Sequence[str]) -> None:
        """See `Hook.check_secrets`."""
        signature.check_secrets(secrets)

    def verify(self, delivery: Delivery, secrets: Sequence[str]) -> None:
        """See `Hook.verify`. Forms are refused: their signature does not cover the bytes sent."""
        if delivery.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            raise Refused(
                "the delivery is a form, whose signature does not cover the bytes sent",
                hint="set the webhook's content type to application/json",
                reason="SignatureMismatch",
            )
        header = f"X-{_family(delivery)}-Signature"
        given = delivery.headers.get(header.lower(), "")
        signature.require_hex(given, delivery.body, secrets, header=header)

    def parse(self, delivery: Delivery) -> ForgeEvent:
        """See `Hook.parse`."""
        family = _family(delivery).lower()
        name = payload.event_name(delivery, f"x-{family}-event")
        delivery_id = payload.event_name(delivery, f"x-{family}-delivery")
        if name != "push":
            return ForgeEvent("other", name, delivery_id)
        push = payload.decode(delivery.body, _Push)
        found = push.repository
        return ForgeEvent(
            kind="push",
            name=name,
            delivery_id=delivery_id,
            repository=payload.repository(found.id, found.full_name, found.html_url),
            refs=(payload.change(push.ref, push.before, push.after),),
        )


def _family(delivery: Delivery) -> str:
    present = (name for name in _FAMILIES if f"x-{name.lower()}-signature" in delivery.headers)
    return next(present, "Gitea")
