"""Internal storage on the local disk: what goes in comes out, and nothing leaves it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import NotFound, UnavailableError, UserError
from engine.store.files import LocalFiles

NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=30
).filter(lambda name: name not in (".", ".."))
ESCAPES = ["/etc/passwd", "../x", "a/../../x", "..", "", ".", "a\0b", "x" * 250, "a/" * 2000 + "b", "a\ud800"]


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path / "storage")


@given(st.lists(NAMES, min_size=1, max_size=4), st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_any_name_and_content_come_back(names: list[str], content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = LocalFiles(Path(folder))
        path = "/".join(names)
        uri = files.put(path, content)
        assert uri.isascii()
        assert uri.startswith("headwater:///")
        for name in (uri, uri.replace("headwater:", "kestra:")):
            assert Path(files.local_path(name)).read_bytes() == content
        assert files.remove(path) == 1


def test_a_copy_is_a_copy(files: LocalFiles, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 100_000)
    source.chmod(0o750)
    kept = Path(files.local_path(files.put("a/b", str(source))))
    source.write_bytes(b"changed")
    assert kept.read_bytes() == b"x" * 100_000
    assert os.access(kept, os.X_OK)


def test_a_copy_where_the_kernel_does_not_copy(
    files: LocalFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(18, "cross-device")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    (tmp_path / "source").write_bytes(b"x" * 3_000_000)
    assert Path(files.local_path(files.put("a", str(tmp_path / "source")))).stat().st_size == 3_000_000


def test_putting_again_replaces_in_one_step(files: LocalFiles, tmp_path: Path) -> None:
    kept = Path(files.local_path(files.put("a", b"old")))
    with kept.open("rb") as reader:
        files.put("a", b"new")
        assert (reader.read(), kept.read_bytes()) == (b"old", b"new")
    assert os.listdir(tmp_path / "storage") == ["a"]


def test_a_failed_write_leaves_what_was_there(
    files: LocalFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = files.put("a", b"old")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(UnavailableError, match=r"`a`.*No space"):
            files.put("a", b"new")
    assert Path(files.local_path(uri)).read_bytes() == b"old"
    assert os.listdir(tmp_path / "storage") == ["a"]


@pytest.mark.parametrize("path", ESCAPES)
def test_no_path_leaves_the_storage(files: LocalFiles, tmp_path: Path, path: str) -> None:
    with pytest.raises(UserError):
        files.put(path, b"x")
    with pytest.raises(UserError):
        files.remove(path)
    assert os.listdir(tmp_path) == ["storage"]
    assert os.listdir(tmp_path / "storage") == []


@pytest.mark.parametrize(
    "uri",
    [
        "headwater:///none",
        "headwater:///../outside",
        "headwater:///%2e%2e/outside",
        "headwater:////etc/passwd",
        "headwater:///a%00b",
        "headwater://host/kept",
        "headwater:///",
        "headwater:///folder",
        "headwater:///link",
        "headwater:///up/outside",
        "file:///etc/passwd",
        "/etc/passwd",
        "",
    ],
)
def test_no_uri_reads_outside(files: LocalFiles, tmp_path: Path, uri: str) -> None:
    files.put("folder/kept", b"x")
    files.put("kept", b"x")
    (tmp_path / "outside").write_bytes(b"secret")
    (tmp_path / "storage" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "storage" / "up").symlink_to(tmp_path)
    with pytest.raises(NotFound):
        files.local_path(uri)


def test_links_are_not_written_or_removed_through(files: LocalFiles, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_text("x")
    (tmp_path / "storage" / "link").symlink_to(outside)
    with pytest.raises(UserError, match="link/f"):
        files.put("link/f", b"evil")
    assert files.remove("link/f") == 0
    files.put("tree/a", b"x")
    (tmp_path / "storage" / "tree" / "link").symlink_to(outside)
    assert files.remove("tree") == 1
    assert files.remove("link") == 1
    assert (outside / "f").read_text() == "x"


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "nul"])
def test_only_regular_files_are_taken(files: LocalFiles, tmp_path: Path, kind: str) -> None:
    source = tmp_path / "source"
    if kind == "folder":
        source.mkdir()
    if kind == "fifo":
        os.mkfifo(source)
    with pytest.raises(NotFound):
        files.put("a", str(source) + ("\0" if kind == "nul" else ""))


def test_a_file_in_the_place_of_a_folder(files: LocalFiles) -> None:
    files.put("a", b"x")
    with pytest.raises(UserError, match="a/b"):
        files.put("a/b", b"x")
    files.put("c/d", b"x")
    with pytest.raises(UserError, match="`c`"):
        files.put("c", b"x")


def test_remove_counts(files: LocalFiles) -> None:
    for name in ("a/1", "a/b/2", "a/b/3", "other"):
        files.put(name, b"x")
    assert files.remove("a") == 3
    assert files.remove("a") == 0
    assert files.remove("a/b") == 0
    assert files.local_path("headwater:///other")
