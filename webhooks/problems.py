"""Errors over HTTP: RFC 9457 problem documents, for our own errors, for HTTP's and for bugs.

A person gets what, where and one next step; never a traceback, nor the text of an error that is not theirs
to mend. It masks nothing: texts arrive masked. It must not know any route.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ExceptionHandler

from engine.errors import FlowInvalid, HeadwaterError, UnavailableError

MEDIA_TYPE = "application/problem+json"

_log = logging.getLogger(__name__)
_RETRY_AFTER = 5.0
_CHALLENGES = {401: {"WWW-Authenticate": "Headwater"}}  # RFC 9110, 15.5.2: a 401 names a scheme


def problem(
    status: int, detail: str, *, headers: Mapping[str, str] | None = None, **members: object
) -> Response:
    """A problem document.

    Args:
        status: the HTTP status.
        detail: what is wrong, for a person.
        headers: more response headers.
        members: extension members (RFC 9457, 3.2), such as `reason` and `hint`; empty ones are left out.
    """
    document: dict[str, object] = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    document.update({name: value for name, value in members.items() if value})
    # ASCII with escapes: a lone surrogate in a name must not become an error of its own
    content = json.dumps(document, ensure_ascii=True)
    return Response(
        content,
        status,
        {**_CHALLENGES.get(status, {}), **(headers or {}), "Cache-Control": "no-store"},
        MEDIA_TYPE,
    )


def from_error(error: HeadwaterError) -> Response:
    """The problem of one of our own errors; what the operator or we have to mend keeps its text in the log."""
    status = error.http_status
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("request failed: %s", error, exc_info=error)
        return problem(
            status, "the server could not answer", reason=error.reason, hint="see the daemon's log"
        )
    headers: dict[str, str] = {}
    members: dict[str, object] = {"reason": error.reason, "hint": error.hint}
    if isinstance(error, UnavailableError):
        headers["Retry-After"] = str(max(1, round(error.retry_after or _RETRY_AFTER)))
    if isinstance(error, FlowInvalid):
        members["problems"] = [
            {
                "path": each.path,
                "line": each.line,
                "column": each.column,
                "property": each.property,
                "severity": each.severity,
                "message": each.message,
            }
            for each in error.problems
        ]
    return problem(status, error.message, headers=headers, **members)


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HeadwaterError)
    return from_error(error)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, error.detail, headers=error.headers, reason=_reason(error.status_code))


async def _on_bug(request: Request, error: Exception) -> Response:
    """The server's log has the traceback: Starlette raises the error again after this answer."""
    return problem(500, "the server could not answer", reason="Bug", hint="see the daemon's log")


HANDLERS: dict[int | type[Exception], ExceptionHandler] = {
    HeadwaterError: _on_error,
    HTTPException: _on_http,
    Exception: _on_bug,
}
"""For `Starlette(exception_handlers=…)`."""


def _reason(status: int) -> str:
    return HTTPStatus(status).phrase.title().replace(" ", "").replace("-", "")
