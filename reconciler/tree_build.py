"""A new tree from an old one and a few changed files: only the folders on their paths are read and written.

Writes loose objects through a pygit2 handle that the caller owns; knows no refs, no remotes and no work tree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import pygit2
from pygit2.enums import FileMode

from engine.errors import ContractViolation

_Nested: TypeAlias = dict[str, "bytes | _Nested | None"]


def build_tree(
    repository: pygit2.Repository, base: pygit2.Oid | None, changes: Mapping[str, bytes | None]
) -> pygit2.Oid:
    """The tree that `base` becomes when each path of `changes` gets its bytes, or with None goes away (a folder
    with all that is in it).

    A folder left empty goes away too; what stands in the way of a path (a file, a symlink where a folder is needed) is
    replaced. The same changes always give the same tree.

    Raises:
        ContractViolation: a path is not relative and clean, or is both a file and a folder.
        KeyError, pygit2.GitError: the repository has lost something.
    """
    nested: _Nested = {}
    for path, data in changes.items():
        _place(nested, path, data)
    return _write(repository, base, nested) or repository.TreeBuilder().write()


def _place(nested: _Nested, path: str, data: bytes | None) -> None:
    *folders, name = path.split("/")
    for part in (*folders, name):
        if part in ("", ".", "..") or part.lower() == ".git" or "\0" in part:
            raise ContractViolation(f"{path!r} cannot be a path in a tree")
    for folder in folders:
        inner = nested.setdefault(folder, {})
        if not isinstance(inner, dict):
            raise ContractViolation(f"{path!r}: `{folder}` is a file and a folder at once")
        nested = inner
    if isinstance(nested.get(name), dict):
        raise ContractViolation(f"{path!r} is a file and a folder at once")
    nested[name] = data


def _write(repository: pygit2.Repository, base: pygit2.Oid | None, nested: _Nested) -> pygit2.Oid | None:
    """Write one folder and those below it; none when nothing is left in it."""
    tree = repository[base] if base is not None else None
    builder = repository.TreeBuilder(tree) if isinstance(tree, pygit2.Tree) else repository.TreeBuilder()
    for name, data in nested.items():
        was = builder.get(name)
        if isinstance(data, dict):
            folder = was.id if was is not None and was.filemode == FileMode.TREE else None
            if folder is None and not _adds_something(data):
                continue
            oid, mode = _write(repository, folder, data), FileMode.TREE
        else:
            oid, mode = (repository.create_blob(data) if data is not None else None), FileMode.BLOB
        if oid is not None:
            builder.insert(name, oid, mode)
        elif was is not None:
            builder.remove(name)
    return builder.write() if len(builder) else None


def _adds_something(nested: _Nested) -> bool:
    """Whether anything below is set: removing what is not there must not disturb what stands in its place."""
    return any(
        _adds_something(data) if isinstance(data, dict) else data is not None for data in nested.values()
    )
