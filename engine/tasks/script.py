"""Script tasks: shell lines, or one source text for an interpreter, carried out by a runner (dialect, section 2.5).

The rendered text is one argument of the interpreter, never part of a shell line of ours. `{{ workingDir }}` is
`.` and `{{ outputDir }}` is `outputs`: where a runner puts the directory is not known before it starts, and a
run begins in it. The absolute path is the environment's WORKING_DIR.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import AliasChoices, Field

from engine.errors import UserError
from engine.model.base import Text
from engine.model.input_values import as_text
from engine.model.run import RunRequest, RunResult
from engine.model.state import State
from engine.model.task import Context, Metric, TaskResult, Work
from engine.tasks.script_files import (
    Files,
    NamespaceFiles,
    input_files,
    is_ours,
    localized,
    mapping,
    namespace_files,
    safe_path,
)
from engine.type_names import canonical

_SHELL = ("/bin/sh", "-c")
_OUTPUT_DIR = "outputs"
_OUTPUTS = f"{_OUTPUT_DIR}/**"
_TEXTS = {"before_commands", "commands", "env", "input_files", "interpreter", "script"}
_NOT_PLAIN = ("{{", "{%", "{#", "kestra://", "headwater://", "nsfile://")
_OUR_VARIABLES = re.compile(r"\b(?:workingDir|outputDir)\b")
_SET = f'{{% set workingDir = workingDir ?? "." %}}{{% set outputDir = workingDir ~ "/{_OUTPUT_DIR}" %}}'


class ScriptTask(Work):
    """What `Commands` and `Script` of every language share."""

    image: ClassVar[str] = "ubuntu"
    environment: ClassVar[Mapping[str, str]] = {}

    task_runner: dict[str, Any] | None = None
    old_runner: Text | None = Field(default=None, alias="runner")
    container_image: Text | None = None
    docker: dict[str, Any] | None = None
    before_commands: list[Text] | Text | None = None
    env: dict[str, Any] | Text | None = None
    interpreter: list[Text] | None = None
    fail_fast: bool = True
    target_os: Literal["AUTO", "LINUX", "WINDOWS"] = Field(
        default="AUTO", validation_alias=AliasChoices("targetOS", "targetOs")
    )
    input_files: dict[str, Any] | Text | None = None
    output_files: list[Text] | Text | None = None
    namespace_files: NamespaceFiles | None = None
    output_directory: bool = False
    warning_on_std_err: bool | None = None

    def lines(self, context: Context, files: Files) -> Sequence[str]:
        """The shell lines to run, rendered; may add files."""
        raise NotImplementedError

    def direct(self, context: Context, files: Files) -> tuple[str, ...] | None:
        """An argument vector that needs no shell, when there is one."""
        return None

    def runner(self, context: Context) -> tuple[str | None, Mapping[str, Any]]:
        """The runner that `taskRunner`, or the outdated `runner` and `docker`, name; none: the operator's default."""
        if self.task_runner is not None:
            options = {
                name: context.value(value) for name, value in self.task_runner.items() if name != "type"
            }
            named = self.task_runner.get("type")
            return (canonical(str(named)).short.rsplit(".", 1)[-1].lower() if named else None), options
        if self.docker is not None:
            options = {name: context.value(value) for name, value in self.docker.items() if name != "image"}
            return (self.old_runner or "docker").lower(), options
        return (context.render(self.old_runner).lower() if self.old_runner else None), {}

    def waits(self) -> bool:
        """Not where everything it says is plain text and nothing has to be fetched."""
        return self._fetches

    def request(self, context: Context) -> RunRequest:
        """What to run. Raises UserError when a property makes no sense."""
        files = input_files(self.input_files, context)
        files = {**files, **namespace_files(self.namespace_files, files, context)}
        command = self.direct(context, files) or self._shell(context, files)
        patterns = self._patterns(context)
        env = self.environment_of(context, files)
        if self._has_output_dir:
            files.setdefault(f"{_OUTPUT_DIR}/{_KEEP}", b"")
        return RunRequest(
            key=context.key,
            command=command,
            env=env,
            files=files,
            output_files=patterns,
            image=self.image_for(context),
            options=dict(self.runner(context)[1]),
        )

    def result(
        self, context: Context, result: RunResult, outputs: Mapping[str, Any], metrics: Sequence[Metric]
    ) -> TaskResult:
        """Success on exit code 0; what was produced is kept in any case."""
        stored = {
            self._shown(path): context.store_file(path, local)
            for path, local in sorted(result.files.items())
            if not is_ours(path) and not path.endswith("/" + _KEEP)
        }
        for pattern in result.missing:
            if pattern == _OUTPUTS and self._has_output_dir:
                continue  # nobody has to leave anything there
            context.log("WARN", f"no file fits the output pattern {pattern}")
        found: dict[str, Any] = {"vars": dict(outputs), "outputFiles": stored}
        if result.exit_code is not None:
            found["exitCode"] = result.exit_code
        state, error = State.SUCCESS, ""
        if result.outcome == "cancelled":
            state, error = State.KILLED, result.message
        elif result.outcome == "vanished":
            state, error = State.FAILED, result.message or "the runner lost the run"
        elif result.exit_code != 0:
            state, error = State.FAILED, result.message or f"exit code {result.exit_code}"
        return TaskResult(state, outputs=found, error=error, metrics=tuple(metrics))

    def text(self, template: str, context: Context, files: Files) -> str:
        """Render a piece of script: our own variables set, stored files put into reach."""
        if _OUR_VARIABLES.search(template):
            template = _SET + template
        return localized(context.render(template), files, context)

    def shell_lines(self, given: list[str] | str | None, context: Context, files: Files) -> list[str]:
        """Render a list of shell lines, or text that renders to one."""
        if given is None:
            return []
        if isinstance(given, list):
            return [self.text(line, context, files) for line in given]
        found = self.text(given, context, files)
        try:
            listed = json.loads(found)
        except ValueError:
            listed = None
        return [as_text(line) for line in listed] if isinstance(listed, list) else [found]

    def _shell(self, context: Context, files: Files) -> tuple[str, ...]:
        before = self.shell_lines(self.before_commands, context, files)
        strict = ["set -e"] if self.fail_fast and self.target_os != "WINDOWS" else []
        interpreter = (
            [context.render(part) for part in self.interpreter] if self.interpreter else list(_SHELL)
        )
        prelude = self.prelude(context, files)
        return (*interpreter, "\n".join([*strict, *prelude, *before, *self.lines(context, files)]))

    def prelude(self, context: Context, files: Files) -> list[str]:
        """Shell lines of ours that come before all others; may add files."""
        return []

    def environment_of(self, context: Context, files: Files) -> dict[str, str]:
        """The variables of the run, rendered; may add files. Raises UserError."""
        found = dict(self.environment)
        given = self.env
        if isinstance(given, str) and _OUR_VARIABLES.search(given):
            given = _SET + given
        if isinstance(given, dict):
            for name, value in given.items():
                if value is not None:
                    found[context.render(name)] = self.text(as_text(value), context, files)
        else:
            for name, value in mapping(given, "env", context).items():
                if value is not None:
                    found[name] = localized(as_text(value), files, context)
        bad = next((name for name in found if not name or "=" in name or "\x00" in name + found[name]), None)
        if bad is not None:
            raise UserError(f"`{bad[:80]}` cannot be an environment variable", hint="correct `env`")
        return found

    def _patterns(self, context: Context) -> tuple[str, ...]:
        given = self.output_files
        found = context.value(given) if given is not None else []
        if isinstance(found, str):
            try:
                found = json.loads(found)
            except ValueError:
                found = [found]
        if not isinstance(found, list):
            raise UserError("`outputFiles` is no list of patterns")
        patterns = [safe_path(str(pattern)) for pattern in found]
        return (*patterns, _OUTPUTS) if self._has_output_dir else tuple(patterns)

    @cached_property
    def _fetches(self) -> bool:
        if self.namespace_files is not None or getattr(self, "dependencies", None):
            return True
        said = self.model_dump_json(include=_TEXTS & type(self).model_fields.keys())
        return any(mark in said for mark in _NOT_PLAIN)

    @cached_property
    def _has_output_dir(self) -> bool:
        """Whether there is a folder whose files are outputs: it is asked for, or `{{ outputDir }}` is spoken of."""
        return self.output_directory or "outputDir" in self.model_dump_json(
            include=_TEXTS & type(self).model_fields.keys()
        )

    def image_for(self, context: Context) -> str:
        """The container image, for runners that use one."""
        given = self.container_image or (self.docker or {}).get("image") or self.image
        return context.render(str(given))

    def _shown(self, path: str) -> str:
        return path.removeprefix(f"{_OUTPUT_DIR}/") if self._has_output_dir else path


