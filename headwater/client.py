"""A running daemon as seen from the command line: its REST API over HTTP (docs of the paths: dialect, section 7.3).

Turns every way in which that can go wrong into one message with a next step. It must not know how answers are shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from engine.errors import CredentialError, NotFound, SettingsError, UnavailableError, UserError
from headwater.settings import server_address

_TIMEOUT = httpx.Timeout(30.0, connect=5.0)


class Client:
    """Calls one daemon. Made by `connected`."""

    def __init__(self, http: httpx.Client, server: str) -> None:
        self._http = http
        self._server = server

    def get(self, path: str, **query: Any) -> Any:
        """The document at a path of the API; see `call` for what is raised."""
        return self.call(
            "GET", path, params={name: value for name, value in query.items() if value is not None}
        )

    def call(self, method: str, path: str, **options: Any) -> Any:
        """One call of the API; returns the decoded answer, none when it is empty.

        Raises:
            NotFound: there is no such thing.
            CredentialError: the token is missing or wrong.
            UserError: the daemon refuses.
            UnavailableError: the daemon does not answer, or not as it should.
        """
        try:
            response = self._http.request(method, f"/api/v1/main/{path}", **options)
        except httpx.ConnectError:
            raise UnavailableError(
                f"no daemon answers at {self._server}",
                hint="start it with `headwater serve`, or name it as --server or HEADWATER_SERVER",
            ) from None
        except httpx.HTTPError as error:
            raise UnavailableError(
                f"{self._server}: {type(error).__name__}: {error}", hint="try again"
            ) from None
        if response.is_success:
            return self._decoded(response)
        raise self._refusal(response)

    def _decoded(self, response: httpx.Response) -> Any:
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError:
            raise UnavailableError(
                f"{self._server} does not answer as a Headwater daemon does", hint="check the address"
            ) from None

    def _refusal(self, response: httpx.Response) -> Exception:
        message, hint = self._said(response)
        match response.status_code:
            case 401 | 403:
                return CredentialError(message, hint=hint or "set the daemon's token as HEADWATER_TOKEN")
            case 404:
                return NotFound(message, hint=hint)
            case code if code < 500:
                return UserError(message, hint=hint)
            case code:
                return UnavailableError(
                    f"{self._server}: {message} ({code})", hint=hint or "see the daemon's log"
                )

    def _said(self, response: httpx.Response) -> tuple[str, str]:
        """What problem+json (RFC 9457) says, and its hint where it has one."""
        try:
            problem = response.json()
        except ValueError:
            problem = None
        if not isinstance(problem, dict):
            return f"{self._server} answers {response.status_code} {response.reason_phrase}", ""
        text = problem.get("detail") or problem.get("message") or problem.get("title") or "refused"
        return str(text)[:4000], str(problem.get("hint") or "")[:500]


class LogReader:
    """Reads the log of one execution, each line once.

    A daemon that numbers its lines (`serial`) is asked for the new ones only; of another's answer the lines that were
    seen are passed over.
    """

    def __init__(self, client: Client, execution: str) -> None:
        self._client = client
        self._path = f"logs/{segment(execution)}"
        self._after = 0
        self._seen = 0

    def new(self) -> Iterator[dict[str, Any]]:
        """The lines that came since the last call; see `Client.call` for what is raised."""
        while entries := self._page():
            yield from entries

    def _page(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self._client.get(self._path, after=self._after)
        if entries and "serial" in entries[-1]:
            self._after = entries[-1]["serial"]
            return entries
        fresh = entries[self._seen :]
        self._seen = len(entries)
        return fresh


@contextmanager
def connected(server: str | None) -> Iterator[Client]:
    """A client of the daemon at `server`, else at HEADWATER_SERVER. Raises SettingsError for what is no address."""
    named, token = server_address()
    address = (server or named).rstrip("/")
    if not address.startswith(("http://", "https://")):
        raise SettingsError(f"`{address}` is no address of a daemon", hint="write http://host:port")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        http = httpx.Client(base_url=address, headers=headers, timeout=_TIMEOUT)
    except (httpx.InvalidURL, ValueError) as error:
        raise SettingsError(
            f"`{address}` is no address of a daemon: {error}", hint="write http://host:port"
        ) from None
    with http:
        yield Client(http, address)


def segment(text: str) -> str:
    """A name as one segment of a path."""
    return quote(text, safe="")


def form(inputs: Mapping[str, str]) -> dict[str, Any]:
    """Inputs as a multipart form; `@path` sends a file. Raises NotFound for one that is not there."""
    parts: dict[str, Any] = {}
    for name, value in inputs.items():
        if not value.startswith("@"):
            parts[name] = (None, value)
            continue
        path = Path(value[1:])
        try:
            parts[name] = (path.name, path.read_bytes())
        except OSError as error:
            raise NotFound(
                f"input `{name}`: {path}: {error.strerror}", hint="check the path behind the @"
            ) from None
    return parts
