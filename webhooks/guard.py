"""Who may ask: the token in constant time, and no foreign web page through the reader's browser.

Without a token only this machine is asked to be trusted, so a request has to name it by an address or by a name
that cannot be rebound: another site's name that resolves to this machine is refused. It must not know any route.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from urllib.parse import urlsplit

import msgspec
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from webhooks.problems import problem

CHALLENGE = {"WWW-Authenticate": 'Basic realm="Headwater", charset="UTF-8"'}
"""Basic, so that a browser asks its reader for the token (as the password, the name does not matter)."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard(msgspec.Struct, frozen=True):
    """The rules.

    Args:
        token: what callers have to know; empty lets everybody in who passes the other rules.
        hosts: names, as in `host` or `host:port`, by which the daemon is reached besides its addresses.
    """

    token: str = ""
    hosts: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        """Without the token."""
        return f"Guard(hosts={sorted(self.hosts)})"

    def middleware(self) -> Middleware:
        """These rules for routes: `Route(…, middleware=[guard.middleware()])`."""
        return Middleware(_Guarded, guard=self)

    def refusal(self, request: HTTPConnection, method: str) -> Response | None:
        """Why a request is not let in; none when it is."""
        if self.token and not self._knows(request.headers.get("authorization", "")):
            return problem(
                401,
                "the token is missing or wrong",
                headers=CHALLENGE,
                reason="Unauthorized",
                hint="send it as `Authorization: Bearer …`",
            )
        if not self.token and not self._names_us(request.headers.get("host", "")):
            return problem(
                403,
                "this host name is not known to belong to the daemon",
                reason="HostUnknown",
                hint="use its address or localhost, or set `url` or a token in the settings",
            )
        if method not in _SAFE and self._is_foreign(request):
            return problem(
                403,
                "a web page of another site asked for this",
                reason="ForeignOrigin",
                hint="call the API from a program, not from another site's page",
            )
        return None

    def _knows(self, authorization: str) -> bool:
        scheme, _, credentials = authorization.partition(" ")
        given = credentials.strip()
        if scheme.lower() == "basic":
            given = _password(given)
        elif scheme.lower() != "bearer":
            given = ""
        return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), self.token.encode())

    def _names_us(self, host: str) -> bool:
        name = _name(host)
        if name == "localhost" or name.endswith(".localhost") or host.lower() in self.hosts:
            return True
        return name in self.hosts or _is_address(name)

    def _is_foreign(self, request: HTTPConnection) -> bool:
        if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return True
        origin = request.headers.get("origin")
        if origin is None:
            return False
        place = _place(origin)
        return not place or (place != request.headers.get("host", "").lower() and place not in self.hosts)


class _Guarded:
    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._guard.refusal(Request(scope), scope["method"])
        await (refusal or self._app)(scope, receive, send)


def _password(credentials: str) -> str:
    """RFC 7617, 2."""
    try:
        decoded = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""
    return decoded.partition(":")[2]


def _place(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _name(host: str) -> str:
    """The host of `host`, `host:port`, `[v6]:port`."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