_KEEP = ".headwater"


class Commands(ScriptTask):
    """Shell lines, run in order in one shell."""

    commands: list[Text] | Text

    def lines(self, context: Context, files: Files) -> Sequence[str]:
        """The lines as they are."""
        return self.shell_lines(self.commands, context, files)


class Script(ScriptTask):
    """One source text, given to its interpreter as a file of the working directory."""

    program: ClassVar[tuple[str, ...]] = ()
    suffix: ClassVar[str] = ""

    script: Text

    def started(self, context: Context) -> tuple[str, ...]:
        """The interpreter with its options."""
        return self.program

    def direct(self, context: Context, files: Files) -> tuple[str, ...] | None:
        """The interpreter itself, when nothing has to happen in a shell before it."""
        if self.before_commands or self.interpreter is not None or not self.program:
            return None
        return (*self.started(context), self._file(context, files))

    def lines(self, context: Context, files: Files) -> Sequence[str]:
        """The script itself for a shell, else the line that calls its interpreter."""
        if not self.program:
            return [self.text(self.script, context, files)]
        return [shlex.join((*self.started(context), self._file(context, files)))]

    def _file(self, context: Context, files: Files) -> str:
        text = self.text(self.script, context, files)
        name = f"headwater_script{self.suffix}"
        files[name] = text.encode("utf-8", "surrogatepass")
        return name

    def result(
        self, context: Context, result: RunResult, outputs: Mapping[str, Any], metrics: Sequence[Metric]
    ) -> TaskResult:
        """As for every script task; the script's own file is no output."""
        own = f"headwater_script{self.suffix}"
        files = {path: local for path, local in result.files.items() if path != own}
        trimmed = RunResult(result.outcome, result.exit_code, files, result.missing, result.message)
        return super().result(context, trimmed, outputs, metrics)
