"""The operator's settings as values: every table and key of `headwater.toml`, with its default and its bounds.

Secrets are `SecretStr`, so that no message, log or `repr` shows them. It must not know files, environment variables
or who uses a setting.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    field_validator,
    model_validator,
)

from engine.errors import SettingsError
from engine.model.text import nearest
from engine.networks import DEFAULT, Network, networks

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
_LOCAL_PATH = re.compile(r"^(?!-)(?![^/]*:)[^\x00]+$")


class Section(BaseModel):
    """A table of the file. An unknown key is refused, with the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        if isinstance(data, dict):
            unknown = [_unknown(str(key), cls.model_fields) for key in data if key not in cls.model_fields]
            if unknown:
                raise ValueError("; ".join(unknown))
        return data


def _unknown(key: str, known: Any) -> str:
    near = nearest(key, known)
    return f"there is no setting `{key[:80]}`" + (f"; did you mean `{near}`?" if near else "")


def _seconds(value: Any) -> Any:
    from engine.model.duration import seconds_of

    return seconds_of(value) if isinstance(value, str) and value[:1] in "Pp" else value


Seconds = Annotated[float, BeforeValidator(_seconds)]
"""A number of seconds, or an ISO 8601 duration such as `PT1M`."""


class Credentials(Section):
    """How to prove to a remote who we are.

    Args:
        username: for http(s); with a token often any word does.
        password, token: one of them, for http(s).
        ssh_key: path of a private key without a passphrase.
        known_hosts: path of a known_hosts file, or `accept-new`.
    """

    username: str = ""
    password: SecretStr | None = None
    token: SecretStr | None = None
    ssh_key: Path | None = None
    known_hosts: str = ""

    @model_validator(mode="after")
    def _one_secret(self) -> Credentials:
        if self.password and self.token:
            raise ValueError("`password` and `token` exclude each other; keep one")
        return self

    @property
    def secret(self) -> str:
        """The password or token; empty when there is none."""
        found = self.password or self.token
        return found.get_secret_value() if found else ""


class HttpSettings(Section):
    """What the daemon's own HTTP tasks may reach.

    Args:
        refuse: networks (CIDR) or addresses that they never connect to; the default keeps them from link-local
            addresses and the metadata services of clouds.
    """

    refuse: tuple[str, ...] = DEFAULT

    @field_validator("refuse")
    @classmethod
    def _are_networks(cls, refuse: tuple[str, ...]) -> tuple[str, ...]:
        networks(refuse)
        return refuse

    @property
    def refused(self) -> tuple[Network, ...]:
        """The networks."""
        return networks(self.refuse)


class HookSettings(Section):
    """The webhook of a source.

    Args:
        forge: `github`, `gitlab`, `gitea`, `forgejo`, `bitbucket` or `generic`.
        secrets: one, or two while one replaces the other.
        repository: the forge's id or full name of the only repository that is believed; empty for any that signs.
    """

    forge: str
    secrets: tuple[SecretStr, ...] = Field(min_length=1)
    repository: Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)] = (
        ""
    )

    @model_validator(mode="after")
    def _can_verify(self) -> HookSettings:
        from reconciler.forges import hook

        try:
            hook(self.forge).check_secrets(self.plain_secrets)
        except SettingsError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def plain_secrets(self) -> tuple[str, ...]:
        """The secrets as text."""
        return tuple(secret.get_secret_value() for secret in self.secrets)


class StatusSettings(Section):
    """Where the results of a source go.

    Args:
        enabled: false writes nothing to Git.
        branch: none takes what the repository's `.headwater.yaml` says.
        url: another remote than the source's; the credentials are the same.
    """

    enabled: bool = True
    branch: str | None = Field(default=None, min_length=1)
    url: str | None = None


class Source(Section):
    """A flows repository to follow.

    Args:
        name: part of its hook's address and of folder names.
        url: file, http(s) or ssh URL, or a path (relative to the settings file).
        branch: the one to follow.
        poll: seconds between two looks at the remote, or a duration such as `PT5M`.
    """

    name: Annotated[str, StringConstraints(pattern=_NAME)]
    url: str
    branch: str = Field(default="main", min_length=1)
    poll: Seconds = Field(default=60.0, ge=0.1, le=86_400.0)
    credentials: Credentials = Credentials()
    hook: HookSettings | None = None
    status: StatusSettings = StatusSettings()


class StoreSettings(Section):
    """The embedded store.

    Args:
        path: of its file; none means `headwater.db` in the data folder.
        synchronous: `FULL` survives a power cut, `NORMAL` survives a crash of the daemon and is faster.
    """

    path: Path | None = None
    synchronous: Literal["FULL", "NORMAL"] = "FULL"


class ApiSettings(Section):
    """The REST API.

    Args:
        token: what callers send as `Authorization: Bearer …`; required when listening beyond loopback.
    """

    token: SecretStr | None = None

    @field_validator("token")
    @classmethod
    def _long_enough(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and len(token.get_secret_value()) < 16:
            raise ValueError("a token has 16 characters or more; make one with `openssl rand -hex 32`")
        return token


def listen_address(text: str) -> tuple[str, int]:
    """Host and port of `127.0.0.1:8080` or `[::1]:8080`. Raises ValueError."""
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if (
        not bare
        or (":" in bare and bare == host)
        or not port.isascii()
        or not port.isdigit()
        or int(port) > 65_535
    ):
        raise ValueError(
            f"`{text[:80]}` is no address to listen on; write host:port, such as `127.0.0.1:8080`"
        )
    return bare, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that host."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def absolute_url(url: str, folder: Path) -> str:
    """A remote's URL; what is a relative path begins at `folder`."""
    if not urlsplit(url).scheme and _LOCAL_PATH.match(url):
        return str((folder / Path(url).expanduser()).absolute())
    return url
