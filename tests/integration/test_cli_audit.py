"""`headwater audit`: the table and the document it makes of what Git tells."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command import HELLO, Command
from tests.support.repositories import Author

FILE = "flows/hello.yaml"


@pytest.fixture
def headwater(tmp_path: Path) -> Command:
    return Command(tmp_path)


@pytest.fixture
def author(headwater: Command) -> Author:
    return Author(headwater.folder / "flows.git")


def recorded(author: Author, execution: str, revision: str, state: str) -> None:
    body = {
        "id": execution,
        "commit": revision,
        "state": {"current": state, "startDate": "2026-03-01T12:00:00.000Z"},
    }
    trailers = (
        f"Headwater-Execution: {execution}\nHeadwater-Flow: company/hello\nHeadwater-Revision: {revision}"
    )
    path = f"executions/2026/03/01/{execution}.json"
    author.commit({path: json.dumps(body)}, f"Record\n\n{trailers}", branch="headwater/status")


def test_runs_stand_beside_the_change_that_they_ran_with(headwater: Command, author: Author) -> None:
    first = author.commit({FILE: HELLO}, "first version")
    author.commit({"README.md": "x"}, "something else")
    between = author.head()
    second = author.commit({FILE: HELLO + "description: x\n"}, "say what\x1b[2J it is for")
    assert between is not None
    recorded(author, "one", first, "SUCCESS")
    recorded(author, "two", between, "FAILED")
    recorded(author, "three", second, "SUCCESS")
    recorded(author, "lost", "f" * 40, "SUCCESS")
    ended = headwater("audit", "company.hello", "--repo", "flows.git")
    newer, older, rest = ended.out.splitlines()
    assert (ended.code, ended.err) == (0, "")
    assert newer.startswith(f"{second[:7]}  ")
    assert "Ada Author" in newer
    assert "say what it is for" in newer
    assert newer.endswith("  1 run   ✓")
    assert "first version (added: flows/hello.yaml)" in older
    assert older.endswith("2 runs  ✓✗")
    assert rest == "and 1 run from commits that are not in this history"
    document = headwater("audit", "company/hello", "--repo", "flows.git", "--json").document
    assert [change["commit"] for change in document["changes"]] == [second, first]
    assert [run["id"] for run in document["changes"][1]["executions"]] == ["two", "one"]
    assert [run["id"] for run in document["elsewhere"]] == ["lost"]


def test_many_runs_are_counted(headwater: Command, author: Author) -> None:
    first = author.commit({FILE: HELLO}, "first version")
    for number in range(13):
        recorded(author, f"e{number}", first, "FAILED" if number == 5 else "SUCCESS")
    assert (
        headwater("audit", "company.hello", "--repo", "flows.git").out.rstrip().endswith("13 runs  ✓ 12  ✗ 1")
    )


def test_a_clone_finds_the_status_branch_of_its_remote(headwater: Command, author: Author) -> None:
    first = author.commit({FILE: HELLO}, "first version")
    recorded(author, "one", first, "SUCCESS")
    headwater.git("clone", "-q", "flows.git", "clone", repo=".")
    assert headwater("audit", "company.hello", "--repo", "clone").out.rstrip().endswith("1 run  ✓")


def test_without_a_status_branch_the_changes_are_told_all_the_same(
    headwater: Command, author: Author
) -> None:
    author.commit({FILE: HELLO}, "first version")
    ended = headwater("audit", "company.hello", "--repo", "flows.git")
    assert ended.code == 0
    assert "first version" in ended.out
    assert "git fetch origin headwater/status:" in ended.err


def test_a_removed_flow_has_a_history(headwater: Command, author: Author) -> None:
    author.commit({FILE: HELLO}, "first version")
    author.commit({FILE: None, "README.md": "x"}, "not needed any more")
    assert (
        "not needed any more (removed: flows/hello.yaml)"
        in headwater("audit", "company.hello", "--repo", "flows.git").out
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["company.helo", "--repo", "flows.git"],
            "no commit has a flow `company.helo`; did you mean `company.hello`?",
        ),
        (["company.hello", "--repo", "flows.git", "--rev", "nowhere"], "there is no commit `nowhere`"),
        (["company.hello", "--repo", "missing"], "`missing` is no Git repository"),
        (["company.hello", "--repo", "flows.git", "--allowed-signers", "missing"], "missing: cannot be read"),
    ],
)
def test_what_cannot_be_answered_is_said(
    headwater: Command, author: Author, arguments: list[str], said: str
) -> None:
    author.commit({FILE: HELLO}, "first version")
    ended = headwater("audit", *arguments)
    assert (ended.code, ended.out) == (1, "")
    assert said in ended.err
