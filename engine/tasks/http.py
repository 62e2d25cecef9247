"""Tasks that call a server over HTTP (dialect, section 2.3).

At least once: a daemon that is killed in the middle of an exchange makes it again when it comes back.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from engine.errors import UnavailableError, UserError
from engine.model.base import Text
from engine.model.duration import DurationText, seconds_of
from engine.model.input_values import as_text
from engine.model.state import State
from engine.model.task import Inline, InlineContext, Metric, TaskResult
from engine.tasks import http_options
from engine.tasks.http_options import Options, Settings, Ssl
from engine.tasks.rows import Check, draft, in_thread
from engine.tasks.script_files import mapping
from engine.tasks.server_events import Reader
from engine.tasks.values import whole

if TYPE_CHECKING:
    import httpx

_MULTIPART = "multipart/form-data"
_STORED = ("kestra://", "headwater://", "nsfile://")
_QUOTED = 500  # characters of a failing server's answer that are told
_MOST_EVENTS = 100_000
_JQ = "{{ event | jq(program) }}"
_METHOD = re.compile(r"[A-Z][A-Z0-9_-]{0,30}")
_FILE_NAME = re.compile(r"filename\*?\s*=\s*(?:[\w-]+'[\w-]*')?\"?([^\";]+)\"?", re.IGNORECASE)
_HIDDEN = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})


class _Http(Inline):
    uri: Text
    method: Text = "GET"
    params: dict[str, Any] | Text | None = None
    body: Any = None
    form_data: dict[str, Any] | Text | None = None
    content_type: Text | None = None
    headers: dict[str, Any] | Text | None = None
    options: Options = Options()
    allow_failed: Any = None
    ssl_options: Ssl | None = None

    def _settings(self, context: InlineContext, limit: int) -> Settings:
        return http_options.settings(
            self.options, context, limit=limit, allow_failed=self.allow_failed, ssl=self.ssl_options
        )

    def _request(
        self, client: httpx.AsyncClient, context: InlineContext, settings: Settings, open_files: ExitStack
    ) -> httpx.Request:
        import httpx

        url = httpx.URL(context.render(self.uri).strip().replace(" ", "%20"))
        if url.scheme not in ("http", "https") or not url.host:
            raise UserError(
                f"`{str(url)[:200]}` is no URL of a server", hint="it begins with http:// or https://"
            )
        params = mapping(self.params, "params", context)
        for name, value in params.items():
            for each in value if isinstance(value, list) else [value]:
                if each is not None:
                    url = url.copy_add_param(name, as_text(each))
        method = context.render(self.method).strip().upper()
        if not _METHOD.fullmatch(method):
            raise UserError(f"`{method[:80]}` is no HTTP method", hint="use GET, POST, PUT …")
        headers = self._headers(context, settings)
        request = client.build_request(
            method, url, headers=headers, **self._content(context, settings, headers, open_files)
        )
        _log(context, settings, "REQUEST", request.headers)
        return request

    def _headers(self, context: InlineContext, settings: Settings) -> httpx.Headers:
        import base64

        import httpx

        pairs: list[tuple[str, str]] = []
        for name, value in mapping(self.headers, "headers", context).items():
            given = value if isinstance(value, list) else [value]
            pairs += [(str(name), as_text(each)) for each in given if each is not None]
        bad = next((name for name, value in pairs if set(name + value) & {"\r", "\n", "\0"}), None)
        if bad is not None:
            raise UserError(
                f"the header `{bad[:80].strip()}` holds a line end", hint="trim it: `{{ … | trim }}`"
            )
        headers = httpx.Headers([(name.encode(), value.encode()) for name, value in pairs])
        if settings.basic is not None:
            token = base64.b64encode(":".join(settings.basic).encode()).decode()
            headers["Authorization"] = f"Basic {token}"
        elif settings.bearer is not None:
            headers["Authorization"] = f"Bearer {settings.bearer}"
        return headers

    def _content(
        self, context: InlineContext, settings: Settings, headers: httpx.Headers, open_files: ExitStack
    ) -> dict[str, Any]:
        kind = context.render(self.content_type).strip() if self.content_type else ""
        form = mapping(self.form_data, "formData", context)
        if form and kind.lower().startswith(_MULTIPART):
            headers.pop("Content-Type", None)  # which names the boundary
            parts = [
                _part(name, value, context, open_files) for name, value in form.items() if value is not None
            ]
            return {"files": parts}
        if form:
            headers.pop("Content-Type", None)
            return {"data": {str(name): as_text(value) for name, value in form.items() if value is not None}}
        if self.body is not None:
            headers.setdefault("Content-Type", kind or "application/json")
            text = (
                context.render(self.body) if isinstance(self.body, str) else as_text(context.value(self.body))
            )
            if "REQUEST_BODY" in settings.logs:
                context.log("DEBUG", f"request body: {text[:_QUOTED]}")
            return {"content": _encoded(text, settings.charset)}
        if kind:
            headers.setdefault("Content-Type", kind)
        return {}


class Request(_Http):
    """Sends a request and gives the answer as an output."""

    encrypt_body: Any = False

    async def run(self, context: InlineContext) -> TaskResult:
        """Outputs `uri`, `code`, `headers` and `body`; kept also when the code is a failure."""
        from engine.tasks import http_client

        if context.truthy(self.encrypt_body):
            raise UserError("`encryptBody: true` is not supported", hint="leave it out; secrets are masked")
        settings = self._settings(context, http_options.MAX_BODY_BYTES)
        if settings.limit > http_options.MOST_BYTES:
            raise UserError(f"`maxContentLength` is {http_options.MOST_BYTES} at most", hint="use Download")
        with ExitStack() as open_files:
            async with http_client.exchange(
                settings,
                context.may_reach,
                lambda client: self._request(client, context, settings, open_files),
            ) as response:
                _log(context, settings, "RESPONSE", response.headers)
                content = b"".join([chunk async for chunk in http_client.chunks(response, settings.limit)])
        text = _text(content, response)
        if "RESPONSE_BODY" in settings.logs:
            context.log("DEBUG", f"response body: {text[:_QUOTED]}")
        outputs = {**_answer(response), "uri": str(response.request.url), "body": text}
        return _judged(settings, response, outputs, text)


class Download(_Http):
    """Downloads a file to internal storage."""

    save_as: Text | None = None
    fail_on_empty_response: Any = True

    async def run(self, context: InlineContext) -> TaskResult:
        """Outputs `uri` of the stored file, `code`, `length` and `headers`."""
        import asyncio

        from engine.tasks import http_client

        settings = self._settings(context, http_options.MAX_FILE_BYTES)
        length = 0
        with ExitStack() as open_files, draft() as file:
            async with http_client.exchange(
                settings,
                context.may_reach,
                lambda client: self._request(client, context, settings, open_files),
            ) as response:
                _log(context, settings, "RESPONSE", response.headers)
                if not _fine(settings, response):
                    return await _refused(settings, response)
                async for chunk in http_client.chunks(response, settings.limit):
                    file.write(chunk)
                    length += len(chunk)
            file.flush()
            if not length and not settings.allow_failed:
                if context.truthy(self.fail_on_empty_response):
                    raise UserError(
                        "the response is empty", hint="set `failOnEmptyResponse: false` to allow it"
                    )
                context.log("WARN", "the downloaded file is empty")
            uri = await asyncio.to_thread(context.store_file, self._name(context, response), file.name)
        outputs = {**_answer(response), "uri": uri, "length": length}
        return TaskResult(outputs=outputs, metrics=(Metric("response.length", "counter", length),))

    def _name(self, context: InlineContext, response: httpx.Response) -> str:
        """As `saveAs` says, else as the server calls the file, else by the end of the URL."""
        if self.save_as:
            name = context.render(self.save_as)
        else:
            named = _FILE_NAME.search(response.headers.get("Content-Disposition", ""))
            name = unquote(named.group(1).strip()) if named else response.request.url.path.rsplit("/", 1)[-1]
            name = name.replace("\\", "/").rsplit("/", 1)[-1]
        name = "".join(letter for letter in name if letter.isprintable())[:200].strip()
        return name if name.strip("./") else "file"


class SseRequest(_Http):
    """Collects server-sent events until the server ends the stream, `maxEvents` are there or `maxDuration` is over.

    With `concatJqExpression` it gives one text: of each event (`.data`, `.id`, `.name`) what the jq program finds.
    An event where it finds no text, number or boolean fails the task, or is left out with `failedOnMissingJq: false`.
    """

    concat_jq_expression: Text | None = None
    failed_on_missing_jq: Any = True
    max_events: Any = None
    max_duration: DurationText | None = None

    async def run(self, context: InlineContext) -> TaskResult:
        """Outputs `uri`, `size`, and `events` or, with a jq program that found something, `result`."""
        import asyncio

        from engine.tasks import http_client

        settings = self._settings(context, http_options.MAX_BODY_BYTES)
        most = _MOST_EVENTS
        if self.max_events is not None:
            most = min(most, whole(self.max_events, "maxEvents", context, least=1))
        seconds = seconds_of(context.render(self.max_duration)) if self.max_duration else None
        events: list[dict[str, Any]] = []
        response: httpx.Response | None = None
        try:
            async with asyncio.timeout(seconds) as patience:
                with ExitStack() as open_files:
                    async with http_client.exchange(
                        settings,
                        context.may_reach,
                        lambda client: self._request(client, context, settings, open_files),
                    ) as response:
                        _log(context, settings, "RESPONSE", response.headers)
                        if not _fine(settings, response):
                            return await _refused(settings, response)
                        await _collect(http_client.chunks(response, settings.limit), events, most)
        except TimeoutError:
            if not patience.expired():
                raise
        if response is None:
            raise UnavailableError("no answer within `maxDuration`", hint="raise it, or is the server up?")
        outputs: dict[str, Any] = {"uri": str(response.request.url), "size": len(events)}
        found = await in_thread(lambda check: self._found(events, context, check))
        outputs |= {"result": "".join(found)} if found else {"events": events}
        return TaskResult(outputs=outputs, metrics=(Metric("size", "counter", len(events)),))

    def _headers(self, context: InlineContext, settings: Settings) -> httpx.Headers:
        headers = super()._headers(context, settings)
        headers.setdefault("Accept", "text/event-stream")
        return headers

    def _found(self, events: list[dict[str, Any]], context: InlineContext, check: Check) -> list[str]:
        if not self.concat_jq_expression:
            return []
        program = context.render(self.concat_jq_expression)
        strict = context.truthy(self.failed_on_missing_jq)
        found = []
        for number, event in enumerate(events, 1):
            check()
            try:
                values = context.value_with(_JQ, {"event": event, "program": program})
                if not all(isinstance(value, str | int | float) for value in values):
                    raise UserError(f"`{program[:100]}` gives no text, number or boolean")
                found += [as_text(value) for value in values[-1:]]
            except UserError as error:
                if strict:
                    raise UserError(
                        f"event {number}: {error}",
                        hint="set `failedOnMissingJq: false` to leave such events out",
                    ) from None
                context.log("DEBUG", f"event {number} is left out: {error}")
        return found


async def _collect(pieces: AsyncIterator[bytes], events: list[dict[str, Any]], most: int) -> None:
    reader = Reader()
    async for piece in pieces:
        for event in reader.feed(piece):
            events.append(event)
            if len(events) == most:
                return


def _part(name: Any, value: Any, context: InlineContext, open_files: ExitStack) -> tuple[str, Any]:
    """A part of a multipart form: a file for the URI of one, `{name, content}` too, else text."""
    if isinstance(value, Mapping) and {"name", "content"} <= value.keys():
        content = as_text(value["content"])
        shown = os.path.basename(as_text(value["name"]))
        return str(name), (shown, _opened(content, context, open_files))
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if text.startswith(_STORED):
        return str(name), (unquote(text.rsplit("/", 1)[-1]), _opened(text, context, open_files))
    return str(name), (None, text.encode())


def _opened(content: str, context: InlineContext, open_files: ExitStack) -> Any:
    if not content.startswith(_STORED):
        return content.encode()
    return open_files.enter_context(open(context.local_path(content), "rb"))


def _encoded(text: str, charset: str) -> bytes:
    try:
        return text.encode(charset)
    except (LookupError, UnicodeEncodeError):
        raise UserError(f"the body cannot be written in `{charset[:40]}`", hint="use UTF-8") from None


def _text(content: bytes, response: httpx.Response) -> str:
    try:
        return content.decode(response.charset_encoding or "utf-8", "replace")
    except LookupError:
        return content.decode("utf-8", "replace")


def _answer(response: httpx.Response) -> dict[str, Any]:
    headers: dict[str, list[str]] = {}
    for name, value in response.headers.multi_items():
        headers.setdefault(name, []).append(value)
    return {"code": response.status_code, "headers": headers}


def _fine(settings: Settings, response: httpx.Response) -> bool:
    if settings.codes is not None:
        return response.status_code in settings.codes
    return response.status_code < 400 or settings.allow_failed


def _judged(settings: Settings, response: httpx.Response, outputs: dict[str, Any], text: str) -> TaskResult:
    if _fine(settings, response):
        return TaskResult(outputs=outputs)
    from engine.tasks.http_client import shown

    said = f": {text[:_QUOTED].strip()}" if text.strip() else ""
    error = f"{response.request.method} {shown(response.request.url)} answered {response.status_code}{said}"
    return TaskResult(State.FAILED, outputs=outputs, error=error)


async def _refused(settings: Settings, response: httpx.Response) -> TaskResult:
    """The failure of an answer whose body is no use but for its beginning, which is told."""
    from engine.tasks import http_client

    start = b""
    async for chunk in http_client.chunks(response, settings.limit):
        start += chunk
        if len(start) >= _QUOTED * 4:
            break
    return _judged(settings, response, _answer(response), _text(start, response))


def _log(context: InlineContext, settings: Settings, which: str, headers: httpx.Headers) -> None:
    if f"{which}_HEADERS" not in settings.logs:
        return
    for name, value in headers.multi_items():
        told = "…" if name.lower() in _HIDDEN else value
        context.log("DEBUG", f"{which.lower()} header {name}: {told}")
