"""The flowable whose children share one working directory (dialect, section 2.1)."""

from __future__ import annotations

import asyncio
import os
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from pydantic import Field, model_validator

from engine.errors import UserError
from engine.model.base import Document, Text
from engine.model.duration import DurationText, seconds_of
from engine.model.run import RunRequest, RunResult
from engine.model.task import Carry, Context, Executable, Flowable, Settling, Verdict, Work
from engine.model.types import problem_at
from engine.tasks.blocks import Sequential
from engine.tasks.script import ScriptTask
from engine.tasks.script_files import Files, NamespaceFiles, input_files, namespace_files, safe_path
from engine.type_names import canonical

_ARCHIVE = "cache.zip"
_MOST_CACHED = 2 << 30  # bytes, unpacked


class Cache(Document):
    """Files to find again in the next execution, for `ttl` at the most."""

    patterns: tuple[Text, ...] = Field(min_length=1)
    ttl: DurationText | None = None


class WorkingDirectory(Sequential, Settling):
    """Children one by one in one working directory, made when the first begins and gone when the block has ended.

    `inputFiles`, `namespaceFiles` and what `cache` kept are laid in before; `outputFiles` and what `cache` is to keep
    are taken out when the children have ended, also when they failed.
    """

    shares_directory: ClassVar[bool] = True

    input_files: dict[str, Any] | Text | None = None
    output_files: list[Text] | Text | None = None
    namespace_files: NamespaceFiles | None = None
    cache: Cache | None = None

    @model_validator(mode="after")
    def _only_runnable(self) -> WorkingDirectory:
        for place, task in enumerate(self.tasks):
            if isinstance(task, Flowable | Executable):
                message = (
                    f"only tasks that run may stand in a WorkingDirectory, and `{canonical(task.type).short}` "
                    "is none; put it before or behind"
                )
                raise problem_at(("tasks", place, "type"), "directory", message, task.type)
            if task.worker_group is not None or task.worker_selector is not None:
                message = "tasks of a WorkingDirectory run where it runs; give it to the WorkingDirectory"
                raise problem_at(("tasks", place), "directory", message, task.id)
        return self

    def outside(self, stage: int) -> bool:
        """Before, when files are to be laid in; after, when some are to be taken out."""
        if stage:
            return True
        return any(each is not None for each in (self.input_files, self.namespace_files, self.cache))

    def looks_back(self, failed: bool) -> bool:
        """When files are to be taken out."""
        return self.output_files is not None or self.cache is not None

    def review(self, values: Mapping[str, Any], rounds: int, seconds: float) -> Verdict:
        """Output `outputFiles`: the URIs of the files found, by relative path."""
        return Verdict(outputs=dict(values))

    def runners(self, context: Context) -> Sequence[str | None]:
        """Those that the children name."""
        return [task.runner(context)[0] for task in self.tasks if isinstance(task, Work)] or [None]

    async def settle(self, stage: int, context: Context, carry: Carry) -> Mapping[str, Any]:
        """Lay files in, or take them out, by a run in the directory that does nothing else."""
        if stage:
            return await self._take_out(context, carry)
        with tempfile.TemporaryDirectory(prefix="headwater-") as folder:
            files = await asyncio.to_thread(self._files, context, folder)
            async with carry(self._request(context, "in", files=files), self.runners(context)[0]) as result:
                _went_well(result)
        return {}

    def _request(
        self, context: Context, what: str, *, files: Files | None = None, patterns: Sequence[str] = ()
    ) -> RunRequest:
        first = next((task for task in self.tasks if isinstance(task, ScriptTask)), None)
        return RunRequest(
            key=f"{context.key}/{what}",
            command=("true",),
            files=files or {},
            output_files=tuple(safe_path(pattern) for pattern in patterns),
            workspace=context.directory,
            image=first.image_for(context) if first else None,
            options=dict(first.runner(context)[1]) if first else {},
        )

    def _files(self, context: Context, folder: str) -> Files:
        given = input_files(self.input_files, context)
        given = {**given, **namespace_files(self.namespace_files, given, context)}
        return {**self._cached(context, folder), **given}

    async def _take_out(self, context: Context, carry: Carry) -> Mapping[str, Any]:
        runner = self.runners(context)[0]
        if self.cache is not None:
            request = self._request(context, "cache", patterns=self.cache.patterns)
            async with carry(request, runner) as result:
                _went_well(result)
                await asyncio.to_thread(_keep, context, result.files)
        if self.output_files is None:
            return {}
        request = self._request(context, "out", patterns=_listed(self.output_files, context))
        async with carry(request, runner) as result:
            _went_well(result)
            for pattern in result.missing:
                context.log("WARN", f"no file fits the output pattern {pattern}")
            return {"outputFiles": await asyncio.to_thread(_stored, context, result.files)}

    def _cached(self, context: Context, folder: str) -> Files:
        archive = context.kept_file(_ARCHIVE) if self.cache else None
        if self.cache is None or archive is None:
            return {}
        if self.cache.ttl is not None:
            written = datetime.fromtimestamp(os.stat(archive).st_mtime, UTC)
            if (context.now - written).total_seconds() > seconds_of(context.render(self.cache.ttl)):
                return {}
        with zipfile.ZipFile(archive) as packed:
            members = packed.infolist()
            if sum(each.file_size for each in members) > _MOST_CACHED:
                context.log("WARN", "the cache is too large and left out")
                return {}
            found: Files = {}
            for number, each in enumerate(members):
                place = os.path.join(folder, str(number))
                with packed.open(each) as source, open(place, "wb") as target:
                    while block := source.read(1 << 20):
                        target.write(block)
                os.chmod(place, 0o600 | (each.external_attr >> 16 & 0o111))
                found[safe_path(each.filename)] = place
            return found


def _keep(context: Context, files: Mapping[str, str]) -> None:
    with tempfile.NamedTemporaryFile(prefix="headwater-", suffix=".zip") as archive:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
            for path, local in sorted(files.items()):
                packed.write(local, path)
        archive.flush()
        context.keep_file(_ARCHIVE, archive.name)


def _stored(context: Context, files: Mapping[str, str]) -> dict[str, str]:
    return {path: context.store_file(path, local) for path, local in sorted(files.items())}


def _listed(given: list[str] | str | None, context: Context) -> list[str]:
    found = context.value(given) if given is not None else []
    found = [found] if isinstance(found, str) else found
    if not isinstance(found, list):
        raise UserError("`outputFiles` is no list of patterns")
    return [str(each) for each in found]


def _went_well(result: RunResult) -> None:
    if result.outcome != "exited" or result.exit_code != 0:
        raise UserError(result.message or "the working directory cannot be used", hint="look at the runner")
