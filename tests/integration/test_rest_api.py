"""The REST API over a running engine: executions, logs, flows, sources, and who may ask for them."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.model.problem import Problem
from reconciler.conditions import Condition
from reconciler.report import ReconcileStatus
from tests.support.api import TOKEN, api
from webhooks.guard import Guard

HELLO = """
id: hello
namespace: demo
labels: {team: core}
inputs:
  - {id: name, type: STRING, defaults: world}
  - {id: times, type: INT, required: false}
  - {id: token, type: SECRET, required: false}
tasks:
  - {id: say, type: core.log.Log, message: "hello {{ inputs.name }} {{ inputs.token ?? '' }}"}
outputs:
  - {id: greeting, type: STRING, value: "hello {{ inputs.name }}"}
"""
GATE = """
id: gate
namespace: demo.approvals
tasks:
  - id: wait
    type: core.flow.Pause
    onResume:
      - {id: reason, type: STRING}
      - {id: proof, type: FILE, required: false}
  - {id: after, type: core.debug.Return, format: "{{ outputs.wait.onResume.reason }}"}
"""
FILED = """
id: filed
namespace: demo
inputs:
  - {id: data, type: FILE}
  - {id: note, type: STRING, required: false}
  - {id: tags, type: ARRAY, itemType: STRING, required: false}
tasks:
  - {id: read, type: core.debug.Return, format: "{{ read(inputs.data) }}"}
"""
NOISY = """
id: noisy
namespace: demo
tasks:
  - {id: low, type: core.log.Log, level: DEBUG, message: "low"}
  - {id: high, type: core.log.Log, level: ERROR, message: "high"}
