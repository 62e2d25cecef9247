"""A flows repository as one command reads it: the files as they lie in a folder, or as a commit has them.

Links are not followed, sizes are bounded, and what cannot be read is a problem of that file alone. It must not know
what a flow means.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import FlowInvalid, NotFound, UserError
from engine.model.problem import Problem
from engine.ports import NamespaceFiles

if TYPE_CHECKING:
    from reconciler.objects import Objects
    from reconciler.settings_file import RepositorySettings

MAX_FLOW_BYTES = 1 << 20
MAX_FILE_BYTES = 16 << 20
SETTINGS = ".headwater.yaml"
FLOW_FOLDERS = ("flows", "_flows")
FILE_FOLDERS = ("files", "_files")
TEST_FOLDERS = ("tests",)
Identity = tuple[str, str]
"""Namespace and id of a flow."""

_SUFFIXES = (".yaml", ".yml")


class File(NamedTuple):
    """A flow file: its path in the repository, its bytes, and the id that Git gives them."""

    path: str
    content: bytes
    blob: str


@dataclass(frozen=True)
class Tree:
    """What a repository holds.

    Args:
        described: where that is, for people: `at work tree (2 files changed since a91be04)`.
        commit: its id; empty when the files are not what a commit has.
        flows: the flow files, by path.
        problems: of the repository's settings, and of files that could not be read.
        namespace_files: what tasks may read.
        defaults: the repository's plugin defaults, see `engine.spec.defaults`.
    """

    described: str
    commit: str
    flows: tuple[File, ...]
    namespace_files: NamespaceFiles
    problems: tuple[Problem, ...] = field(default=())
    defaults: str = ""


def read_tree(repo: Path, revision: str | None = None) -> Tree:
    """The files of a repository.

    Args:
        repo: a work tree, a plain folder of the same shape, or a bare repository.
        revision: a commit to read instead of the files as they lie; a bare repository is read at HEAD.

    Raises:
        NotFound: there is no such repository, or no such commit.
        FlowInvalid: with the problems of its `.headwater.yaml`.
    """
    if not repo.is_dir():
        raise NotFound(f"there is no folder `{repo}`", hint="give the path of a flows repository as --repo")
    objects_at = git_folder(repo)
    if objects_at is not None and (revision or objects_at == repo):
        return _at_revision(objects_at, revision or "HEAD")
    if revision:
        raise NotFound(f"`{repo}` is no Git repository", hint="leave --rev away, or `git init` it")
    return _as_it_lies(repo, objects_at)


def yaml_files(folder: Path) -> Iterator[Path]:
    """Every YAML file below a folder, hidden folders aside, in order."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(names) if name.endswith(_SUFFIXES))


def read_file(path: Path, shown: str) -> File:
    """A flow file. Raises FlowInvalid when it is a link, too large or unreadable."""
    try:
        if path.is_symlink():
            raise refusal(
                shown, "this is a symbolic link, and links are not followed; put the file itself here"
            )
        if path.stat().st_size > MAX_FLOW_BYTES:
            raise refusal(shown, f"the file is larger than {MAX_FLOW_BYTES} bytes; split the flow")
        content = path.read_bytes()
    except OSError as error:
        raise refusal(shown, f"the file cannot be read: {error.strerror}") from None
    return File(shown, content, hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest())  # noqa: S324


def refusal(path: str, message: str) -> FlowInvalid:
    """A file that is refused as a whole."""
    return FlowInvalid([Problem(path, 0, 0, "", message)])


def is_repository(path: Path) -> bool:
    """Whether a folder looks like a flows repository, with Git or without."""
    marks = (SETTINGS, ".git", *FLOW_FOLDERS)
    return any((path / mark).exists() for mark in marks) or (path / "HEAD").is_file()


def folders_of_tests(repo: Path) -> tuple[str, ...]:
    """The folders in which a work tree keeps the tests of its flows. Raises FlowInvalid, as `read_tree`."""
    settings = _settings_of(repo)
    return settings.tests if settings else TEST_FOLDERS


def flow_folders(repo: Path) -> tuple[str, ...]:
    """The folders in which a work tree keeps its flows. Raises FlowInvalid, as `read_tree`."""
    settings = _settings_of(repo)
    return settings.flows if settings else FLOW_FOLDERS


def identify(content: bytes) -> Identity | None:
    """Whose flow a file's bytes are; none when they do not say."""
    from engine.spec.document import parse

    try:
        data = parse(content, "").data
    except FlowInvalid:
        return None
    namespace, flow_id = (
        (data.get("namespace"), data.get("id")) if isinstance(data, Mapping) else (None, None)
    )
    return (namespace, flow_id) if isinstance(namespace, str) and isinstance(flow_id, str) else None


def git_folder(repo: Path) -> Path | None:
    """Where the repository's objects are; the folder itself when it is bare, none when it is no repository."""
    if (repo / ".git").is_dir():
        return repo / ".git"
    if (repo / "HEAD").is_file() and (repo / "objects").is_dir() and (repo / "refs").is_dir():
        return repo
    with suppress(OSError, UnicodeDecodeError):  # a linked work tree, or a submodule: a file names the folder
        line = (repo / ".git").read_text(encoding="utf-8").strip()
        if line.startswith("gitdir: "):
            return (repo / line.removeprefix("gitdir: ")).resolve()
    return None


# As the files lie


