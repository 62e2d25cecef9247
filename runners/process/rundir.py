"""A run on disk: the folder that is its whole state, so that another daemon finds it again.

    <root>/runs/<id>/run.json   what a later daemon has to know of the request; no environment, no secret
                     work/      the working directory, unless a shared one is used: <root>/workspaces/<id>/
                     outputs/   OUTPUT_DIR       temporary/   TMPDIR
                     stdout stderr process exit   written by the shepherd
                     cancelled  somebody asked for its end before it ended

What happens before `stdout` appears can be repeated; from then on the run has happened, until the folder goes, as a
whole, by a rename. Knows files; must not know how processes are started.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import UnavailableError
from engine.ids import derived_id
from engine.model.run import RunRequest
from engine.paths import relative_parts, write_below
from runners.process.environment import MARK
from runners.process.processes import Process

_SMALL = 32 * 1024  # bytes of all files of a run, so that the line to the shepherd stays free


class Note(msgspec.Struct, frozen=True):
    """What `run.json` keeps of a request."""

    key: str
    workspace: str | None
    output_files: tuple[str, ...]


class Record(msgspec.Struct, frozen=True):
    """The run's process and the shepherd that will write its exit code."""

    process: Process
    shepherd: Process


class RunDirectory:
    """One run's folder; reading and writing it touches the disk, so call it off the event loop.

    Args:
        root: the runner's folder, absolute.
        key: of the run request.
    """

    def __init__(self, root: str, key: str) -> None:
        self.id = derived_id("process", key)
        self.path = f"{root}/runs/{self.id}"
        self.outputs = f"{self.path}/outputs"
        self.temporary = f"{self.path}/temporary"
        self.mark = f"{MARK}={self.outputs}"
        self._root = root
        self._key = key

    def exists(self) -> bool:
        """Whether the run was prepared, and not cleaned up."""
        return os.path.isdir(self.path)

    def work(self, workspace: str | None) -> str:
        """The working directory: the run's own, or the shared one of that name."""
        return workspace_path(self._root, workspace) if workspace else f"{self.path}/work"

    def lay_in(self, request: RunRequest) -> None:
        """Put the files of the request into its working directory. Repeatable, until the run was started.

        Raises:
            UserError: a file is refused.
            UnavailableError: the disk is full or fails.
        """
        work = self.work(request.workspace)
        try:
            for path in (self.path, work):
                os.makedirs(path, 0o700, exist_ok=True)
        except OSError as error:
            raise UnavailableError(f"a run cannot be prepared in {work}: {error.strerror}") from error
        for path, source in request.files.items():
            write_below(work, path, source)

    def note(self) -> Note | None:
        """What was asked for; none when the folder is gone."""
        try:
            return msgspec.json.decode(_read(f"{self.path}/run.json"), type=Note)
        except (OSError, msgspec.DecodeError):
            return None

    def was_started(self) -> bool:
        """Whether somebody tried to start the process; from then on nobody else may."""
        return os.path.exists(f"{self.path}/stdout")

    def record(self) -> Record | None:
        """The identity of the process; none as long as it is not written."""
        try:
            fields = _line(f"{self.path}/process").split()
            pid, start, shepherd, shepherd_start, boot = (*map(int, fields[:4]), fields[4])
        except (OSError, ValueError, IndexError):
            return None
        return Record(Process(pid, start, boot), Process(shepherd, shepherd_start, boot))

    def write_record(self, process: Process) -> Record:
        """Keep an identity that no shepherd wrote down."""
        _write(f"{self.path}/process", f"{process.pid} {process.start} 0 0 {process.boot}\n".encode())
        return Record(process, Process(0, 0, process.boot))

    def exit_code(self) -> int | None:
        """The exit code; none as long as it is not known."""
        try:
            return int(_line(f"{self.path}/exit"))
        except (OSError, ValueError):
            return None

    def mark_cancelled(self) -> None:
        """Note that the run is to end, or must not begin."""
        with suppress(FileNotFoundError):
            _write(f"{self.path}/cancelled", b"")

    def is_cancelled(self) -> bool:
        """Whether somebody asked for its end."""
        return os.path.exists(f"{self.path}/cancelled")

    def remove(self) -> None:
        """Make the run unknown at once, and remove its files."""
        _remove(self.path, f"{self._root}/graves/{self.id}.{secrets.token_hex(4)}")


