"""Signed webhook deliveries of every forge, made the way each forge documents it, for tests."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

from reconciler.forges.base import Delivery

SECRET = "correct horse"
SIGNING_TOKEN = "whsec_" + base64.b64encode(b"test" * 8).decode()
NOW = datetime.fromtimestamp(1_700_000_000, UTC)
OLD = "1" * 40
NEW = "2" * 40
ZERO = "0" * 40

FORGES = ("github", "gitlab", "gitlab-signed", "gitea", "forgejo", "bitbucket", "bitbucket-dc", "generic")
"""Every way of signing there is; the part before a dash is the forge, except that `forgejo` is one too."""


def forge_of(kind: str) -> str:
    """The forge's name in the settings."""
    return kind.split("-")[0]


def secret_of(kind: str) -> str:
    """The secret that `headers` signs with."""
    return SIGNING_TOKEN if kind == "gitlab-signed" else SECRET


def hexdigest(body: bytes, secret: str = SECRET) -> str:
    """The plain signature most forges use."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def standard_signature(body: bytes, *, message_id: str, timestamp: str, key: bytes = b"test" * 8) -> str:
    """The Standard Webhooks signature."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def payload(kind: str, ref: str = "refs/heads/main", repository: str = "acme/flows") -> dict[str, Any]:
    """A push in that forge's shape, with a few of the fields that nobody reads."""
    if kind.startswith("gitlab"):
        return {
            "object_kind": "push",
            "ref": ref,
            "before": OLD,
            "after": NEW,
            "project_id": 42,
            "project": {"path_with_namespace": repository, "web_url": "https://forge.example/acme/flows"},
            "commits": [{"id": NEW, "message": "a change"}],
        }
    if kind == "bitbucket":
        kind_of_ref, name = ("tag", ref[10:]) if ref.startswith("refs/tags/") else ("branch", ref[11:])
        side = {"type": kind_of_ref, "name": name}
        change = {
            "old": {**side, "target": {"hash": OLD}},
            "new": {**side, "target": {"hash": NEW}},
            "forced": False,
        }
        return {"push": {"changes": [change]}, "repository": {"uuid": "{42}", "full_name": repository}}
    if kind == "bitbucket-dc":
        key, slug = repository.split("/")
        change = {"ref": {"id": ref}, "refId": ref, "fromHash": OLD, "toHash": NEW, "type": "UPDATE"}
        return {"repository": {"id": 42, "slug": slug, "project": {"key": key}}, "changes": [change]}
    return {
        "ref": ref,
        "before": OLD,
        "after": NEW,
        "repository": {"id": 42, "full_name": repository, "html_url": "https://forge.example/acme/flows"},
        "commits": [{"id": NEW, "message": "a change"}],
    }


_EVENTS = {
    "github": ("x-github-event", "push"),
    "gitlab": ("x-gitlab-event", "Push Hook"),
    "gitlab-signed": ("x-gitlab-event", "Push Hook"),
    "gitea": ("x-gitea-event", "push"),
    "forgejo": ("x-forgejo-event", "push"),
    "bitbucket": ("x-event-key", "repo:push"),
    "bitbucket-dc": ("x-event-key", "repo:refs_changed"),
}
_IDS = {
    "github": "x-github-delivery",
    "gitlab": "idempotency-key",
    "gitlab-signed": "webhook-id",
    "gitea": "x-gitea-delivery",
    "forgejo": "x-forgejo-delivery",
    "bitbucket": "x-request-uuid",
    "bitbucket-dc": "x-request-id",
    "generic": "x-headwater-delivery",
}


def headers(
    kind: str, body: bytes, *, event: str = "", delivery_id: str = "d-1", at: datetime = NOW
) -> dict[str, str]:
    """The headers that this forge would send with `body`, signed."""
    found = {"content-type": "application/json", _IDS[kind]: delivery_id}
    if kind in _EVENTS:
        name, default = _EVENTS[kind]
        found[name] = event or default
    digest = hexdigest(body)
    match kind:
        case "github":
            found["x-hub-signature-256"] = f"sha256={digest}"
        case "gitlab":
            found["x-gitlab-token"] = SECRET
        case "gitlab-signed":
            timestamp = str(int(at.timestamp()))
            found["webhook-timestamp"] = timestamp
            found["webhook-signature"] = standard_signature(body, message_id=delivery_id, timestamp=timestamp)
        case "gitea" | "forgejo":
            found[f"x-{kind}-signature"] = digest
            found["x-github-event"] = "push"
            found["x-hub-signature-256"] = f"sha256={digest}"
        case "bitbucket" | "bitbucket-dc":
            found["x-hub-signature"] = f"sha256={digest}"
        case _:
            found["x-headwater-signature"] = f"sha256={digest}"
    return found


def delivery(kind: str, body: bytes | None = None, **options: Any) -> Delivery:
    """A signed delivery; a push unless `body` or `event` say otherwise."""
    content = json.dumps(payload(kind)).encode() if body is None else body
    return Delivery(headers=headers(kind, content, **options), body=content, received_at=NOW)
