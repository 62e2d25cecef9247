"""A person who commits: writes commits straight into a bare repository, as if they had been pushed there.

It shares no code with the reconciler: trees are built through pygit2's index.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pygit2

START = 1_760_000_000  # seconds since 1970; every commit of a test comes a minute after the one before


@dataclass(frozen=True)
class Special:
    """An entry that is no plain file: a symlink, a submodule, an executable."""

    mode: int
    content: bytes = b""
    target: str = ""


def symlink(target: str) -> Special:
    return Special(0o120000, target.encode())


def submodule(commit: str = "1" * 40) -> Special:
    return Special(0o160000, target=commit)


def executable(content: bytes) -> Special:
    return Special(0o100755, content)


Content = str | bytes | Special | None


class Author:
    """Commits to the bare repository at `path`, which is made when it is not there."""

    def __init__(self, path: Path, name: str = "Ada Author", email: str = "ada@example.org") -> None:
        self.path = path
        if not path.exists():
            pygit2.init_repository(str(path), bare=True, initial_head="main")
        self.repository = pygit2.Repository(str(path))
        self.name, self.email = name, email
        self._clock = START

    @property
    def url(self) -> str:
        return f"file://{self.path}"

    def head(self, branch: str = "main") -> str | None:
        try:
            return str(self.repository.lookup_reference(f"refs/heads/{branch}").target)
        except KeyError:
            return None

    def commit(
        self,
        files: Mapping[str, Content],
        message: str = "Change",
        *,
        branch: str = "main",
        orphan: bool = False,
        parents: list[str] | None = None,
    ) -> str:
        """Set (or with None remove) `files` on top of the branch; with `orphan` on top of nothing."""
        tip = None if orphan else self.head(branch)
        parents = parents if parents is not None else ([tip] if tip else [])
        tree = self.tree(files, parents[0] if parents else None)
        self._clock += 60
        who = pygit2.Signature(self.name, self.email, self._clock, 0)
        commit = self.repository.create_commit(None, who, who, message, tree, parents)
        self.reset(str(commit), branch)
        return str(commit)

    def tree(self, files: Mapping[str, Content], base: str | None) -> pygit2.Oid:
        index = pygit2.Index()
        if base:
            index.read_tree(self.repository[base].peel(pygit2.Tree))
        for path, content in files.items():
            if content is None:
                index.remove(path)
                continue
            if isinstance(content, Special) and content.target:
                oid = pygit2.Oid(hex=content.target)
                index.add(pygit2.IndexEntry(path, oid, pygit2.enums.FileMode.COMMIT))
                continue
            mode = content.mode if isinstance(content, Special) else 0o100644
            data = content.content if isinstance(content, Special) else content
            blob = self.repository.create_blob(data.encode() if isinstance(data, str) else data)
            index.add(pygit2.IndexEntry(path, blob, pygit2.enums.FileMode(mode)))
        return index.write_tree(self.repository)

    def reset(self, commit: str, branch: str = "main") -> None:
        """Move the branch, as a force push does."""
        self.repository.references.create(f"refs/heads/{branch}", commit, force=True)

    def delete_branch(self, branch: str = "main") -> None:
        self.repository.references.delete(f"refs/heads/{branch}")

    def hook(self, name: str, script: str) -> None:
        """Install a hook in the repository, as a forge's protection does."""
        hooks = self.path / "hooks"
        hooks.mkdir(exist_ok=True)
        (hooks / name).write_text(f"#!/bin/sh\n{script}\n")
        (hooks / name).chmod(0o755)

    def pack(self) -> None:
        """Pack everything, as a forge does in the background."""
        run_git("repack", "-a", "-d", "-q", cwd=self.path)


def run_git(*args: str, cwd: Path, data: bytes | None = None) -> str:
    """Run git for a test's own ends, outside of what is tested."""
    done = subprocess.run(
        ["git", *args],
        cwd=cwd,
        input=data,
        capture_output=True,
        check=True,
        env={
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": "/nonexistent",
            "GIT_CONFIG_NOSYSTEM": "1",
            "LC_ALL": "C",
        },
    )
    return done.stdout.decode()
