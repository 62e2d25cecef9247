"""Calls of webhook triggers (dialect, section 3.3): open to everybody who knows the key.

The answer is the flow author's in code, type and content; whatever it is, a browser that opens it runs nothing.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.model.execution import Execution
from engine.model.trigger import Called
from webhooks.answers import encoded
from webhooks.api.desk import Desk
from webhooks.problems import problem

_JSON = "application/json"
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(; *[\w-]+=[\w.+-]+)*", re.ASCII)
_HEADERS = {"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; sandbox"}


def routes(desk: Desk, root: str) -> list[Route]:
    """The routes, with and without a path behind the key."""
    address = f"{root}/executions/webhook/{{namespace}}/{{flow}}/{{key}}"
    methods = ["GET", "POST", "PUT"]

    async def call(request: Request) -> Response:
        return await _called(desk, request)

    return [Route(address, call, methods=methods), Route(address + "/{path:path}", call, methods=methods)]


async def _called(desk: Desk, request: Request) -> Response:
    if request.method == "HEAD":  # comes with GET by itself; whoever only looks must not start anything
        return problem(405, "a webhook is called with GET, POST or PUT", headers={"Allow": "GET, POST, PUT"})
    where = request.path_params
    made = await desk.service.call_webhook(
        where["namespace"], where["flow"], where["key"], await _variables(request)
    )
    if made.execution is None:
        return Response(status_code=204, headers=_HEADERS)
    execution = made.execution
    if made.trigger.wait:
        execution = await desk.waited(execution)
    return await _answer(desk, made.trigger, execution)


async def _answer(desk: Desk, trigger: Called, execution: Execution) -> Response:
    status = _code(trigger.response_code)
    if trigger.wait and not execution.state.terminal:
        return await desk.told(execution, 202)
    if not (trigger.wait and trigger.return_outputs):
        return await desk.told(execution, status)
    kind = trigger.response_content_type or _JSON
    if not _MEDIA_TYPE.fullmatch(kind):
        kind = _JSON
    content = _content(desk.mask(execution.outputs), kind)
    return Response(content, status, {**_HEADERS, "Content-Type": kind})


def _content(outputs: dict[str, Any], kind: str) -> bytes:
    """The outputs as JSON; where the trigger says that its answer is none, the text of an only output as it is."""
    only = next(iter(outputs.values())) if len(outputs) == 1 else None
    if kind.partition(";")[0].endswith("json") or not isinstance(only, str):
        return encoded(outputs)
    return only.encode("utf-8", "replace")


def _code(value: Any) -> int:
    text = str(value) if value is not None else ""
    return int(text) if re.fullmatch(r"[2-5]\d\d", text, re.ASCII) else 200


async def _variables(request: Request) -> dict[str, Any]:
    """What the call brought, the `trigger.*` of expressions."""
    headers: dict[str, list[str]] = {}
    for name, value in request.headers.items():
        headers.setdefault(name, []).append(value)
    query = request.query_params
    variables: dict[str, Any] = {
        "headers": headers,
        "parameters": {name: query.getlist(name) for name in query},
        "body": _body(await request.body()),
    }
    if path := request.path_params.get("path"):
        variables["path"] = path
    return variables


def _body(body: bytes) -> Any:
    """Parsed where it is JSON that a store can keep, else text; none when it is empty."""
    if not body:
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body.decode("utf-8", "replace")
