"""The commands that talk to a daemon: what they send, what they show, and what they say when it goes wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.command import Command

ID = "4OVpZZLdS75I3v8UV50YmR"
API = "/api/v1/main"


def document(state: str = "SUCCESS") -> dict[str, Any]:
    begun = {"current": state, "startDate": "2026-03-01T12:00:00.000Z", "duration": "PT1.5S"}
    return {"id": ID, "namespace": "company", "flowId": "hello", "commit": "a91be0432", "state": begun}


def line(message: str, **more: Any) -> dict[str, Any]:
    return {
        "timestamp": "2026-03-01T12:00:00.000Z",
        "level": "INFO",
        "taskId": "say",
        "message": message,
        **more,
    }


class Daemon(ThreadingHTTPServer):
    """Answers as told, and remembers what it was asked."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, list[tuple[int, Any]]] = {}
        self.asked: list[tuple[str, str, dict[str, list[str]], bytes, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, call: str, *bodies: Any, status: int = 200) -> None:
        """Answers to `GET executions/…`: one after the other, the last one for ever."""
        self.answers[call] = [(status, body) for body in bodies]


class _Handler(BaseHTTPRequestHandler):
    server: Daemon

    def _any(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = parts.path.removeprefix(API + "/")
        query = parse_qs(parts.query)
        self.server.asked.append((self.command, path, query, body, self.headers.get("Authorization", "")))
        waiting = self.server.answers.get(f"{self.command} {path}")
        missing = (404, {"title": "NotFound", "detail": f"there is no {path}", "hint": "look elsewhere"})
        status, answer = missing if waiting is None else waiting.pop(0) if len(waiting) > 1 else waiting[0]
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = _any  # noqa: N815

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    server = Daemon()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def headwater(tmp_path: Path) -> Command:
    return Command(tmp_path)


def test_executions_are_searched_and_listed(headwater: Command, daemon: Daemon) -> None:
    daemon.answer("GET executions/search", {"results": [document("FAILED")], "total": 3})
    ended = headwater(
        "executions", "company.hello", "--state", "failed", "--size", "1", "--server", daemon.url
    )
    first, more = ended.out.splitlines()
    assert first.split() == [ID, "company.hello", "✗", "FAILED", "1", "Mar", "12:00", "1.5", "s", "a91be04"]
    assert more.startswith("2 more executions")
    assert daemon.asked[0][2] == {
        "namespace": ["company"],
        "flowId": ["hello"],
        "state": ["FAILED"],
        "size": ["1"],
    }


def test_flows_are_listed_page_by_page(headwater: Command, daemon: Daemon) -> None:
    pages = [{"results": [{"namespace": "a", "id": f"f{n}", "revision": n}], "total": 2} for n in (1, 2)]
    daemon.answer("GET flows/search", *pages)
    ended = headwater("flows", env={"HEADWATER_SERVER": daemon.url})
    assert ended.out == "a.f1  revision 1\na.f2  revision 2\n"


def test_execute_sends_inputs_files_labels_and_the_token(headwater: Command, daemon: Daemon) -> None:
    daemon.answer("POST executions/company/hello", document("CREATED"))
    path = headwater.write("data.txt", "file content")
    ended = headwater(
        "execute", "company.hello", "-i", "name=Ada", "-i", f"data=@{path}", "--label", "team=etl",
        env={"HEADWATER_SERVER": daemon.url, "HEADWATER_TOKEN": "s3cr3t"},
    )  # fmt: skip
    method, _, query, body, authorization = daemon.asked[0]
    assert (ended.code, ended.out) == (0, f"{ID}\n")
    assert f"headwater logs {ID} --follow" in ended.err
    assert (method, query, authorization) == ("POST", {"labels": ["team:etl"]}, "Bearer s3cr3t")
    assert b'name="name"\r\n\r\nAda\r\n' in body
    assert b'name="data"; filename="data.txt"' in body
    assert b"file content" in body


@pytest.mark.parametrize("numbered", [True, False])
def test_following_shows_each_line_once_and_ends_with_the_execution(
    headwater: Command, daemon: Daemon, numbered: bool
) -> None:
    one, two = [line(text, **({"serial": n} if numbered else {})) for n, text in ((1, "one"), (2, "two"))]
    daemon.answer(f"GET executions/{ID}", document("RUNNING"), document("FAILED"))
    if numbered:
        daemon.answer(f"GET logs/{ID}", [one], [], [two], [])
    else:
        daemon.answer(f"GET logs/{ID}", [one], [one], [one, two])
    ended = headwater("logs", ID, "--follow", "--server", daemon.url)
    assert ended.code == 1
    assert [text.split()[-1] for text in ended.out.splitlines()] == ["one", "two", "FAILED"]


def test_logs_may_be_json_lines(headwater: Command, daemon: Daemon) -> None:
    daemon.answer(f"GET logs/{ID}", [line("one")])
    ended = headwater("logs", ID, "--json", "--server", daemon.url)
    assert [json.loads(each)["message"] for each in ended.out.splitlines()] == ["one"]


@pytest.mark.parametrize(
    ("command", "call"),
    [
        ("kill", "DELETE executions/{}/kill"),
        ("pause", "POST executions/{}/pause"),
        ("resume", "POST executions/{}/resume"),
    ],
)
def test_an_execution_is_steered(headwater: Command, daemon: Daemon, command: str, call: str) -> None:
    daemon.answer(call.format(ID), b"")
    daemon.answer(f"GET executions/{ID}", document("RUNNING"))
    ended = headwater(command, ID, "--server", daemon.url)
    assert (ended.code, ended.out) == (0, f"{ID}  ● RUNNING\n")
    assert " ".join(daemon.asked[0][:2]) == call.format(ID)


def test_resume_hands_over_what_was_asked_for(headwater: Command, daemon: Daemon) -> None:
    daemon.answer(f"POST executions/{ID}/resume", b"")
    daemon.answer(f"GET executions/{ID}", document())
    assert headwater("resume", ID, "-i", "reason=fine", "--server", daemon.url).code == 0
    assert b'name="reason"\r\n\r\nfine\r\n' in daemon.asked[0][3]


def test_names_cannot_leave_their_place_in_the_address(headwater: Command, daemon: Daemon) -> None:
    assert headwater("kill", "../flows/x?y#z", "--server", daemon.url).code == 1
    assert daemon.asked[0][1] == "executions/..%2Fflows%2Fx%3Fy%23z/kill"


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (
            404,
            {"detail": "there is no execution x", "hint": "list them"},
            "there is no execution x; list them",
        ),
        (
            401,
            {"detail": "a token is needed"},
            "a token is needed; set the daemon's token as HEADWATER_TOKEN",
        ),
        (422, {"detail": "input `name`\x1b[2J: required"}, "input `name`: required"),
        (500, {"detail": "oh"}, "see the daemon's log"),
        (502, b"<html>", "answers 502"),
        (200, b"<html>", "does not answer as a Headwater daemon does"),
    ],
)
def test_what_the_daemon_refuses_is_one_message(
    headwater: Command, daemon: Daemon, status: int, body: Any, said: str
) -> None:
    daemon.answer("DELETE executions/x/kill", body, status=status)
    ended = headwater("kill", "x", "--server", daemon.url)
    assert (ended.code, ended.out) == (1, "")
    assert said in ended.err
    assert "\x1b" not in ended.err


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ("http://127.0.0.1:1", "no daemon answers at http://127.0.0.1:1; start it with `headwater serve`"),
        ("127.0.0.1:8080", "is no address of a daemon"),
        ("http://x:port", "is no address of a daemon"),
    ],
)
def test_a_daemon_that_is_not_there_is_said(headwater: Command, server: str, said: str) -> None:
    ended = headwater("executions", "--server", server)
    assert (ended.code, ended.out) == (1, "")
    assert said in ended.err


