"""The inputs that a request gives: JSON, a form, or a form with files; files go to the internal storage.

A FILE input comes as a part with the input's id as its name, or as Kestra's clients send it: as a part called `files`
whose file name is the input's id (dialect, section 1.3). It must not know what an input has to look like.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from engine.errors import InputInvalid, UserError
from engine.model.input_values import MAX_TEXT, FileInput, Input
from engine.model.inputs import flat
from engine.ports import FileStorage
from webhooks.limits import BodyTooLarge

MAX_FIELDS = 1000
MAX_FILES = 50
_KESTRAS = "files"
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]")
_NAME_LENGTH = 100


async def given_inputs(
    request: Request, declared: Iterable[Input], files: FileStorage, folder: str
) -> dict[str, Any]:
    """What the body gives, by input id; a name given twice becomes a list.

    Args:
        declared: which inputs there are.
        files, folder: where files are kept. Nothing is left there when this raises.

    Raises:
        UserError: the body cannot be read, or is of no kind that is known.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        taking = {each.id for each in flat(tuple(declared)) if isinstance(each, FileInput)}
        return await _form(request, taking, files, folder)
    body = await _small(request)
    if not body:
        return {}
    if kind == "application/x-www-form-urlencoded":
        return _fields(body)
    if kind == "application/json" or kind.endswith("+json"):
        return _object(body)
    raise UnknownMediaType(
        f"inputs cannot be read from `{kind[:100]}`", hint="send JSON, or a form (multipart/form-data)"
    )


class UnknownMediaType(UserError):
    """The body is of a kind that is not taken here."""

    http_status = 415


async def _small(request: Request) -> bytes:
    """A body that is kept in memory."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_TEXT:
            raise BodyTooLarge(
                f"the body is larger than {MAX_TEXT} bytes", hint="send large values as files, in a form"
            )
    return bytes(body)


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputInvalid(f"the body is not JSON: {error}", hint="send an object of inputs") from None
    if not isinstance(found, dict):
        raise InputInvalid("the body is no JSON object", hint="send an object of inputs by their id")
    return found


def _fields(body: bytes) -> dict[str, Any]:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise InputInvalid(f"the form cannot be read: {error}", hint="send name=value pairs") from None
    return _gathered(pairs)


class _Parser(MultiPartParser):
    """Starlette's parser takes a form that ends in the middle for a whole one."""

    whole = False

    def on_end(self) -> None:
        """The last boundary."""
        self.whole = True


async def _form(request: Request, taking: set[str], files: FileStorage, folder: str) -> dict[str, Any]:
    form = await _parsed(request)
    try:
        pairs: list[tuple[str, Any]] = []
        for name, part in form.multi_items():
            if isinstance(part, str):
                pairs.append((name, part))
            else:
                pairs.append(await asyncio.to_thread(_part, name, part, taking, files, folder))
    except BaseException:
        files.remove(folder)
        raise
    finally:
        await form.close()
    return _gathered(pairs)


async def _parsed(request: Request) -> FormData:
    limits = {"max_files": MAX_FILES, "max_fields": MAX_FIELDS, "max_part_size": MAX_TEXT}
    parser = _Parser(request.headers, request.stream(), **limits)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise InputInvalid(f"the form cannot be read: {error.message}", hint="send it again") from None
    if not parser.whole:
        await form.close()
        raise InputInvalid("the form ends in the middle", hint="send it again")
    return form


def _part(name: str, part: UploadFile, taking: set[str], files: FileStorage, folder: str) -> tuple[str, str]:
    given = part.filename or ""
    if name == _KESTRAS and _KESTRAS not in taking:
        name = given
    if name in taking:
        return name, _kept(part, f"{folder}/{_safe(name)}/{_safe(given)}", files)
    content = part.file.read(MAX_TEXT + 1)
    if len(content) > MAX_TEXT:
        raise BodyTooLarge(
            f"input `{name[:100]}` is larger than {MAX_TEXT} bytes", hint="declare it as a FILE"
        )
    return name, content.decode("utf-8", "replace")


def _kept(part: UploadFile, path: str, files: FileStorage) -> str:
    with tempfile.NamedTemporaryFile(prefix="headwater-upload-") as copy:
        shutil.copyfileobj(part.file, copy, 1 << 20)
        copy.flush()
        return files.put(path, copy.name)


def _safe(name: str) -> str:
    """A file's name as one harmless part of a path; its ending stays."""
    last = re.split(r"[/\\]", name)[-1]
    return _UNSAFE.sub("_", last)[-_NAME_LENGTH:].lstrip(".") or "file"


def _gathered(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, list[Any]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def placed(namespace: str, flow_id: str, execution_id: str) -> str:
    """The folder of an execution's input files in the internal storage."""
    return f"{namespace.replace('.', '/')}/{flow_id}/executions/{execution_id}/inputs"