def _as_it_lies(repo: Path, objects_at: Path | None) -> Tree:
    settings = _settings_of(repo)
    flows, files = (settings.flows, settings.files) if settings else (FLOW_FOLDERS, FILE_FOLDERS)
    found: dict[str, File] = {}
    problems: list[Problem] = []
    for folder in flows:
        for path in yaml_files(repo / folder):
            try:
                shown = path.relative_to(repo).as_posix()
                found[shown] = read_file(path, shown)
            except FlowInvalid as error:
                problems.extend(error.problems)
    described, commit = (
        _compared(objects_at, flows, list(found.values()))
        if objects_at
        else ("from a folder without Git", "")
    )
    namespace_files = FolderFiles(repo, files)
    return Tree(
        described, commit, tuple(found.values()), namespace_files, tuple(problems), _defaults(settings)
    )


def _settings_of(repo: Path) -> RepositorySettings | None:
    path = repo / SETTINGS
    if not path.is_file() or path.is_symlink():
        return None
    with path.open("rb") as file:
        return _settings(file.read(MAX_FLOW_BYTES))


def defaults_around(path: Path) -> str:
    """The plugin defaults of the repository that a file or folder lies in; empty when it lies in none.

    Raises:
        FlowInvalid: with the problems of its `.headwater.yaml`.
    """
    for parent in path.absolute().parents:
        if is_repository(parent):
            return _defaults(_settings_of(parent))
    return ""


def _defaults(settings: RepositorySettings | None) -> str:
    if settings is None or not settings.plugin_defaults:
        return ""
    from engine.spec.defaults import kept

    return kept(settings.plugin_defaults)


def _settings(content: bytes | None) -> RepositorySettings | None:
    if content is None:
        return None
    from reconciler.settings_file import read_settings

    read = read_settings(content)
    if read.settings is None:
        raise FlowInvalid(read.problems)
    return read.settings


def _compared(objects_at: Path, folders: tuple[str, ...], found: list[File]) -> tuple[str, str]:
    """What the work tree is, compared with HEAD, and HEAD's commit if the flow files are as it has them."""
    from reconciler.objects import Objects

    objects = Objects(objects_at)
    try:
        head = objects.resolve("HEAD")
        committed = {
            entry.path: entry.blob_id for entry in objects.files(head, folders) if _is_flow(entry.path)
        }
    except NotFound:
        return "at work tree, nothing committed yet", ""
    here = {file.path: file.blob for file in found}
    changed = len(dict(here.items() ^ committed.items()))
    if not changed:
        return f"at work tree, as in {head[:7]}", head
    return f"at work tree ({changed} file{'s' if changed > 1 else ''} changed since {head[:7]})", ""


def _is_flow(path: str) -> bool:
    return path.endswith(_SUFFIXES)


class FolderFiles:
    """Namespace files as they lie in `<repo>/<folder>/<namespace>/`; of two with one path the last folder's counts."""

    def __init__(self, repo: Path, folders: tuple[str, ...]) -> None:
        self._roots = [repo / folder for folder in folders]

    def files(self, namespace: str, commit: str) -> Mapping[str, bytes]:
        """All files of a namespace, whatever the commit. Raises UserError for one that is too large."""
        found: dict[str, bytes] = {}
        if "/" in namespace or namespace in ("", ".", ".."):
            return found
        for root in self._roots:
            for place, folders, names in os.walk(root / namespace):
                folders.sort()
                for path in (Path(place, name) for name in sorted(names)):
                    if path.is_symlink() or not path.is_file():
                        continue
                    if path.stat().st_size > MAX_FILE_BYTES:
                        raise UserError(f"{path}: more than {MAX_FILE_BYTES} bytes", hint="make it smaller")
                    found[path.relative_to(root / namespace).as_posix()] = path.read_bytes()
        return found


# As a commit has them


def _at_revision(objects_at: Path, revision: str) -> Tree:
    from reconciler.objects import Objects

    objects = Objects(objects_at)
    commit = objects.resolve(revision)
    settings = _settings(objects.read_path(commit, SETTINGS, MAX_FLOW_BYTES))
    flows, files = (settings.flows, settings.files) if settings else (FLOW_FOLDERS, FILE_FOLDERS)
    found: list[File] = []
    problems: list[Problem] = []
    for entry in objects.files(commit, flows):
        if not _is_flow(entry.path):
            continue
        if entry.kind not in ("file", "executable"):
            problems.append(
                Problem(entry.path, 0, 0, "", f"this is a {entry.kind}, not a file; put the file here")
            )
        elif entry.size > MAX_FLOW_BYTES:
            problems.append(Problem(entry.path, 0, 0, "", f"the file is larger than {MAX_FLOW_BYTES} bytes"))
        else:
            found.append(File(entry.path, objects.read(entry.blob_id), entry.blob_id))
    namespace_files = CommittedFiles(objects, commit, files)
    return Tree(
        f"at {commit[:7]}", commit, tuple(found), namespace_files, tuple(problems), _defaults(settings)
    )


class CommittedFiles:
    """Namespace files as one commit has them; of two with one path the last folder's counts."""

    def __init__(self, objects: Objects, commit: str, folders: tuple[str, ...]) -> None:
        self._objects = objects
        self._commit = commit
        self._folders = folders

    def files(self, namespace: str, commit: str) -> Mapping[str, bytes]:
        """All files of a namespace. Raises UserError for one that is too large."""
        found: dict[str, bytes] = {}
        for folder in self._folders:
            prefix = f"{folder}/{namespace}"
            for entry in self._objects.files(self._commit, (prefix,)):
                if entry.kind in ("file", "executable"):
                    found[entry.path.removeprefix(prefix + "/")] = self._objects.read(
                        entry.blob_id, MAX_FILE_BYTES
                    )
        return found
