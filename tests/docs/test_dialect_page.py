"""docs/dialect.md says what works and what does not, and is held to the code."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from engine.model.flow import Flow
from engine.plugins import registry

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "dialect.md").read_text()


@pytest.fixture
def dialect() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dialect", ROOT / "docs" / "reference" / "dialect.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(title: str) -> dict[str, str]:
    """Name and state of everything in a section of the page."""
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `(.+?)` \| (.+?) \|", section, re.MULTILINE))


def test_the_table_of_differences_is_true(dialect: ModuleType) -> None:
    assert dialect.wrong() == []


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"tasks": {"differs": {"core.log.Lgo": "x"}}}, "tasks.differs: the code has no `core.log.Lgo`"),
        (
            {"filters": {"missing": {"upper": "x"}}},
            "filters.missing: the code has `upper`; take the line out",
        ),
        ({"nothing": {}}, "there is no section nothing"),
    ],
)
def test_what_is_not_true_is_found(
    dialect: ModuleType, monkeypatch: pytest.MonkeyPatch, table: dict[str, Any], said: str
) -> None:
    monkeypatch.setattr(dialect, "table", lambda: table)
    assert dialect.wrong() == [said]


@pytest.mark.parametrize(
    ("group", "title"),
    [("tasks", "Types of tasks"), ("triggers", "Types of triggers"), ("conditions", "Types of conditions")],
)
def test_every_type_is_listed_and_none_works_that_is_not_there(group: str, title: str) -> None:
    listed, there = rows(title), set(registry().names(group))
    assert there <= set(listed)
    assert {name for name, state in listed.items() if state in ("works", "differs")} <= there


def test_properties_filters_and_functions_are_listed() -> None:
    properties = rows("Properties of a flow")
    assert len(properties) == len(Flow.model_fields)
    assert properties["finally"] == "works"
    assert (rows("Filters")["upper"], rows("Functions")["secret"], rows("Tests, behind `is`")["defined"]) == (
        "works",
        "works",
        "works",
    )
    assert rows("Functions")["appLink"] == "not yet"


def test_what_the_notes_tell_of_blocks_is_marked_as_different() -> None:
    notes = (ROOT / "docs" / "dialect-notes.md").read_text()
    told = set(re.findall(r"^\| `([\w.]+)`", notes, re.MULTILINE))
    assert told
    assert {name for name in told if rows("Types of tasks")[name] != "differs"} == set()


def test_the_sums_are_those_of_the_sections() -> None:
    for title, works in re.findall(r"^\| \[(.+?)\]\(#.+?\) \| (\d+) \|", PAGE, re.MULTILINE):
        assert list(rows(title).values()).count("works") == int(works), title
