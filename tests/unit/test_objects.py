"""Reading a repository that strangers wrote: nothing is followed, everything is bounded, names are harmless."""

from __future__ import annotations

from pathlib import Path

import pygit2
import pytest

from engine.errors import NotFound, UserError
from reconciler import tree_walk
from reconciler.objects import MirrorDamaged, Objects, is_lfs_pointer
from tests.support.repositories import Author, executable, run_git, submodule, symlink

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"


@pytest.fixture
def author(tmp_path: Path) -> Author:
    return Author(tmp_path / "r.git")


def test_special_entries_are_named_and_not_followed(author: Author) -> None:
    revision = author.commit(
        {"flows/link.yaml": symlink("/etc/passwd"), "sub": submodule(), "run": executable(b"x"), "big": LFS}
    )
    objects = Objects(author.path)
    found = {entry.path: entry for entry in objects.files(revision)}
    assert {path: entry.kind for path, entry in found.items()} == {
        "big": "file",
        "flows/link.yaml": "symlink",
        "run": "executable",
        "sub": "submodule",
    }
    assert objects.read(found["flows/link.yaml"].blob_id) == b"/etc/passwd"
    assert objects.read_path(revision, "flows/link.yaml") is None
    assert objects.read_path(revision, "flows/link.yaml/x") is None
    assert objects.read_path(revision, "flows") is None
    assert is_lfs_pointer(objects.read_path(revision, "big") or b"")
    assert not is_lfs_pointer(LFS + b"x" * 2000)
    assert not is_lfs_pointer(b"id: a")


def test_strange_names_are_escaped(author: Author) -> None:
    blob = str(author.repository.create_blob(b"x"))
    names = [b"\xff\xfe", b"new\nline", b"esc\x1b[31m", b"-rf", "é".encode()]
    listing = b"".join(b"100644 blob " + blob.encode() + b"\t" + name + b"\0" for name in names)
    tree = run_git("mktree", "-z", cwd=author.path, data=listing).strip()
    commit = run_git(
        "-c", "user.name=x", "-c", "user.email=x@example.org", "commit-tree", tree, "-m", "x", cwd=author.path
    ).strip()
    paths = {entry.path for entry in Objects(author.path).files(commit)}
    assert paths == {"\\xff\\xfe", "new\\nline", "esc\\x1b[31m", "-rf", "é"}


def test_a_path_without_end_is_cut_and_not_entered(author: Author) -> None:
    tree = author.tree({"x": "1"}, None)
    for _ in range(60):
        builder = author.repository.TreeBuilder()
        builder.insert("n" * 100, tree, pygit2.enums.FileMode.TREE)
        tree = builder.write()
    who = pygit2.Signature("x", "x@example.org", 0, 0)
    revision = str(author.repository.create_commit(None, who, who, "deep", tree, []))
    objects = Objects(author.path)
    (entry,) = objects.files(revision)
    (change,) = objects.changes(None, revision)
    assert entry.kind == change.kind == "overlong"
    assert entry.path == change.path
    assert len(entry.path) < 4200


def test_a_tree_that_unfolds_without_end_is_refused(author: Author, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_walk, "ENTRY_LIMIT", 10_000)
    tree = author.tree({str(n): "1" for n in range(10)}, None)
    for _ in range(12):
        builder = author.repository.TreeBuilder()
        for n in range(10):
            builder.insert(str(n), tree, pygit2.enums.FileMode.TREE)
        tree = builder.write()
    who = pygit2.Signature("x", "x@example.org", 0, 0)
    revision = str(author.repository.create_commit(None, who, who, "bomb", tree, []))
    objects = Objects(author.path)
    for walk in (objects.files(revision), objects.changes(None, revision)):
        with pytest.raises(UserError) as caught:
            list(walk)
        assert caught.value.reason == "TreeTooLarge"


def test_a_big_blob_is_not_read(author: Author) -> None:
    revision = author.commit({"big": "x" * 1001})
    objects = Objects(author.path)
    (entry,) = objects.files(revision)
    assert len(objects.read(entry.blob_id, 1001)) == 1001
    with pytest.raises(UserError) as caught:
        objects.read(entry.blob_id, 1000)
    assert caught.value.reason == "FileTooLarge"


@pytest.mark.parametrize("name", ["", "0" * 40, "zz", "-x", "main", "x" * 500, "\0"])
def test_what_is_not_there_is_not_found(author: Author, name: str) -> None:
    revision = author.commit({"a": "1"}, branch="other")
    objects = Objects(author.path)
    for ask in (objects.tree_id, objects.read, objects.commit_info, objects.resolve):
        with pytest.raises(NotFound):
            ask(name)
    with pytest.raises(NotFound):
        list(objects.files(name))
    assert not objects.is_ancestor(name, revision)
    with pytest.raises(NotFound):
        objects.read(revision)


def test_no_repository_is_not_found(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(NotFound):
            Objects(path).resolve("HEAD")


def test_revisions_are_resolved(author: Author) -> None:
    first, second = author.commit({"a": "1"}), author.commit({"a": "2"})
    author.repository.create_tag(
        "v1", first, pygit2.enums.ObjectType.COMMIT, pygit2.Signature("x", "x"), "tagged"
    )
    objects = Objects(author.path)
    names = {
        "HEAD": second,
        "main": second,
        "main~1": first,
        first[:9]: first,
        "v1": first,
        "refs/heads/main": second,
    }
    assert {name: objects.resolve(name) for name in names} == names


def test_a_commit_speaks_for_itself(author: Author) -> None:
    message = "Subject line\n\nBody: not a trailer\nmore\n\nHeadwater-Execution: a\nHeadwater-Execution: b\n"
    info = Objects(author.path).commit_info(author.commit({"a": "1"}, message))
    assert (info.subject, info.author_name, info.author_email) == (
        "Subject line",
        "Ada Author",
        "ada@example.org",
    )
    assert info.trailers == (("Headwater-Execution", "a"), ("Headwater-Execution", "b"))
    assert not info.signed
    assert info.parents == ()


def test_a_missing_folder_is_damage(author: Author) -> None:
    revision = author.commit({"d/a": "1"})
    tree = author.repository[revision].peel(pygit2.Tree)["d"].id
    (author.path / "objects" / str(tree)[:2] / str(tree)[2:]).unlink()
    with pytest.raises(MirrorDamaged):
        list(Objects(author.path).files(revision))
