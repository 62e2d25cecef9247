"""The one runner of the installed `git`: fixed arguments, a clean environment, bounded output and time.

It is for what talks to a remote (fetch, push, ls-remote) and for the upkeep of our own bare mirrors; everything
that reads or writes objects is pygit2's (`docs/adr/0004-git-access.md`). It knows nothing of sources, branches or
credentials: whoever calls hands in the environment and the configuration that carry them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import msgspec

from engine.errors import OperatorError, UnavailableError

STDOUT_LIMIT = 16 * 1024 * 1024
STDERR_LIMIT = 64 * 1024
GRACE = 2.0

# What git may be told of the daemon's own environment: proxies, certificates, the ssh agent.
INHERITABLE = (
    "SSH_AUTH_SOCK", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH",
    "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY",
)  # fmt: skip

_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "GIT_PROTOCOL": "version=2",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "SSH_ASKPASS_REQUIRE": "never",
    "HOME": "/nonexistent",  # no ~/.netrc, no ~/.config/git
    "LC_ALL": "C",
}

# Strict checks of what arrives, less three old slips that real histories carry and that harm no reader.
_FORGIVEN = ("zeroPaddedFilemode", "badTimezone", "missingSpaceBeforeDate")

_CONFIG = (
    ("core.hooksPath", os.devnull),
    ("core.fsmonitor", "false"),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("push.recurseSubmodules", "no"),
    ("push.gpgSign", "false"),
    ("gc.auto", "0"),
    ("advice.fetchShowForcedUpdates", "false"),
    ("maintenance.auto", "false"),
    ("protocol.allow", "never"),
    ("protocol.version", "2"),
    ("credential.helper", ""),
    ("fetch.fsckObjects", "true"),
    *((f"fetch.fsck.{name}", "ignore") for name in _FORGIVEN),
    *((f"fsck.{name}", "ignore") for name in _FORGIVEN),
    ("http.lowSpeedLimit", "500"),
    ("http.lowSpeedTime", "30"),
)


class GitResult(msgspec.Struct, frozen=True):
    """How a git command ended.

    Args:
        code: its exit code; a signal is given as a negative number.
        stdout: its output, at most `STDOUT_LIMIT` bytes.
        stderr: what it said, at most `STDERR_LIMIT` bytes; undecodable bytes are replaced.
    """

    code: int
    stdout: bytes
    stderr: str


async def git(
    *args: str,
    cwd: str,
    env: Mapping[str, str] | None = None,
    config: Sequence[tuple[str, str]] = (),
    timeout: float = 120.0,  # noqa: ASYNC109 - the bound belongs to the process, which has to be ended with it
    input: bytes = b"",  # noqa: A002
    pass_fds: Sequence[int] = (),
) -> GitResult:
    """Run `git` with `args` and wait for its end.

    Configuration goes through the environment, so that neither it nor what it carries shows in a process list.
    When the time is over, or the caller is cancelled, the whole process group is ended before this returns.

    Args:
        args: the command and its arguments; hostile values belong behind `--`.
        cwd: an existing folder.
        env: added to the clean environment.
        config: pairs of name and value, in force over any file of the repository.
        timeout: seconds.
        input: bytes for its standard input.
        pass_fds: file descriptors to leave open in it, such as a lock to hold until it has really ended.

    Raises:
        UnavailableError: the time is over.
        OperatorError: git is not installed.
    """
    process = await _start(
        asyncio.create_subprocess_exec(
            "git",
            *args,
            cwd=cwd,
            env=_environment(env or {}, config),
            stdin=asyncio.subprocess.PIPE if input else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            pass_fds=tuple(pass_fds),
        )
    )
    try:
        async with asyncio.timeout(timeout):
            return await _result(process, input)
    except TimeoutError as error:
        raise UnavailableError(
            f"git {args[0]} did not end within {timeout:g} s",
            reason="GitTimeout",
            hint="it is tried again later",
        ) from error
    finally:
        if process.returncode is None:
            await _end(process)


async def _start(creation: Coroutine[Any, Any, asyncio.subprocess.Process]) -> asyncio.subprocess.Process:
    """Start it, whole even when cancelled meanwhile: asyncio by itself would then end the first process alone."""
    starting = asyncio.ensure_future(creation)  # noqa: TID251 - awaited below, whatever happens
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await _end(await starting)
        raise
    except FileNotFoundError as error:
        raise OperatorError(
            "the program `git` was not found", hint="install git", reason="GitMissing"
        ) from error


async def _result(process: asyncio.subprocess.Process, data: bytes) -> GitResult:
    assert process.stdout is not None
    assert process.stderr is not None
    stdout, stderr, _ = await asyncio.gather(
        _drain(process.stdout, STDOUT_LIMIT), _drain(process.stderr, STDERR_LIMIT), _feed(process.stdin, data)
    )
    return GitResult(await process.wait(), stdout, stderr.decode("utf-8", "replace"))


async def _drain(stream: asyncio.StreamReader, limit: int) -> bytes:
    kept = bytearray()
    while chunk := await stream.read(65536):
        kept += chunk[: limit - len(kept)]
    return bytes(kept)


async def _feed(stream: asyncio.StreamWriter | None, data: bytes) -> None:
    if stream is None:
        return
    with contextlib.suppress(ConnectionError):
        stream.write(data)
        await stream.drain()
    stream.close()


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the whole group: politely first, because git then removes its own lock and temporary files."""
    _signal_group(process.pid, signal.SIGTERM)
    try:
        async with asyncio.timeout(GRACE):
            await process.wait()
    except TimeoutError:
        pass
    finally:
        _signal_group(process.pid, signal.SIGKILL)
    await process.wait()


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _environment(extra: Mapping[str, str], config: Sequence[tuple[str, str]]) -> dict[str, str]:
    env = {
        "PATH": os.pathsep.join(os.get_exec_path()),
        "TMPDIR": tempfile.gettempdir(),
        **_ENVIRONMENT,
        **extra,
    }
    pairs = (*_CONFIG, *config)
    env["GIT_CONFIG_COUNT"] = str(len(pairs))
    for index, (name, value) in enumerate(pairs):
        env[f"GIT_CONFIG_KEY_{index}"] = name
        env[f"GIT_CONFIG_VALUE_{index}"] = value
    return env
