"""Any other sender: `X-Headwater-Signature: sha256=<hex>`, HMAC-SHA256 of the raw body.

With an `X-Headwater-Timestamp` header (unix seconds) the signature is over `{timestamp}.{body}` and lives
five minutes. The two forms cannot be taken for each other: `{timestamp}.{body}` is never JSON, and JSON
never begins with a timestamp and a dot. The body is a JSON object, or empty for "something was pushed"; it
must not know HTTP nor any source.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from reconciler.forges import payload, signature
from reconciler.forges.base import Delivery, ForgeEvent, Malformed, Refused

TOLERANCE = 5 * 60
"""Seconds a signed timestamp may lie from the time of receipt, either way."""

_SIGNATURE = "X-Headwater-Signature"
_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)


class _Repository(msgspec.Struct):
    full_name: str
    id: int | str = ""
    url: str = ""


class _Body(msgspec.Struct):
    event: str = "push"
    ref: str = ""
    before: str | None = None
    after: str | None = None
    repository: _Repository | None = None


class Generic:
    """A sender that signs with a shared secret; `ref` and `repository` of its body are optional."""

    def check_secrets(self, secrets: Sequence[str]) -> None:
        """See `Hook.check_secrets`."""
        signature.check_secrets(secrets)

    def verify(self, delivery: Delivery, secrets: Sequence[str]) -> None:
        """See `Hook.verify`."""
        given = delivery.headers.get(_SIGNATURE.lower(), "")
        timestamp = delivery.headers.get("x-headwater-timestamp")
        signed = delivery.body
        if timestamp is not None:
            if not _TIMESTAMP.fullmatch(timestamp):
                raise signature.mismatch(_SIGNATURE)
            signed = timestamp.encode("ascii") + b"." + delivery.body
        signature.require_hex(given, signed, secrets, header=_SIGNATURE, prefix="sha256=")
        if timestamp is not None and abs(delivery.received_at.timestamp() - int(timestamp)) > TOLERANCE:
            raise Refused(
                f"the X-Headwater-Timestamp header is more than {TOLERANCE // 60} minutes off",
                hint="sign each delivery anew, and check the clocks of both machines",
                reason="SignatureExpired",
            )

    def parse(self, delivery: Delivery) -> ForgeEvent:
        """See `Hook.parse`."""
        body = payload.decode(delivery.body or b"{}", _Body)
        delivery_id = payload.event_name(delivery, "x-headwater-delivery")
        name = payload.bounded(body.event, "the event's name")
        if name != "push":
            return ForgeEvent("ping" if name == "ping" else "other", name, delivery_id)
        if body.ref and not body.ref.startswith("refs/"):
            raise Malformed(
                "ref is not a full name", hint="write refs/heads/<branch>", reason="PayloadInvalid"
            )
        found = body.repository
        return ForgeEvent(
            kind="push",
            name=name,
            delivery_id=delivery_id,
            repository=payload.repository(found.id, found.full_name, found.url) if found else None,
            refs=(payload.change(body.ref, body.before, body.after),) if body.ref else (),
        )
