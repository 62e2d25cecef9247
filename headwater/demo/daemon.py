"""The daemon of the demo: `headwater serve` as a process of its own, its settings and log in the demo's folder.

It must not know the story.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from engine.errors import UnavailableError
from headwater.client import Client
from headwater.demo.checks import NotYet, StepFailed, wait_for

SOURCE = "example"
_LISTENING = "listening on "
_STOPPING_SECONDS = 10
_TAIL = 15  # lines
_SETTINGS = """\
# What `headwater demo` runs with. All else has its default: SQLite, local files, scripts as processes.
listen = "127.0.0.1:0"
data = "data"

[[sources]]
name = "{source}"
url = "origin.git"
poll = 2
hook = {{ forge = "generic", secrets = ["{secret}"] }}
"""


class Daemon:
    """A daemon that follows `origin.git` of a folder.

    Args:
        folder: where its settings, data and log are.
        environment: of its process.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.config = folder / "headwater.toml"
        self.log = folder / "daemon.log"
        self.url = ""
        self._folder = folder
        self._environment = environment
        self._secret = secrets.token_hex(32)
        self._process: subprocess.Popen[bytes] | None = None
        self._http = httpx.Client(trust_env=False, timeout=10)
        self._client = Client(self._http, "the daemon")

    # Its life

    def start(self) -> None:
        """Start it and wait until it listens.

        Raises:
            StepFailed: it does not.
        """
        self.config.write_text(_SETTINGS.format(source=SOURCE, secret=self._secret), encoding="utf-8")
        self.config.chmod(0o600)
        command = [sys.executable, "-P", "-m", "headwater", "serve", "--config", str(self.config)]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,  # Ctrl-C is the demo's to handle
            )
        self.url = wait_for("the daemon to listen", self._address, self.alive)
        self._http.base_url = httpx.URL(self.url)

    def _address(self) -> str:
        for line in self.log_lines():
            with contextlib.suppress(ValueError, TypeError, KeyError):
                message = json.loads(line)["message"]
                if message.startswith(_LISTENING):
                    return str(message.removeprefix(_LISTENING))
        raise NotYet("no such line in its log")

    def alive(self) -> None:
        """Raises StepFailed when its process has ended."""
        if self._process is not None and (code := self._process.poll()) is not None:
            raise StepFailed("the daemon to stay up", f"it ended with exit code {code}")

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid if self._process else 0

    def stop(self) -> None:
        """End it, and what it runs; nothing when it is not there."""
        if self._process is not None and self._process.poll() is None:
            self._kill_executions()
            self._process.terminate()
            try:
                self._process.wait(_STOPPING_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._http.close()

    def _kill_executions(self) -> None:
        """Scripts outlive a daemon, so that the next one takes them up again; here there is no next one."""
        with contextlib.suppress(Exception):  # it is on its way out whatever it answers
            for each in self._client.get("executions/search", state=["RUNNING", "RETRYING"], size=100)[
                "results"
            ]:
                self._client.call("DELETE", f"executions/{each['id']}/kill")

    def log_lines(self) -> list[str]:
        """Of its log so far."""
        return self.log.read_text("utf-8", "replace").splitlines() if self.log.exists() else []

    def last_words(self) -> Iterator[str]:
        """The last lines of its log, readable."""
        for line in self.log_lines()[-_TAIL:]:
            try:
                entry = json.loads(line)
                yield f"{entry['at'][11:23]} {entry['level']:7} {entry['message']}"
            except (ValueError, TypeError, KeyError):
                yield line

    # What it is asked

    def answers(self, path: str) -> bool:
        """Whether a GET of a path is answered with success."""
        try:
            return self._http.get(path).is_success
        except httpx.HTTPError:
            return False

    def badge(self, flow: str) -> str:
        """What the badge of a flow says, from its shields.io endpoint: `company.hello | passing 0.1 s`."""
        document = self._json(f"/badges/{flow.replace('.', '/')}.json")
        return f"{document['label']} | {document['message']}"

    def source(self) -> dict[str, Any]:
        """How the source stands."""
        return dict(self._client.get(f"sources/{SOURCE}"))

    def executions(self, flow: str) -> list[dict[str, Any]]:
        """The newest executions of a flow, the newest first."""
        namespace, _, name = flow.rpartition(".")
        found = self._client.get("executions/search", namespace=namespace, flowId=name, size=10)
        return list(found["results"])

    def execution(self, execution_id: str) -> dict[str, Any]:
        """The document of an execution."""
        return dict(self._client.get(f"executions/{execution_id}"))

    def logs(self, execution_id: str) -> list[dict[str, Any]]:
        """What an execution has written."""
        return list(self._client.get(f"logs/{execution_id}"))

    def run(self, flow: str) -> str:
        """Start a flow; returns the execution's id."""
        document = self._client.call("POST", f"executions/{flow.replace('.', '/')}")
        return str(document["id"])

    def call_webhook(self, flow: str, key: str, body: Any) -> str:
        """Call the webhook trigger of a flow; returns the execution's id."""
        path = f"executions/webhook/{flow.replace('.', '/')}/{key}"
        document = self._client.call("POST", path, json=body)
        return str(document["id"])

    def tell_of_push(self, commit: str) -> int:
        """Deliver what a forge would: a signed word that something was pushed; returns the HTTP status."""
        body = json.dumps({"event": "push", "ref": "refs/heads/main", "after": commit}).encode()
        signature = hmac.new(self._secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "X-Headwater-Signature": f"sha256={signature}",
            "X-Headwater-Delivery": commit,
        }
        try:
            return self._http.post(f"/hooks/{SOURCE}", content=body, headers=headers).status_code
        except httpx.HTTPError as error:
            raise StepFailed("the hook to answer", f"{type(error).__name__}: {error}") from error

    def _json(self, path: str) -> Any:
        try:
            return self._http.get(path).raise_for_status().json()
        except (httpx.HTTPError, ValueError) as error:
            raise UnavailableError(f"{path}: {error}", hint="see the daemon's log") from error
