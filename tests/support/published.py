"""What the status branch says to somebody who only has the remote. Shares no code with what writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pygit2

from tests.support.repositories import run_git

BRANCH = "headwater/status"


class Published:
    """The status branch of the bare repository at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._repository = pygit2.Repository(str(path))

    @property
    def tip(self) -> str | None:
        found = self._repository.references.get(f"refs/heads/{BRANCH}")
        return str(found.target) if found else None

    def files(self) -> dict[str, bytes]:
        """All files of the tip, by path."""
        tip = self.tip
        if tip is None:
            return {}
        index = pygit2.Index()
        index.read_tree(self._repository[tip].peel(pygit2.Tree))
        return {entry.path: bytes(self._repository[entry.id].data) for entry in index}

    def text(self, path: str) -> str:
        """A file of the tip; empty when it is not there."""
        tip = self.tip
        try:
            found = self._repository[tip].peel(pygit2.Tree)[path] if tip else None
        except KeyError:
            found = None
        return bytes(found.data).decode() if isinstance(found, pygit2.Blob) else ""

    def json(self, path: str) -> Any:
        """A JSON file of the tip; an empty object when it is not there."""
        return json.loads(self.text(path) or "{}")

    def flow(self, namespace: str, flow: str) -> Any:
        """The `status.json` of a flow."""
        return self.json(f"flows/{namespace}/{flow}/status.json")

    def revision(self) -> str:
        """The revision that the source is said to be at, when it is said to be ready; else empty."""
        return str(self.reconciled()["revision"]) if self.condition("Ready")["status"] == "True" else ""

    def reconciled(self) -> Any:
        """`reconcile.json`."""
        return self.json("reconcile.json")

    def condition(self, kind: str) -> dict[str, str]:
        """A condition of the source."""
        found = [each for each in self.reconciled().get("conditions", ()) if each["type"] == kind]
        return found[0] if found else {"type": kind, "status": "", "message": "", "reason": ""}

    def executions(self) -> dict[str, Any]:
        """The documents of executions, by id."""
        files = self.files().items()
        return {Path(path).stem: json.loads(data) for path, data in files if path.startswith("executions/")}

    def audit(self) -> dict[str, dict[str, str]]:
        """What the trailers of `git log` tell of each execution, by its id; one told twice fails."""
        if self.tip is None:
            return {}
        names = ("Execution", "Flow", "Revision", "Trigger")
        log = run_git("log", "--format=%(trailers:only,unfold)%x00", BRANCH, cwd=self.path)
        told: dict[str, dict[str, str]] = {}
        for line in log.replace("\0", "\n").splitlines():
            key, _, value = line.partition(": ")
            if key == "Headwater-Execution":
                assert value not in told, f"execution {value} was told twice"
                told[value] = {}
            if told and (name := key.removeprefix("Headwater-")) in names:
                told[next(reversed(told))][name] = value
        return told

    def check(self) -> None:
        """Whether Git itself finds the whole repository sound."""
        run_git("fsck", "--strict", "--no-dangling", cwd=self.path)
