"""The walk over trees sees what pygit2's own diff and Git's own listing see, for any pair of trees."""

from __future__ import annotations

import pygit2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.objects import Objects
from reconciler.tree_build import build_tree
from tests.support.repositories import Author, Special, executable, submodule, symlink

NAMES = st.sampled_from(["a", "b", "a-b", "a.b", "flows", "flows2", "é", "Z"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
CONTENT: st.SearchStrategy[str | Special] = st.one_of(
    st.sampled_from(["1", "2", ""]),
    st.sampled_from([symlink("1"), executable(b"1"), submodule("1" * 40), submodule("2" * 40)]),
)
Files = dict[str, str | Special]


def _consistent(files: Files) -> Files:
    """No path may be a file and a folder at once."""
    return {
        path: content
        for path, content in files.items()
        if not any(other.startswith(path + "/") for other in files)
    }


TREES = st.dictionaries(PATHS, CONTENT, max_size=8).map(_consistent)
PREFIXES = st.lists(PATHS, max_size=2).map(tuple)


@pytest.fixture(scope="module")
def author(tmp_path_factory: pytest.TempPathFactory) -> Author:
    return Author(tmp_path_factory.mktemp("walk") / "r.git")


def _commit(author: Author, files: Files) -> str:
    return author.commit(files, orphan=True)


def _within(path: str, prefixes: tuple[str, ...]) -> bool:
    return not prefixes or any(path == prefix or path.startswith(prefix + "/") for prefix in prefixes)


@settings(max_examples=150, deadline=None)
@given(old=TREES, new=TREES, prefixes=PREFIXES)
def test_changes_equal_pygit2s_diff(
    author: Author, old: Files, new: Files, prefixes: tuple[str, ...]
) -> None:
    before, after = _commit(author, old), _commit(author, new)
    repository = author.repository
    diff = (
        repository[before]
        .peel(pygit2.Tree)
        .diff_to_tree(repository[after].peel(pygit2.Tree), flags=pygit2.enums.DiffOption.INCLUDE_TYPECHANGE)
    )
    expected: dict[str, list[str | None]] = {}
    for delta in diff.deltas:
        for side, file in ((0, delta.old_file), (1, delta.new_file)):
            if file.mode and _within(file.path, prefixes):
                expected.setdefault(file.path, [None, None])[side] = f"{file.id} {int(file.mode):o}"
    seen = {}
    for change in Objects(author.path).changes(before, after, prefixes):
        assert change.path not in seen
        seen[change.path] = [
            f"{blob} {mode:o}" if blob else None
            for blob, mode in ((change.old_blob, change.old_mode), (change.new_blob, change.new_mode))
        ]
    assert seen == expected


@settings(max_examples=80, deadline=None)
@given(files=TREES, prefixes=PREFIXES)
def test_files_are_what_was_committed(author: Author, files: Files, prefixes: tuple[str, ...]) -> None:
    objects = Objects(author.path)
    revision = _commit(author, files)
    found = {entry.path: entry for entry in objects.files(revision, prefixes)}
    assert set(found) == {path for path in files if _within(path, prefixes)}
    for path, entry in found.items():
        content = files[path]
        if isinstance(content, Special) and content.target:
            assert (entry.kind, entry.blob_id, entry.size) == ("submodule", content.target, 0)
            continue
        data = content.content if isinstance(content, Special) else content.encode()
        assert (objects.read(entry.blob_id), entry.size) == (data, len(data))
    added = {change.path: change.new_blob for change in objects.changes(None, revision, prefixes)}
    assert added == {path: entry.blob_id for path, entry in found.items()}


@settings(max_examples=100, deadline=None)
@given(old=TREES, new=st.dictionaries(PATHS, st.sampled_from(["1", "2", None]), max_size=6))
def test_a_built_tree_is_the_old_one_with_the_changes(
    author: Author, old: Files, new: dict[str, str | None]
) -> None:
    new = {path: data for path, data in new.items() if not any(other.startswith(path + "/") for other in new)}
    repository = author.repository
    base = repository[_commit(author, old)].peel(pygit2.Commit).tree_id
    tree = build_tree(repository, base, {path: data.encode() if data else None for path, data in new.items()})
    expected: Files = dict(old)
    for path, data in new.items():
        if data is not None:
            parts = path.split("/")
            for depth in range(1, len(parts)):
                expected.pop("/".join(parts[:depth]), None)
            for other in [other for other in expected if other.startswith(path + "/")]:
                del expected[other]
            expected[path] = data
        else:
            expected.pop(path, None)
    blocked = {
        path for path, data in new.items() if data is None and any(o.startswith(path + "/") for o in old)
    }
    for path in blocked:  # removing a path removes a folder of that name as well
        for other in [other for other in expected if other.startswith(path + "/") and other not in new]:
            del expected[other]
    assert tree == author.tree(expected, None)
