"""Tasks that call a server, against a real one on loopback."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from engine.model.execution import Execution
from engine.model.state import State
from engine.networks import networks
from tests.support.engine import Engine, engine
from tests.support.serving import serving

METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH"]


async def echo(request: Request) -> Response:
    body = await request.body()
    headers = {name.decode(): value.decode() for name, value in request.headers.raw}
    shown = {
        "method": request.method,
        "query": list(request.query_params.multi_items()),
        "headers": headers,
        "body": body.decode("latin-1"),
    }
    return JSONResponse(shown, headers={"X-Answer": "yes"})


async def form(request: Request) -> Response:
    async with request.form() as data:
        found: dict[str, Any] = {}
        for name, value in data.multi_items():
            found[name] = value if isinstance(value, str) else [value.filename, (await value.read()).decode()]
    return JSONResponse(found)


async def status(request: Request) -> Response:
    return Response(f"status {request.path_params['code']}", request.path_params["code"])


async def large(request: Request) -> Response:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(request.path_params["blocks"]):
            yield b"x" * 1024

    return StreamingResponse(body())


async def file(_: Request) -> Response:
    headers = {"Content-Disposition": 'attachment; filename="../../orders 1.csv"'}
    return Response(b"a,b\n1,2\n", media_type="text/csv", headers=headers)


async def redirect(request: Request) -> Response:
    return RedirectResponse(request.query_params["to"])


async def events(request: Request) -> Response:
    """So many events, or five and then silence."""
    count = int(request.path_params["count"])

    async def body() -> AsyncIterator[str]:
        for number in range(5 if count < 0 else count):
            yield f'id: {number}\nevent: add\ndata: {{"n": {number}, "text": "t{number}"}}\n\n'
        while count < 0 and (await request.receive())["type"] != "http.disconnect":
            pass

    assert request.headers["Accept"] == "text/event-stream"
    return StreamingResponse(body(), media_type="text/event-stream")


async def never(_: Request) -> Response:
    await asyncio.sleep(30)
    return Response("late")


APP = Starlette(
    routes=[
        Route("/echo", echo, methods=METHODS),
        Route("/form", form, methods=["POST"]),
        Route("/status/{code:int}", status),
        Route("/large/{blocks:int}", large),
        Route("/file.csv", file),
        Route("/redirect", redirect),
        Route("/loop", lambda _: RedirectResponse("/loop")),
        Route("/never", never),
        Route("/events/{count}", events),
        Route("/empty.txt", lambda _: Response(b"")),
        Route("/latin", lambda _: Response("é".encode("latin-1"), media_type="text/plain; charset=latin-1")),
    ]
)


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Engine]:
    async with engine(tmp_path, secrets={"TOKEN": "s3cr3t-value"}) as running:
        yield running


@pytest.fixture
async def server() -> AsyncIterator[str]:
    async with serving(APP) as port:
        yield f"http://127.0.0.1:{port}"


async def run(it: Engine, properties: str, type_: str = "Request") -> Execution:
    indented = "".join(f"    {line}\n" for line in properties.strip().splitlines())
    await it.deploy(
        f"id: f\nnamespace: demo\ntasks:\n  - id: t\n    type: core.http.{type_}\n{indented}",
        commit=properties,
    )
    return await asyncio.wait_for(it.run("demo.f"), 20)


async def answer(it: Engine, properties: str, type_: str = "Request") -> dict[str, Any]:
    done = await run(it, properties, type_)
    assert done.state is State.SUCCESS, it.messages(done)
    return done.runs["t"].outputs


async def error(it: Engine, properties: str, type_: str = "Request") -> str:
    done = await run(it, properties, type_)
    assert done.state is State.FAILED
    return done.runs["t"].error


async def echoed(it: Engine, properties: str) -> dict[str, Any]:
    import json

    found: dict[str, Any] = json.loads((await answer(it, properties))["body"])
    return found


async def test_a_request_gives_code_headers_and_text(it: Engine, server: str) -> None:
    found = await answer(it, f"uri: {server}/echo?x=1")
    assert found["code"] == 200
    assert found["uri"] == f"{server}/echo?x=1"
    assert found["headers"]["x-answer"] == ["yes"]
    assert isinstance(found["body"], str)
    assert (await answer(it, f"uri: {server}/latin"))["body"] == "é"


async def test_query_headers_and_body_are_sent_as_given(it: Engine, server: str) -> None:
    found = await echoed(
        it,
        f"""
