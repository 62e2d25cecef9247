"""Webhook triggers from the call to the answer (dialect, section 3.3): what a flow sees of it, and who is let in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.model.state import State
from tests.support.api import TOKEN, api
from webhooks.guard import Guard

SEEN = """
id: seen
namespace: demo
tasks:
  - {id: body, type: core.debug.Return, format: "{{ trigger.body.order ?? trigger.body }}"}
  - {id: path, type: core.debug.Return, format: "{{ trigger.path ?? 'none' }}"}
  - {id: header, type: core.debug.Return, format: "{{ trigger.headers['x-kind'] | first }}"}
  - {id: query, type: core.debug.Return, format: "{{ trigger.parameters.n | join('+') }}"}
triggers:
  - {id: call, type: core.trigger.Webhook, key: open-sesame}
"""
ANSWERS = """
id: answers
namespace: demo
inputs:
  - {id: amount, type: INT}
tasks:
  - {id: double, type: core.debug.Return, format: "{{ inputs.amount * 2 }}"}
outputs:
  - {id: twice, type: STRING, value: "{{ outputs.double.value }}"}
triggers:
  - id: call
    type: core.trigger.Webhook
    key: answer-me
    wait: true
    returnOutputs: true
    inputs: {amount: "{{ trigger.body.amount }}"}
"""
PICKY = """
id: picky
namespace: demo
tasks:
  - {id: say, type: core.log.Log, message: hi}
triggers:
  - id: call
    type: core.trigger.Webhook
    key: pick-me
    conditions:
      - {type: core.condition.Expression, expression: "{{ trigger.body.action == 'opened' }}"}
"""
SLOW = """
id: slow
namespace: demo
tasks:
  - {id: wait, type: core.flow.Pause}
triggers:
  - {id: call, type: core.trigger.Webhook, key: slow-down, wait: true}
