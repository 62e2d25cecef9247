"""The real `headwater` command as a process of its own, with a home and an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXECUTABLE = str(Path(sys.executable).with_name("headwater"))
PATIENCE = 60.0  # seconds

HELLO = """
id: hello
namespace: company
inputs:
  - {id: name, type: STRING, defaults: world}
  - {id: count, type: INT, required: false}
outputs:
  - {id: greeting, type: STRING, value: "Hello, {{ inputs.name }}!"}
tasks:
  - {id: greet, type: core.log.Log, message: "Hello, {{ inputs.name }}!"}
"""


def environment(home: Path, **more: str) -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {"HOME": str(home), "LANG": "C.UTF-8", "PATH": path, "TZ": "UTC", **more}


@dataclass(frozen=True)
class Ended:
    """A command that has ended; no command may ever show a traceback."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


class Command:
    """Runs `headwater` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None) -> Ended:
        ended = subprocess.run(
            [EXECUTABLE, *arguments],
            cwd=self.folder,
            env=environment(self.folder, **(env or {})),
            input=stdin.encode(),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        result = Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())
        assert "Traceback" not in result.err + result.out, result.err
        return result

    def write(self, path: str, text: str) -> Path:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def git(self, *arguments: str, repo: str = "repo") -> str:
        identity = ["-c", "user.name=Ada Author", "-c", "user.email=ada@example.org"]
        done = subprocess.run(
            ["git", "-C", str(self.folder / repo), *identity, *arguments],
            env=environment(self.folder),
            capture_output=True,
            check=True,
        )
        return done.stdout.decode().strip()

    def repository(self, **flows: str) -> Path:
        """A work tree `repo` with one commit, a file for each flow."""
        for name, text in flows.items():
            self.write(f"repo/flows/{name}.yaml", text)
        self.git("init", "-q", "-b", "main")
        self.git("add", ".")
        self.git("commit", "-q", "-m", "First version")
        return self.folder / "repo"
