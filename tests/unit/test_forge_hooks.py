"""Every forge's webhook: which deliveries are believed, and what they say."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from engine.errors import SettingsError
from reconciler.forges import FORGES, hook
from reconciler.forges.base import Delivery, Malformed, RefChange, Refused
from tests.support import deliveries
from tests.support.deliveries import NEW, NOW, OLD, SECRET, SIGNING_TOKEN, ZERO, delivery, forge_of, secret_of

SIGNATURES = {
    "github": "x-hub-signature-256",
    "gitlab": "x-gitlab-token",
    "gitlab-signed": "webhook-signature",
    "gitea": "x-gitea-signature",
    "forgejo": "x-forgejo-signature",
    "bitbucket": "x-hub-signature",
    "bitbucket-dc": "x-hub-signature",
    "generic": "x-headwater-signature",
}


def with_headers(given: Delivery, **changed: str | None) -> Delivery:
    found = dict(given.headers)
    for name, value in changed.items():
        found.pop(name.replace("_", "-"), None)
        if value is not None:
            found[name.replace("_", "-")] = value
    return msgspec.structs.replace(given, headers=found)


def signed(kind: str, signature: str | None) -> Delivery:
    return with_headers(delivery(kind), **{SIGNATURES[kind]: signature})


def verify(kind: str, given: Delivery, *secrets: str) -> None:
    hook(forge_of(kind)).verify(given, secrets or (secret_of(kind),))


# Ingress 1: vectors and malformed signatures


def test_ingress_1_the_vector_of_githubs_documentation_is_accepted() -> None:
    digest = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    given = Delivery({"x-hub-signature-256": f"sha256={digest}"}, b"Hello, World!", NOW)
    hook("github").verify(given, ["It's a Secret to Everybody"])


def test_ingress_1_a_gitlab_signature_of_the_standard_webhooks_scheme_is_accepted() -> None:
    found = {
        "webhook-id": "msg_0001",
        "webhook-timestamp": "1700000000",
        "webhook-signature": "v1,m22bs9XQw7kflQCPXNRjdvGiLtS7ALDYMDacuU+FMWM=",
    }
    hook("gitlab").verify(Delivery(found, b'{"object_kind":"push"}', NOW), [SIGNING_TOKEN])


@pytest.mark.parametrize(
    ("forge", "header", "prefix"),
    [
        ("github", "x-hub-signature-256", "sha256="),
        ("gitea", "x-gitea-signature", ""),
        ("gitea", "x-gogs-signature", ""),
        ("forgejo", "x-forgejo-signature", ""),
        ("bitbucket", "x-hub-signature", "sha256="),
        ("generic", "x-headwater-signature", "sha256="),
    ],
)
def test_ingress_1_signatures_made_by_openssl_are_accepted(forge: str, header: str, prefix: str) -> None:
    digest = "20e39c32577f001c7391212d523ded316e1ca181b2e79d373e2665d90d8c63fa"
    hook(forge).verify(Delivery({header: prefix + digest}, b'{"ref":"refs/heads/main"}', NOW), [SECRET])


@pytest.mark.parametrize("kind", deliveries.FORGES)
def test_ingress_1_a_signed_delivery_is_accepted_and_a_wrong_secret_is_not(kind: str) -> None:
    verify(kind, delivery(kind))
    wrong = "whsec_d3Jvbmc=" if kind == "gitlab-signed" else "wrong"
    with pytest.raises(Refused) as refusal:
        verify(kind, delivery(kind), wrong)
    assert refusal.value.http_status == 401


@pytest.mark.parametrize("kind", deliveries.FORGES)
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda text: text[:-1], id="truncated"),
        pytest.param(lambda text: text + "0", id="longer"),
        pytest.param(lambda text: text.swapcase(), id="other-case"),
        pytest.param(lambda text: text.split("=")[-1].split(",")[-1][2:], id="no-prefix"),
        pytest.param(lambda text: "sha256=" + "zz" * 32, id="not-hexadecimal"),
        pytest.param(lambda text: "sha256=é" + text, id="not-ascii"),
        pytest.param(lambda text: "\ud800\x00", id="surrogate"),
        pytest.param(lambda text: "", id="empty"),
        pytest.param(lambda text: "sha256=", id="prefix-only"),
        pytest.param(lambda text: None, id="absent"),
    ],
)
def test_ingress_1_a_damaged_signature_is_refused(kind: str, damage: Any) -> None:
    good = delivery(kind).headers[SIGNATURES[kind]]
    with pytest.raises(Refused):
        verify(kind, signed(kind, damage(good)))


@pytest.mark.parametrize("kind", [kind for kind in deliveries.FORGES if kind != "gitlab-signed"])
def test_ingress_1_a_signature_that_was_sent_twice_is_refused(kind: str) -> None:
    good = delivery(kind).headers[SIGNATURES[kind]]
    with pytest.raises(Refused):
        verify(kind, signed(kind, f"{good}, {good}"))


@pytest.mark.parametrize("kind", [kind for kind in deliveries.FORGES if kind != "gitlab"])
def test_ingress_1_a_changed_body_is_refused(kind: str) -> None:
    given = delivery(kind)
    with pytest.raises(Refused):
        verify(kind, msgspec.structs.replace(given, body=given.body + b" "))


# Ingress 2: SHA-1, empty secrets and signatures


def test_ingress_2_a_sha1_signature_alone_is_refused() -> None:
    found = {"x-hub-signature": "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59", "x-github-event": "push"}
    with pytest.raises(Refused, match="no X-Hub-Signature-256 header"):
        hook("github").verify(Delivery(found, b"Hello, World!", NOW), ["It's a Secret to Everybody"])


@pytest.mark.parametrize("forge", FORGES)
@pytest.mark.parametrize("secrets", [(), ("",), ("  ",), ("good", "")])
def test_ingress_2_an_empty_secret_is_refused_before_any_delivery(
    forge: str, secrets: tuple[str, ...]
) -> None:
    with pytest.raises(SettingsError):
        hook(forge).check_secrets(secrets)


@pytest.mark.parametrize("kind", deliveries.FORGES)
def test_ingress_2_an_empty_secret_never_matches_an_empty_signature(kind: str) -> None:
    for secrets in ([""], []):
        with pytest.raises(Refused):
            hook(forge_of(kind)).verify(signed(kind, ""), secrets)


@pytest.mark.parametrize("token", ["whsec_", "whsec_***", "whsec_abc"])
def test_ingress_2_a_signing_token_that_cannot_be_decoded_is_a_setting_to_fix(token: str) -> None:
    with pytest.raises(SettingsError):
        hook("gitlab").check_secrets([token])


# Ingress 3: GitLab's signed deliveries


def test_ingress_3_the_right_token_does_not_save_a_wrong_signature() -> None:
    given = with_headers(delivery("gitlab-signed"), x_gitlab_token=SECRET)
    verify("gitlab-signed", given, SIGNING_TOKEN, SECRET)
    for broken in (None, "", "v1,AAAA", "v2," + given.headers["webhook-signature"][3:]):
        with pytest.raises(Refused):
            verify("gitlab-signed", with_headers(given, webhook_signature=broken), SIGNING_TOKEN, SECRET)


@pytest.mark.parametrize(
    ("seconds", "accepted"),
    [(-301, False), (-300, True), (0, True), (300, True), (301, False), (10**9, False)],
)
@pytest.mark.parametrize("kind", ["gitlab-signed"])
def test_ingress_3_a_signed_time_may_be_five_minutes_off(kind: str, seconds: int, accepted: bool) -> None:
    given = delivery(kind, at=NOW + timedelta(seconds=seconds))
    if accepted:
        verify(kind, given)
    else:
        with pytest.raises(Refused, match="minutes off"):
            verify(kind, given)


@pytest.mark.parametrize("timestamp", ["", "soon", "1.7e9", "-1", " 1700000000", "\u0661\u0667", "9" * 400])
def test_ingress_3_a_timestamp_that_is_no_number_is_refused(timestamp: str) -> None:
    body = b"{}"
    found = {
        "webhook-id": "m",
        "webhook-timestamp": timestamp,
        "webhook-signature": deliveries.standard_signature(body, message_id="m", timestamp=timestamp),
    }
    with pytest.raises(Refused):
        hook("gitlab").verify(Delivery(found, body, NOW), [SIGNING_TOKEN])


def test_ingress_3_one_right_signature_among_several_is_enough() -> None:
    given = delivery("gitlab-signed")
    right = given.headers["webhook-signature"]
    verify("gitlab-signed", with_headers(given, webhook_signature=f"v1,AAAA v1a,x {right}"))
    with pytest.raises(Refused):
        verify("gitlab-signed", with_headers(given, webhook_signature=" ".join(["v1,AAAA"] * 50 + [right])))


def test_ingress_3_the_message_id_is_signed_too() -> None:
    with pytest.raises(Refused):
        verify("gitlab-signed", with_headers(delivery("gitlab-signed"), webhook_id="another"))


# Ingress 4: no header chooses the forge


def test_ingress_4_github_headers_on_a_gitea_delivery_are_not_looked_at() -> None:
    given = with_headers(delivery("gitea"), x_gitea_signature="0" * 64)
    with pytest.raises(Refused):
        verify("gitea", given)
    event = hook("gitea").parse(with_headers(delivery("gitea"), x_github_event="ping"))
    assert event.kind == "push"


def test_ingress_4_forgejo_headers_come_before_gitea_and_gogs() -> None:
    given = with_headers(delivery("gitea"), x_forgejo_signature="0" * 64)
    with pytest.raises(Refused):
        verify("gitea", given)
    both = with_headers(delivery("forgejo"), x_gitea_event="issues", x_gitea_signature="0" * 64)
    verify("forgejo", both)
    assert hook("forgejo").parse(both).kind == "push"


# Ingress 5 (identity of a delivery), 11 (rotation)


@pytest.mark.parametrize("kind", deliveries.FORGES)
def test_ingress_5_a_redelivery_carries_the_identity_of_the_first(kind: str) -> None:
    driver = hook(forge_of(kind))
    assert driver.parse(delivery(kind, delivery_id="one")).delivery_id == "one"
    assert driver.parse(delivery(kind, delivery_id="two")).delivery_id == "two"


@pytest.mark.parametrize("kind", deliveries.FORGES)
def test_ingress_11_two_secrets_live_while_one_replaces_the_other(kind: str) -> None:
    other = "whsec_b3RoZXI=" if kind == "gitlab-signed" else "other"
    verify(kind, delivery(kind), secret_of(kind), other)
    verify(kind, delivery(kind), other, secret_of(kind))
    with pytest.raises(Refused):
        verify(kind, delivery(kind), other)


# Ingress 7: hostile bodies, signed


def nested(depth: int) -> bytes:
    return b'{"ref":"a","deep":' + b"[" * depth + b"]" * depth + b"}"


HOSTILE = {
    "empty": b"",
    "one-byte": b"{",
    "deep": nested(200_000),
    "unclosed": b"[" * 1_000_000,
    "not-an-object": b"[1, 2]",
    "null": b"null",
    "nan": b'{"ref": NaN}',
    "infinity": b'{"ref": "a", "repository": {"id": Infinity}}',
    "huge-integer": b'{"ref":"a","before":"1","after":"2","repository":{"full_name":"x","id":'
    + b"9" * 5_000
    + b"}}",
    "invalid-utf-8": b'{"ref": "\xff\xfe"}',
    "byte-order-mark": b'\xef\xbb\xbf{"ref": "refs/heads/main"}',
    "utf-16": '{"ref": "refs/heads/main"}'.encode("utf-16"),
    "lone-surrogate": b'{"ref": "\\ud800"}',
    "wrong-types": b'{"ref":[1],"before":{},"after":3,"repository":"x","project":4,"changes":"y","push":[]}',
    "gzip": b"\x1f\x8b\x08\x00" + bytes(40),
}


@pytest.mark.parametrize("kind", [kind for kind in deliveries.FORGES if kind != "generic"])
@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_ingress_7_a_hostile_body_is_malformed_and_nothing_else(kind: str, body: bytes) -> None:
    given = delivery(kind, body)
    verify(kind, given)
    with pytest.raises(Malformed) as refusal:
        hook(forge_of(kind)).parse(given)
    assert refusal.value.http_status == 400
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize("kind", deliveries.FORGES)
def test_ingress_7_no_field_of_a_wrong_type_is_more_than_malformed(kind: str) -> None:
    driver = hook(forge_of(kind))
    refused = 0
    bad_values: tuple[Any, ...] = (None, [], {}, True, 1.5, "x" * 2_000, "a\nb")
    for bad in bad_values:
        for damaged in _damaged(deliveries.payload(kind), bad):
            given = delivery(kind, json.dumps(damaged).encode())
            try:
                driver.parse(given)
            except Malformed:
                refused += 1
    assert refused > 20


def _damaged(value: Any, bad: Any) -> list[Any]:
    """`value` once with each of its leaves and branches replaced by `bad`."""
    if isinstance(value, dict):
        return [bad] + [{**value, key: one} for key, inner in value.items() for one in _damaged(inner, bad)]
    if isinstance(value, list):
        return [bad] + [[one] for inner in value for one in _damaged(inner, bad)]
    return [bad]


def test_ingress_7_of_a_key_that_occurs_twice_the_last_one_counts() -> None:
    body = b'{"ref":"refs/heads/main","ref":"refs/heads/other","repository":{"full_name":"a/b"}}'
    assert [one.ref for one in hook("generic").parse(delivery("generic", body)).refs] == ["refs/heads/other"]


# Ingress 8 and 10: what the events say


@pytest.mark.parametrize("kind", deliveries.FORGES)
def test_a_push_says_repository_ref_and_commits(kind: str) -> None:
    event = hook(forge_of(kind)).parse(delivery(kind))
    assert event.kind == "push"
    assert event.repository is not None
    assert event.repository.full_name == "acme/flows"
    assert event.repository.id == ("{42}" if kind == "bitbucket" else "42")
    assert event.refs == (RefChange("refs/heads/main", OLD, NEW),)


@pytest.mark.parametrize("kind", deliveries.FORGES)
def test_a_tag_and_a_branch_of_one_name_stay_apart(kind: str) -> None:
    body = json.dumps(deliveries.payload(kind, ref="refs/tags/main")).encode()
    assert [one.ref for one in hook(forge_of(kind)).parse(delivery(kind, body)).refs] == ["refs/tags/main"]


@pytest.mark.parametrize("kind", [kind for kind in deliveries.FORGES if not kind.startswith("bitbucket")])
@pytest.mark.parametrize("zero", [ZERO, "0" * 64])
def test_zeros_mean_no_commit(kind: str, zero: str) -> None:
    body = json.dumps({**deliveries.payload(kind), "before": zero}).encode()
    assert hook(forge_of(kind)).parse(delivery(kind, body)).refs == (RefChange("refs/heads/main", None, NEW),)


def test_a_bitbucket_push_moves_every_ref_it_names() -> None:
    def side(name: str, commit: str) -> dict[str, Any]:
        return {"type": "branch", "name": name, "target": {"hash": commit}}

    changes = [
        {"old": None, "new": side("first", NEW)},
        {"old": side("gone", OLD), "new": None},
        {"old": side("main", OLD), "new": side("main", NEW)},
    ]
    body = json.dumps({**deliveries.payload("bitbucket"), "push": {"changes": changes}}).encode()
    assert hook("bitbucket").parse(delivery("bitbucket", body)).refs == (
        RefChange("refs/heads/first", None, NEW),
        RefChange("refs/heads/gone", OLD, None),
        RefChange("refs/heads/main", OLD, NEW),
    )


@pytest.mark.parametrize("changes", [[], [{"old": None, "new": None}]])
def test_a_bitbucket_push_that_moves_nothing_is_malformed(changes: list[Any]) -> None:
    body = json.dumps({**deliveries.payload("bitbucket"), "push": {"changes": changes}}).encode()
    with pytest.raises(Malformed):
        hook("bitbucket").parse(delivery("bitbucket", body))


def test_githubs_form_content_type_is_read_and_its_form_bytes_are_what_is_signed() -> None:
    body = urlencode({"payload": json.dumps(deliveries.payload("github"))}).encode()
    given = with_headers(delivery("github", body), content_type="application/x-www-form-urlencoded")
    verify("github", given)
    assert hook("github").parse(given).refs[0].ref == "refs/heads/main"


@pytest.mark.parametrize(
    "body", [b"", b"payload", b"payload=1&payload=2", b"a=b", b"payload=%ff", b"&" * 99, b"\xff"]
)
def test_a_form_without_one_payload_is_malformed(body: bytes) -> None:
    given = with_headers(delivery("github", body), content_type="application/x-www-form-urlencoded")
    with pytest.raises(Malformed):
        hook("github").parse(given)


def test_giteas_form_content_type_is_refused_with_the_setting_to_change() -> None:
    given = with_headers(delivery("gitea"), content_type="application/x-www-form-urlencoded")
    with pytest.raises(Refused, match="application/json"):
        verify("gitea", given)


def test_ingress_8_header_and_body_that_disagree_are_refused() -> None:
    body = json.dumps({**deliveries.payload("gitlab"), "object_kind": "merge_request"}).encode()
    with pytest.raises(Malformed):
        hook("gitlab").parse(delivery("gitlab", body))
    with pytest.raises(Malformed):
        hook("bitbucket").parse(
            delivery("bitbucket", json.dumps(deliveries.payload("bitbucket-dc")).encode())
        )


@pytest.mark.parametrize(
    ("kind", "event", "found"),
    [
        ("github", "ping", "ping"),
        ("github", "workflow_run", "other"),
        ("github", "pull_request", "other"),
        ("gitlab", "Merge Request Hook", "other"),
        ("gitea", "issues", "other"),
        ("forgejo", "pull_request", "other"),
        ("bitbucket", "pullrequest:created", "other"),
        ("bitbucket", "diagnostics:ping", "ping"),
    ],
)
def test_ingress_10_pings_and_unknown_events_leave_the_body_unread(kind: str, event: str, found: str) -> None:
    given = delivery(kind, b"\xff not even JSON", event=event)
    verify(kind, given)
    assert hook(forge_of(kind)).parse(given).kind == found


def test_ingress_10_data_centers_ping_is_unsigned_and_nothing_else_may_be() -> None:
    ping = with_headers(
        delivery("bitbucket-dc", b'{"test":true}', event="diagnostics:ping"), x_hub_signature=None
    )
    verify("bitbucket-dc", ping)
    assert hook("bitbucket").parse(ping).kind == "ping"
    with pytest.raises(Refused):
        verify("bitbucket-dc", with_headers(ping, x_hub_signature="sha256=00"))
    with pytest.raises(Refused):
        verify("bitbucket-dc", with_headers(ping, x_event_key="repo:refs_changed"))


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"event_name": "push"}, "push"),
        ({"object_kind": "tag_push"}, "push"),
        ({"object_kind": "", "event_name": "project_create"}, "other"),
    ],
)
def test_a_gitlab_system_hook_names_its_event_in_the_body(body: dict[str, Any], kind: str) -> None:
    content = {key: value for key, value in deliveries.payload("gitlab").items() if key != "object_kind"}
    given = delivery("gitlab", json.dumps({**content, **body}).encode(), event="System Hook")
    assert hook("gitlab").parse(given).kind == kind


# The generic sender


def test_a_generic_timestamp_is_signed_and_lives_five_minutes() -> None:
    digest = "e12285a6a39a82d899db1435cef209d5e93acaf4ac0745d121acb1f5c3e3c0bb"
    found = {"x-headwater-signature": f"sha256={digest}", "x-headwater-timestamp": "1700000000"}
    given = Delivery(found, b'{"ref":"refs/heads/main"}', NOW)
    verify("generic", given)
    with pytest.raises(Refused, match="minutes off"):
        verify("generic", msgspec.structs.replace(given, received_at=NOW + timedelta(seconds=301)))
    for other in ("1700000001", "", "soon", None):
        with pytest.raises(Refused):
            verify("generic", with_headers(given, x_headwater_timestamp=other))


def test_a_generic_delivery_may_say_nothing_but_that_something_was_pushed() -> None:
    event = hook("generic").parse(delivery("generic", b""))
    assert (event.kind, event.refs, event.repository) == ("push", (), None)


@pytest.mark.parametrize(
    "body", [b'{"ref":"main"}', b"1700000000.", b'1700000000.{"ref":"refs/heads/main"}', b"[]"]
)
def test_a_generic_body_of_another_form_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        hook("generic").parse(delivery("generic", body))


def test_an_unknown_forge_is_a_setting_to_fix() -> None:
    with pytest.raises(SettingsError, match="github"):
        hook("githib")
