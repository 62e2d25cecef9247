"""Every `console` block of the documents runs as written, and prints what it is shown to print.

A line `$ command` is run by bash (`> ` continues it); the lines below it are its output. `...` alone on a line stands
for any lines, inside a line for any text. The blocks of a document share one folder, which starts with a copy of the
example repository. Every command has to succeed; one that ends in `&` runs until the document ends.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
PATIENCE = 60.0  # seconds for one command


@dataclass
class Example:
    """One command and the lines it is shown to print."""

    line: int
    command: str
    shown: list[str] = field(default_factory=list)


def examples(text: str) -> list[Example]:
    """All commands of a document's console blocks, in order."""
    found: list[Example] = []
    inside = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("```"):
            inside = line.strip() == "```console"
        elif inside and line.startswith("$ "):
            found.append(Example(number, line[2:]))
        elif inside and line.startswith(">") and not found[-1].shown:
            found[-1].command += "\n" + line[2:]
        elif inside:
            found[-1].shown.append(line)
    return found


def matches(shown: list[str], printed: str) -> bool:
    """Whether what was printed fits what is shown; nothing shown fits anything."""
    if not shown:
        return True
    pattern = "".join(
        r"(?:.*\n)*" if line == "..." else re.escape(line.rstrip()).replace(r"\.\.\.", ".*") + r"[ \t]*\n"
        for line in shown
    )
    return re.fullmatch(pattern, printed.rstrip() + "\n") is not None


@contextmanager
def _shell(folder: Path) -> Iterator[Shell]:
    shell = Shell(folder)
    try:
        yield shell
    finally:
        shell.close()


class Shell:
    """Runs commands one after the other in one place, with a home of their own."""

    def __init__(self, folder: Path) -> None:
        home = folder / "home"
        home.mkdir()
        (home / ".gitconfig").write_text("[user]\nname = Reader\nemail = reader@example.org\n")
        self._work = folder / "work"
        shutil.copytree(ROOT / "example-repo", self._work / "example-repo")
        self._environment = {
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "TZ": "UTC",
        }
        self._running: list[subprocess.Popen[bytes]] = []

    def run(self, command: str) -> tuple[int, str]:
        """The exit code of a command and what it printed, both streams together."""
        if command.endswith("&"):
            self._running.append(
                subprocess.Popen(
                    ["bash", "-c", "exec " + command[:-1]], cwd=self._work, env=self._environment
                )
            )
            return 0, ""
        ended = subprocess.run(
            ["bash", "-c", command],
            cwd=self._work,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE,
            check=False,
        )
        return ended.returncode, ended.stdout.decode()

    def close(self) -> None:
        """End what still runs in the background."""
        for process in self._running:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "document",
    [document for document in DOCUMENTS if examples(document.read_text())],
    ids=lambda document: str(document.relative_to(ROOT)),
)
def test_every_example_runs_as_written(document: Path, tmp_path: Path) -> None:
    with _shell(tmp_path) as shell:
        for example in examples(document.read_text()):
            code, printed = shell.run(example.command)
            place = f"{document.relative_to(ROOT)}:{example.line}: {example.command}"
            assert code == 0, f"{place}\nexits with {code} and prints:\n{printed}"
            assert matches(example.shown, printed), f"{place}\nprints:\n{printed}"


def test_examples_are_read_with_their_output() -> None:
    text = "```console\n$ cat <<END\n> one\n>\n> END\none\n\n$ true\n```\n```sh\n$ not run\n```\n"
    assert examples(text) == [Example(2, "cat <<END\none\n\nEND", ["one", ""]), Example(8, "true")]


@pytest.mark.parametrize(
    ("shown", "printed", "fits"),
    [
        ([], "anything\n", True),
        (["one"], "one\n", True),
        (["one"], "one\ntwo\n", False),
        (["...", "two"], "two\n", True),
        (["...", "two"], "zero\none\ntwo\n", True),
        (["t...o, [x]"], "there to, [x]\n", True),
        (["a.b"], "axb\n", False),
    ],
)
def test_output_is_compared_with_wildcards(shown: list[str], printed: str, fits: bool) -> None:
    assert matches(shown, printed) is fits


def test_commands_share_a_place_and_those_in_the_background_end(tmp_path: Path) -> None:
    with _shell(tmp_path) as shell:
        assert shell.run("tail -f /dev/null &") == (0, "")
        assert shell.run("git config user.name > name") == (0, "")
        assert shell.run("cat name; ls; exit 3") == (3, "Reader\nexample-repo\nname\n")
        (process,) = shell._running
    assert process.poll() is not None
