"""Tasks on files of internal storage (dialect, section 2.4)."""

from __future__ import annotations

import os
import re
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import regex
from pydantic import Field, model_validator

from engine.errors import NotFound, UserError
from engine.model.base import Text
from engine.model.input_values import as_text
from engine.model.run import RunRequest, RunResult
from engine.model.state import State
from engine.model.task import Context, Inline, InlineContext, Metric, TaskResult, Work
from engine.tasks.rows import Check, draft, in_thread, rows, rows_backwards
from engine.tasks.script_files import input_files, safe_path
from engine.tasks.values import names, whole

MOST_FILES = 10_000
MOST_OPEN = 64
_BLOCK = 1 << 16
_PATTERN_SECONDS = 1.0  # for one row
Parts = Callable[[Iterable[bytes]], Iterator[tuple[int, bytes]]]
_SIZE = re.compile(r"(\d+)\s*([KMGT]?)I?B?", re.IGNORECASE)
_UNITS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_EXTENSION = re.compile(r"\.?[A-Za-z0-9][A-Za-z0-9._-]{0,40}")


class Write(Inline):
    """Writes text to a file."""

    content: Any
    extension: Text | None = None

    async def run(self, context: InlineContext) -> TaskResult:
        """Output `uri`."""
        given = self.content
        text = context.render(given) if isinstance(given, str) else as_text(context.value(given))
        name = "file" + _extension(self.extension, context, "")
        content = text.encode("utf-8", "surrogatepass")
        return TaskResult(outputs={"uri": await in_thread(lambda _: context.store_file(name, content))})


class Size(Inline):
    """Gives the size of a file."""

    uri: Text

    async def run(self, context: InlineContext) -> TaskResult:
        """Output `size`, in bytes."""
        uri = _uri(self.uri, context)
        return TaskResult(
            outputs={"size": await in_thread(lambda _: Path(context.local_path(uri)).stat().st_size)}
        )


class Delete(Inline):
    """Removes a file."""

    uri: Text
    error_on_missing: Any = False

    async def run(self, context: InlineContext) -> TaskResult:
        """Outputs `uri` and `deleted`: whether it was there."""
        uri = _uri(self.uri, context)
        deleted = await context.control.remove_file(uri)
        if not deleted and context.truthy(self.error_on_missing):
            raise NotFound(
                f"there is no file `{uri[:200]}`", hint="correct it, or leave `errorOnMissing` out"
            )
        return TaskResult(outputs={"uri": uri, "deleted": deleted})


class Concat(Inline):
    """Puts files one behind the other, `separator` behind each."""

    files: list[Any] | Text
    separator: Text | None = None
    extension: Text = ".tmp"

    async def run(self, context: InlineContext) -> TaskResult:
        """Output `uri`."""
        uris = names(self.files, "files", context)
        separator = context.render(self.separator).encode() if self.separator else b""
        name = "concat" + _extension(self.extension, context, ".tmp")

        def work(check: Check) -> str:
            with draft() as target:
                for uri in uris:
                    with open(context.local_path(uri), "rb") as source:
                        _copy(source, target, check)
                    target.write(separator)
                target.flush()
                return context.store_file(name, target.name)

        return TaskResult(outputs={"uri": await in_thread(work)})


class Reverse(Inline):
    """Puts the rows of a file in the opposite order."""

    from_: Text = Field(alias="from")
    separator: Text = "\n"
    charset: Text = "UTF-8"

    async def run(self, context: InlineContext) -> TaskResult:
        """Output `uri`."""
        uri = _uri(self.from_, context)
        separator = _separator(self.separator, context, context.render(self.charset))

        def work(check: Check) -> str:
            with draft() as target:
                for row in rows_backwards(context.local_path(uri), separator, check):
                    target.write(row + separator)
                target.flush()
                return context.store_file("reversed" + _suffix(uri), target.name)

        return TaskResult(outputs={"uri": await in_thread(work)})


