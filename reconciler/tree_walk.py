"""Walking Git trees: all entries of one, or what differs between two, without opening folders that are equal.

Paths come from strangers: bytes that are no UTF-8 and control characters are escaped, over-long and endless trees are
bounded. Reads through a pygit2 handle that the caller owns; knows no refs and no remotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
import pygit2

from engine.errors import UserError

ENTRY_LIMIT = 2_000_000
PATH_LIMIT = 4096  # bytes; Linux's PATH_MAX
_TREE = b"40000"
# Old tools wrote modes with leading zeros; equal entries must not differ by them.
_STORED = re.compile(rb"0*([0-7]+) ([^\0]+)\0(.{20})", re.DOTALL)
_SYMLINK = 0o120000
_SUBMODULE = 0o160000


class Entry(msgspec.Struct, frozen=True):
    """An entry of a tree that is not a folder.

    Args:
        path: for people and comparison; escaped when it is not clean UTF-8, cut when it is longer than `PATH_LIMIT`.
        blob_id: what `Objects.read` takes; for a submodule the commit it names.
        size: bytes; 0 for a submodule.
        mode: Git's file mode; 0 for a folder whose path is too long to go into.
    """

    path: str
    blob_id: str
    size: int
    mode: int

    @property
    def kind(self) -> str:
        """`file`, `executable`, `symlink`, `submodule` or `overlong`. Only the first two are to be read as files."""
        return kind_of(self.mode)


class Change(msgspec.Struct, frozen=True):
    """A path whose entry differs between two commits; none on the side where it is not."""

    path: str
    old_blob: str | None
    new_blob: str | None
    old_mode: int = 0
    new_mode: int = 0

    @property
    def kind(self) -> str:
        """The kind of the new entry, or of the old one when it is gone; as `Entry.kind`."""
        return kind_of(self.new_mode if self.new_blob else self.old_mode)


def kind_of(mode: int) -> str:
    """What a Git file mode stands for."""
    if mode == _SYMLINK:
        return "symlink"
    if mode == _SUBMODULE:
        return "submodule"
    if mode == 0:
        return "overlong"
    return "executable" if mode & 0o111 else "file"


def entries(repository: pygit2.Repository, tree: pygit2.Oid, prefixes: tuple[str, ...]) -> Iterator[Entry]:
    """Every entry below `tree` within `prefixes`, in Git's order. Raises UserError, KeyError, pygit2.GitError."""
    database = repository.odb
    wanted = tuple(prefix.encode("utf-8", "surrogateescape") for prefix in prefixes)
    stack: list[tuple[bytes, bool, Iterator[_Side]]] = [(b"", not wanted, iter(_sides(repository, tree)))]
    seen = 0
    while stack:
        base, inside, rest = stack[-1]
        side = next(rest, None)
        if side is None:
            stack.pop()
            continue
        seen += 1
        _bound(seen)
        stored, name, raw = side
        path = base + name
        within = inside or _within(path, wanted)
        if stored != _TREE:
            if within:
                mode = int(stored, 8)
                size = 0 if mode == _SUBMODULE else database.read_header(pygit2.Oid(raw=raw))[1]
                yield Entry(shown(path), raw.hex(), size, mode)
        elif within or _leads_to(path, wanted):
            if len(path) > PATH_LIMIT:
                yield Entry(shown(path), raw.hex(), 0, 0)
            else:
                stack.append((path + b"/", within, iter(_sides(repository, pygit2.Oid(raw=raw)))))


def changed_entries(
    repository: pygit2.Repository, old: pygit2.Oid | None, new: pygit2.Oid | None, prefixes: tuple[str, ...]
) -> Iterator[Change]:
    """What differs between two trees within `prefixes`. Raises UserError, KeyError, pygit2.GitError."""
    wanted = tuple(prefix.encode("utf-8", "surrogateescape") for prefix in prefixes)
    stack = [(b"", not wanted, old, new)]
    seen = 0
    while stack:
        base, inside, before_id, after_id = stack.pop()
        if before_id == after_id:
            continue
        before, after = _sides(repository, before_id), _sides(repository, after_id)
        for name, was, now in _differing(before, after):
            seen += 1
            _bound(seen)
            path = base + name
            within = inside or _within(path, wanted)
            if within:
                yield from _changed_leaf(path, was, now)
            trees = [pygit2.Oid(raw=side[2]) if side and side[0] == _TREE else None for side in (was, now)]
            if trees != [None, None] and len(path) <= PATH_LIMIT and (within or _leads_to(path, wanted)):
                stack.append((path + b"/", within, trees[0], trees[1]))


_Side = tuple[bytes, bytes, bytes]
"""Mode (octal digits), name and raw id, as a tree object stores them."""


def _sides(repository: pygit2.Repository, tree: pygit2.Oid | None) -> list[_Side]:
    """The entries of one folder. Read raw, because a pygit2 object for each of them costs several times as much."""
    if tree is None:
        return []
    found = repository[tree]
    if not isinstance(found, pygit2.Tree):
        raise KeyError(str(tree))
    return _STORED.findall(found.read_raw())


def _differing(before: list[_Side], after: list[_Side]) -> Iterator[tuple[bytes, _Side | None, _Side | None]]:
    equal = set(before).intersection(after)
    was = {side[1]: side for side in before if side not in equal}
    now = {side[1]: side for side in after if side not in equal}
    for name in sorted(was.keys() | now.keys()):
        yield name, was.get(name), now.get(name)


def _changed_leaf(path: bytes, was: _Side | None, now: _Side | None) -> Iterator[Change]:
    leaves = [_leaf(path, side) for side in (was, now)]
    if leaves != [None, None]:
        (old_blob, old_mode), (new_blob, new_mode) = (leaf or (None, 0) for leaf in leaves)
        yield Change(shown(path), old_blob, new_blob, old_mode, new_mode)


def _leaf(path: bytes, side: _Side | None) -> tuple[str, int] | None:
    """Blob and mode of one side; a folder too deep to go into stands for itself."""
    if side is None or (side[0] == _TREE and len(path) <= PATH_LIMIT):
        return None
    return side[2].hex(), 0 if side[0] == _TREE else int(side[0], 8)


def _within(path: bytes, wanted: tuple[bytes, ...]) -> bool:
    return any(path == prefix or path.startswith(prefix + b"/") for prefix in wanted)


def _leads_to(path: bytes, wanted: tuple[bytes, ...]) -> bool:
    return any(prefix.startswith(path + b"/") for prefix in wanted)


def _bound(seen: int) -> None:
    # A few nested trees that name each other a hundred times unfold into billions of entries.
    if seen > ENTRY_LIMIT:
        raise UserError(
            f"the tree has more than {ENTRY_LIMIT} entries",
            hint="follow a smaller repository",
            reason="TreeTooLarge",
        )


def shown(path: bytes) -> str:
    """A path as text: escaped where it is no UTF-8 or holds control characters, cut at `PATH_LIMIT` bytes."""
    cut = path[:PATH_LIMIT] + b"..." if len(path) > PATH_LIMIT else path
    text = cut.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
