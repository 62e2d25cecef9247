"""A source's life against a real remote: what each kind of push makes live, what it says, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import NotPermitted, UnavailableError
from reconciler.memory import space
from tests.support.git_servers import http_server
from tests.support.reconciling import (
    Killed,
    Source,
    broken_text,
    condition,
    flow_text,
    stands,
)
from tests.support.repositories import executable, submodule, symlink

READY = (True, False, False, "Applied")


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    made = Source(tmp_path)
    yield made
    made.store.close()


def many(count: int, message: str = "hello") -> dict[str, str | None]:
    return {f"flows/{n}.yaml": flow_text(f"f{n}", message) for n in range(count)}


async def test_push_break_fix_delete(source: Source) -> None:
    summary = await source.push({**many(3), "flows/README.md": "not a flow", "other.yaml": "nor this"})
    assert stands(summary) == READY
    assert summary.status.revision == source.author.head()
    assert source.live() == {"f0": "hello", "f1": "hello", "f2": "hello"}
    assert summary.status.counts.added == 3

    summary = await source.push({"flows/0.yaml": broken_text("f0"), "flows/1.yaml": flow_text("f1", "new")})
    assert stands(summary) == (False, False, True, "FlowInvalid")
    assert source.live() == {"f0": "hello", "f1": "new", "f2": "hello"}, "last-good stays, the others go on"
    (file,) = summary.status.files
    assert (file.path, file.namespace, file.id, file.live) == ("flows/0.yaml", "company.etl", "f0", True)
    assert [(p.line, p.property) for p in file.problems] == [(5, "tasks[0].type")]
    assert "flows/0.yaml:5:" in condition(summary, "Stalled").message
    assert file.conditions[2].status is True
    assert summary.status.revision == source.author.head()

    summary = await source.push({"flows/0.yaml": flow_text("f0", "fixed")})
    assert stands(summary) == READY
    assert source.live()["f0"] == "fixed"
    assert summary.status.files == ()

    summary = await source.push({"flows/2.yaml": None})
    assert stands(summary) == READY
    assert source.engine.deploys[-1] == (source.author.head(), [], ["company.etl.f2"])


async def test_only_what_changed_is_read(source: Source) -> None:
    await source.push(many(30))
    source.check.paths.clear()
    await source.push({"flows/7.yaml": flow_text("f7", "new")})
    assert source.check.paths == ["flows/7.yaml"]
    assert len(source.engine.writes[-1]) == 3, "the file's row, what is applied, the status"
    await source.push({"elsewhere.txt": "x"})
    assert source.check.paths == ["flows/7.yaml"]
    assert source.engine.deploys[-1] == (source.author.head(), [], [])


async def test_the_same_input_twice_writes_and_tells_nothing(source: Source) -> None:
    await source.push({**many(2), "flows/bad.yaml": broken_text("bad")})
    writes, reports, deploys = len(source.engine.writes), len(source.reports), len(source.engine.deploys)
    for poll in (True, False):
        summary = await source.round(poll=poll)
        assert not summary.changed
    assert (len(source.engine.writes), len(source.reports), len(source.engine.deploys)) == (
        writes,
        reports,
        deploys,
    )


async def test_a_move_keeps_the_flow_and_says_so(source: Source) -> None:
    await source.push(many(2))
    summary = await source.push({"flows/0.yaml": None, "flows/deep/er/zero.yml": flow_text("f0")})
    assert stands(summary) == READY
    assert [(c.kind, c.id, c.before) for c in summary.status.changes] == [("moved", "f0", "flows/0.yaml")]
    version = source.store.flow("company.etl", "f0")
    assert version is not None
    assert (version.revision, version.path) == (1, "flows/deep/er/zero.yml")


async def test_a_file_that_moves_and_breaks_keeps_its_flow(source: Source) -> None:
    await source.push(many(2))
    summary = await source.push({"flows/0.yaml": None, "flows/zero.yaml": broken_text("f0")})
    assert stands(summary)[3] == "FlowInvalid"
    assert source.live() == {"f0": "hello", "f1": "hello"}


async def test_two_files_that_claim_one_flow_are_both_refused(source: Source) -> None:
    await source.push(many(2))
    summary = await source.push(
        {"flows/copy.yaml": flow_text("f0", "copy"), "flows/new.yaml": flow_text("n")}
    )
    assert stands(summary) == (False, False, True, "DuplicateIdentity")
    assert source.live() == {"f0": "hello", "f1": "hello", "n": "hello"}
    assert [file.path for file in summary.status.files] == ["flows/0.yaml", "flows/copy.yaml"]
    assert "`flows/copy.yaml`" in summary.status.files[0].problems[0].message

    summary = await source.push({"flows/0.yaml": flow_text("f0", "changed")})
    assert source.live()["f0"] == "hello", "neither of the two replaces what is live"

    summary = await source.push({"flows/0.yaml": None})
    assert stands(summary) == READY
    assert source.live()["f0"] == "copy"


async def test_a_flow_of_another_source_stays_its_own(source: Source, tmp_path: Path) -> None:
    other = Source(tmp_path, "other", store=source.store)
    await source.push(many(1))
    summary = await other.push({"flows/mine.yaml": flow_text("f0", "stolen")})
    assert stands(summary) == (False, False, True, "OwnedElsewhere")
    assert "`prod`" in condition(summary, "Stalled").message
    assert (source.live(), other.live()) == ({"f0": "hello"}, {})

    await source.push({"flows/0.yaml": flow_text("renamed")})
    summary = await other.round(poll=True)
    assert stands(summary) == READY
    assert other.live() == {"f0": "stolen"}, "what nobody owns any more can be had"


async def test_what_is_no_plain_file_is_a_problem_of_its_own(source: Source) -> None:
    summary = await source.push(
        {
            "flows/link.yaml": symlink("/etc/passwd"),
            "flows/vendor": submodule(),
            "flows/large.yaml": "#" * (1 << 20) + "#",
            "flows/lfs.yaml": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
            "flows/good.yaml": executable(flow_text("good").encode()),
        }
    )
    assert source.live() == {"good": "hello"}
    told = {file.path: file.problems[0].message for file in summary.status.files}
    assert sorted(told) == ["flows/large.yaml", "flows/lfs.yaml", "flows/link.yaml", "flows/vendor"]
    assert "symbolic link" in told["flows/link.yaml"]
    assert "submodule" in told["flows/vendor"]
    assert "LFS" in told["flows/lfs.yaml"]
    assert str(1 << 20) in told["flows/large.yaml"]


async def test_a_force_push_sets_the_state_and_is_told(source: Source) -> None:
    first = await source.push(many(4))
    base = source.author.head()
    await source.push({"flows/4.yaml": flow_text("f4")})
    left = source.author.head()
    assert base is not None
    assert left is not None
    source.author.reset(base)
    summary = await source.push({"flows/1.yaml": flow_text("f1", "forced")})
    assert stands(summary) == READY
    assert source.live() == {"f0": "hello", "f1": "forced", "f2": "hello", "f3": "hello"}
    assert f"{left[:7]} is no longer part of it" in condition(summary, "Ready").message
    assert condition(summary, "Ready").since == condition(first, "Ready").since
    assert not (await source.round()).changed
    assert "rewritten" not in condition(await source.push({"x": "y"}), "Ready").message


async def test_a_deleted_branch_stops_nothing_that_runs(source: Source) -> None:
    await source.push(many(2))
    head = source.author.head()
    assert head is not None
    source.author.delete_branch()
    for poll in (True, False):
        summary = await source.round(poll=poll)
        assert stands(summary) == (False, False, True, "BranchMissing")
        assert summary.status.revision == head
        assert not summary.again
    assert len(source.live()) == 2
    source.author.reset(head)
    summary = await source.round(poll=True)
    assert stands(summary) == READY
    assert len(source.engine.deploys) == 1, "a restored branch changes nothing"


async def test_an_empty_repository_waits_for_its_first_commit(source: Source) -> None:
    summary = await source.round()
    assert stands(summary) == (False, False, True, "BranchMissing")
    assert "push a first commit" in condition(summary, "Stalled").message
    assert summary.status.revision == ""
    assert stands(await source.push(many(1))) == READY


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({f"flows/{n}.yaml": None for n in range(10)}, "no flow file at all"),
        ({f"flows/{n}.yaml": None for n in range(6)}, "more than the share of 0.5"),
        ({**{f"flows/{n}.yaml": None for n in range(10)}, "_flows/x.yaml": flow_text("x")}, "folder `flows`"),
    ],
)
async def test_a_mass_removal_waits_for_its_very_digest(
    source: Source, files: dict[str, str | None], why: str
) -> None:
    await source.push({**many(10), ".headwater.yaml": "flows: [flows, _flows]\n"})
    gone = sum(content is None for content in files.values())
    summary = await source.push(files)
    assert stands(summary) == (False, False, True, "PruneHeld")
    held = summary.status.held
    assert held is not None
    assert len(held.removals) == gone
    assert why in held.why
    assert {f"f{n}" for n in range(10)} <= source.live().keys()
    assert held.digest in condition(summary, "Stalled").message

    source.restart()
    summary = await source.push({"unrelated.txt": "x"})
    assert summary.status.held is not None
    assert summary.status.held.digest == held.digest, "neither a restart nor a later commit lets it through"
    with pytest.raises(NotPermitted, match="nothing waits"):
        await source.reconciler.confirm("0" * 32)

    summary = await source.reconciler.confirm(held.digest)
    assert stands(summary) == READY
    assert summary.status.held is None
    assert summary.status.counts.removed == gone
    assert not {f"f{n}" for n in range(gone)} & source.live().keys()
    with pytest.raises(NotPermitted):
        await source.reconciler.confirm(held.digest)

    await source.push(many(10))
    again = await source.push(files)
    assert again.status.held is not None, "a confirmation counts once"


async def test_a_confirmation_of_other_removals_counts_for_nothing(source: Source) -> None:
    await source.push(many(10))
    summary = await source.push({f"flows/{n}.yaml": None for n in range(6)})
    assert summary.status.held is not None
    source.author.commit({"flows/6.yaml": None})  # on its way while somebody confirms what they have seen
    after = await source.reconciler.confirm(summary.status.held.digest)
    assert stands(after)[3] == "PruneHeld"
    assert after.status.held is not None
    assert len(after.status.held.removals) == 7
    assert len(source.live()) == 10
    restored = await source.push(many(10))
    assert stands(restored) == READY
    assert restored.status.held is None


async def test_a_revision_cannot_disarm_the_breaker_for_itself(source: Source) -> None:
    await source.push(many(10))
    settings = {".headwater.yaml": "prune: {breaker: 1.0}\n"}
    summary = await source.push({**{f"flows/{n}.yaml": None for n in range(6)}, **settings})
    assert stands(summary)[3] == "PruneHeld"


async def test_unrelated_history_prunes_nothing_unasked(source: Source) -> None:
    await source.push(many(5))
    summary = await source.push({**many(4, "other"), "flows/n.yaml": flow_text("n")}, orphan=True)
    assert stands(summary)[3] == "PruneHeld"
    assert "nothing in common" in condition(summary, "Ready").message
    assert source.live() == {**dict.fromkeys(("f0", "f1", "f2", "f3"), "other"), "n": "hello", "f4": "hello"}
    summary = await source.push({"x": "y"})
    assert stands(summary)[3] == "PruneHeld", (
        "the next commit is related to this one, and still nothing is pruned"
    )


async def test_settings_choose_the_folders(source: Source) -> None:
    await source.push({**many(2), "team/a.yaml": flow_text("a")})
    summary = await source.push({".headwater.yaml": "flows: [flows, team]\n"})
    assert stands(summary) == READY
    assert sorted(source.live()) == ["a", "f0", "f1"]
    assert source.check.paths.count("flows/0.yaml") == 1

    summary = await source.push(
        {".headwater.yaml": "flows: [flows]\nfolws: [x]\n", "team/b.yaml": flow_text("b")}
    )
    assert stands(summary) == (False, False, True, "SettingsInvalid")
    assert [(p.path, p.line) for p in summary.status.problems] == [(".headwater.yaml", 2)]
    assert sorted(source.live()) == ["a", "b", "f0", "f1"], "the last good settings stay in force"
    source.restart()
    assert stands(await source.round())[3] == "SettingsInvalid"

    summary = await source.push({".headwater.yaml": symlink("flows/0.yaml")})
    assert stands(summary)[3] == "SettingsInvalid"
    summary = await source.push({".headwater.yaml": None})
    assert stands(summary) == READY
    assert sorted(source.live()) == ["f0", "f1"]


async def test_a_remote_that_is_gone_changes_nothing_that_runs(tmp_path: Path) -> None:
    source = Source(tmp_path)
    with http_server(tmp_path / "remotes") as server:
        source.url = server.url("prod.git")
        source.restart()
        await source.push(many(2))
        head = source.author.head()
        server.fault = "error"
        ready_since = condition(source.reports[-1], "Ready").since
        for minute in range(60):
            summary = await source.round(poll=True)
            assert summary.again, minute
        assert stands(summary)[:3] == (None, True, False)
        assert summary.status.revision == head
        assert "stays live" in condition(summary, "Reconciling").message
        assert len(source.live()) == 2
        assert len(source.reports) == 2, "an hour of failing is one thing to tell"
        server.fault = ""
        summary = await source.round(poll=True)
        assert stands(summary) == READY
        assert condition(summary, "Ready").since > ready_since
        assert len(source.engine.deploys) == 1
    source.store.close()


async def test_a_restart_reads_nothing_again(source: Source) -> None:
    await source.push({**many(5), "flows/bad.yaml": broken_text("bad"), "flows/copy.yaml": flow_text("f1")})
    before = source.reports[-1]
    source.check.paths.clear()
    writes = len(source.engine.writes)
    source.restart()
    summary = await source.round()
    assert not summary.changed
    assert summary.status == before
    assert source.check.paths == []
    assert len(source.engine.writes) == writes
    assert len(source.engine.deploys) == 1
    assert source.reports[-1] == before, "whoever tells it may have been killed before it was told"
    await source.push({"flows/0.yaml": flow_text("f0", "new")})
    assert source.check.paths == ["flows/0.yaml"]


@pytest.mark.parametrize("moment", ["deploy", "remember"])
async def test_killed_in_the_middle_the_next_start_ends_the_same(source: Source, moment: str) -> None:
    await source.push(many(3))
    source.author.commit({"flows/0.yaml": flow_text("f0", "new"), "flows/1.yaml": None})
    setattr(source.engine, f"{moment}_failure", Killed())
    with pytest.raises(Killed):
        await source.round()
    source.restart()
    summary = await source.round()
    assert stands(summary) == READY
    assert summary.status.revision == source.author.head()
    assert source.live() == {"f0": "new", "f2": "hello"}
    version = source.store.flow("company.etl", "f0")
    assert version is not None
    assert version.revision == 2, "a repeated deployment makes no further revision"


@pytest.mark.parametrize("moment", ["deploy", "remember"])
async def test_a_store_that_fails_is_tried_again(source: Source, moment: str) -> None:
    await source.push(many(2))
    source.author.commit({"flows/0.yaml": flow_text("f0", "new")})
    failure = UnavailableError("the disk is full", hint="make room", reason="StoreUnavailable", retry_after=7)
    setattr(source.engine, f"{moment}_failure", failure)
    summary = await source.round()
    assert (summary.again, summary.retry_after) == (True, 7)
    assert stands(summary) == (None, True, False, "StoreUnavailable")
    summary = await source.round(poll=True)
    assert stands(summary) == READY
    assert source.live() == {"f0": "new", "f1": "hello"}


async def test_a_fault_of_ours_is_told_without_a_traceback(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    await source.push(many(1))
    source.author.commit({"flows/0.yaml": flow_text("f0", "new")})
    source.engine.deploy_failure = RuntimeError("secret detail")
    summary = await source.round()
    assert stands(summary) == (False, False, True, "InternalError")
    assert summary.again
    assert "secret detail" not in condition(summary, "Stalled").message
    assert "secret detail" in caplog.text
    assert stands(await source.round()) == READY


async def test_what_the_engine_has_is_the_truth_at_a_start(source: Source) -> None:
    await source.push(many(3))
    source.store.put_flows([], [("company.etl", "f1")], {})
    source.restart()
    summary = await source.round()
    assert stands(summary) == READY
    assert source.engine.deploys[-1][1:] == (["company.etl.f1"], [])


async def test_another_checker_judges_everything_anew(source: Source) -> None:
    await source.push(many(3))
    source.check.paths.clear()
    source.restart(checker="2")
    assert stands(await source.round()) == READY
    assert sorted(source.check.paths) == ["flows/0.yaml", "flows/1.yaml", "flows/2.yaml"]
    assert source.live() == dict.fromkeys(("f0", "f1", "f2"), "hello")
    source.check.paths.clear()
    source.restart(checker="2")
    await source.round()
    assert source.check.paths == []


async def test_a_new_mirror_after_a_force_push_finds_the_differences(source: Source) -> None:
    await source.push(many(8))
    kept = {path: text for path, text in many(8, "new").items() if path != "flows/0.yaml"}
    source.author.commit(kept, orphan=True)
    source.folder = source.folder / "elsewhere"
    source.restart()
    summary = await source.round()
    assert stands(summary)[3] == "PruneHeld", "what the old commit was, nobody can tell any more"
    assert source.live()["f1"] == "new"
    assert "f0" in source.live()


async def test_the_state_is_kept_in_one_space(source: Source) -> None:
    await source.push(many(2))
    await source.push({"flows/1.yaml": None})
    rows = source.store.items(space("prod"))
    assert sorted(rows) == ["applied", "file/flows/0.yaml", "status"]
    assert rows["status"]["revision"] == source.author.head()