class Split(Inline):
    """Cuts a file into several: of so many rows or bytes each, into so many parts, or by what a pattern captures."""

    from_: Text = Field(alias="from")
    rows: Any = None
    bytes_: Any = Field(default=None, alias="bytes")
    partitions: Any = None
    regex_pattern: Text | None = None
    separator: Text = "\n"

    @model_validator(mode="after")
    def _one_way(self) -> Split:
        given = (self.rows, self.bytes_, self.partitions, self.regex_pattern)
        if sum(each is not None for each in given) != 1:
            raise ValueError("give one of `rows`, `bytes`, `partitions` and `regexPattern`")
        return self

    async def run(self, context: InlineContext) -> TaskResult:
        """Output `uris`, in order; parts without a row are left out."""
        uri = _uri(self.from_, context)
        separator = _separator(self.separator, context)
        parts = self._parts(context)

        def work(check: Check) -> list[str]:
            path = context.local_path(uri)
            return _store_parts(context, parts(rows(path, separator, check)), separator, _suffix(uri))

        return TaskResult(outputs={"uris": await in_thread(work)})

    def _parts(self, context: InlineContext) -> Parts:
        """Says for each row which part it belongs to."""
        if self.rows is not None:
            most = whole(self.rows, "rows", context, least=1)
            return lambda found: ((number // most, row) for number, row in enumerate(found))
        if self.partitions is not None:
            count = whole(self.partitions, "partitions", context, least=1)
            return lambda found: ((number % count, row) for number, row in enumerate(found))
        if self.bytes_ is not None:
            size = _bytes(as_text(context.value(self.bytes_)))
            return lambda found: _by_size(found, size)
        return _by_capture(context.render(self.regex_pattern or ""))


class LocalFiles(Work):
    """Outdated: lays `inputs` into the working directory and keeps what fits `outputs` (use `inputFiles`)."""

    inputs: dict[str, Any] | Text | None = None
    outputs: list[Text] | Text | None = None

    def request(self, context: Context) -> RunRequest:
        """Nothing to run but the files around it."""
        return RunRequest(
            key=context.key,
            command=("true",),
            files=input_files(self.inputs, context),
            output_files=tuple(safe_path(each) for each in names(self.outputs, "outputs", context)),
        )

    def result(
        self, context: Context, result: RunResult, outputs: Mapping[str, Any], metrics: Sequence[Metric]
    ) -> TaskResult:
        """Output `uris`, by relative path."""
        stored = {path: context.store_file(path, local) for path, local in sorted(result.files.items())}
        if result.outcome == "cancelled":
            return TaskResult(State.KILLED, outputs={"uris": stored}, error=result.message)
        if result.exit_code != 0:
            return TaskResult(
                State.FAILED, outputs={"uris": stored}, error=result.message or "the runner failed"
            )
        return TaskResult(outputs={"uris": stored})


# Parts of a file


def _by_size(found: Iterable[bytes], size: int) -> Iterator[tuple[int, bytes]]:
    part = filled = 0
    for row in found:
        if filled and filled + len(row) + 1 > size:
            part, filled = part + 1, 0
        filled += len(row) + 1
        yield part, row


def _by_capture(written: str) -> Parts:
    try:
        pattern = regex.compile(written)
    except regex.error as error:
        raise UserError(f"`regexPattern` cannot be read: {error}") from None
    if pattern.groups < 1:
        raise UserError("`regexPattern` captures nothing", hint="put what names a part into ( )")

    def parts(found: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
        known: dict[str, int] = {}
        for row in found:
            match = pattern.search(row.decode("utf-8", "replace"), timeout=_PATTERN_SECONDS)
            if match is not None:
                yield known.setdefault(match.group(1) or "", len(known)), row

    return parts


def _store_parts(
    context: InlineContext, parts: Iterable[tuple[int, bytes]], separator: bytes, suffix: str
) -> list[str]:
    """Write the parts, a few of them open at a time, then keep them."""
    with tempfile.TemporaryDirectory(prefix="headwater-") as folder:
        paths: dict[int, str] = {}
        open_files: OrderedDict[int, IO[bytes]] = OrderedDict()
        try:
            for part, row in parts:
                if part not in open_files:
                    if part not in paths and len(paths) >= MOST_FILES:
                        raise UserError(
                            f"there would be more than {MOST_FILES} files", hint="make them larger"
                        )
                    paths.setdefault(part, os.path.join(folder, str(part)))
                    open_files[part] = open(paths[part], "ab")  # noqa: SIM115 (closed below)
                    if len(open_files) > MOST_OPEN:
                        open_files.popitem(last=False)[1].close()
                open_files[part].write(row + separator)
        finally:
            for file in open_files.values():
                file.close()
        return [
            context.store_file(f"split-{number}{suffix}", path)
            for number, (_, path) in enumerate(sorted(paths.items()), 1)
        ]


# Properties


def _uri(given: str, context: Context) -> str:
    uri = context.render(given).strip()
    if "://" not in uri:
        raise UserError(
            f"`{uri[:200]}` is no URI of a file", hint="give one such as `{{ outputs.task.uri }}`"
        )
    return uri


def _separator(given: str, context: Context, charset: str = "UTF-8") -> bytes:
    text = context.render(given)
    if not text:
        raise UserError("`separator` is empty", hint="leave it out for a line end")
    try:
        return text.encode(charset)
    except (LookupError, UnicodeEncodeError):
        raise UserError(f"`charset` `{charset[:40]}` cannot be used", hint="use UTF-8") from None


def _extension(given: str | None, context: Context, default: str) -> str:
    extension = context.render(given).strip() if given else default
    if extension and not _EXTENSION.fullmatch(extension):
        raise UserError(f"`{extension[:80]}` is no file extension", hint="write one such as `.csv`")
    return extension if not extension or extension.startswith(".") else f".{extension}"


def _suffix(uri: str) -> str:
    """The extension of the file that a URI names."""
    suffix = os.path.splitext(uri.rsplit("/", 1)[-1])[1]
    return suffix if _EXTENSION.fullmatch(suffix) else ""


def _bytes(text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    size = int(match[1]) * 1024 ** _UNITS[match[2].upper()] if match else 0
    if size < 1:
        raise UserError(f"`bytes` is no size: `{text[:80]}`", hint="write one such as `10MB`")
    return size


def _copy(source: IO[bytes], target: IO[bytes], check: Check) -> None:
    while block := source.read(_BLOCK):
        check()
        target.write(block)