"""
FLOWS = (SEEN, ANSWERS, PICKY, SLOW)
CALL = "executions/webhook/demo"


async def test_a_flow_sees_body_headers_parameters_and_path(tmp_path: Path) -> None:
    async with api(tmp_path, *FLOWS) as edge:
        started = await edge.document(
            "POST",
            f"{CALL}/seen/open-sesame/a/b%20c?n=1&n=2",
            json={"order": 17},
            headers=[("X-Kind", "order"), ("X-Kind", "again")],
        )
        assert started["trigger"]["id"] == "call"
        assert started["trigger"]["variables"]["headers"]["x-kind"] == ["order", "again"]
        document = await edge.ended(started)
        assert document["state"]["current"] == "SUCCESS"
        values = {run["taskId"]: run["outputs"]["value"] for run in document["taskRunList"]}
        assert values == {"body": "17", "path": "a/b c", "header": "order", "query": "1+2"}


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        (b'{"a": [1, null]}', {"a": [1, None]}),
        (b"plain text", "plain text"),
        (b'{"broken": ', '{"broken": '),
        (b'{"big": 1e999}', '{"big": 1e999}'),
        (b"NaN", "NaN"),
        (b"\xff\xfe\x00", "\ufffd\ufffd\x00"),
        (b'"\\ud800"', '"\\ud800"'),
        (b"[" * 2000, "[" * 2000),
        (b"a=1&b=2", "a=1&b=2"),
    ],
)
async def test_a_body_is_json_or_text_and_never_an_error(tmp_path: Path, body: bytes, seen: Any) -> None:
    async with api(tmp_path, *FLOWS) as edge:
        started = await edge.document("PUT", f"{CALL}/seen/open-sesame", content=body)
        assert started["trigger"]["variables"]["body"] == seen
        await edge.ended(started)


async def test_a_get_without_a_body_calls_too_but_a_head_does_not(tmp_path: Path) -> None:
    async with api(tmp_path, *FLOWS) as edge:
        path = f"{CALL}/seen/open-sesame"
        head = await edge.ask("HEAD", path)
        assert (head.status_code, head.headers["allow"]) == (405, "GET, POST, PUT")
        assert (await edge.ask("DELETE", path)).status_code == 404
        assert edge.engine.service.store.count("demo", "seen", list(State)) == 0
        started = await edge.document("GET", path)
        assert started["trigger"]["variables"]["parameters"] == {}
        await edge.ended(started)


async def test_wait_and_return_outputs_answer_with_the_outputs(tmp_path: Path) -> None:
    async with api(tmp_path, *FLOWS) as edge:
        answer = await edge.ask("POST", f"{CALL}/answers/answer-me", json={"amount": 21})
        assert answer.status_code == 200, answer.text
        assert answer.json() == {"twice": "42"}
        assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("setting", "status", "kind", "body"),
    [
        ("responseCode: 202", 202, "application/json", '{"twice":"42"}'),
        ("responseCode: 99", 200, "application/json", '{"twice":"42"}'),
        ("responseContentType: text/plain", 200, "text/plain", "42"),
        ('responseContentType: "text/html\\r\\nX-Evil: 1"', 200, "application/json", '{"twice":"42"}'),
    ],
)
async def test_the_trigger_sets_code_and_type_of_the_answer(
    tmp_path: Path, setting: str, status: int, kind: str, body: str
) -> None:
    async with api(tmp_path, f"{ANSWERS}    {setting}\n") as edge:
        answer = await edge.ask("POST", f"{CALL}/answers/answer-me", json={"amount": 21})
        assert (answer.status_code, answer.text) == (status, body)
        assert answer.headers["content-type"] == kind
        assert "x-evil" not in answer.headers


async def test_a_wait_that_takes_too_long_is_answered_with_how_it_stands(tmp_path: Path) -> None:
    async with api(tmp_path, *FLOWS, longest_wait=0.05) as edge:
        document = await edge.document("POST", f"{CALL}/slow/slow-down", 202)
        assert document["state"]["current"] == "PAUSED"


async def test_conditions_that_do_not_hold_start_nothing(tmp_path: Path) -> None:
    async with api(tmp_path, *FLOWS) as edge:
        answer = await edge.ask("POST", f"{CALL}/picky/pick-me", json={"action": "closed"})
        assert (answer.status_code, answer.content) == (204, b"")
        await edge.ended(await edge.document("POST", f"{CALL}/picky/pick-me", json={"action": "opened"}))
        assert (await edge.document("GET", "executions/search"))["total"] == 1


async def test_an_unknown_flow_and_an_unknown_key_look_alike(tmp_path: Path) -> None:
    disabled = SEEN.replace("id: seen", "id: off\ndisabled: true")
    async with api(tmp_path, *FLOWS, disabled) as edge:
        answers = [
            await edge.ask("POST", f"{CALL}/{path}")
            for path in (
                "seen/wrong",
                "none/open-sesame",
                "off/open-sesame",
                "seen/open-sesam%C3%A9",
                "seen/%00",
            )
        ]
        assert {answer.status_code for answer in answers} == {404}
        assert len({answer.text for answer in answers}) == 1


async def test_inputs_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    async with api(tmp_path, *FLOWS) as edge:
        answer = await edge.ask("POST", f"{CALL}/answers/answer-me", json={"amount": "many"})
        assert answer.status_code == 422
        assert "amount" in answer.json()["detail"]
        missing = await edge.ask("POST", f"{CALL}/answers/answer-me", content=b"no json")
        assert missing.status_code == 422
        assert (await edge.document("GET", "executions/search"))["total"] == 0


async def test_a_body_that_is_too_large_is_refused_before_anything_is_looked_up(tmp_path: Path) -> None:
    async with api(tmp_path, *FLOWS) as edge:
        answer = await edge.ask("POST", f"{CALL}/none/wrong", content=b"x" * ((1 << 20) + 1))
        assert answer.status_code == 413


async def test_the_key_is_enough_also_where_the_api_wants_a_token(tmp_path: Path) -> None:
    async with api(tmp_path, *FLOWS, guard=Guard(token=TOKEN)) as edge:
        headers = {"origin": "https://shop.example", "sec-fetch-site": "cross-site"}
        answer = await edge.ask("POST", f"{CALL}/seen/open-sesame", headers=headers)
        assert answer.status_code == 200
        await edge.engine.service.wait(answer.json()["id"])
        assert (
            await edge.ask("GET", "/api/v1/other/executions/webhook/demo/seen/open-sesame")
        ).status_code in (
            401,
            404,
        )
