"""The person of the demo: makes the origin from the example flows, edits, commits and pushes with the installed `git`.

Their commits need no identity and no settings of Git on this machine, and no network. It must not know the daemon.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import msgspec

from headwater.demo.checks import NotYet, StepFailed

BRANCH = "main"
_NAME, _EMAIL = "Headwater demo", "demo@localhost"
_CONFIG = (
    f"user.name={_NAME}",
    f"user.email={_EMAIL}",
    "commit.gpgSign=false",
    "core.autocrlf=false",
    f"core.hooksPath={os.devnull}",
    "gc.auto=0",
    "protocol.file.allow=always",
)
_ALONE = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C.UTF-8",
}
_TIMEOUT = 30  # seconds


class Commit(msgspec.Struct, frozen=True):
    """A commit that was pushed.

    Args:
        id: its full name.
        subject: the first line of its message.
        path: the file that it is about; empty for the first.
        diff: the lines that went and came, with their `-` and `+`.
        line: of the change in the file, from 1.
    """

    id: str
    subject: str
    path: str = ""
    diff: tuple[str, ...] = ()
    line: int = 0

    @property
    def short(self) -> str:
        """As people write it."""
        return self.id[:7]


def example_folder() -> Path:
    """The example flows: part of the installed package, or beside it in the repository."""
    package = Path(str(files("headwater")))
    for folder in (package / "example-repo", package.parent / "example-repo"):
        if (folder / ".headwater.yaml").is_file():
            return folder
    raise StepFailed("the example flows in the installation", f"no folder example-repo in {package}")


class Person:
    """Works in a clone of the origin, both below one folder.

    Args:
        folder: an empty one.
        environment: of the git commands; what is set for all of a machine's repositories does not count.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.origin = folder / "origin.git"
        self._clone = folder / "clone"
        self._environment = {**environment, **_ALONE}

    @property
    def url(self) -> str:
        """Of the origin."""
        return self.origin.as_uri()

    def make_origin(self, example: Path) -> Commit:
        """A bare repository with the example flows as its first commit."""
        folder = self.origin.parent
        self._git(
            "init", "--quiet", "--bare", f"--initial-branch={BRANCH}", "--", str(self.origin), at=folder
        )
        self._git("clone", "--quiet", "--", self.url, str(self._clone), at=folder)
        shutil.copytree(example, self._clone, dirs_exist_ok=True, copy_function=shutil.copyfile)
        self._git("add", "--all")
        return self._commit("Add the example flows")

    def replace(self, path: str, old: str, new: str, subject: str) -> Commit:
        """Change the one place in a file, commit, push.

        Raises:
            StepFailed: the file is not there, or does not have exactly one such place.
        """
        file = self._clone / path
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        if text.count(old) != 1:
            raise StepFailed(f"`{old}` once in {path}", f"it is there {text.count(old)} times")
        file.write_text(text.replace(old, new), encoding="utf-8")
        return self._commit(subject, path, text[: text.index(old)].count("\n") + 1)

    def revert(self) -> Commit:
        """Take the last commit back, with a commit that is pushed."""
        path = self._git("show", "--format=", "--name-only", "HEAD").strip()
        self._git("revert", "--no-edit", "HEAD")
        return self._pushed(path)

    def log(self, ref: str, *options: str) -> Sequence[str]:
        """Lines of `git log` in the origin. Raises NotYet when there is no such ref."""
        try:
            return self._git("log", *options, ref, "--", at=self.origin).splitlines()
        except StepFailed as error:
            raise NotYet(error.seen) from None

    def files(self, ref: str, prefix: str) -> Sequence[str]:
        """Paths of the files below a prefix, as the origin has them."""
        return self._git("ls-tree", "-r", "--name-only", ref, "--", prefix, at=self.origin).splitlines()

    def read(self, ref: str, path: str) -> str:
        """The text of a file of the origin. Raises NotYet when it is not there."""
        try:
            return self._git("cat-file", "blob", f"{ref}:{path}", at=self.origin)
        except StepFailed as error:
            raise NotYet(error.seen) from None

    def _commit(self, subject: str, path: str = "", line: int = 0) -> Commit:
        self._git("commit", "--quiet", "--all", f"--message={subject}")
        return self._pushed(path, line)

    def _pushed(self, path: str, line: int = 0) -> Commit:
        self._git("push", "--quiet", "origin", BRANCH)
        named, subject = self._git("log", "-1", "--format=%H %s").strip().split(" ", 1)
        shown = self._git("show", "--format=", "--unified=0", "HEAD", "--", path).splitlines() if path else []
        diff = tuple(each for each in shown if each[:1] in ("-", "+") and each[:3] not in ("---", "+++"))
        return Commit(named, subject, path, diff, line)

    def _git(self, *arguments: str, at: Path | None = None) -> str:
        configured = [part for pair in _CONFIG for part in ("-c", pair)]
        command = f"git {arguments[0]}"
        try:
            done = subprocess.run(
                ["git", *configured, *arguments],
                cwd=at or self._clone,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT,
                check=False,
                process_group=0,
            )
        except FileNotFoundError:
            raise StepFailed("the program `git`", "it is not installed or not in PATH") from None
        except subprocess.TimeoutExpired:
            raise StepFailed(f"`{command}` to end within {_TIMEOUT} s", "it did not") from None
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace").strip() or f"exit code {done.returncode}"
            raise StepFailed(f"`{command}` to succeed", said)
        return done.stdout.decode("utf-8", "replace")
