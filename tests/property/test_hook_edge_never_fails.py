"""Whatever arrives at the HTTP edge, the answer is never a 5xx, and without the secret nothing happens."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import deliveries
from tests.support.edge import Edge, source_for

NAMES = st.sampled_from(
    [
        "content-type",
        "idempotency-key",
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
        "x-event-key",
        "x-forgejo-signature",
        "x-gitea-event",
        "x-gitea-signature",
        "x-github-delivery",
        "x-github-event",
        "x-gitlab-event",
        "x-gitlab-token",
        "x-headwater-signature",
        "x-headwater-timestamp",
        "x-hub-signature",
        "x-hub-signature-256",
    ]
)
VALUES = st.one_of(
    st.binary(max_size=80).map(lambda raw: raw.translate(None, b"\r\n\x00")),
    st.sampled_from(
        [b"push", b"Push Hook", b"System Hook", b"repo:push", b"repo:refs_changed", b"diagnostics:ping"]
    ),
    st.sampled_from(
        [b"sha256=" + b"0" * 64, b"v1,AAAA", b"1700000000", b"application/x-www-form-urlencoded"]
    ),
)
HEADERS = st.lists(st.tuples(NAMES.map(str.encode), VALUES), max_size=12)
KINDS = st.sampled_from(deliveries.FORGES)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


@given(kind=KINDS, headers=HEADERS, body=st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_random_bytes_and_headers_are_refused(
    kind: str, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    edge = Edge([source_for(kind)])
    answer = _post(edge, kind, body, headers)
    assert answer.status_code < 500
    assert edge.nudges.asked == []


@given(
    kind=KINDS,
    data=st.data(),
    event=st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=20),
)
@settings(max_examples=200, deadline=None)
def test_a_signed_push_that_was_damaged_is_answered(kind: str, data: st.DataObject, event: str) -> None:
    document: Any = deliveries.payload(kind)
    at = document
    while isinstance(at, dict) and at:
        key = data.draw(st.sampled_from(sorted(at)))
        if data.draw(st.booleans()) or not isinstance(at[key], dict):
            at[key] = data.draw(JSON)
            break
        at = at[key]
    body = json.dumps(document).encode()
    signed = deliveries.headers(kind, body, event=data.draw(st.sampled_from(["", event])))
    headers = [(name.encode(), value.encode("latin-1")) for name, value in signed.items()]
    edge = Edge([source_for(kind)])
    assert _post(edge, kind, body, headers).status_code in (200, 202, 400)


def _post(edge: Edge, kind: str, body: bytes, headers: list[tuple[bytes, bytes]]) -> Any:
    return asyncio.run(edge.request("POST", f"/hooks/{kind}", content=body, headers=headers))
