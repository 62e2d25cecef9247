"""One HTTP exchange: names resolved and judged before anything connects, bodies bounded, errors in our words.

The address that was judged is the one that is connected to, so that a name cannot mean another host a moment
later; every redirect is judged again. Proxies and credentials come from the task alone, never from the process's
environment. It must not know tasks.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache

import certifi
import httpx

from engine.errors import HeadwaterError, NotPermitted, UnavailableError, UserError
from engine.tasks.http_options import Settings

_REDIRECTS = 20


@cache
def _trusted() -> ssl.SSLContext:
    """What the system trusts, and what Mozilla does; made once, it takes some 20 ms."""
    context = ssl.create_default_context(cafile=certifi.where())
    context.load_default_certs()
    return context


@cache
def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class JudgedTransport(httpx.AsyncBaseTransport):
    """Connects only to addresses that may be reached.

    Args:
        may_reach: whether an IP address, in text, may be.
    """

    def __init__(self, settings: Settings, may_reach: Callable[[str], bool]) -> None:
        verify = _trusted() if settings.verify else _trusting()
        self._inner = httpx.AsyncHTTPTransport(verify=verify, proxy=settings.proxy, trust_env=False)
        self._proxied = settings.proxy is not None
        self._may_reach = may_reach

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send to the first address of the host that answers. Raises NotPermitted, httpx.HTTPError."""
        addresses = await self._judged(request)
        if self._proxied:  # which resolves names itself
            return await self._inner.handle_async_request(request)
        for place, address in enumerate(addresses):
            try:
                return await self._inner.handle_async_request(_at(request, address))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if place + 1 == len(addresses):
                    raise
        raise httpx.ConnectError("the name has no address", request=request)

    async def _judged(self, request: httpx.Request) -> list[str]:
        host = request.url.host
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            if self._proxied:
                return []
            raise httpx.ConnectError(f"the name `{host}` cannot be resolved", request=request) from error
        addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        for address in addresses:
            if not self._may_reach(address):
                raise NotPermitted(
                    f"`{host}` is {address}, which tasks of this daemon must not reach",
                    hint="`refuse` in the operator's table [http] says which networks those are",
                )
        return addresses

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()


def _at(request: httpx.Request, address: str) -> httpx.Request:
    """The same request to an address of its host; name and certificate stay those of the host."""
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": request.url.host},
    )


@asynccontextmanager
async def exchange(
    settings: Settings,
    may_reach: Callable[[str], bool],
    request: Callable[[httpx.AsyncClient], httpx.Request],
) -> AsyncIterator[httpx.Response]:
    """Send a request; the body of the response is still to be read, by `chunks`.

    Raises:
        UserError: the request makes no sense, or the host may not be reached.
        UnavailableError: the server does not answer as it should.
    """
    transport = JudgedTransport(settings, may_reach)
    timeout = httpx.Timeout(settings.idle, connect=settings.connect)
    async with httpx.AsyncClient(
        transport=transport,
        timeout=timeout,
        follow_redirects=settings.follow,
        max_redirects=_REDIRECTS,
        trust_env=False,
    ) as client:
        where = "the server"
        try:
            made = request(client)
            where = f"{made.method} {shown(made.url)}"
            response = await client.send(made, stream=True)
            try:
                yield response
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise _said(error, where) from error
        except (httpx.InvalidURL, httpx.CookieConflict, UnicodeError) as error:
            raise UserError(f"{where}: the request cannot be made: {error}") from error


async def chunks(response: httpx.Response, limit: int) -> AsyncIterator[bytes]:
    """The body, decompressed, in pieces. Raises UserError once it is longer than `limit` bytes."""
    size = 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > limit:
            raise UserError(
                f"the response has more than {limit} bytes",
                hint="raise `options.maxContentLength`, or use Download",
            )
        yield chunk


def shown(url: httpx.URL) -> str:
    """A URL for people: without credentials and query, which may hold secrets."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))


def _said(error: httpx.HTTPError, where: str) -> HeadwaterError:
    match error:
        case httpx.ConnectTimeout():
            return UnavailableError(f"{where}: no connection in time", hint="see `options.timeout`")
        case httpx.TimeoutException():
            return UnavailableError(f"{where}: no answer in time", hint="see `options.timeout`")
        case httpx.TooManyRedirects():
            return UserError(f"{where}: more than {_REDIRECTS} redirects")
        case httpx.UnsupportedProtocol() | httpx.LocalProtocolError():
            return UserError(
                f"{where}: the request cannot be made: {error}", hint="check `uri` and `headers`"
            )
    why = str(error) or type(error).__name__
    return UnavailableError(f"{where}: {why}", hint="is the address right, and the server up?")
