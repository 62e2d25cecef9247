"""A Git remote: its checked URL, the credentials for it, and what its failures mean in plain words.

Credentials travel in the child's environment only: never in an argument, a URL, a log line or an error. This module
runs nothing and must not know mirrors or branches' contents.
"""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

import msgspec

from engine.errors import CredentialError, HeadwaterError, OperatorError, SettingsError, UnavailableError
from reconciler.git import INHERITABLE

SCHEMES = ("file", "http", "https", "ssh")
ACCEPT_NEW = "accept-new"

# Answers git's question for a password from the environment; bound to one scheme, host and port by its config key,
# so that a redirect to another host gets nothing.
_HELPER = (
    '!f() { test "$1" = get && printf "username=%s\\npassword=%s\\n"'
    ' "$HEADWATER_GIT_USERNAME" "$HEADWATER_GIT_PASSWORD"; }; f'
)
_SCP = re.compile(r"^(?:[A-Za-z0-9._~+-]+@)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][A-Za-z0-9._-]*):(?!:)(.+)$")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_USERINFO = re.compile(r"(?<=://)[^/@\s']*@")


class Credentials(msgspec.Struct, frozen=True):
    """How to prove to a remote who we are. Everything empty: anonymously, or the ssh agent and its configuration.

    Args:
        username: for http(s); with a token often any word does.
        password: a password or token for http(s).
        ssh_key_file: path of a private key without a passphrase.
        known_hosts: path of a known_hosts file, or `accept-new` to trust a host at first sight and hold on to it.
    """

    username: str = ""
    password: str = ""
    ssh_key_file: str = ""
    known_hosts: str = ""

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r}, ssh_key_file={self.ssh_key_file!r})"


