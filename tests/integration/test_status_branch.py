"""The status branch: commits without a checkout, compare-and-swap, refusals told plainly, nothing else touched."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.errors import ContractViolation, CredentialError, SettingsError, UnavailableError
from reconciler.objects import Objects
from reconciler.remote import Credentials
from reconciler.status.branch import Draft, Signer, StatusBranch, StatusRejected, TipReader
from tests.support.git_servers import http_server, ssh_server
from tests.support.repositories import Author, run_git, symlink

BRANCH = "headwater/status"
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def author(tmp_path: Path) -> Author:
    author = Author(tmp_path / "remotes" / "flows.git")
    author.commit({"flows/a.yaml": "id: a"})
    return author


def content(author: Author, branch: str = BRANCH) -> dict[str, bytes]:
    tip = author.head(branch)
    assert tip is not None
    remote = Objects(author.path)
    return {entry.path: remote.read(entry.blob_id) for entry in remote.files(tip)}


def branch_of(author: Author, folder: Path) -> StatusBranch:
    return StatusBranch(folder, author.url, author=Signer("Headwater", "headwater@example.org"))


async def test_first_commit_is_an_orphan_and_nothing_else_moves(author: Author, tmp_path: Path) -> None:
    main = author.head()
    status = branch_of(author, tmp_path / "s.git")
    trailers = [("Headwater-Execution", "x1"), ("Headwater-Execution", "x2")]
    commit = await status.publish(
        {"README.md": b"hello\n", "flows/n/a/status.json": b"{}"}, "Say hello", trailers, WHEN
    )
    assert commit == author.head(BRANCH)
    assert content(author) == {"README.md": b"hello\n", "flows/n/a/status.json": b"{}"}
    info = Objects(author.path).commit_info(commit or "")
    assert info.parents == ()
    assert info.trailers == tuple(trailers)
    assert info.committed == WHEN
    assert (info.author_name, info.subject) == ("Headwater", "Say hello")
    assert author.head() == main
    assert sorted(author.repository.listall_references()) == [
        "refs/heads/headwater/status",
        "refs/heads/main",
    ]


async def test_same_bytes_make_no_commit(author: Author, tmp_path: Path) -> None:
    status = branch_of(author, tmp_path / "s.git")
    assert await status.publish({}, "Nothing") is None
    assert await status.publish({"a": None}, "Nothing either") is None
    assert author.head(BRANCH) is None
    first = await status.publish({"a/b": b"1", "a/c": b"2"}, "One")
    assert await status.publish({"a/b": b"1", "z": None, "a/c/deeper": None}, "Again") is None
    assert author.head(BRANCH) == first
    fresh = branch_of(author, tmp_path / "elsewhere.git")
    assert await fresh.publish({"a/b": b"1"}, "Again, after a crash") is None


async def test_same_input_same_commits(author: Author, tmp_path: Path) -> None:
    drafts = [
        Draft({"a": b"1"}, "One", (), WHEN),
        Draft({"b/c": b"2", "a": None}, "Two", (("K", "v"),), WHEN),
    ]
    other = Author(tmp_path / "remotes" / "other.git")
    commits = {
        await branch_of(who, tmp_path / f"s{n}.git").publish_all(drafts)
        for n, who in enumerate((author, other))
    }
    assert len(commits) == 1


async def test_several_drafts_are_several_commits_and_one_push(author: Author, tmp_path: Path) -> None:
    author.hook("post-receive", "cat >> pushes")
    status = branch_of(author, tmp_path / "s.git")
    drafts = [Draft({f"executions/{n}.json": b"{}"}, f"Execution {n}") for n in range(5)]
    drafts.insert(2, drafts[1])
    tip = await status.publish_all(drafts)
    assert len(run_git("rev-list", tip or "", cwd=author.path).split()) == 5
    assert len((author.path / "pushes").read_text().splitlines()) == 1


async def test_files_and_folders_that_empty_out_go_away(author: Author, tmp_path: Path) -> None:
    status = branch_of(author, tmp_path / "s.git")
    await status.publish({"a/b/c": b"1", "a/b/d": b"2", "e": b"3"}, "One")
    await status.publish({"a/b/c": None, "a/b/d": None}, "Two")
    assert content(author) == {"e": b"3"}
    await status.publish({"e": None}, "Three")
    assert content(author) == {}


async def test_what_strangers_put_in_the_way_is_replaced(author: Author, tmp_path: Path) -> None:
    author.commit({"flows": symlink("/etc"), "executions/x": "mine"}, branch=BRANCH, orphan=True)
    status = branch_of(author, tmp_path / "s.git")
    await status.publish({"flows/n/a.json": b"1"}, "Ours")
    assert content(author) == {"executions/x": b"mine", "flows/n/a.json": b"1"}


async def test_two_writers_both_end_up_in(author: Author, tmp_path: Path) -> None:
    writers = [branch_of(author, tmp_path / f"s{n}.git") for n in range(3)]

    async def write(n: int) -> None:
        for turn in range(4):
            assert await writers[n].publish({f"w{n}/{turn}": b"x"}, f"Writer {n}, turn {turn}")

    await asyncio.gather(*(write(n) for n in range(3)))
    assert sorted(content(author)) == sorted(f"w{n}/{turn}" for n in range(3) for turn in range(4))
    assert len(run_git("rev-list", BRANCH, cwd=author.path).split()) == 12


async def test_changes_are_made_again_on_the_new_tip(author: Author, tmp_path: Path) -> None:
    status = branch_of(author, tmp_path / "s.git")
    await status.publish({"n": b"1"}, "One")
    seen: list[bytes | None] = []

    def count(tip: TipReader) -> Mapping[str, bytes | None]:
        before = tip.read("n") or b"0"
        seen.append(before)
        if len(seen) == 1:
            author.commit({"n": "41", "other": "x"}, branch=BRANCH)
        return {"n": str(int(before) + 1).encode(), "list": ",".join(tip.paths()).encode()}

    await status.publish(count, "Count")
    assert seen == [b"1", b"41"]
    assert content(author) == {"n": b"42", "other": b"x", "list": b"n,other"}


async def test_a_rewound_or_deleted_branch_is_written_again(author: Author, tmp_path: Path) -> None:
    status = branch_of(author, tmp_path / "s.git")
    first = await status.publish({"a": b"1"}, "One")
    await status.publish({"a": b"2"}, "Two")
    author.reset(first or "", BRANCH)
    assert await status.publish({"a": b"3"}, "Three")
    assert content(author) == {"a": b"3"}
    author.delete_branch(BRANCH)
    assert await status.publish({"b": b"4"}, "Four")
    assert content(author) == {"b": b"4"}


@pytest.mark.parametrize("hook", ["pre-receive", "update"])
async def test_a_protected_branch_is_told_plainly(author: Author, tmp_path: Path, hook: str) -> None:
    author.hook(hook, "echo 'GH006: Protected branch update failed' >&2; exit 1")
    status = branch_of(author, tmp_path / "s.git")
    with pytest.raises(StatusRejected) as caught:
        await status.publish({"a": b"1"}, "One")
    assert "GH006: Protected branch" in caught.value.message
    assert "set another status branch" in caught.value.hint
    assert author.head(BRANCH) is None
    (author.path / "hooks" / hook).unlink()
    assert await status.publish({"a": b"1"}, "One")


async def test_an_outage_and_a_refusal_are_told_apart(author: Author, tmp_path: Path) -> None:
    with http_server(tmp_path / "remotes", ("robot", "secret-word")) as server:
        url = server.url("flows.git")
        status = StatusBranch(tmp_path / "s.git", url, credentials=Credentials("robot", "secret-word"))
        assert await status.publish({"a": b"1"}, "One")
        server.fault = "error"
        with pytest.raises(UnavailableError):
            await status.publish({"a": b"2"}, "Two")
        server.fault = ""
        assert await status.publish({"a": b"2"}, "Two")
        server.auth = ("robot", "changed")
        with pytest.raises(CredentialError) as caught:
            await status.publish({"a": b"3"}, "Three")
        assert "secret-word" not in str(caught.value)
    assert content(author) == {"a": b"2"}


async def test_over_ssh(author: Author, tmp_path: Path) -> None:
    with ssh_server(tmp_path / "sshd") as server:
        status = StatusBranch(tmp_path / "s.git", server.url(author.path), credentials=server.credentials)
        assert await status.publish({"a": b"1"}, "One")
    assert content(author) == {"a": b"1"}


async def test_a_damaged_mirror_is_made_anew(author: Author, tmp_path: Path) -> None:
    status = branch_of(author, tmp_path / "s.git")
    await status.publish({"d/a": b"1"}, "One")
    for file in (tmp_path / "s.git" / "objects").rglob("*"):
        if file.is_file():
            file.chmod(0o644)
            file.write_bytes(b"")
    assert await status.publish({"d/b": b"2"}, "Two")
    assert content(author) == {"d/a": b"1", "d/b": b"2"}


async def test_values_of_strangers_make_no_trailers(author: Author, tmp_path: Path) -> None:
    status = branch_of(author, tmp_path / "s.git")
    commit = await status.publish(
        {"a": b"1"}, "One", [("Headwater-Actor", "eve\nHeadwater-Execution: forged\r\x1b[31m")]
    )
    info = Objects(author.path).commit_info(commit or "")
    assert info.trailers == (("Headwater-Actor", "eve Headwater-Execution: forged [31m"),)
    with pytest.raises(ContractViolation):
        await status.publish({"a": b"2"}, "Two", [("No key\n", "x")])


@pytest.mark.parametrize("path", ["/a", "a//b", "../a", "a/./b", ".git/config", "a/.GIT/x", "", "a/", "a\0b"])
async def test_paths_that_no_tree_may_have(author: Author, tmp_path: Path, path: str) -> None:
    with pytest.raises(ContractViolation):
        await branch_of(author, tmp_path / "s.git").publish({path: b"x"}, "One")


@pytest.mark.parametrize("ref", ["main", "refs/tags/x", "refs/heads/-x", "refs/heads/a..b", "refs/heads/"])
def test_refs_that_are_refused(ref: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        StatusBranch(tmp_path / "s.git", "/x", ref)


async def test_many_small_commits_are_packed(author: Author, tmp_path: Path) -> None:
    status = branch_of(author, tmp_path / "s.git")
    assert not await status.tidy()
    drafts = [Draft({f"e/{n % 20}/{n}": str(n).encode() * 50}, f"E {n}", (), WHEN) for n in range(900)]
    await status.publish_all(drafts)
    assert await status.tidy()
    assert status.mirror.folder.loose_objects() == 0
    assert status.mirror.folder.packs() == 1
    assert await status.publish({"e/0/0": b"changed"}, "After")
    assert len(content(author)) == 900
