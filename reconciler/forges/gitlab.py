"""GitLab's webhooks: the plain `X-Gitlab-Token`, or signed deliveries after the Standard Webhooks scheme.

Source: docs.gitlab.com, "Webhooks", and standardwebhooks.com for the signed form: HMAC-SHA256 over
`{webhook-id}.{webhook-timestamp}.{body}` with the decoded `whsec_` token, base64, `v1,` before it, several
of them separated by spaces. As soon as one secret of a source is a signing token, only signed deliveries
are believed: a plain token that leaked must not be a way around the signature. It must not know HTTP nor
any source.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence

import msgspec

from engine.errors import SettingsError
from reconciler.forges import payload, signature
from reconciler.forges.base import Delivery, ForgeEvent, Malformed, Refused

TOLERANCE = 5 * 60
"""Seconds a signed timestamp may lie from the time of receipt, either way."""

_PREFIX = "whsec_"
_PUSHES = {"Push Hook": "push", "Tag Push Hook": "tag_push"}
_IDS = ("webhook-id", "idempotency-key", "x-gitlab-webhook-uuid", "x-gitlab-event-uuid")
_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)
_MAX_SIGNATURES = 10


class _Project(msgspec.Struct):
    path_with_namespace: str
    web_url: str = ""


class _Push(msgspec.Struct):
    ref: str
    before: str
    after: str
    project_id: int
    project: _Project


class _Kind(msgspec.Struct):
    object_kind: str = ""
    event_name: str = ""


class GitLab:
    """GitLab.com and self-managed GitLab, project, group and system hooks."""

    def check_secrets(self, secrets: Sequence[str]) -> None:
        """See `Hook.check_secrets`."""
        signature.check_secrets(secrets)
        _signing_keys(secrets)

    def verify(self, delivery: Delivery, secrets: Sequence[str]) -> None:
        """See `Hook.verify`."""
        signing = _signing_keys(secrets)
        if signing:
            _verify_signed(delivery, signing)
            return
        given = delivery.headers.get("x-gitlab-token", "")
        if not signature.any_equal(signature.keys(secrets), (given,)):
            raise signature.mismatch("X-Gitlab-Token")

    def parse(self, delivery: Delivery) -> ForgeEvent:
        """See `Hook.parse`. A system hook names its event in the body, every other hook in the header."""
        name = payload.event_name(delivery, "x-gitlab-event")
        delivery_id = next(
            (payload.event_name(delivery, header) for header in _IDS if header in delivery.headers), ""
        )
        if name not in _PUSHES and name != "System Hook":
            return ForgeEvent("other", name, delivery_id)
        kind = payload.decode(delivery.body, _Kind)
        said = kind.object_kind or kind.event_name
        if name == "System Hook" and said not in _PUSHES.values():
            return ForgeEvent("other", name, delivery_id)
        if name in _PUSHES and said != _PUSHES[name]:
            raise Malformed("the event in the header is not the one in the body", reason="PayloadInvalid")
        push = payload.decode(delivery.body, _Push)
        return ForgeEvent(
            kind="push",
            name=name,
            delivery_id=delivery_id,
            repository=payload.repository(
                push.project_id, push.project.path_with_namespace, push.project.web_url
            ),
            refs=(payload.change(push.ref, push.before, push.after),),
        )


def _signing_keys(secrets: Sequence[str]) -> list[bytes]:
    tokens = [secret.removeprefix(_PREFIX) for secret in secrets if secret.startswith(_PREFIX)]
    try:
        decoded = [base64.b64decode(token, validate=True) for token in tokens]
    except (binascii.Error, ValueError):
        decoded = [b""]
    if not all(decoded):
        raise SettingsError(
            "a GitLab signing token is not whsec_ and base64",
            hint="copy the token again from the webhook's settings",
        )
    return decoded


def _verify_signed(delivery: Delivery, signing: Sequence[bytes]) -> None:
    message_id = delivery.headers.get("webhook-id", "")
    timestamp = delivery.headers.get("webhook-timestamp", "")
    given = delivery.headers.get("webhook-signature", "").split(" ")
    if not message_id or not _TIMESTAMP.fullmatch(timestamp) or len(given) > _MAX_SIGNATURES:
        raise signature.mismatch("webhook-signature")
    if abs(delivery.received_at.timestamp() - int(timestamp)) > TOLERANCE:
        raise Refused(
            f"the webhook-timestamp header is more than {TOLERANCE // 60} minutes off",
            hint="check the clocks of the forge and of this machine",
            reason="SignatureExpired",
        )
    signed = f"{message_id}.{timestamp}.".encode("utf-8", "surrogatepass") + delivery.body
    expected = (b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()) for key in signing)
    if not signature.any_equal(expected, given):
        raise signature.mismatch("webhook-signature")
