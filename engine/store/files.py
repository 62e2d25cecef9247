"""Internal storage on the local disk: the embedded `FileStorage` of `engine.ports`.

A URI is `headwater:///` and the percent-encoded relative path (RFC 3986); `kestra:///` reads the same files (dialect,
section 6.5). Knows paths and bytes; it must not know which namespace may read what.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote

from engine.errors import NotFound, UserError
from engine.paths import relative_parts, write_below

_SCHEME = "headwater://"
_READABLE = (_SCHEME, "kestra://")


class LocalFiles:
    """Keeps files below one folder.

    Args:
        root: the folder; made when it is missing, readable by this account only.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._root = os.path.realpath(root)

    def put(self, path: str, source: str | bytes) -> str:
        """Keep `source` (a local path, or bytes) under the relative `path`, replacing what was there.

        Raises:
            UserError: the path is absolute, climbs with `..`, or leads through a symbolic link.
            NotFound: `source` cannot be read.
            UnavailableError: the disk is full or fails.
        """
        write_below(self._root, path, source)
        return f"{_SCHEME}/" + quote("/".join(relative_parts(path)), safe="/", errors="surrogateescape")

    def local_path(self, uri: str) -> str:
        """The local path of a kept file.

        Raises:
            NotFound: there is none, the URI is of another kind, or it leaves the storage.
        """
        for scheme in _READABLE:
            if uri.startswith(f"{scheme}/"):
                return self._existing(uri, unquote(uri[len(scheme) + 1 :], errors="surrogateescape"))
        raise NotFound(
            f"`{uri}` is not a file of the internal storage", hint="its URIs begin with `headwater:///`"
        )

    def remove(self, prefix: str) -> int:
        """Remove the file or everything below the folder at `prefix`; returns how many files there were.

        Raises:
            UserError: the prefix is empty, absolute or climbs.
        """
        target = os.path.join(self._root, *relative_parts(prefix))
        if os.path.realpath(os.path.dirname(target)) != os.path.dirname(target):
            return 0
        if not os.path.isdir(target) or os.path.islink(target):
            try:
                os.unlink(target)
            except (FileNotFoundError, NotADirectoryError):
                return 0
            return 1
        count = sum(len(names) for _, _, names in os.walk(target))
        shutil.rmtree(target, ignore_errors=True)
        return count

    def written(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        """Every file below a folder (empty: all), by its relative path, and when it was last written (UTC).

        Files that go meanwhile are left out, symbolic links are not followed.

        Raises:
            UserError: the prefix is absolute or climbs.
        """
        start = os.path.join(self._root, *relative_parts(prefix)) if prefix else self._root
        if os.path.realpath(start) != start:
            return
        for folder, _, names in os.walk(start):
            for name in names:
                path = os.path.join(folder, name)
                try:
                    seconds = os.lstat(path).st_mtime
                except FileNotFoundError:
                    continue
                yield os.path.relpath(path, self._root), datetime.fromtimestamp(seconds, UTC)

    def _existing(self, uri: str, path: str) -> str:
        missing = NotFound(f"there is no file `{uri}` in the internal storage")
        try:
            target = os.path.join(self._root, *relative_parts(path))
            # Nobody but us writes here; should a link turn up all the same, it is not followed.
            if os.path.realpath(target) != target or not stat.S_ISREG(os.lstat(target).st_mode):
                raise missing
        except (OSError, UserError):
            raise missing from None
        return target