uri: {server}/echo?x=1
method: post
params: {{y: "{{{{ 1 + 1 }}}}", z: [a, b], none: null}}
headers: {{X-One: 1, X-Two: "{{{{ 'two' }}}}"}}
body: "{{{{ {{'a': [1, 2]}} }}}}"
""",
    )
    assert found["method"] == "POST"
    assert found["query"] == [["x", "1"], ["y", "2"], ["z", "a"], ["z", "b"]]
    assert (found["headers"]["x-one"], found["headers"]["x-two"]) == ("1", "two")
    assert found["headers"]["content-type"] == "application/json"
    assert found["body"].replace(" ", "") == '{"a":[1,2]}'
    found = await echoed(
        it,
        f"uri: {server}/echo\nmethod: PUT\nbody: é\ncontentType: text/plain\noptions: {{defaultCharset: ISO-8859-1}}",
    )
    assert (found["body"], found["headers"]["content-type"]) == ("é", "text/plain")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            "auth: {type: BASIC, username: u, password: \"{{ secret('TOKEN') }}\"}",
            "Basic " + base64.b64encode(b"u:s3cr3t-value").decode(),
        ),
        ("auth: {type: BEARER, token: \"{{ secret('TOKEN') }}\"}", "Bearer s3cr3t-value"),
        ("basicAuthUser: u, basicAuthPassword: p", "Basic " + base64.b64encode(b"u:p").decode()),
    ],
)
async def test_credentials_are_sent(it: Engine, server: str, options: str, expected: str) -> None:
    found = await echoed(it, f"uri: {server}/echo\noptions: {{{options}}}")
    assert found["headers"]["authorization"] == expected


async def test_forms_are_sent_with_files(it: Engine, server: str) -> None:
    stored = it.service.around.files.put("a/data.csv", b"1,2")
    found = await answer(it, f"uri: {server}/form\nmethod: POST\nformData: {{a: 1, b: 'x y'}}")
    assert found["body"] == '{"a":"1","b":"x y"}'
    found = await answer(
        it,
        f"""
uri: {server}/form
method: POST
contentType: multipart/form-data
formData:
  text: plain
  whole: {stored}
  named: {{name: other.csv, content: {stored}}}
  map: {{k: v}}
