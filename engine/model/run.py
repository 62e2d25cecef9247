"""What a runner is asked and what it answers: the values of the `Runner` port (`engine.ports`).

Plain data that survives JSON; it must not know any runner.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class RunRequest(msgspec.Struct, frozen=True):
    """One attempt of one task, as a runner is to carry it out.

    Args:
        key: names this attempt for ever; two starts with one key start once.
        command: the argument vector; never a shell line of ours.
        env: the whole environment of the run besides what the runner itself sets (PATH, HOME, WORKING_DIR …).
        files: what to lay into the working directory, by relative path: a local path (`str`) or content (`bytes`).
        output_files: glob patterns, relative to the working directory, of the files to bring back.
        image: container image, for runners that use one.
        workspace: names a working directory shared by several runs; none means one of its own.
        options: the runner's own rendered properties (limits, networks, hosts …).
    """

    key: str
    command: tuple[str, ...]
    env: dict[str, str] = {}
    files: dict[str, str | bytes] = {}
    output_files: tuple[str, ...] = ()
    image: str | None = None
    workspace: str | None = None
    options: dict[str, Any] = {}


class RunHandle(msgspec.Struct, frozen=True):
    """How to find a run again: plain JSON, saved before anybody waits on it."""

    runner: str
    key: str
    data: dict[str, Any]


class RunResult(msgspec.Struct, frozen=True):
    """How a run ended.

    Args:
        outcome: `exited` with `exit_code`; `cancelled` by us; `vanished` when the runner lost it.
        exit_code: of the command; a signal is given as 128 + its number.
        files: the output files found, by relative path, as local paths readable until `cleanup`.
        missing: the `output_files` patterns that matched nothing.
        message: one line for people, when something beyond the exit code is to be said.
    """

    outcome: Literal["exited", "cancelled", "vanished"]
    exit_code: int | None = None
    files: dict[str, str] = {}
    missing: tuple[str, ...] = ()
    message: str = ""


class LogLine(msgspec.Struct, frozen=True):
    """One line of what a run wrote.

    Args:
        stream: where it wrote it.
        text: without its line end; undecodable bytes are replaced; over-long lines come in pieces.
        cursor: opaque place just after this line; `logs(handle, after=cursor)` goes on from there.
    """

    stream: Literal["stdout", "stderr"]
    text: str
    cursor: str
