"""`POST /hooks/{source}`: what a delivery makes the daemon do, and what it answers."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from engine.errors import SettingsError, UnavailableError
from tests.support import deliveries
from tests.support.deliveries import SECRET, headers, payload
from tests.support.edge import Edge, source_for
from webhooks.hooks import MAX_IN_FLIGHT, RecentDeliveries


def push(kind: str, **changes: Any) -> bytes:
    return json.dumps(payload(kind, **changes)).encode()


@pytest.mark.parametrize("kind", deliveries.FORGES)
async def test_ingress_1_a_push_to_the_followed_branch_nudges_its_source(kind: str) -> None:
    edge = Edge([source_for(kind)])
    answer = await edge.deliver(kind, push(kind), headers(kind, push(kind)))
    assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
    assert edge.nudges.asked == [kind]


@pytest.mark.parametrize("kind", deliveries.FORGES)
async def test_ingress_1_a_wrong_secret_is_a_401_problem(kind: str) -> None:
    wrong = "whsec_d3Jvbmc=" if kind == "gitlab-signed" else "wrong"
    edge = Edge([source_for(kind, secrets=(wrong,))])
    answer = await edge.deliver(kind, push(kind), headers(kind, push(kind)))
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"]
    assert answer.json()["reason"] == "SignatureMismatch"
    assert edge.nudges.asked == []


async def test_ingress_2_a_source_without_a_secret_refuses_to_start() -> None:
    for secrets in ((), ("",), (SECRET, " ")):
        with pytest.raises(SettingsError, match="source main"):
            source_for("github", name="main", secrets=secrets)
    with pytest.raises(SettingsError, match="refs/heads"):
        source_for("github", ref="main")
    with pytest.raises(SettingsError, match="githib"):
        source_for("github", forge="githib")


async def test_two_sources_of_one_name_refuse_to_start() -> None:
    with pytest.raises(SettingsError, match="two sources are named main"):
        Edge([source_for("github", name="main"), source_for("gitlab", name="main")])


async def test_a_sources_secret_is_not_in_its_text() -> None:
    assert SECRET not in repr(source_for("github"))


async def test_ingress_4_headers_do_not_choose_the_forge() -> None:
    edge = Edge([source_for("gitea", secrets=("geheim",)), source_for("github")])
    body = push("github")
    assert (await edge.deliver("gitea", body, headers("github", body))).status_code == 401
    answer = await edge.deliver("gitea", body, {**headers("gitea", body), "x-github-event": "push"})
    assert answer.status_code == 401
    assert edge.nudges.asked == []


async def test_ingress_5_a_delivery_that_was_done_is_ignored_when_it_comes_again() -> None:
    edge = Edge([source_for("github"), source_for("github", name="second")])
    body = push("github")
    first = await edge.deliver("github", body, headers("github", body))
    again = await edge.deliver("github", body, headers("github", body))
    assert (first.json()["status"], again.json()["status"], again.status_code) == ("accepted", "ignored", 200)
    await edge.deliver("second", body, headers("github", body))
    await edge.deliver("github", body, headers("github", body, delivery_id="another"))
    assert edge.nudges.asked == ["github", "second", "github"]


async def test_ingress_5_a_delivery_that_could_not_be_taken_on_may_come_again() -> None:
    edge = Edge([source_for("github")])
    body = push("github")
    edge.nudges.failure = UnavailableError("the store does not answer", retry_after=7)
    failed = await edge.deliver("github", body, headers("github", body))
    assert (failed.status_code, failed.headers["retry-after"]) == (503, "7")
    edge.nudges.failure = None
    assert (await edge.deliver("github", body, headers("github", body))).status_code == 202
    assert edge.nudges.asked == ["github"]


async def test_ingress_5_a_ledger_that_has_forgotten_makes_one_more_look_and_stays_small() -> None:
    ledger = RecentDeliveries(size=2)
    for delivery_id in ("1", "2", "3"):
        await ledger.done("main", delivery_id)
    assert [await ledger.seen("main", one) for one in ("1", "2", "3")] == [False, True, True]


@pytest.mark.parametrize("kind", deliveries.FORGES)
async def test_ingress_7_nothing_is_parsed_before_the_signature_is_right(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise AssertionError("parsed before it was verified")

    edge = Edge([source_for(kind)])
    body = b'{"deep":' + b"[" * 1_000_000
    wrong = {
        name: "sha256=" + "0" * 64 if "signature" in name else value
        for name, value in headers(kind, body).items()
    }
    wrong["x-gitlab-token"] = "wrong"
    monkeypatch.setattr("reconciler.forges.payload.decode", explode)
    monkeypatch.setattr("reconciler.forges.payload.event_name", explode)
    assert (await edge.deliver(kind, body, wrong)).status_code == 401
    monkeypatch.undo()
    if kind != "generic":
        answer = await edge.deliver(kind, body, headers(kind, body))
        assert (answer.status_code, answer.json()["reason"]) == (400, "PayloadInvalid")
        assert "Traceback" not in answer.text


@pytest.mark.parametrize("kind", deliveries.FORGES)
async def test_ingress_8_a_signed_push_of_another_repository_is_refused(kind: str) -> None:
    edge = Edge([source_for(kind, repository="acme/flows")])
    body = push(kind, repository="evil/flows")
    answer = await edge.deliver(kind, body, headers(kind, body))
    assert (answer.status_code, answer.json()["reason"]) == (403, "WrongRepository")
    assert "evil" not in answer.text
    assert edge.nudges.asked == []


@pytest.mark.parametrize("binding", ["42", "acme/flows", "Acme/Flows"])
async def test_ingress_8_a_source_is_bound_by_id_or_by_name(binding: str) -> None:
    edge = Edge([source_for("github", repository=binding)])
    assert (
        await edge.deliver("github", push("github"), headers("github", push("github")))
    ).status_code == 202


async def test_ingress_8_a_bound_source_does_not_believe_a_push_without_a_repository() -> None:
    edge = Edge([source_for("generic", repository="acme/flows")])
    assert (await edge.deliver("generic", b"{}", headers("generic", b"{}"))).status_code == 403


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        ("github", "ping"),
        ("github", "star"),
        ("gitlab", "Note Hook"),
        ("gitea", "issues"),
        ("bitbucket", "pr:x"),
    ],
)
async def test_ingress_10_what_is_not_used_is_answered_and_changes_nothing(kind: str, event: str) -> None:
    edge = Edge([source_for(kind)])
    answer = await edge.deliver(kind, b"{}", headers(kind, b"{}", event=event))
    assert (answer.status_code, answer.json()["status"]) == (200, "ignored")
    assert edge.nudges.asked == []


async def test_ingress_10_data_centers_unsigned_ping_is_answered_and_changes_nothing() -> None:
    edge = Edge([source_for("bitbucket")])
    answer = await edge.deliver("bitbucket", b'{"test":true}', {"x-event-key": "diagnostics:ping"})
    assert (answer.status_code, edge.nudges.asked) == (200, [])


@pytest.mark.parametrize("ref", ["refs/heads/other", "refs/tags/main", "refs/heads/headwater/status", "main"])
async def test_ingress_10_a_push_elsewhere_is_answered_and_changes_nothing(ref: str) -> None:
    edge = Edge([source_for("github")])
    body = push("github", ref=ref)
    answer = await edge.deliver("github", body, headers("github", body))
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "ignored", "reason": "only refs/heads/main is followed"},
    )
    assert edge.nudges.asked == []


async def test_ingress_10_a_flood_is_bounded_and_told_to_come_back() -> None:
    edge = Edge([source_for("generic")])
    edge.nudges.gate = asyncio.Event()
    signed = headers("generic", b"", delivery_id="")
    calls = [asyncio.create_task(edge.deliver("generic", b"", signed)) for _ in range(MAX_IN_FLIGHT + 50)]
    async with asyncio.timeout(10):
        refused: set[asyncio.Task[httpx.Response]] = set()
        while len(refused) < 50:
            refused, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        assert {call.result().status_code for call in refused} == {503}
        edge.nudges.gate.set()
        answers = [await call for call in calls]
    assert sum(answer.status_code == 202 for answer in answers) == MAX_IN_FLIGHT == len(edge.nudges.asked)
    assert (await edge.deliver("generic", b"", signed)).status_code == 202


async def test_ingress_11_old_and_new_secret_are_good_until_the_old_one_is_taken_away() -> None:
    body = push("github")
    signed = headers("github", body)
    for secrets, status in ((("new", SECRET), 202), ((SECRET, "new"), 202), (("new",), 401)):
        edge = Edge([source_for("github", secrets=secrets)])
        assert (await edge.deliver("github", body, signed)).status_code == status


async def test_an_unknown_source_and_another_method_are_problems() -> None:
    edge = Edge([source_for("github")])
    unknown = await edge.deliver("nowhere", b"", {})
    assert (unknown.status_code, unknown.json()["reason"]) == (404, "NotFound")
    other = await edge.request("GET", "/hooks/github")
    assert (other.status_code, other.headers["content-type"]) == (405, "application/problem+json")
    assert "POST" in other.headers["allow"]


async def test_a_header_that_is_sent_twice_is_not_one_of_the_two() -> None:
    edge = Edge([source_for("github")])
    body = push("github")
    twice = [*headers("github", body).items(), ("x-hub-signature-256", "sha256=00")]
    answer = await edge.request("POST", "/hooks/github", content=body, headers=twice)
    assert answer.status_code == 401
