"""Which files `outputFiles` patterns name."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from engine.errors import UserError
from runners.globs import check_patterns, collect

FILES = ("a.csv", "b.txt", "out/c.csv", "out/deep/d.csv", "out/deep/e [1].txt", ".hidden")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("a.csv", {"a.csv"}),
        ("./out//c.csv", {"out/c.csv"}),
        ("*.csv", {"a.csv"}),
        ("out/*", {"out/c.csv"}),
        ("out/**", {"out/c.csv", "out/deep/d.csv", "out/deep/e [1].txt"}),
        ("**/*.csv", {"a.csv", "out/c.csv", "out/deep/d.csv"}),
        ("**.csv", {"a.csv", "out/c.csv", "out/deep/d.csv"}),
        ("**", set(FILES)),
        ("out/**/deep/?.csv", {"out/deep/d.csv"}),
        ("*.{csv,txt}", {"a.csv", "b.txt"}),
        ("[ab].*", {"a.csv", "b.txt"}),
        ("[^a].*", {"b.txt"}),
        ("out/deep/e [[]1].txt", {"out/deep/e [1].txt"}),
        ("out", set()),
        ("nothing", set()),
    ],
)
def test_pattern(root: Path, pattern: str, found: set[str]) -> None:
    collected = collect([str(root)], [pattern])
    assert set(collected.files) == found
    assert collected.missing == (() if found else (pattern,))
    assert all(Path(local).read_text() == name for name, local in collected.files.items())


def test_no_pattern_takes_long(tmp_path: Path) -> None:
    (tmp_path / ("a" * 200)).touch()
    folder = tmp_path / "/".join("b" * 100)
    folder.mkdir(parents=True)
    (folder / "c").touch()
    begin = time.perf_counter()
    assert collect([str(tmp_path)], ["*a" * 60 + "b", "**/b/" * 60 + "d"]).files == {}
    assert time.perf_counter() - begin < 5


@pytest.mark.parametrize("pattern", ["/abs", "a/../../b", "{a,b}" * 10, ""])
def test_refused(pattern: str) -> None:
    with pytest.raises(UserError):
        check_patterns([pattern])


def test_an_unclosed_choice_is_text(tmp_path: Path) -> None:
    (tmp_path / "a[b{c").touch()
    assert set(collect([str(tmp_path)], ["a[b{c"]).files) == {"a[b{c"}
