"""Writes the reference from the code: settings, commands, types, the dialect. `--check` only compares.

    python docs/reference/generate.py [--check]

Everything it says comes from docstrings, field types and defaults; a test keeps the pages equal to the code.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import dialect  # beside this file
import typer.main
from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from engine.model.flow import PluginDefault
from engine.model.state import State
from engine.model.task import Task
from engine.model.trigger import Trigger
from engine.plugins import registry
from engine.spec.docstrings import about, summary
from headwater import sections
from headwater.cli import app
from headwater.settings import Settings
from reconciler import settings_file

HERE = Path(__file__).parent
_SECTIONS = {
    "": Settings,
    "[store]": sections.StoreSettings,
    "[api]": sections.ApiSettings,
    "[http]": sections.HttpSettings,
    "[[sources]]": sections.Source,
    "[sources.credentials]": sections.Credentials,
    "[sources.hook]": sections.HookSettings,
    "[sources.status]": sections.StatusSettings,
}
_REPOSITORY: dict[str, type[BaseModel]] = {
    "": settings_file.RepositorySettings,
    "status": settings_file.StatusSettings,
    "prune": settings_file.PruneSettings,
    "pluginDefaults[]": PluginDefault,
}


def pages() -> dict[str, str]:
    """The pages by file name."""
    return {
        "settings.md": _page("Settings", _settings()),
        "commands.md": _page("Commands", _commands()),
        "tasks.md": _page("Task types", _types("tasks", Task)),
        "triggers.md": _page("Trigger types", _types("triggers", Trigger)),
        "../dialect.md": _page("The dialect", dialect.page()),
    }


def _page(title: str, lines: Iterator[str]) -> str:
    head = f"# {title}\n\nWritten from the code by `docs/reference/generate.py`; change it there.\n"
    return head + "\n".join(["", *lines]).rstrip() + "\n"


def _settings() -> Iterator[str]:
    yield "`headwater.toml`, from `--config`, `HEADWATER_CONFIG` or the folder the daemon starts in. Each key can be"
    yield "overridden by a variable: `HEADWATER_LISTEN`, `HEADWATER_API__TOKEN`, `HEADWATER_SOURCES__<NAME>__BRANCH`."
    for name, model in _SECTIONS.items():
        yield f"\n## {f'`{name}`' if name else 'Top level'}\n"
        yield from _table(model, "setting", by_alias=False)
    yield "\n# `.headwater.yaml`\n"
    yield "Reviewed settings of a flows repository, at its root; read from the tracked branch only."
    for name, model in _REPOSITORY.items():
        yield f"\n## {f'`{name}`' if name else 'Top level of `.headwater.yaml`'}\n"
        yield from _table(model, "setting", by_alias=True)


def _table(
    model: type[BaseModel], word: str, *, by_alias: bool, without: frozenset[str] = frozenset()
) -> Iterator[str]:
    about = _about(model)
    rows = []
    for name, field in model.model_fields.items():
        shown = (field.serialization_alias or field.alias or name) if by_alias else name
        if name in without:
            continue
        rows.append(f"| `{shown}` | {_kind(field.annotation)} | {_default(field)} | {about.get(name, '')} |")
    if rows:
        yield f"| {word} | type | default | what it is |"
        yield "|---|---|---|---|"
        yield from rows


def _about(model: type[BaseModel]) -> dict[str, str]:
    return {name: value.replace("|", "\\|") for name, value in about(model).items()}


_WORDS: dict[Any, str] = {
    str: "text", int: "integer", float: "number", bool: "true or false", Any: "any", bytes: "bytes",
    timedelta: "duration", datetime: "date and time", Path: "path", SecretStr: "secret text", dict: "map", list: "list",
}  # fmt: skip


def _kind(annotation: Any) -> str:
    """A type in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(arguments[0])
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_kind(each) for each in arguments if each is not type(None)))
    if origin is Literal:
        return ", ".join(f"`{each}`" for each in arguments)
    if origin in (tuple, list, set, frozenset):
        return f"list of {_kind(arguments[0])}" if arguments else "list"
    if origin is dict:
        return "map"
    if annotation in _WORDS:
        return _WORDS[annotation]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "state" if annotation is State else ", ".join(f"`{each}`" for each in annotation)
    name = getattr(annotation, "__name__", str(annotation))
    return {"Task": "task", "Trigger": "trigger", "Input": "input", "Condition": "condition"}.get(
        name, f"{name}"
    )


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined:
        return ""
    if isinstance(value, BaseModel):
        return "see below"
    return f"`{value}`" if value not in ("", (), {}, []) else ""


def _commands() -> Iterator[str]:
    click = typer.main.get_command(app)
    yield "Exit codes: 0 success or warning, 1 the user's fault or a failed execution, 2 wrong usage,"
    yield "3 a mistake of ours."
    yield from _command("headwater", click)


def _command(name: str, command: Any) -> Iterator[str]:
    for child, inner in sorted(getattr(command, "commands", {}).items()):
        full = f"{name} {child}"
        if getattr(inner, "commands", None):
            yield from _command(full, inner)
            continue
        arguments = [param for param in inner.params if param.param_type_name == "argument"]
        usage = " ".join((param.metavar or param.name or "").upper() for param in arguments)
        yield f"\n## `{full}{' ' + usage if usage else ''}`\n"
        yield inspect.cleandoc(inner.help or "") + "\n"
        options = [param for param in inner.params if param.param_type_name == "option" and not param.hidden]
        for param in options:
            if "--help" not in param.opts:
                yield f"- `{', '.join([*param.opts, *param.secondary_opts])}`: {(param.help or '').strip()}"


def _types(group: str, base: type[BaseModel]) -> Iterator[str]:
    types = registry()
    common = frozenset(base.model_fields)
    yield "Every one has the common properties of the last section. The full name puts `io.kestra.plugin.`"
    yield "before the short one.\n"
    for name in sorted(types.names(group)):
        found = types.find(group, name)
        if found is None:
            continue
        yield f"\n## `{name}`\n"
        yield summary(found) + "\n"
        yield from _table(found, "property", by_alias=True, without=common)
    yield "\n## Common properties\n"
    yield from _table(base, "property", by_alias=True)


def main() -> int:
    """Write the pages, or say which are not what the code says."""
    stale = []
    if mistakes := dialect.wrong():
        print("docs/dialect-differences.toml is not true:", *mistakes, sep="\n  ")
        return 1
    for name, text in pages().items():
        path = HERE / name
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(text)
    if stale and "--check" in sys.argv:
        sys.stderr.write(
            f"not what the code says: {', '.join(stale)}; run python docs/reference/generate.py\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
