"""Relative paths from hostile places: checking them, and writing below a folder without following links.

A flow file, a task or a URI may name any path; what is written here stays below the folder it is meant for. Knows
no storage and no runner, who both write through it.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from engine.errors import NotFound, UnavailableError, UserError

_MAX_PATH = 2048
_MAX_NAME = 240
_COPY_STEP = 1 << 30
_NO_COPY_RANGE = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EIO, errno.EROFS)


def relative_parts(path: str) -> tuple[str, ...]:
    """The names that `path` is made of.

    Raises:
        UserError: it is empty, absolute, climbs with `..`, holds a NUL or is too long to be a file name.
    """
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if not parts or path.startswith("/"):
        raise _refused(path, "is not a relative path")
    if ".." in parts:
        raise _refused(path, "climbs out of its folder with `..`")
    try:
        sizes = [len(os.fsencode(part)) for part in parts]
    except UnicodeEncodeError:
        raise _refused(path, "is not a name that a file can have") from None
    if "\0" in path or sum(sizes) + len(sizes) > _MAX_PATH or max(sizes) > _MAX_NAME:
        raise _refused(path, "is not a name that a file can have")
    return parts


def write_below(root: str, path: str, source: str | bytes) -> None:
    """Put a file at `path` below `root` in one step: nobody sees half of it, no symbolic link is followed.

    Args:
        root: an existing folder of ours.
        path: relative; folders on the way are made, a file already there is replaced.
        source: content, or the local path of a regular file to copy (a later write to one leaves the other alone).

    Raises:
        UserError: the path is refused, or a file or link stands where a folder is needed.
        NotFound: `source` is no readable regular file.
        UnavailableError: the disk is full or fails.
    """
    parts = relative_parts(path)
    try:
        with _folder(root, parts[:-1]) as folder:
            _write(folder, parts[-1], source)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise UnavailableError(f"file `{path}` cannot be written: {error.strerror}") from error
        raise _refused(path, f"cannot be written: {error.strerror}") from error


@contextmanager
def _folder(root: str, parts: tuple[str, ...]) -> Iterator[int]:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    current = os.open(root, flags)
    try:
        for part in parts:
            with suppress(FileExistsError):
                os.mkdir(part, dir_fd=current)
            below = os.open(part, flags | os.O_NOFOLLOW, dir_fd=current)
            os.close(current)
            current = below
        yield current
    finally:
        os.close(current)


def _write(folder: int, name: str, source: str | bytes) -> None:
    draft = f".{secrets.token_hex(8)}.part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    target = os.open(draft, flags, 0o644, dir_fd=folder)
    try:
        try:
            if isinstance(source, bytes):
                _write_all(target, source)
            else:
                _copy(source, target)
        finally:
            os.close(target)
        os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        os.unlink(draft, dir_fd=folder)
        raise


def _write_all(target: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(target, rest) :]


def _copy(source: str, target: int) -> None:
    try:
        # A FIFO in place of the file would block an ordinary open for ever.
        origin = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        raise NotFound(f"file `{source}` cannot be read") from None
    try:
        about = os.fstat(origin)
        if not stat.S_ISREG(about.st_mode):
            raise NotFound(f"`{source}` is not a regular file")
        os.fchmod(target, 0o644 | (about.st_mode & 0o111))
        _copy_bytes(origin, target)
    finally:
        os.close(origin)


def _copy_bytes(origin: int, target: int) -> None:
    try:
        # Shares the blocks where the file system can (btrfs, XFS), copies inside the kernel elsewhere.
        while os.copy_file_range(origin, target, _COPY_STEP):
            pass
    except OSError as error:
        if error.errno not in _NO_COPY_RANGE:
            raise
        os.lseek(origin, 0, os.SEEK_SET)
        os.lseek(target, 0, os.SEEK_SET)
        while block := os.read(origin, 1 << 20):
            _write_all(target, block)


def _refused(path: str, why: str) -> UserError:
    return UserError(f"file `{path[:200]!s}` {why}", reason="FileRefused")