def left_over(root: str, wanted: Collection[str]) -> list[str]:
    """The keys of the runs that are there without being wanted; folders without a note were never begun, and go."""
    kept = {RunDirectory(root, key).id for key in wanted}
    keys = []
    for entry in os.scandir(f"{root}/runs"):
        if entry.name in kept:
            continue
        try:
            keys.append(msgspec.json.decode(_read(f"{entry.path}/run.json"), type=Note).key)
        except (OSError, msgspec.DecodeError):
            _remove(entry.path, f"{root}/graves/{entry.name}.{secrets.token_hex(4)}")
    return keys


def note_of(request: RunRequest) -> bytes:
    """The content of `run.json`."""
    return msgspec.json.encode(Note(request.key, request.workspace, request.output_files))


def small_files(request: RunRequest) -> dict[str, bytes] | None:
    """The files of a request by name, when they are so few bytes that the shepherd lays them in on the way.

    To write them in a thread takes longer than all else that happens before a start. None when they have to be laid in
    beforehand: large, in folders, copied from a file, or for a shared directory in which tasks may have put links.

    Raises:
        UserError: a path is refused.
    """
    found = {}
    for path, source in request.files.items():
        parts = relative_parts(path)
        if len(parts) > 1 or isinstance(source, str) or b"\0" in source:
            return None
        found[parts[0]] = source
    fits = not request.workspace and sum(map(len, found.values())) <= _SMALL
    return found if fits else None


def workspace_path(root: str, workspace: str) -> str:
    """The folder of a shared working directory."""
    return f"{root}/workspaces/{derived_id('workspace', workspace)}"


def remove_workspace(root: str, workspace: str) -> None:
    """Remove a shared working directory; nothing happens when there is none."""
    _remove(workspace_path(root, workspace), f"{root}/graves/{secrets.token_hex(8)}")


def make_root(root: Path) -> str:
    """Make the runner's folder, for this account only, and finish removals that a crash cut short.

    Returns:
        Its real path.
    """
    for name in ("graves", "runs", "workspaces"):
        (root / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    path = os.path.realpath(root)
    os.chmod(path, 0o700)
    for entry in os.scandir(f"{path}/graves"):
        _remove_tree(entry.path)
    return path


def _remove(path: str, grave: str) -> None:
    try:
        os.rename(path, grave)
    except FileNotFoundError:
        return
    _remove_tree(grave)


def _remove_tree(path: str) -> None:
    if not _remove_plain(path):
        _remove_any(path)


def _remove_plain(path: str) -> bool:
    """Remove a run that left nothing but what every run has: a third of the time of walking the tree."""
    try:
        for name in ("run.json", "process", "stdout", "stderr", "exit"):
            os.unlink(f"{path}/{name}")
        for name in ("/outputs", "/temporary", "/work", ""):
            os.rmdir(path + name)
    except OSError:
        return False
    return True


def _remove_any(path: str) -> None:
    try:
        shutil.rmtree(path, onerror=_unlock_and_retry)
    except (RecursionError, OSError):
        # Deeper than Python can go, or changing under our hands.
        subprocess.run(["rm", "-rf", "--", path], check=False, capture_output=True)


def _unlock_and_retry(remove: Callable[..., Any], path: str, _: object) -> None:
    # A task may have taken the owner's right to remove.
    if os.path.lexists(path):
        os.chmod(os.path.dirname(path), 0o700)
        if remove is os.unlink:
            os.unlink(path)
        else:
            os.chmod(path, 0o700)
            shutil.rmtree(path)


def _write(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


def _line(path: str) -> str:
    text = _read(path).decode("ascii", "replace")
    if not text.endswith("\n"):
        raise ValueError("not written to its end yet")
    return text
