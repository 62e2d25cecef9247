"""The ports of the engine: what it asks of runners, of file storage, of secret providers.

Small required Protocols; extra abilities are Protocols of their own. Drivers are entry points, see
`engine.plugins`. This module must not know any driver.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from engine.model.run import LogLine, RunHandle, RunRequest, RunResult


class Runner(Protocol):
    """Carries out run requests somewhere. Every method may be called again after a restart of the daemon."""

    name: str

    async def start(self, request: RunRequest) -> RunHandle:
        """Start the run, or return the handle of the one already started under `request.key`.

        Raises:
            UserError: the request cannot be carried out as it stands (no such command, file refused).
            UnavailableError: the place where it would run does not answer.
        """
        ...

    async def find(self, key: str) -> RunHandle | None:
        """The handle of the run started under `key`, running or ended, unless it was cleaned up or never started."""
        ...

    async def wait(self, handle: RunHandle) -> RunResult:
        """Wait for the end. Cancelling this coroutine leaves the run alone."""
        ...

    def logs(self, handle: RunHandle, after: str = "") -> AsyncIterator[LogLine]:
        """The run's lines from `after` (empty: from its start), live; ends when the run has ended and all is read."""
        ...

    async def cancel(self, handle: RunHandle, grace: float) -> None:
        """End the run and everything it started: politely, then after `grace` seconds by force. Repeatable."""
        ...

    async def cleanup(self, handle: RunHandle) -> None:
        """Forget the run and remove what it left behind. Repeatable."""
        ...


class FileStorage(Protocol):
    """Internal storage: files that flows hand on, named by `headwater:///…` URIs (`kestra:///…` is read too)."""

    def put(self, path: str, source: str | bytes) -> str:
        """Keep `source` (a local path, or bytes) under the relative `path` and return its URI."""
        ...

    def local_path(self, uri: str) -> str:
        """A local path of that file. Raises NotFound, also for a path that leaves the storage."""
        ...

    def remove(self, prefix: str) -> int:
        """Remove everything below a relative path; returns how many files."""
        ...


class SecretProvider(Protocol):
    """Knows secrets by namespace and name."""

    def get(self, namespace: str, name: str) -> str | None:
        """The value, or none when this provider does not have it."""
        ...


class NamespaceFiles(Protocol):
    """The files of a namespace as they were at a commit."""

    def files(self, namespace: str, commit: str) -> Mapping[str, bytes]:
        """All files by relative path; empty when there are none."""
        ...
