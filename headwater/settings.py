"""The operator's settings: `headwater.toml`, overridden by `HEADWATER_*` variables, all checked before anything starts.

    --config PATH, else HEADWATER_CONFIG, else ./headwater.toml if there is one, else only defaults and variables
    HEADWATER_LISTEN=…  HEADWATER_API__TOKEN=…  HEADWATER_SOURCES__<NAME>__CREDENTIALS__TOKEN=…

The only module that reads the process's environment. It must not know what the settings are used for.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator

from engine.errors import HeadwaterError, SettingsError
from engine.store.secrets import PREFIX as SECRET_PREFIX
from engine.store.secrets import EnvironmentSecrets
from headwater.sections import (
    ApiSettings,
    HttpSettings,
    Section,
    Source,
    StoreSettings,
    absolute_url,
    is_loopback,
    listen_address,
)

if TYPE_CHECKING:
    from reconciler.remote import Remote

FILE = "headwater.toml"
DEFAULT_SERVER = "http://127.0.0.1:8080"
_PREFIX = "HEADWATER_"
_NOT_SETTINGS = frozenset({"CONFIG", "DEBUG", "SERVER", "TOKEN"})
_ENVS = ("KESTRA_", "ENV_")  # where both set one name, the newer prefix counts


class Settings(Section):
    """All settings.

    Args:
        listen: host and port of the HTTP server; port 0 takes any free one.
        data: folder for store, files, mirrors and runs; where XDG_STATE_HOME is set, `headwater` in it.
        encryption_key: base64.
        globals: seen by expressions as `globals.*`.
        environment: seen by expressions as `kestra.environment`.
        url: how the daemon is reached from outside; seen by expressions as `kestra.url`.
        default_runner: for script tasks that name none.
        sources: the flows repositories to follow.
    """

    listen: str = "127.0.0.1:8080"
    data: Path = Path("~/.local/state/headwater")
    store: StoreSettings = StoreSettings()
    encryption_key: SecretStr | None = None
    globals: dict[str, Any] = Field(default_factory=dict)
    environment: str | None = None
    url: str | None = None
    default_runner: str = "process"
    sources: tuple[Source, ...] = ()
    api: ApiSettings = ApiSettings()
    http: HttpSettings = HttpSettings()

    _environ: Mapping[str, str] = {}

    @field_validator("listen")
    @classmethod
    def _can_listen(cls, listen: str) -> str:
        listen_address(listen)
        return listen

    @field_validator("encryption_key")
    @classmethod
    def _empty_is_none(cls, key: SecretStr | None) -> SecretStr | None:
        return key if key and key.get_secret_value() else None

    @model_validator(mode="after")
    def _fits_together(self) -> Settings:
        names = [source.name for source in self.sources]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two sources are named `{name}`; rename one of them")
        if not is_loopback(self.address[0]) and self.api.token is None:
            raise ValueError(
                f"listening on {self.listen}, everybody who reaches it could start executions; "
                "set `token` in the table [api], or listen on 127.0.0.1"
            )
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on."""
        return listen_address(self.listen)

    @property
    def store_path(self) -> Path:
        """The store's file."""
        return self.store.path or self.data / "headwater.db"

    @property
    def files_path(self) -> Path:
        """The folder of the internal storage."""
        return self.data / "files"

    @property
    def mirrors_path(self) -> Path:
        """The folder of the bare mirrors, one a source."""
        return self.data / "mirrors"

    @property
    def runs_path(self) -> Path:
        """The folder in which processes run."""
        return self.data / "runs"

    @property
    def cache_path(self) -> Path:
        """Where a run without a daemon keeps what later ones would otherwise make again."""
        home = Path(self._environ.get("HOME") or Path.home())
        return Path(self._environ.get("XDG_CACHE_HOME") or home / ".cache").absolute() / "headwater"

    @cached_property
    def envs(self) -> dict[str, str]:
        """What expressions see as `envs.*`: variables with the prefix `ENV_` or `KESTRA_`, which is cut off."""
        return {
            name.removeprefix(prefix).lower(): value
            for prefix in _ENVS
            for name, value in self._environ.items()
            if name.startswith(prefix) and name != prefix
        }

    @cached_property
    def secrets(self) -> EnvironmentSecrets:
        """The secrets of the environment."""
        return EnvironmentSecrets(
            {name: value for name, value in self._environ.items() if name.startswith(SECRET_PREFIX)}
        )

    @property
    def search_path(self) -> str:
        """Where programs are looked for; empty when the environment does not say."""
        return self._environ.get("PATH", "")

    @property
    def inherited(self) -> Mapping[str, str]:
        """The whole environment, for those who hand a named part of it to a child process."""
        return self._environ


