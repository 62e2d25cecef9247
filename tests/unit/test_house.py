"""The rules of the house that no linter knows: names, sizes, docstrings, pins, documents that fit together."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("engine", "runners", "reconciler", "webhooks", "templates", "headwater")
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
WALL = 500  # lines; the wish is 300
VAGUE = re.compile(r"utils?|helpers?|managers?|common|misc|base_impl|stuff")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name]


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring, f"{_name(path)} opens without a docstring"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_no_module_grows_past_the_wall(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= WALL, f"{_name(path)} has {lines} lines; split it by what it does"


def test_no_name_is_vague() -> None:
    vague = [
        _name(path) for path in MODULES for word in (path.stem, path.parent.name) if VAGUE.fullmatch(word)
    ]
    assert vague == []


def test_nothing_is_left_for_later() -> None:
    later = re.compile(r"\b(TODO|FIXME|XXX)\b")
    found = [_name(path) for path in MODULES if later.search(path.read_text())]
    assert found == []


def test_no_file_names_a_place_of_one_machine() -> None:
    """Home folders and this very clone's folder have no meaning on another machine."""
    here = [re.escape(str(folder)) for folder in (ROOT, Path.home()) if len(folder.parts) > 2]
    place = re.compile("|".join([r"/home/[a-z]+/", r"/Users/[a-z]+/", *here]))
    own = Path(__file__)
    found = [
        _name(path)
        for path in _tracked()
        if path != own and path.is_file() and place.search(path.read_text(errors="replace"))
    ]
    assert found == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-build.txt", "requirements-dev.txt"])
def test_pins_carry_hashes_and_no_host(name: str) -> None:
    text = (ROOT / name).read_text()
    pins = re.findall(r"^[a-z0-9][^ ]*==[^ ]+ \\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)
    assert pins
    assert len(pins) == len(re.findall(r"^[a-zA-Z0-9]", text, re.MULTILINE))
    assert "://" not in text
    assert not re.search(r"^-", text, re.MULTILINE)


def _distribution(requirement: str) -> str:
    """The normalised name in a requirement (PEP 503)."""
    return re.sub(r"[._-]+", "-", re.split(r"[^A-Za-z0-9._-]", requirement)[0]).lower()


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for wanted, name in (
        (project["project"]["dependencies"], "requirements.txt"),
        (project["build-system"]["requires"], "requirements-build.txt"),
        (project["dependency-groups"]["dev"], "requirements-dev.txt"),
    ):
        pinned = set(re.findall(r"^([a-z0-9.-]+)==", (ROOT / name).read_text(), re.MULTILINE))
        names = {_distribution(dependency) for dependency in wanted}
        assert names <= pinned, f"`make lock` is due: {name} lacks {sorted(names - pinned)}"


def test_the_glossary_gives_each_word_one_meaning() -> None:
    words = re.findall(r"^\| \*\*(.+?)\*\* \|", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE)
    assert len(words) > 30
    assert sorted(words) == sorted(set(words))


def test_the_glossary_knows_every_state() -> None:
    from engine.model.state import State

    glossary = (ROOT / "docs/glossary.md").read_text()
    assert [state for state in State if f"`{state}`" not in glossary] == []


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs/adr"
    index = (folder / "README.md").read_text()
    records = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert records
    assert [name for name in records if f"({name})" not in index] == []


def test_links_between_documents_lead_somewhere() -> None:
    """Badges are files of another branch, which a forge shows below `raw/`."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "example-repo").rglob("*.md")]
    broken = [
        f"{_name(page)}: {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
        if "://" not in link and not link.startswith("../../raw/") and not (page.parent / link).exists()
    ]
    assert broken == []
