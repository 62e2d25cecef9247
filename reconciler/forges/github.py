"""GitHub's webhooks: `X-Hub-Signature-256` over the raw body, JSON or form.

Source: docs.github.com, "Validating webhook deliveries" and "Webhook events and payloads". The signature
covers no header and no time, so a redelivery is told by `X-GitHub-Delivery` alone. It must not know HTTP
nor any source.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qs

import msgspec

from reconciler.forges import payload, signature
from reconciler.forges.base import Delivery, ForgeEvent, Malformed

_SIGNATURE = "X-Hub-Signature-256"


class _Repository(msgspec.Struct):
    id: int
    full_name: str
    html_url: str = ""


class _Push(msgspec.Struct):
    ref: str
    before: str
    after: str
    repository: _Repository


class GitHub:
    """GitHub.com and GitHub Enterprise Server."""

    def check_secrets(self, secrets: Sequence[str]) -> None:
        """See `Hook.check_secrets`."""
        signature.check_secrets(secrets)

    def verify(self, delivery: Delivery, secrets: Sequence[str]) -> None:
        """See `Hook.verify`. The SHA-1 header is never looked at."""
        given = delivery.headers.get(_SIGNATURE.lower(), "")
        signature.require_hex(given, delivery.body, secrets, header=_SIGNATURE, prefix="sha256=")

    def parse(self, delivery: Delivery) -> ForgeEvent:
        """See `Hook.parse`."""
        name = payload.event_name(delivery, "x-github-event")
        delivery_id = payload.event_name(delivery, "x-github-delivery")
        if name != "push":
            return ForgeEvent("ping" if name == "ping" else "other", name, delivery_id)
        push = payload.decode(_json(delivery), _Push)
        found = push.repository
        return ForgeEvent(
            kind="push",
            name=name,
            delivery_id=delivery_id,
            repository=payload.repository(found.id, found.full_name, found.html_url),
            refs=(payload.change(push.ref, push.before, push.after),),
        )


def _json(delivery: Delivery) -> bytes:
    """The JSON itself: GitHub's form content type wraps it in a `payload` field, signed as form bytes."""
    if not delivery.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return delivery.body
    try:
        fields = parse_qs(
            delivery.body.decode("ascii"), strict_parsing=True, max_num_fields=4, errors="strict"
        )
    except ValueError:
        fields = {}
    if len(fields.get("payload", ())) != 1:
        raise Malformed(
            "the signed form has no single payload field",
            hint="set the webhook's content type to application/json",
            reason="PayloadInvalid",
        )
    return fields["payload"][0].encode("utf-8", "surrogatepass")