def test_a_name_without_a_namespace_is_wrong_usage(headwater: Command) -> None:
    assert headwater("execute", "hello", "--server", "http://127.0.0.1:1").code == 2


def test_a_restart_and_a_replay_tell_the_execution_and_what_to_do_next(
    headwater: Command, daemon: Daemon
) -> None:
    daemon.answer(f"POST executions/{ID}/restart", document("RUNNING"))
    ended = headwater("restart", ID, "--revision", "3", "--server", daemon.url)
    assert (ended.code, ended.out) == (0, f"{ID}\n")
    assert f"headwater logs {ID} --follow" in ended.err
    assert daemon.asked[-1][2] == {"revision": ["3"]}
    daemon.answer(f"POST executions/{ID}/replay", document("RUNNING"))
    ended = headwater("replay", ID, "--from", "load:1", "--json", "--server", daemon.url)
    assert json.loads(ended.out)["id"] == ID
    assert daemon.asked[-1][2] == {"taskRunId": ["load:1"]}
    daemon.answer(f"POST executions/{ID}/replay-with-inputs", document("RUNNING"))
    assert headwater("replay", ID, "-i", "n=7", "--server", daemon.url).code == 0
    assert b'name="n"' in daemon.asked[-1][3]


def test_a_backfill_finds_the_only_schedule_and_takes_plain_dates(headwater: Command, daemon: Daemon) -> None:
    schedule = {"id": "every", "type": "io.kestra.plugin.core.trigger.Schedule"}
    hook = {"id": "hook", "type": "core.trigger.Webhook"}
    past = {"currentDate": "2026-01-01T00:00:00.000Z", "end": "2026-01-31T00:00:00.000Z", "paused": False}
    daemon.answer("GET flows/company/hello", {"triggers": [schedule, hook]})
    daemon.answer("POST triggers/backfill/create", {"backfill": past})
    ended = headwater(
        "backfill", "company.hello", "--start", "2026-01-01", "--label", "why=gap", "--server", daemon.url
    )
    assert "`every` is at 2026-01-01T00:00:00.000Z" in ended.out
    body = json.loads(daemon.asked[-1][3])
    assert body["triggerId"] == "every"
    assert body["backfill"] == {"start": "2026-01-01T00:00:00+00:00", "inputs": {}, "labels": {"why": "gap"}}
    daemon.answer("POST triggers/backfill/delete", {})
    ended = headwater("backfill", "company.hello", "--trigger", "x", "--delete", "--server", daemon.url)
    assert ended.out == "`x` goes through no backfill any more\n"
    assert headwater("backfill", "company.hello", "--server", daemon.url).code == 2
    assert headwater("backfill", "company.hello", "--start", "soon", "--server", daemon.url).code == 2
    daemon.answer("GET flows/company/hello", {"triggers": [schedule, {**schedule, "id": "other"}]})
    ended = headwater("backfill", "company.hello", "--pause", "--server", daemon.url)
    assert (ended.code, "every, other" in ended.err) == (1, True)