""",
    )
    assert (
        found["body"]
        == '{"text":"plain","whole":["data.csv","1,2"],"named":["other.csv","1,2"],"map":"{\\"k\\": \\"v\\"}"}'
    )


async def test_a_failing_code_fails_unless_it_is_allowed(it: Engine, server: str) -> None:
    uri = f"uri: {server}/status/404?token=abc"
    done = await run(it, uri)
    assert done.state is State.FAILED
    assert done.runs["t"].error == f"GET {server}/status/404 answered 404: status 404"
    assert done.runs["t"].outputs["code"] == 404
    for allowed in (
        "allowFailed: true",
        "allowedResponseCodes: [404, 500]",
        "allowedResponseCodes: '{{ [404] }}'",
    ):
        assert (await answer(it, f"{uri}\noptions: {{{allowed}}}"))["code"] == 404
    assert (await answer(it, f"{uri}\nallowFailed: true"))["body"] == "status 404"
    assert "answered 200" in await error(
        it, f"uri: {server}/status/200\noptions: {{allowedResponseCodes: [201]}}"
    )


async def test_a_response_is_bounded(it: Engine, server: str) -> None:
    limited = "options: {maxContentLength: 2048}"
    assert len((await answer(it, f"uri: {server}/large/2\n{limited}"))["body"]) == 2048
    assert "more than 2048 bytes" in await error(it, f"uri: {server}/large/3\n{limited}")
    assert "more than 2048 bytes" in await error(it, f"uri: {server}/large/3\n{limited}", "Download")
    assert (await answer(it, f"uri: {server}/large/20000", "Download"))["length"] == 20000 * 1024
    assert "more than" in await error(it, f"uri: {server}/large/20000")


async def test_redirects_are_followed_unless_told_not_to(it: Engine, server: str) -> None:
    uri = f"uri: {server}/redirect?to=/echo%3Fx=1"
    found = await answer(it, uri)
    assert (found["code"], found["uri"]) == (200, f"{server}/echo?x=1")
    assert (await answer(it, f"{uri}\noptions: {{followRedirects: false}}"))["code"] == 307
    assert "redirects" in await error(it, f"uri: {server}/loop")


async def test_a_silent_server_is_not_waited_for(it: Engine, server: str) -> None:
    for option in ("readTimeout: PT0.2S", "timeout: {readIdleTimeout: PT0.2S}"):
        assert "no answer in time" in await error(it, f"uri: {server}/never\noptions: {{{option}}}")
    assert "timed out" in await error(it, f"uri: {server}/never\ntimeout: PT0.2S")


async def test_a_server_that_is_not_there_is_said(it: Engine) -> None:
    assert "is the address right" in await error(it, "uri: http://127.0.0.1:1/x?token=abc")
    assert "abc" not in await error(it, "uri: http://127.0.0.1:1/x?token=abc")
    assert "cannot be resolved" in await error(it, "uri: http://nobody.invalid/")


@pytest.mark.parametrize(
    "properties",
    [
        "uri: ftp://x/y",
        "uri: /only/a/path",
        "uri: 'http://'",
        "uri: http://a:b:c/",
        "uri: http://127.0.0.1/\nmethod: 'G T'",
        'uri: http://127.0.0.1/\nheaders: {a: "x\\r\\nHost: evil"}',
        "uri: http://127.0.0.1/\nheaders: {'a b': x}",
        "uri: http://127.0.0.1/\nencryptBody: true",
        "uri: http://127.0.0.1/\noptions: {auth: {type: BEARER}}",
    ],
)
async def test_a_request_that_makes_no_sense_is_refused(it: Engine, properties: str) -> None:
    said = await error(it, properties)
    assert "mistake" not in said
    assert said


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "[fe80::1]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[fd00:ec2::254]",
        "0xA9FEA9FE",
        "2852039166",
    ],
)
@pytest.mark.parametrize("type_", ["Request", "Download"])
async def test_metadata_services_are_out_of_reach(it: Engine, host: str, type_: str) -> None:
    assert "must not reach" in await error(it, f"uri: 'http://{host}/latest/meta-data/'", type_)


async def test_a_redirect_is_judged_too(it: Engine, server: str) -> None:
    assert "must not reach" in await error(it, f"uri: {server}/redirect?to=http://169.254.169.254/latest")


async def test_the_operator_says_what_is_out_of_reach(it: Engine, server: str) -> None:
    around = it.service.around
    it.service._core.around = dataclasses.replace(around, refused_networks=networks(["127.0.0.0/8", "::1"]))
    assert "must not reach" in await error(it, f"uri: {server}/echo")
    assert "must not reach" in await error(it, f"uri: {server.replace('127.0.0.1', 'localhost')}/echo")


async def test_the_address_that_was_judged_is_the_one_that_is_called(
    it: Engine, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name may mean another address a moment later: it is resolved once."""
    asked: list[str] = []

    async def resolved(self: Any, host: str, *_: Any, **__: Any) -> Any:
        asked.append(host)
        return [(2, 1, 6, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(type(asyncio.get_running_loop()), "getaddrinfo", resolved)
    found = await echoed(it, f"uri: {server.replace('127.0.0.1', 'rebind.example')}/echo")
    assert found["headers"]["host"].startswith("rebind.example:")
    assert asked.count("rebind.example") == 1


async def test_a_download_is_stored_under_a_safe_name(it: Engine, server: str) -> None:
    found = await answer(it, f"uri: {server}/file.csv", "Download")
    assert (found["code"], found["length"], found["headers"]["content-type"][0][:8]) == (200, 8, "text/csv")
    assert found["uri"].endswith("/orders%201.csv")
    assert ".." not in found["uri"]
    local = it.service.around.files.local_path(found["uri"])
    assert Path(local).read_bytes() == b"a,b\n1,2\n"
    named = await answer(it, f"uri: {server}/file.csv\nsaveAs: in/mine.csv", "Download")
    assert named["uri"].endswith("/in/mine.csv")
    assert "answered 500" in await error(it, f"uri: {server}/status/500", "Download")


async def test_an_empty_download_fails_unless_it_is_allowed(it: Engine, server: str) -> None:
    assert "is empty" in await error(it, f"uri: {server}/empty.txt", "Download")
    found = await answer(it, f"uri: {server}/empty.txt\nfailOnEmptyResponse: false", "Download")
    assert found["length"] == 0
    assert found["uri"].endswith("/empty.txt")


async def test_what_is_logged_hides_credentials(it: Engine, server: str) -> None:
    done = await run(
        it,
        f"""
uri: {server}/echo
method: POST
body: "{{{{ secret('TOKEN') }}}}"
headers: {{Authorization: plain-credential, X-Note: "{{{{ secret('TOKEN') }}}}"}}
options: {{logs: [REQUEST_HEADERS, REQUEST_BODY, RESPONSE_HEADERS, RESPONSE_BODY]}}
""",
    )
    text = "\n".join(it.messages(done))
    assert "request header authorization: …" in text.lower()
    assert "response body" in text
    assert "s3cr3t" not in text


async def test_server_sent_events_are_collected(it: Engine, server: str) -> None:
    found = await answer(it, f"uri: {server}/events/3", "SseRequest")
    assert found["uri"] == f"{server}/events/3"
    assert found["size"] == 3
    assert found["events"][0] == {"data": {"n": 0, "text": "t0"}, "id": "0", "name": "add"}
    assert "result" not in found


async def test_a_stream_without_an_end_is_left_when_enough_is_there(it: Engine, server: str) -> None:
    found = await answer(it, f"uri: {server}/events/-1\nmaxEvents: 2", "SseRequest")
    assert found["size"] == 2
    found = await answer(it, f"uri: {server}/events/-1\nmaxDuration: PT0.3S", "SseRequest")
    assert found["size"] == 5
    assert "within `maxDuration`" in await error(
        it, f"uri: {server}/never\nmaxDuration: PT0.1S", "SseRequest"
    )
    assert "timed out" in await error(it, f"uri: {server}/events/-1\ntimeout: PT0.3S", "SseRequest")
    limited = "options: {maxContentLength: 50}"
    assert "more than 50 bytes" in await error(it, f"uri: {server}/events/-1\n{limited}", "SseRequest")


async def test_what_jq_finds_in_events_becomes_one_text(it: Engine, server: str) -> None:
    uri = f"uri: {server}/events/3"
    found = await answer(it, f"{uri}\nconcatJqExpression: .data.text", "SseRequest")
    assert (found["result"], found["size"]) == ("t0t1t2", 3)
    assert "events" not in found
    some = f"{uri}\nconcatJqExpression: 'if .data.n > 0 then .data.n else .nothing end'"
    assert "event 1: " in await error(it, some, "SseRequest")
    assert (await answer(it, f"{some}\nfailedOnMissingJq: false", "SseRequest"))["result"] == "12"
    assert "jq program" in await error(it, f"{uri}\nconcatJqExpression: $.message", "SseRequest")


async def test_events_that_are_refused_say_so(it: Engine, server: str) -> None:
    assert "answered 404: status 404" in await error(it, f"uri: {server}/status/404", "SseRequest")
    assert "must not reach" in await error(it, "uri: http://169.254.169.254/latest", "SseRequest")