"""
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FLOWS = (HELLO, GATE, FILED, NOISY)


# Starting


async def test_an_execution_is_started_and_its_document_is_kestras(tmp_path: Path) -> None:
    async with api(tmp_path, *FLOWS) as edge:
        started = await edge.document("POST", "executions/demo/hello", json={"name": "Ann"})
        assert (started["namespace"], started["flowId"], started["flowRevision"]) == ("demo", "hello", 1)
        assert started["commit"] == "c1"
        document = await edge.ended(started)
        assert document["state"]["current"] == "SUCCESS"
        assert document["outputs"] == {"greeting": "hello Ann"}
        assert [run["taskId"] for run in document["taskRunList"]] == ["say"]


@pytest.mark.parametrize(
    "options",
    [
        {"json": {"name": "Bo", "times": 3}},
        {"data": {"name": "Bo", "times": "3"}},
        {"files": {"name": (None, "Bo"), "times": (None, "3")}},
        {"files": {"name": ("a.txt", b"Bo"), "times": (None, "3")}},  # a file for what is none: its text
    ],
)
async def test_inputs_come_as_json_form_or_multipart(tmp_path: Path, options: dict[str, Any]) -> None:
    async with api(tmp_path, *FLOWS) as edge:
        document = await edge.document("POST", "executions/demo/hello?wait=true", **options)
        assert document["inputs"] == {"name": "Bo", "times": 3}
        assert document["outputs"] == {"greeting": "hello Bo"}


@pytest.mark.parametrize(
    ("part", "name", "ending"),
    [("data", "../../etc/pass wd.csv", "/inputs/data/pass_wd.csv"), ("files", "data", "/inputs/data/data")],
)
async def test_a_file_is_stored_and_its_uri_is_the_input(
    tmp_path: Path, part: str, name: str, ending: str
) -> None:
    content = b"x" * (3 << 20)  # more than what is kept in memory
    async with api(tmp_path, *FLOWS) as edge:
        document = await edge.document(
            "POST",
            "executions/demo/filed",
            files=[(part, (name, content)), ("tags", (None, "a")), ("tags", (None, "b"))],
        )
        assert document["inputs"]["data"] == f"headwater:///demo/filed/executions/{document['id']}{ending}"
        assert document["inputs"]["tags"] == ["a", "b"]
        kept = edge.engine.service.around.files.local_path(document["inputs"]["data"])
        assert Path(kept).read_bytes() == content
        await edge.ended(document)


async def test_files_of_a_refused_start_are_not_kept(tmp_path: Path) -> None:
    async with api(tmp_path, *FLOWS) as edge:
        wrong = [("data", ("d.csv", b"1")), ("tags", (None, "not a list"))]
        answer = await edge.ask("POST", "executions/demo/filed", files=wrong)
        assert answer.status_code == 422
        assert [path for path in (tmp_path / "files").rglob("*") if path.is_file()] == []


async def test_labels_are_added_and_the_engines_own_refused(tmp_path: Path) -> None:
    async with api(tmp_path, *FLOWS) as edge:
        path = "executions/demo/hello?labels=team:mine&labels=when:12:30"
        document = await edge.document("POST", path)
        labels = {each["key"]: each["value"] for each in document["labels"]}
        assert labels.items() >= {"team": "mine", "when": "12:30"}.items()
        for wrong in ("system.parent:x", "nothing", ":x"):
            assert (await edge.ask("POST", f"executions/demo/hello?labels={wrong}")).status_code == 422
        await edge.ended(document)


@pytest.mark.parametrize(
    ("path", "options", "status", "word"),
    [
        ("executions/demo/nothing", {}, 404, "there is no flow demo.nothing"),
        ("executions/demo/hello?revision=7", {}, 404, "revision 7"),
        ("executions/demo/hello?revision=x", {}, 422, "revision"),
        ("executions/demo/hello", {"json": {"times": "many"}}, 422, "times"),
        ("executions/demo/hello", {"json": ["name"]}, 422, "no JSON object"),
        ("executions/demo/hello", {"content": b"{", "headers": {"content-type": "application/json"}}, 422, "JSON"),
        ("executions/demo/hello", {"content": b"[" * 9999, "headers": {"content-type": "text/json+json"}}, 422, "JSON"),
        ("executions/demo/hello", {"content": b"<x/>", "headers": {"content-type": "text/xml"}}, 415, "text/xml"),
        ("executions/demo/hello", {"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 422, "form"),
        (
            "executions/demo/hello",
            {"content": b"--x\r\nbroken", "headers": {"content-type": "multipart/form-data; boundary=x"}},
            422,
            "form",
        ),
        (
            "executions/demo/hello",
            {"content": b"a=1&" * 1001, "headers": {"content-type": "application/x-www-form-urlencoded"}},
            422,
            "form",
        ),
        (
            "executions/demo/hello",
            {"content": b'{"name":"' + b"x" * (1 << 20) + b'"}', "headers": {"content-type": "application/json"}},
            413,
            "larger",
        ),
        ("executions/demo/hello", {"files": {"name": ("n", b"x" * ((1 << 20) + 1))}}, 413, "declare it as a FILE"),
        ("executions/demo/filed", {}, 422, "data"),
    ],
)  # fmt: skip
async def test_what_cannot_be_started_is_refused_and_leaves_nothing(
    tmp_path: Path, path: str, options: dict[str, Any], status: int, word: str
) -> None:
    async with api(tmp_path, *FLOWS) as edge:
        answer = await edge.ask("POST", path, **options)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert word in answer.text
        assert "Traceback" not in answer.text
        assert (await edge.document("GET", "executions/search"))["total"] == 0


async def test_wait_is_bounded(tmp_path: Path) -> None:
    async with api(tmp_path, *FLOWS, longest_wait=0.05) as edge:
        document = await edge.document("POST", "executions/demo.approvals/gate?wait=true", 202)
        assert document["state"]["current"] == "PAUSED"


# Finding


async def test_search_narrows_and_pages(tmp_path: Path) -> None:
    async with api(tmp_path, *FLOWS) as edge:
        for number in range(5):
            await edge.document("POST", f"executions/demo/hello?wait=true&labels=n:{number}")
        await edge.document("POST", "executions/demo.approvals/gate")
        first = await edge.document("GET", "executions/search?size=4")
        assert (len(first["results"]), first["total"]) == (4, 6)
        last = await edge.document("GET", "executions/search?size=4&page=2")
        assert len({each["id"] for each in first["results"] + last["results"]}) == 6

        async def total(query: str) -> int:
            found = await edge.document("GET", f"executions/search?{query}")
            assert len(found["results"]) == found["total"]
            total: int = found["total"]
            return total

        assert await total("namespace=demo") == 5
        assert await total("namespace=demo&flowId=hello&state=SUCCESS") == 5
        assert await total("state=SUCCESS&state=PAUSED") == 6
        assert await total("state=paused,failed") == 1
        assert await total("labels=n:3&labels=team:core") == 1
        assert await total("labels=n:'%20OR%201=1") == 0


@pytest.mark.parametrize(
    "query", ["size=0", "size=1001", "size=-1", "page=0", "page=²", "state=X", "labels=x"]
)
async def test_a_query_that_makes_no_sense_is_refused(tmp_path: Path, query: str) -> None:
    async with api(tmp_path) as edge:
        assert (await edge.ask("GET", f"executions/search?{query}")).status_code == 422


@pytest.mark.parametrize(
    "path",
    ["executions/none", "executions/none/follow", "logs/none", "logs/none/follow", "flows/a/b", "x", ""],
)
async def test_what_is_not_there_is_a_404(tmp_path: Path, path: str) -> None:
    async with api(tmp_path) as edge:
        assert (await edge.ask("GET", path)).status_code == 404
        assert (await edge.ask("GET", "/api/v1/other/executions/search")).status_code == 404


# Kill, pause, resume


async def test_kill_ends_an_execution_once(tmp_path: Path) -> None:
    async with api(tmp_path, *FLOWS) as edge:
        started = await edge.document("POST", "executions/demo.approvals/gate")
        await edge.document("DELETE", f"executions/{started['id']}/kill", 202)
        assert (await edge.ended(started))["state"]["current"] == "KILLED"
        assert (await edge.ask("DELETE", f"executions/{started['id']}/kill")).status_code == 409
        assert (await edge.ask("DELETE", "executions/none/kill")).status_code == 404


async def test_a_paused_task_goes_on_with_what_it_asks_for(tmp_path: Path) -> None:
    async with api(tmp_path, *FLOWS) as edge:
        started = await edge.document("POST", "executions/demo.approvals/gate")
        await edge.engine.service.wait(started["id"], paused=True)
        path = f"executions/{started['id']}/resume"
        refused = await edge.ask("POST", path)
        assert refused.status_code == 422
        assert "reason" in refused.text
        await edge.document("POST", path, files={"reason": (None, "fine"), "proof": ("p.pdf", b"%PDF")})
        document = await edge.ended(started)
        wait, after = document["taskRunList"]
        assert after["outputs"]["value"] == "fine"
        kept = edge.engine.service.around.files.local_path(wait["outputs"]["onResume"]["proof"])
        assert Path(kept).read_bytes() == b"%PDF"
        assert (await edge.ask("POST", path)).status_code == 409
        assert (await edge.ask("POST", f"executions/{started['id']}/pause")).status_code == 409


# Logs


async def test_logs_are_read_by_level_task_and_serial(tmp_path: Path) -> None:
    async with api(tmp_path, *FLOWS) as edge:
        document = await edge.document("POST", "executions/demo/noisy?wait=true")
        path = f"logs/{document['id']}"
        lines = await edge.document("GET", path)
        assert {"low", "high"} <= {line["message"] for line in lines}
        assert [line["serial"] for line in lines] == sorted(line["serial"] for line in lines)
        first = next(line for line in lines if line["message"] == "low")
        assert (first["level"], first["taskId"], first["flowId"]) == ("DEBUG", "low", "noisy")
        rest = await edge.document("GET", f"{path}?after={first['serial']}")
        assert first not in rest
        loud = await edge.document("GET", f"{path}?minLevel=error")
        assert [line["message"] for line in loud] == ["high"]
        assert [line["message"] for line in await edge.document("GET", f"{path}?taskId=low")] == ["low"]
        for wrong in ("minLevel=LOUD", "after=-1", "after=9999999999999999999"):
            assert (await edge.ask("GET", f"{path}?{wrong}")).status_code == 422


async def test_secrets_are_masked_everywhere(tmp_path: Path) -> None:
    async with api(tmp_path, *FLOWS) as edge:
        given = {"token": "hunter2-secret", "name": "hunter2-secret"}
        document = await edge.document(
            "POST", "executions/demo/hello?wait=true&labels=x:hunter2-secret", json=given
        )
        assert document["state"]["current"] == "SUCCESS"
        one, log = f"executions/{document['id']}", f"logs/{document['id']}"
        for path in (one, f"{one}/follow", f"/{one}", log, f"{log}/follow", "executions/search"):
            answer = await edge.ask("GET", path)
            assert answer.status_code == 200, path
            assert "hunter2" not in answer.text, path
            assert "********" in answer.text, path


# Flows


async def test_flows_are_listed_and_shown_with_source_and_triggers(tmp_path: Path) -> None:
    scheduled = HELLO.replace("id: hello", "id: hourly") + (
        "triggers:\n  - {id: hours, type: core.trigger.Schedule, cron: '0 * * * *'}\n"
    )
    async with api(tmp_path, *FLOWS, scheduled) as edge:
        everything = await edge.document("GET", "flows/search?size=2&page=2")
        assert (len(everything["results"]), everything["total"]) == (2, 5)
        below = await edge.document("GET", "flows/search?namespace=demo.approvals")
        assert [each["id"] for each in below["results"]] == ["gate"]
        assert (await edge.document("GET", "flows/search?namespace=dem"))["total"] == 0
        assert (await edge.document("GET", "flows/search?namespace=demo&q=HEL"))["total"] == 1
        shown = await edge.document("GET", "flows/demo/hourly")
        assert shown["source"] == scheduled
        assert (shown["revision"], shown["repository"], shown["commit"]) == (1, "test", "c1")
        (trigger,) = shown["triggers"]
        assert trigger["id"] == "hours"
        assert datetime.fromisoformat(trigger["nextDate"]).minute == 0


# Sources


def _status(*problems: Problem) -> ReconcileStatus:
    condition = Condition("Ready", True, "Applied", "revision c1 is applied", "c1", NOW)
    return ReconcileStatus("prod", "c1", (condition,), NOW, 0.25, problems=problems)


async def test_sources_are_told_of_nudged_and_confirmed(tmp_path: Path) -> None:
    async with api(tmp_path) as edge:
        edge.statuses = {"prod": _status(Problem("flows/a.yaml", 3, 5, "tasks", "is empty")), "new": None}
        prod, new = await edge.document("GET", "sources")
        assert (prod["source"], prod["revision"], prod["seconds"]) == ("prod", "c1", 0.25)
        assert prod["problems"][0]["line"] == 3
        assert prod["conditions"][0]["reason"] == "Applied"
        assert new["conditions"] == []
        assert (await edge.document("GET", "sources/prod"))["at"] == "2026-03-01T12:00:00.000Z"
        await edge.document("POST", "sources/prod/reconcile", 202)
        assert edge.nudged == ["prod"]
        await edge.document("POST", "sources/prod/confirm", json={"digest": "sha256:right"})
        assert edge.confirmed == [("prod", "sha256:right")]
        await edge.document("POST", "sources/prod/confirm", 409, json={"digest": "sha256:wrong"})
        for wrong in (b"", b"[]", b'{"digest": 3}', b"\xff", b"[" * 9999):
            await edge.document("POST", "sources/prod/confirm", 422, content=wrong)
        for path in ("sources/none/reconcile", "sources/none/confirm"):
            await edge.document("POST", path, 404)


# Who may ask


def _basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anyone:{password}".encode()).decode()


@pytest.mark.parametrize(
    "path", ["executions/search", "flows/search", "sources", "nothing", "/", "/executions/x"]
)
async def test_with_a_token_nothing_is_told_without_it(tmp_path: Path, path: str) -> None:
    async with api(tmp_path, *FLOWS, guard=Guard(token=TOKEN)) as edge:
        wrong = ["", "Bearer", f"Bearer {TOKEN}x", f"Digest {TOKEN}", "Basic !", _basic("no"), "Basic /w=="]
        for authorization in wrong:
            answer = await edge.ask("GET", path, headers={"authorization": authorization.encode()})
            assert answer.status_code == 401, authorization
            assert answer.headers["www-authenticate"].startswith("Basic")
        for authorization in (f"Bearer {TOKEN}", f"bearer  {TOKEN}", _basic(TOKEN)):
            answer = await edge.ask("GET", path, headers={"authorization": authorization.encode("latin-1")})
            assert answer.status_code in (200, 404), authorization


async def test_without_the_token_no_body_is_looked_at(tmp_path: Path) -> None:
    async with api(tmp_path, *FLOWS, guard=Guard(token=TOKEN)) as edge:
        refused = await edge.ask("POST", "executions/demo/hello", content=b"x" * 1000)
        assert refused.status_code == 401
        assert refused.headers["connection"] == "close"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://localhost"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://localhost:1"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"host": "evil.example", "origin": "http://evil.example"}, 403),
        ({"host": "127.0.0.1:8080", "origin": "http://127.0.0.1:8080"}, 200),
        ({"host": "[::1]:8080"}, 200),
        ({"host": "flows.example", "origin": "https://flows.example"}, 200),
    ],
)
async def test_a_page_of_another_site_can_start_nothing(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    async with api(tmp_path, *FLOWS, guard=Guard(hosts=frozenset({"flows.example"}))) as edge:
        answer = await edge.ask("POST", "executions/demo/hello?wait=true", headers=headers)
        assert answer.status_code == status
        assert (await edge.document("GET", "executions/search"))["total"] == int(status == 200)


async def test_a_name_that_was_rebound_reads_nothing_either(tmp_path: Path) -> None:
    async with api(tmp_path, *FLOWS) as edge:
        answer = await edge.ask("GET", "executions/search", headers={"host": "evil.example"})
        assert (answer.status_code, answer.json()["reason"]) == (403, "HostUnknown")


def test_a_guard_never_shows_its_token() -> None:
    assert TOKEN not in repr(Guard(token=TOKEN))
