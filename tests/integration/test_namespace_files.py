"""The files of a namespace at a commit, read from a real mirror."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import UserError
from reconciler import namespace_files
from reconciler.namespace_files import MirrorNamespaceFiles
from reconciler.objects import Objects
from tests.support.repositories import Author, executable, submodule, symlink

ROOT = Path(__file__).parents[2]


class CountedObjects(Objects):
    """Notes every content that is read."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.read_ids: list[str] = []

    def read(self, blob_id: str, limit: int = 0) -> bytes:
        self.read_ids.append(blob_id)
        return super().read(blob_id, limit)


@pytest.fixture
def author(tmp_path: Path) -> Author:
    return Author(tmp_path / "flows.git")


def test_files_are_those_of_the_commit_and_the_namespace(author: Author) -> None:
    first = author.commit(
        {
            "files/company.etl/a.txt": "one",
            "files/company.etl/sub/b.sh": executable(b"two"),
            "files/company.etl/link": symlink("/etc/passwd"),
            "files/company.etl/module": submodule(),
            "files/company/c.txt": "the parent's",
            "files/company.etl2/d.txt": "a neighbour's",
            "_files/company.etl/a.txt": "the later folder counts",
            "flows/company.etl/e.txt": "no namespace file",
        }
    )
    second = author.commit({"files/company.etl/sub/b.sh": None, "_files/company.etl/a.txt": None})
    files = MirrorNamespaceFiles([Objects(author.path)])
    assert files.files("company.etl", first) == {"a.txt": b"the later folder counts", "sub/b.sh": b"two"}
    assert files.files("company.etl", second) == {"a.txt": b"one"}
    assert files.files("company", second) == {"c.txt": b"the parent's"}
    assert files.files("nobody", second) == {}


@pytest.mark.parametrize("namespace", ["", "..", ".", "company.etl/sub", "../files/company.etl"])
def test_no_name_leaves_its_folder(author: Author, namespace: str) -> None:
    commit = author.commit({"files/company.etl/sub/a.txt": "x", "files/b.txt": "y"})
    assert MirrorNamespaceFiles([Objects(author.path)]).files(namespace, commit) == {}


def test_the_example_repository_is_laid_out_like_that(author: Author) -> None:
    root = ROOT / "example-repo/files"
    commit = author.commit(
        {f"files/{path.relative_to(root)}": path.read_text() for path in root.rglob("*") if path.is_file()}
    )
    files = MirrorNamespaceFiles([Objects(author.path)]).files("company", commit)
    assert "reports/prices.csv" in files


def test_settings_of_that_commit_choose_the_folders(author: Author) -> None:
    first = author.commit({".headwater.yaml": "files: [data]\n", "data/ns/a": "1", "files/ns/a": "2"})
    second = author.commit({".headwater.yaml": "files: [data\n"})
    files = MirrorNamespaceFiles([Objects(author.path)])
    assert files.files("ns", first) == {"a": b"1"}
    assert files.files("ns", second) == {"a": b"2"}, "settings that are refused leave the defaults"


def test_each_content_is_read_once_however_many_commits_have_it(author: Author) -> None:
    commits = [author.commit({"files/ns/a": "same", "other": str(number)}) for number in range(3)]
    objects = CountedObjects(author.path)
    files = MirrorNamespaceFiles([objects])
    for commit in commits:
        assert files.files("ns", commit) == {"a": b"same"}
    assert len(objects.read_ids) == 1
    small = MirrorNamespaceFiles([objects], cache_bytes=3)
    assert small.files("ns", commits[0]) == small.files("ns", commits[0]) == {"a": b"same"}
    assert len(objects.read_ids) == 3, "what is larger than the cache is read again"


def test_the_mirror_that_knows_the_commit_answers(author: Author, tmp_path: Path) -> None:
    other = Author(tmp_path / "other.git")
    author.commit({"files/ns/a": "1"})
    commit = other.commit({"files/ns/a": "2"})
    files = MirrorNamespaceFiles([Objects(author.path), Objects(other.path)])
    assert files.files("ns", commit) == {"a": b"2"}
    assert files.files("ns", "1" * 40) == {}


def test_pointers_and_too_much_are_refused(author: Author, monkeypatch: pytest.MonkeyPatch) -> None:
    pointer = author.commit({"files/ns/a": "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"})
    large = author.commit({"files/ns/a": "x" * 11})
    files = MirrorNamespaceFiles([Objects(author.path)])
    with pytest.raises(UserError, match="LFS pointer"):
        files.files("ns", pointer)
    monkeypatch.setattr(namespace_files, "NAMESPACE_LIMIT", 10)
    with pytest.raises(UserError, match="1 files of 11 bytes"):
        files.files("ns", large)
