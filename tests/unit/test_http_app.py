"""The application as a whole: health, metrics, problems, security headers, a place for further routes."""

from __future__ import annotations

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from engine.errors import (
    Bug,
    CredentialError,
    FlowInvalid,
    HeadwaterError,
    InputInvalid,
    NotPermitted,
    UnavailableError,
)
from engine.model.problem import Problem
from tests.support.edge import Edge


async def test_health_and_readiness() -> None:
    edge = Edge()
    assert (await edge.request("GET", "/healthz")).json() == {"status": "ok"}
    assert (await edge.request("GET", "/readyz")).json() == {"status": "ready", "missing": []}
    edge.not_ready.append("source main was never fetched")
    waiting = await edge.request("GET", "/readyz")
    assert (waiting.status_code, waiting.json()["missing"]) == (503, ["source main was never fetched"])
    assert (await edge.request("GET", "/healthz")).status_code == 200


async def test_metrics_are_those_of_the_registry_and_absent_without_one() -> None:
    registry = CollectorRegistry()
    Counter("fires", "Fires", registry=registry).inc(3)
    shown = await Edge(metrics=registry).request("GET", "/metrics")
    assert shown.headers["content-type"].startswith("text/plain; version=")
    assert "fires_total 3.0" in shown.text
    assert (await Edge().request("GET", "/metrics")).status_code == 404


async def test_every_answer_has_security_headers_and_a_route_may_set_its_own() -> None:
    async def own(request: Request) -> Response:
        return PlainTextResponse("x", headers={"Content-Security-Policy": "default-src *"})

    edge = Edge(routes=[Route("/", own)])
    plain = await edge.request("GET", "/healthz")
    assert "default-src 'none'" in plain.headers["content-security-policy"]
    assert plain.headers["x-content-type-options"] == "nosniff"
    assert (
        "frame-ancestors 'none'" in (await edge.request("GET", "/nowhere")).headers["content-security-policy"]
    )
    assert (await edge.request("GET", "/")).headers["content-security-policy"] == "default-src *"


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (InputInvalid("input day is missing", hint="send it"), 422, "InputInvalid"),
        (NotPermitted("it has ended"), 409, "NotPermitted"),
        (UnavailableError("the store does not answer", retry_after=2.4), 503, "UnavailableError"),
        (CredentialError("the token of secret-source is refused"), 500, "CredentialError"),
        (Bug("state of secret-thing"), 500, "Bug"),
        (HTTPException(418), 418, "I'MATeapot"),
        (RuntimeError("secret-thing"), 500, "Bug"),
    ],
)
async def test_an_error_becomes_a_problem_without_a_traceback(
    error: Exception, status: int, reason: str
) -> None:
    answer = await _failing(error)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert (document["status"], document["reason"]) == (status, reason)
    assert "Traceback" not in answer.text
    assert "secret" not in answer.text
    if isinstance(error, HeadwaterError) and status < 500:
        assert document["detail"] == error.message
    if status == 503:
        assert answer.headers["retry-after"] == "2"


async def test_every_problem_of_a_flow_is_told_with_its_place() -> None:
    found = [
        Problem("flows/a.yaml", 3, 1, "tasks", "tasks is empty"),
        Problem("flows/a.yaml", 0, 0, "", "odd \ud800"),
    ]
    problems = (await _failing(FlowInvalid(found))).json()["problems"]
    assert problems[0] == {
        "path": "flows/a.yaml",
        "line": 3,
        "column": 1,
        "property": "tasks",
        "severity": "error",
        "message": "tasks is empty",
    }
    assert len(problems) == 2


async def _failing(error: Exception) -> httpx.Response:
    async def fail(request: Request) -> Response:
        raise error

    return await Edge(routes=[Route("/fail", fail)]).request("GET", "/fail")
