"""The runner of git: a clean environment, bounded output, and no process left behind."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from engine.errors import OperatorError, UnavailableError
from reconciler import git as runner
from reconciler.git import git


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for a program of our own that stands in for git."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder / "git"


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("manner", ["timeout", "cancelled"])
async def test_the_whole_process_group_ends(
    fake: Path, tmp_path: Path, manner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "GRACE", 0.2)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    program(fake, f'trap "" TERM\nexec 3>{fifo}\nsleep 60 &\necho begun >&3\nwait\nsleep 60')
    task = asyncio.create_task(git("fetch", cwd="/", timeout=0.3 if manner == "timeout" else 30))
    with await asyncio.to_thread(fifo.open) as held:
        assert await asyncio.to_thread(held.readline) == "begun\n"
        if manner == "cancelled":
            task.cancel()
        with pytest.raises(UnavailableError if manner == "timeout" else asyncio.CancelledError):
            await task
        # The end of the pipe is seen once no process holds it any more, however deep it was.
        async with asyncio.timeout(10):
            assert await asyncio.to_thread(held.read) == ""


async def test_nothing_of_our_environment_gets_in(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_DIR", "GIT_SSH_COMMAND", "GIT_EXTERNAL_DIFF", "SECRET_X", "HEADWATER_X", "LD_PRELOAD"):
        monkeypatch.setenv(name, "")
    program(fake, "env")
    result = await git("fetch", cwd="/", env={"OURS": "1"}, config=[("a.b", "c d")])
    env = dict(line.split("=", 1) for line in result.stdout.decode().splitlines())
    assert not {
        "GIT_DIR",
        "GIT_SSH_COMMAND",
        "GIT_EXTERNAL_DIFF",
        "SECRET_X",
        "HEADWATER_X",
        "LD_PRELOAD",
    } & set(env)
    assert (env["OURS"], env["GIT_TERMINAL_PROMPT"], env["GIT_CONFIG_NOSYSTEM"]) == ("1", "0", "1")
    pairs = {
        env[f"GIT_CONFIG_KEY_{n}"]: env[f"GIT_CONFIG_VALUE_{n}"] for n in range(int(env["GIT_CONFIG_COUNT"]))
    }
    assert pairs["a.b"] == "c d"
    assert pairs["protocol.allow"] == "never"
    assert pairs["core.hooksPath"] == "/dev/null"


async def test_output_is_bounded(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "STDOUT_LIMIT", 1000)
    program(fake, "head -c 5000000 /dev/zero; head -c 5000000 /dev/zero >&2; exit 3")
    result = await git("fetch", cwd="/")
    assert (result.code, len(result.stdout), len(result.stderr)) == (3, 1000, runner.STDERR_LIMIT)


async def test_input_reaches_it_also_when_it_does_not_read(fake: Path) -> None:
    program(fake, "head -c 3")
    assert (await git("x", cwd="/", input=b"abc" * 1_000_000)).stdout == b"abc"


async def test_no_git_is_the_operators(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OperatorError) as caught:
        await git("fetch", cwd="/")
    assert caught.value.reason == "GitMissing"


async def test_a_protocol_that_nobody_named_is_refused(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    result = await git("ls-remote", "--", f"ext::touch {mark}", cwd="/")
    assert result.code != 0
    assert "not allowed" in result.stderr
    assert not mark.exists()
