"""A daemon as people run it: the installed command in a process of its own, killed and started again at will.

Everything is learned as a person would learn it: from its log, over HTTP and from Git. Every wait has an end.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx

from reconciler.remote import Credentials

COMMAND: tuple[str, ...] = (str(Path(sys.executable).with_name("headwater")),)
PATIENCE = 20.0  # seconds for anything that is on its way; a busy machine may be slow
HOOK_SECRET = "a secret of some length"
T = TypeVar("T")


def eventually(look: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """Look again and again until there is something to see, and return it; fail when the time is up."""
    pause = threading.Event()
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"after {seconds:g} s still not so: {what}"
        pause.wait(0.02)
    return found


def settings(url: str, credentials: Credentials | None = None, *, poll: float = 60) -> str:
    """A settings file with one source named `flows`, whose hook is signed with `HOOK_SECRET`."""
    given = credentials or Credentials()
    keys = {
        "username": given.username,
        "password": given.password,
        "ssh_key": given.ssh_key_file,
        "known_hosts": given.known_hosts,
    }
    lines = [
        'listen = "127.0.0.1:0"',
        'data = "data"',
        "[[sources]]",
        'name = "flows"',
        f"url = {json.dumps(url)}",
        f"poll = {poll}",
        "[sources.credentials]",
        *(f"{name} = {json.dumps(value)}" for name, value in keys.items() if value),
        "[sources.hook]",
        'forge = "generic"',
        f"secrets = [{json.dumps(HOOK_SECRET)}]",
    ]
    return "\n".join(lines) + "\n"


class Daemon:
    """One installation: a folder with settings and data, and at most one process at a time.

    Args:
        config: text of the settings file.
        env: variables besides the few that every process has.
    """

    def __init__(self, folder: Path, config: str, env: Mapping[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.data = folder / "data"
        self.config = folder / "headwater.toml"
        self.config.write_text(config)
        self.http = httpx.Client(timeout=PATIENCE)
        self._env = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8", **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0

    # The process

    def spawn(self) -> None:
        """Start the process and wait for nothing."""
        assert self._process is None, "it runs already"
        self._starts += 1
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*COMMAND, "serve", "--config", str(self.config)],
                cwd=self.folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def start(self) -> None:
        """Start the process and wait until it is ready."""
        self.spawn()
        eventually(self.listens, "the daemon listens")
        eventually(self.ready, "the daemon is ready")

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self._process is not None, "it does not run"
        return self._process.pid

    def listens(self) -> bool:
        """Whether it says where it listens; requests go there from then on."""
        said = next((entry["message"] for entry in self.log() if "listening on" in entry["message"]), None)
        if said is None:
            assert self._process is not None
            assert self._process.poll() is None, f"the daemon ended:\n{self._log.read_text()}"
            return False
        self.http.base_url = httpx.URL(said.split()[-1])
        return True

    def ready(self) -> bool:
        """Whether `/readyz` says so."""
        return self.http.get("/readyz").status_code == 200

    def shoot(self) -> None:
        """Send SIGKILL and wait for nothing; `kill` is still to come."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)

    def kill(self) -> None:
        """End the process as a crash does: nothing of it runs on, nothing is said."""
        self._end(signal.SIGKILL, PATIENCE)

    def stop(self, seconds: float = PATIENCE) -> int:
        """Ask the process to end, and wait no longer than that; returns its exit code."""
        return self._end(signal.SIGTERM, seconds)

    def _end(self, number: signal.Signals, seconds: float) -> int:
        assert self._process is not None, "it does not run"
        process, self._process = self._process, None
        try:
            process.send_signal(number)
            return process.wait(seconds)
        finally:
            if process.returncode is None:
                process.kill()
                process.wait()

    def close(self) -> None:
        """Let go of everything."""
        if self._process is not None:
            self.kill()
        self.http.close()

    # What it says

    @property
    def _log(self) -> Path:
        return self.folder / f"daemon-{self._starts}.log"

    def log(self) -> list[dict[str, Any]]:
        """The whole lines that the process has logged since its last start."""
        whole, _, _ = self._log.read_text().rpartition("\n")
        return [
            json.loads(line) if line.startswith("{") else {"message": line} for line in whole.splitlines()
        ]

    def complaints(self) -> list[str]:
        """What went wrong inside it, in all its lives: errors with their tracebacks, and what is not of the log."""
        found = []
        for path in sorted(self.folder.glob("daemon-*.log")):
            found += [line for line in path.read_text().splitlines() if not _harmless(line)]
        return found

    def hook(self, body: bytes = b"{}", secret: str = HOOK_SECRET) -> httpx.Response:
        """Say that something was pushed."""
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {"X-Headwater-Signature": f"sha256={signature}"}
        return self.http.post("/hooks/flows", content=body, headers=headers)

    def badge(self, namespace: str, flow: str) -> str:
        """What a flow's badge says; empty when there is no such flow."""
        answer = self.http.get(f"/badges/{namespace}/{flow}.json")
        return "" if answer.status_code == 404 else str(answer.json()["message"])

    def call(self, namespace: str, flow: str, key: str, body: Any) -> httpx.Response:
        """Call the webhook trigger of a flow."""
        return self.http.post(f"/api/v1/main/executions/webhook/{namespace}/{flow}/{key}", json=body)

    def execution(self, execution_id: str) -> dict[str, Any]:
        """An execution's document."""
        answer = self.http.get(f"/api/v1/main/executions/{execution_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def executions(self, namespace: str, flow: str) -> list[dict[str, Any]]:
        """All executions of a flow, newest first."""
        found: list[dict[str, Any]] = []
        while True:
            query = {"namespace": namespace, "flowId": flow, "size": 100, "page": len(found) // 100 + 1}
            answer = self.http.get("/api/v1/main/executions/search", params=query)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            found += page["results"]
            if not page["results"] or len(found) >= page["total"]:
                return found

    def ended(self, execution_id: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """An execution's document once it has ended."""

        def look() -> dict[str, Any] | None:
            found = self.execution(execution_id)
            return found if found["state"]["current"] in ENDED else None

        found = eventually(look, f"execution {execution_id} has ended", seconds)
        assert found is not None
        return found


ENDED = ("SUCCESS", "WARNING", "FAILED", "KILLED", "CANCELLED", "RETRIED", "SKIPPED")


def _harmless(line: str) -> bool:
    try:
        return json.loads(line)["level"] in ("INFO", "WARNING")
    except ValueError:
        return False


@contextlib.contextmanager
def installed(folder: Path, config: str, env: Mapping[str, str] | None = None) -> Iterator[Daemon]:
    """A daemon in `folder`, not started yet; nothing of it is left when the block ends."""
    daemon = Daemon(folder, config, env)
    try:
        yield daemon
    finally:
        daemon.close()
