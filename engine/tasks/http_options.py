"""The `options` of HTTP tasks: what a flow may set, old spellings included, and what it comes to (dialect, 2.3)."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from engine.errors import UserError
from engine.model.base import Document, Text
from engine.model.duration import DurationText, seconds_of
from engine.model.task import Context
from engine.tasks.values import names, whole

CONNECT_SECONDS = 60.0  # the dialect has no limit; a host that does not answer for so long will not
IDLE_SECONDS = 300.0
MOST_BYTES = 2 << 30  # of a body that becomes an output
MAX_BODY_BYTES = 10 << 20
MAX_FILE_BYTES = 10 << 30


class Auth(Document):
    """Credentials for the server."""

    type: Literal["BASIC", "BEARER"]
    username: Text | None = None
    password: Text | None = None
    token: Text | None = None


class Proxy(Document):
    """A proxy to go through."""

    type: Literal["DIRECT", "HTTP", "SOCKS"] = "HTTP"
    address: Text | None = None
    port: Any = None
    username: Text | None = None
    password: Text | None = None


class Ssl(Document):
    """How the server's certificate is judged."""

    insecure_trust_all_certificates: Any = False


class Timeouts(Document):
    """The newer place of the timeouts."""

    connect_timeout: DurationText | None = None
    read_idle_timeout: DurationText | None = None


class Options(Document):
    """Everything about the connection; the second half holds older spellings."""

    timeout: Timeouts = Timeouts()
    proxy: Proxy | None = None
    auth: Auth | None = None
    ssl: Ssl | None = None
    follow_redirects: Any = True
    allow_failed: Any = False
    allowed_response_codes: list[Any] | Text | None = None
    default_charset: Text = "UTF-8"
    max_content_length: Any = None
    logs: list[Literal["REQUEST_HEADERS", "REQUEST_BODY", "RESPONSE_HEADERS", "RESPONSE_BODY"]] = []

    connect_timeout: DurationText | None = None
    read_timeout: DurationText | None = None
    read_idle_timeout: DurationText | None = None
    connection_pool_idle_timeout: DurationText | None = None
    log_level: Text | None = None
    basic_auth_user: Text | None = None
    basic_auth_password: Text | None = None
    proxy_type: Literal["DIRECT", "HTTP", "SOCKS"] | None = None
    proxy_address: Text | None = None
    proxy_port: Any = None
    proxy_username: Text | None = None
    proxy_password: Text | None = None


class Settings(NamedTuple):
    """Options, rendered.

    Args:
        connect, idle: seconds until a connection stands, and between two pieces of an answer.
        limit: bytes of a body, at most.
        proxy: its URL with its credentials; none goes straight.
        basic: username and password.
        codes: those that are no failure; none: all below 400.
    """

    connect: float
    idle: float
    limit: int
    follow: bool
    verify: bool
    proxy: str | None
    basic: tuple[str, str] | None
    bearer: str | None
    codes: frozenset[int] | None
    allow_failed: bool
    charset: str
    logs: frozenset[str]


_LOGS = {
    "TRACE": frozenset({"REQUEST_HEADERS", "REQUEST_BODY", "RESPONSE_HEADERS", "RESPONSE_BODY"}),
    "DEBUG": frozenset({"REQUEST_HEADERS", "RESPONSE_HEADERS"}),
    "INFO": frozenset({"RESPONSE_HEADERS"}),
}


def settings(
    options: Options, context: Context, *, limit: int, allow_failed: Any = None, ssl: Ssl | None = None
) -> Settings:
    """What the options come to.

    Args:
        limit: bytes of a body, where the options name no limit.
        allow_failed, ssl: older places of these options, beside them.

    Raises:
        UserError: one of them makes no sense.
    """
    allowed = names(options.allowed_response_codes, "allowedResponseCodes", context)
    judged = options.ssl or ssl
    if options.max_content_length is not None:
        limit = whole(options.max_content_length, "maxContentLength", context, least=1)
    return Settings(
        connect=_seconds(
            options.timeout.connect_timeout or options.connect_timeout, context, CONNECT_SECONDS
        ),
        idle=_seconds(
            options.timeout.read_idle_timeout or options.read_timeout or options.read_idle_timeout,
            context,
            IDLE_SECONDS,
        ),
        limit=limit,
        follow=context.truthy(options.follow_redirects),
        verify=not (judged and context.truthy(judged.insecure_trust_all_certificates)),
        proxy=_proxy(options, context),
        basic=_basic(options, context),
        bearer=_bearer(options.auth, context),
        codes=frozenset(whole(code, "allowedResponseCodes", context, least=100) for code in allowed) or None,
        allow_failed=context.truthy(options.allow_failed)
        or (allow_failed is not None and context.truthy(allow_failed)),
        charset=context.render(options.default_charset),
        logs=frozenset(options.logs) or _LOGS.get((options.log_level or "").upper(), frozenset()),
    )


def _seconds(given: str | None, context: Context, default: float) -> float:
    if given is None:
        return default
    seconds = seconds_of(context.render(given))
    if seconds < 0:
        raise UserError("a timeout of `options` is negative", hint="give a positive duration")
    return seconds or default


def _basic(options: Options, context: Context) -> tuple[str, str] | None:
    auth = options.auth
    if auth is not None and auth.type == "BASIC":
        return context.render(auth.username or ""), context.render(auth.password or "")
    if options.basic_auth_user is not None:
        return context.render(options.basic_auth_user), context.render(options.basic_auth_password or "")
    return None


def _bearer(auth: Auth | None, context: Context) -> str | None:
    if auth is None or auth.type != "BEARER":
        return None
    token = context.render(auth.token or "").strip()
    if not token:
        raise UserError("`options.auth` is BEARER and its `token` is empty", hint="give a token")
    return token


def _proxy(options: Options, context: Context) -> str | None:
    proxy = options.proxy or Proxy(
        type=options.proxy_type or "HTTP",
        address=options.proxy_address,
        port=options.proxy_port,
        username=options.proxy_username,
        password=options.proxy_password,
    )
    if proxy.type == "DIRECT" or not proxy.address:
        return None
    if proxy.type == "SOCKS":
        raise UserError("a SOCKS proxy cannot be used", hint="use one that speaks HTTP")
    held = ""
    if proxy.username:
        pair = (context.render(proxy.username), context.render(proxy.password or ""))
        held = ":".join(quote(each, safe="") for each in pair) + "@"
    port = whole(proxy.port, "proxy.port", context, least=1) if proxy.port is not None else 8080
    return f"http://{held}{context.render(proxy.address)}:{port}"
