"""`.headwater.yaml`: the reviewed settings of a flows repository, from bytes to a frozen value or all problems at once.

Pure. The file is always the one in the tracked branch's commit, so that a change of it is a reviewed commit too; it
must not know how that is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec
import pygit2
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from engine.errors import FlowInvalid
from engine.model.flow import PluginDefault
from engine.model.problem import Problem
from engine.spec.document import Document, dotted, parse

SETTINGS_PATH = ".headwater.yaml"
MAX_BYTES = 64 * 1024
_MAX_FOLDERS = 20


def _folder(value: str) -> str:
    folder = value.removesuffix("/")
    parts = folder.split("/")
    if any(part in ("", ".", "..") or part.lower() == ".git" for part in parts):
        raise ValueError("a folder is given from the repository's root, such as `flows` or `teams/etl/flows`")
    if not folder.isprintable() or "\\" in folder or len(folder) > 500:
        raise ValueError("this cannot be a folder's name")
    return folder


def _branch(value: str) -> str:
    if value.startswith("-") or not pygit2.reference_is_valid_name(f"refs/heads/{value}"):
        raise ValueError("this cannot be a branch's name; give it without refs/heads/")
    return value


def _some(folders: tuple[str, ...]) -> tuple[str, ...]:
    if not 0 < len(folders) <= _MAX_FOLDERS:
        raise ValueError(f"give one folder at least, and at most {_MAX_FOLDERS}")
    return folders


Folders = Annotated[
    tuple[Annotated[str, Field(strict=True), AfterValidator(_folder)], ...], AfterValidator(_some)
]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StatusSettings(_Part):
    """Where results are written.

    Args:
        branch: its short name.
    """

    branch: Annotated[str, Field(strict=True), AfterValidator(_branch)] = "headwater/status"


class PruneSettings(_Part):
    """How removals are guarded.

    Args:
        breaker: the share of live flows, from 0 to 1, that one revision may remove without a confirmation.
    """

    breaker: float = Field(default=0.5, ge=0, le=1, strict=True)


class RepositorySettings(_Part):
    """What `.headwater.yaml` says.

    Args:
        flows: folders with flow files.
        files: folders with namespace files, `<folder>/<namespace>/...`; of two with one path the last counts.
        tests: folders with tests of flows, for `headwater test`.
        plugin_defaults: properties for plugins of all flows, as a flow's own `pluginDefaults`.
    """

    flows: Folders = ("flows", "_flows")
    files: Folders = ("files", "_files")
    tests: Folders = ("tests",)
    status: StatusSettings = StatusSettings()
    prune: PruneSettings = PruneSettings()
    plugin_defaults: tuple[PluginDefault, ...] = Field(default=(), alias="pluginDefaults")


class SettingsRead(msgspec.Struct, frozen=True):
    """What became of the file; `settings` is none when it has problems."""

    settings: RepositorySettings | None
    problems: tuple[Problem, ...] = ()


def read_settings(content: bytes | None, tracked_branch: str = "") -> SettingsRead:
    """The settings that a file's bytes (none: there is no file) say, or everything that is wrong with them.

    Args:
        content: of `.headwater.yaml`.
        tracked_branch: the branch that is followed; results must not be written to it.
    """
    if content is None:
        return SettingsRead(RepositorySettings())
    if len(content) > MAX_BYTES:
        return refused(f"{len(content)} bytes are too large for settings; at most {MAX_BYTES} are read")
    try:
        document = parse(content, SETTINGS_PATH)
    except FlowInvalid as error:
        return SettingsRead(None, error.problems)
    data = {} if document.data is None else document.data
    if not isinstance(data, Mapping):
        return refused("the settings are a map, such as `flows: [flows]`")
    try:
        settings = RepositorySettings.model_validate(data)
    except ValidationError as error:
        return SettingsRead(None, tuple(_problems(document, error)))
    if tracked_branch and settings.status.branch == tracked_branch:
        line, column = document.locate(("status", "branch"))
        message = f"results cannot go to `{tracked_branch}`, the branch that is followed; name another one"
        return SettingsRead(None, (Problem(SETTINGS_PATH, line, column, "status.branch", message),))
    return SettingsRead(settings)


def refused(message: str) -> SettingsRead:
    """A file that is refused as a whole."""
    return SettingsRead(None, (Problem(SETTINGS_PATH, 0, 0, "", message),))


def _problems(document: Document, error: ValidationError) -> Iterator[Problem]:
    for each in error.errors(include_url=False):
        path = tuple(each["loc"])
        unknown = each["type"] == "extra_forbidden"
        line, column = document.locate(path, key=unknown)
        yield Problem(SETTINGS_PATH, line, column, dotted(path), _message(each, unknown))


def _message(each: Mapping[str, Any], unknown: bool) -> str:
    if unknown:
        models: dict[Any, type[BaseModel]]
        models = {"status": StatusSettings, "prune": PruneSettings, "pluginDefaults": PluginDefault}
        model = models[each["loc"][0]] if len(each["loc"]) > 1 else RepositorySettings
        known = ", ".join(f"`{field.alias or name}`" for name, field in model.model_fields.items())
        return f"unknown setting; here belong {known}"
    if each["type"] == "tuple_type":
        if each["loc"][0] == "pluginDefaults":
            return "this is a list of `{type, values}`"
        return "this is a list of folders, such as `[flows]`"
    message: str = each["msg"]
    return message.removeprefix("Value error, ")