def load(config: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read and check all settings.

    Args:
        config: the file; none looks where the module's docstring says.
        environ: instead of the process's environment.

    Raises:
        SettingsError: naming every setting that is wrong, and never a secret.
    """
    environ = dict(os.environ) if environ is None else environ
    file = _file(config, environ)
    data = _read(file) if file else {}
    origin = str(file) if file else "the HEADWATER_* variables"
    folder = file.absolute().parent if file else Path.cwd()
    try:
        _override(data, environ)
        settings = Settings.model_validate(data)
        update = _located(settings, folder, environ)
        _check_remotes(update["sources"])
    except ValidationError as error:
        raise SettingsError(_said(error, origin), hint="nothing was started") from None
    except SettingsError as error:
        raise SettingsError(f"{origin}: {error.message}", hint=error.hint) from None
    settings = settings.model_copy(update=update)
    settings._environ = environ
    return settings


def server_address(environ: Mapping[str, str] | None = None) -> tuple[str, str]:
    """The daemon to talk to as a client, and the token for it: `HEADWATER_SERVER`, `HEADWATER_TOKEN`."""
    environ = os.environ if environ is None else environ
    return environ.get("HEADWATER_SERVER") or DEFAULT_SERVER, environ.get("HEADWATER_TOKEN", "")


def debugging(environ: Mapping[str, str] | None = None) -> bool:
    """Whether `HEADWATER_DEBUG` asks for the traceback of a bug."""
    environ = os.environ if environ is None else environ
    return environ.get("HEADWATER_DEBUG", "").lower() not in ("", "0", "false", "no")


def own_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a daemon with a settings file of its own: without ours, Git's and secrets."""
    environ = os.environ if environ is None else environ
    others = (_PREFIX, "GIT_", SECRET_PREFIX)
    return {name: value for name, value in environ.items() if not name.startswith(others)}


def _file(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    if config is not None:
        return config
    if named := environ.get("HEADWATER_CONFIG"):
        return Path(named)
    return Path(FILE) if Path(FILE).exists() else None


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror}", hint="check the path given as --config") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{file}: this is no UTF-8 text", hint="check the file") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file}: {error}", hint="see toml.io for how to write it") from None


def _override(data: dict[str, Any], environ: Mapping[str, str]) -> None:
    """Put the values of `HEADWATER_*` variables over those of the file."""
    for variable in sorted(environ):
        rest = variable.removeprefix(_PREFIX)
        if rest == variable or rest in _NOT_SETTINGS:
            continue
        *tables, last = rest.lower().split("__")
        place: Any = data
        for depth, table in enumerate(tables):
            named = tables[:depth] == ["sources"]
            place = _source(data, table, variable) if named else place.setdefault(table, {})
            if not isinstance(place, dict | list):
                raise SettingsError(f"{variable}: `{table}` is a value, not a table", hint="see the settings")
        if not isinstance(place, dict):
            raise SettingsError(
                f"{variable}: a source is named by its name", hint="HEADWATER_SOURCES__<NAME>__…"
            )
        place[last] = _value(environ[variable], variable)


def _source(data: dict[str, Any], name: str, variable: str) -> dict[str, Any]:
    sources = data.get("sources")
    for source in sources if isinstance(sources, list) else ():
        if isinstance(source, dict) and re.sub(r"[.-]", "_", str(source.get("name")).lower()) == name:
            return source
    raise SettingsError(f"{variable}: there is no source `{name}`", hint="give its name, with `_` for `-`")


def _value(text: str, variable: str) -> Any:
    if text[:1] not in ("[", "{"):
        return text
    try:
        return json.loads(text)
    except ValueError:
        if "GLOBALS" in variable or "SECRET" in variable or "TOKEN" in variable or "PASSWORD" in variable:
            return text
        raise SettingsError(f"{variable}: a list or a table is written as JSON", hint="check it") from None


def _located(settings: Settings, folder: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """Every path made absolute: relative ones begin at the folder of the settings file."""

    def at(path: Path | None) -> Path | None:
        return folder / path.expanduser() if path else None

    state = environ.get("XDG_STATE_HOME") or Path(environ.get("HOME") or Path.home()) / ".local/state"
    data = at(settings.data) if "data" in settings.model_fields_set else Path(state).absolute() / "headwater"
    return {
        "data": data,
        "store": settings.store.model_copy(update={"path": at(settings.store.path)}),
        "sources": tuple(_located_source(source, folder) for source in settings.sources),
    }


def _located_source(source: Source, folder: Path) -> Source:
    held = source.credentials
    known, key = held.known_hosts, held.ssh_key
    if known and known != "accept-new":
        known = str(folder / Path(known).expanduser())
    credentials = held.model_copy(
        update={"known_hosts": known, "ssh_key": folder / key.expanduser() if key else None}
    )
    url = source.status.url
    status = source.status.model_copy(update={"url": absolute_url(url, folder) if url else None})
    return source.model_copy(
        update={"url": absolute_url(source.url, folder), "credentials": credentials, "status": status}
    )


def _check_remotes(sources: tuple[Source, ...]) -> None:
    for source in sources:
        try:
            remote_of(source)
            if source.status.url:
                remote_of(source, source.status.url)
        except HeadwaterError as error:
            raise SettingsError(f"source {source.name}: {error.message}", hint=error.hint) from None


def remote_of(
    source: Source, url: str | None = None, *, known_hosts_store: str = "", inherited: Mapping[str, str] = {}
) -> Remote:
    """The remote of a source (or the one at `url`, with the source's credentials). Raises SettingsError."""
    from reconciler.remote import Credentials, Remote

    held = source.credentials
    credentials = Credentials(
        username=held.username,
        password=held.secret,
        ssh_key_file=str(held.ssh_key or ""),
        known_hosts=held.known_hosts,
    )
    return Remote(url or source.url, credentials, known_hosts_store=known_hosts_store, inherited=inherited)


def _said(error: ValidationError, origin: str) -> str:
    lines = []
    for each in error.errors(include_url=False, include_input=False, include_context=False):
        place = ""
        for part in each["loc"]:
            place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else part
        message = each["msg"].removeprefix("Value error, ")
        message = "this setting is required" if each["type"] == "missing" else message
        lines.append(f"{origin}: {place}: {message}" if place else f"{origin}: {message}")
    return "\n".join(lines)
