"""The languages of script tasks: each names its image, its interpreter, and what it needs besides.

A new language is two small classes here and two entry points.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from engine.errors import UserError
from engine.model.base import Text
from engine.model.task import Context
from engine.tasks.carried import program
from engine.tasks.script import Commands, Script, ScriptTask
from engine.tasks.script_files import Files

_ENVIRONMENT = ".headwater/environment"
_MAKE_ENVIRONMENT = ".headwater/environment.py"
_MODULES = ".headwater/python"
_IMPORTS_KESTRA = re.compile(rb"\b(?:import|from)[ \t]+kestra\b")


class ShellCommands(Commands):
    """Shell lines."""


class ShellScript(Script):
    """A shell script."""


class _Python(ScriptTask):
    image: ClassVar[str] = "python:3.13-slim"
    environment: ClassVar[Mapping[str, str]] = {"PYTHONUNBUFFERED": "1"}

    dependencies: list[Text] | Text | None = None
    dependency_cache_enabled: bool = True
    package_manager: Literal["UV", "PIP"] = "UV"
    python_version: Text | None = Field(default=None, pattern=r"^3(\.\d{1,2}){0,2}$|\{\{")

    def _wanted(self, context: Context) -> list[str]:
        found = context.value(self.dependencies) if self.dependencies else []
        found = found.split() if isinstance(found, str) else found
        if not isinstance(found, list) or any(
            not isinstance(each, str) or each.startswith("-") for each in found
        ):
            raise UserError("`dependencies` is no list of packages", hint="list names such as `requests>=2`")
        return found

    def prelude(self, context: Context, files: Files) -> list[str]:
        """Put the virtual environment with the dependencies before all else that is called `python`."""
        wanted = self._wanted(context)
        if not wanted:
            return []
        files[_MAKE_ENVIRONMENT] = program("environment.py")
        cached = "true" if self.dependency_cache_enabled else "false"
        options = [_ENVIRONMENT, self.package_manager, cached, self._interpreter(context)]
        return [
            shlex.join(["python3", _MAKE_ENVIRONMENT, *options, *wanted]) + " || exit",
            f'export VIRTUAL_ENV="$(cat {_ENVIRONMENT})"; export PATH="$VIRTUAL_ENV/bin:$PATH"',
        ]

    def environment_of(self, context: Context, files: Files) -> dict[str, str]:
        """As for every script task; where something imports `kestra`, the module is to be found, behind all others."""
        found = super().environment_of(context, files)
        if self._needs_kestra(files):
            files[f"{_MODULES}/kestra.py"] = program("kestra.py")
            place = self.text("{{ workingDir }}", context, files)
            found["PYTHONPATH"] = ":".join(filter(None, [found.get("PYTHONPATH"), f"{place}/{_MODULES}"]))
        return found

    def _needs_kestra(self, files: Files) -> bool:
        """Whether a script among the files may import it; of a stored file the name has to do."""
        return any(
            name.endswith(".py") and (isinstance(content, str) or _IMPORTS_KESTRA.search(content) is not None)
            for name, content in files.items()
        )

    def _interpreter(self, context: Context) -> str:
        if self.python_version is None:
            return "python3"
        return "python" + ".".join(context.render(self.python_version).split(".")[:2])

    def image_for(self, context: Context) -> str:
        if self.python_version is None or self.container_image is not None:
            return super().image_for(context)
        return f"python:{context.render(self.python_version)}-slim"


class PythonCommands(_Python, Commands):
    """Shell lines in a place that has Python."""

    def _needs_kestra(self, files: Files) -> bool:
        return True  # the lines may call whatever an earlier task left in a shared directory


class PythonScript(_Python, Script):
    """A Python script."""

    suffix: ClassVar[str] = ".py"
    program: ClassVar[tuple[str, ...]] = ("python3",)

    def started(self, context: Context) -> tuple[str, ...]:
        """The interpreter of the version asked for."""
        return (self._interpreter(context),)

    def direct(self, context: Context, files: Files) -> tuple[str, ...] | None:
        """The interpreter itself, when nothing has to be installed."""
        return None if self.dependencies else super().direct(context, files)


def _language(name: str, image: str, suffix: str, *program: str) -> tuple[type[Commands], type[Script]]:
    shared: dict[str, Any] = {"__module__": __name__, "image": image}
    commands = type(
        f"{name}Commands", (Commands,), {**shared, "__doc__": f"Shell lines in a place that has {name}."}
    )
    script = type(
        f"{name}Script",
        (Script,),
        {**shared, "__doc__": f"A {name} script.", "suffix": suffix, "program": program},
    )
    return commands, script


NodeCommands, NodeScript = _language("Node", "node", ".js", "node")
RubyCommands, RubyScript = _language("Ruby", "ruby", ".rb", "ruby")
PerlCommands, PerlScript = _language("Perl", "perl", ".pl", "perl")
PhpCommands, PhpScript = _language("Php", "php", ".php", "php")
RCommands, RScript = _language("R", "r-base", ".R", "Rscript")
JuliaCommands, JuliaScript = _language("Julia", "julia", ".jl", "julia")
LuaCommands, LuaScript = _language("Lua", "nickblah/lua", ".lua", "lua")
GoCommands, GoScript = _language("Go", "golang", ".go", "go", "run")
DenoCommands, DenoScript = _language("Deno", "denoland/deno", ".ts", "deno", "run", "-A")
BunCommands, BunScript = _language("Bun", "oven/bun", ".ts", "bun", "run")
PowershellCommands, PowershellScript = _language(
    "Powershell", "ghcr.io/kestra-io/powershell", ".ps1", "pwsh", "-NonInteractive", "-File"
)