class Remote:
    """A remote repository that may be fetched from and pushed to.

    Args:
        url: `file://…` or an absolute path, `http(s)://…`, `ssh://…` or `user@host:path`.
        credentials: for exactly this URL's host.
        allowed: the schemes that the operator permits.
        known_hosts_store: where keys of hosts seen for the first time are kept, for `accept-new`.
        inherited: variables of the daemon's own environment for git; only `reconciler.git.INHERITABLE` are taken.

    Raises:
        SettingsError: the URL is not one of these, or carries a password.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials | None = None,
        *,
        allowed: tuple[str, ...] = SCHEMES,
        known_hosts_store: str = "",
        inherited: Mapping[str, str] | None = None,
    ) -> None:
        self.credentials = credentials or Credentials()
        self.scheme, self.url = _checked(url)
        self.display = _USERINFO.sub("", self.url)
        if self.scheme not in allowed:
            raise SettingsError(
                f"{self.display}: the scheme `{self.scheme}` is not allowed here",
                hint=f"use one of {', '.join(allowed)}",
            )
        if any(character in self.credentials.username + self.credentials.password for character in "\n\r\0"):
            raise SettingsError(f"the credentials for {self.display} contain a line break", hint="remove it")
        self._known_hosts_store = known_hosts_store
        self._inherited = {name: value for name, value in (inherited or {}).items() if name in INHERITABLE}

    @property
    def config(self) -> tuple[tuple[str, str], ...]:
        """The git configuration with which a command may talk to this remote and to nothing else."""
        schemes = ("http", "https") if self.scheme == "http" else (self.scheme,)
        pairs = [(f"protocol.{scheme}.allow", "always") for scheme in schemes]
        if self.scheme in ("http", "https") and self.credentials.password:
            parts = urlsplit(self.url)
            origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
            pairs.append((f"credential.{origin}.helper", _HELPER))
        return tuple(pairs)

    @property
    def env(self) -> dict[str, str]:
        """The environment that carries the credentials."""
        if self.scheme in ("http", "https") and self.credentials.password:
            return {
                **self._inherited,
                "HEADWATER_GIT_USERNAME": self.credentials.username or "git",
                "HEADWATER_GIT_PASSWORD": self.credentials.password,
            }
        if self.scheme == "ssh":
            return {**self._inherited, "GIT_SSH_COMMAND": self._ssh_command(), "GIT_SSH_VARIANT": "ssh"}
        return self._inherited

    def _ssh_command(self) -> str:
        options = ["BatchMode=yes", "ConnectTimeout=15", "ServerAliveInterval=15", "ServerAliveCountMax=3"]
        options += ["ForwardAgent=no", "PermitLocalCommand=no", "ClearAllForwardings=yes", "EscapeChar=none"]
        accept = self.credentials.known_hosts == ACCEPT_NEW
        options.append(f"StrictHostKeyChecking={'accept-new' if accept else 'yes'}")
        known = self._known_hosts_store if accept else self.credentials.known_hosts
        if known:
            options.append(f'UserKnownHostsFile="{known.replace("%", "%%")}"')
        argv = ["ssh"]
        if self.credentials.ssh_key_file:
            # With a key of its own a source does not depend on the account's configuration or agent.
            argv += ["-F", "none", "-i", self.credentials.ssh_key_file]
            options += ["IdentitiesOnly=yes", "IdentityAgent=none"]
        for option in options:
            argv += ["-o", option]
        return shlex.join(argv)

    def redact(self, text: str) -> str:
        """`text` without the password in any of its usual spellings, user names in URLs and control characters."""
        secret = self.credentials.password
        if secret:
            pair = f"{self.credentials.username or 'git'}:{secret}"
            for spelling in (base64.b64encode(pair.encode()).decode(), secret, quote(secret, safe="")):
                text = text.replace(spelling, "***")
        return _CONTROL.sub(" ", _USERINFO.sub("", text))

    def explain(self, stderr: str) -> HeadwaterError | None:
        """What a failed command means, or none when nothing known is said: then the fault may be on our side."""
        for pattern, kind, reason, message, hint in _MEANINGS:
            if re.search(pattern, stderr, re.MULTILINE):
                return kind(
                    f"{self.display}: {message} ({self.last_words(stderr)})", hint=hint, reason=reason
                )
        return None

    def last_words(self, stderr: str) -> str:
        """The line that says why, shortened and without secrets."""
        lines = [line.strip() for line in stderr.splitlines() if line.strip()]
        telling = [
            line for line in lines if line.startswith(("fatal:", "error:", "ssh:", "remote:"))
        ] or lines
        generic = (
            "fatal: Could not read from remote",
            "error: failed to push",
            "fatal: the remote end hung up",
        )
        best = next(
            (line for line in telling if not line.startswith(generic)),
            telling[-1] if telling else "no message",
        )
        return self.redact(best)[:300]


def _checked(url: str) -> tuple[str, str]:
    """Scheme and URL, or SettingsError. What it quotes never holds a password."""
    shown = _USERINFO.sub("", url)[:200]
    if not url or url.startswith("-") or _CONTROL.search(url) or len(url) > 2000:
        raise SettingsError(f"not a Git URL: {_CONTROL.sub('?', shown)!r}", hint="use file, http(s) or ssh")
    if url.startswith("/"):
        return "file", url
    scheme, separator, rest = url.partition("://")
    if not separator:
        if _SCP.match(url):
            return "ssh", url
        raise SettingsError(
            f"not a Git URL: {shown!r}", hint="give an absolute path, or a file, http(s) or ssh URL"
        )
    scheme = scheme.lower()
    if scheme not in SCHEMES or "::" in scheme:
        raise SettingsError(f"{shown!r}: unknown kind of Git URL", hint=f"use one of {', '.join(SCHEMES)}")
    authority = rest.partition("/")[0]
    userinfo, _, host = authority.rpartition("@")
    if scheme != "file" and (not host or host.startswith("-") or userinfo.startswith("-")):
        raise SettingsError(f"{shown!r}: the host is missing or strange", hint="check the URL")
    if ":" in userinfo:
        raise SettingsError(
            f"{shown!r}: the URL carries a password", hint="move it to the source's credentials"
        )
    return scheme, f"{scheme}://{rest}"


_Meaning = tuple[str, type[HeadwaterError], str, str, str]
# Git's own words under LC_ALL=C. The first that matches wins; `remote:` lines are the server's and never match.
_MEANINGS: tuple[_Meaning, ...] = (
    (
        r"^(?!remote:).*(Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED)",
        CredentialError, "HostKeyRefused", "the host's key is not known, or has changed",
        "check the key with the host's operator, then put it in known_hosts",
    ),
    (
        r"^(?!remote:).*(Authentication failed|could not read Username|could not read Password"
        r"|terminal prompts disabled|Permission denied \(|requested URL returned error: 40[137]"
        r"|no such identity|Load key \")",
        CredentialError, "CredentialRefused", "the remote refuses the credentials",
        "check the source's credentials and what they may do",
    ),
    (
        r"^fatal: detected dubious ownership|is owned by someone else",
        CredentialError, "ForeignOwner", "the repository's folder belongs to another user",
        "run as that user, or serve the repository over http or ssh",
    ),
    (
        r"mismatched algorithms|unsupported object format",
        OperatorError, "ObjectFormat", "the repository names its objects by SHA-256, which is not supported",
        "use a repository with SHA-1 object names",
    ),
    (
        r"^fatal: (repository .* not found|'.*' does not appear to be a git repository)"
        r"|returned error: 404|no such repository",
        UnavailableError, "SourceNotFound", "there is no repository at this address, or the credentials may not see it",
        "check the URL and the credentials",
    ),
    (
        r"transport '.*' not allowed|redirect",
        OperatorError, "SourceRedirected", "the remote points to an address that is not allowed",
        "set the new address as the source's URL",
    ),
    (
        r"^fatal: unable to access|Could not read from remote repository|early EOF|hung up|RPC failed|timed out"
        r"|returned error: (429|5\d\d)|protocol error|expected .*(packet|flush|ACK|wanted-refs)|unexpected disconnect"
        r"|unable to connect|bad pack header|remote error:|invalid server response|bad line length|fetch-pack: invalid",
        UnavailableError, "SourceUnavailable", "the remote does not answer as it should",
        "nothing to do when it is a short outage: it is tried again",
    ),
)  # fmt: skip
