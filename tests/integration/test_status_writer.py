"""The writer of the status branch against a real remote and a real store: results land, and nothing else happens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.clock import ManualClock
from engine.errors import UnavailableError
from engine.model.execution import Execution
from engine.model.records import Report
from engine.model.state import State
from engine.ports import Batch
from engine.store.sqlite import SqliteStore
from reconciler.audit import executions as audited
from reconciler.objects import Objects
from reconciler.status.branch import StatusBranch, StatusRejected
from reconciler.status.writer import Pace, StatusWriter
from tests.support.git_servers import http_server
from tests.support.repositories import Author, run_git
from tests.support.status_values import a_status, refused
from tests.support.store_values import NOON, an_execution, commit_of, flow_version, trigger_state

BRANCH = "headwater/status"
ENDED = (State.CREATED, State.RUNNING, State.SUCCESS)
QUICK = Pace(interval=0.01, poll=0.05, first_pause=0.01, longest_pause=0.02, refused_pause=0.01)


class House:
    """A remote, a store with a few flows, and writers between them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.author = Author(folder / "remotes" / "flows.git")
        self.author.commit({"flows/a.yaml": "id: a"})
        self.store = SqliteStore()
        self.clock = ManualClock(NOON + timedelta(hours=1))
        self.url = self.author.url
        self.versions: dict[str, int] = {}
        flows = [flow_version("prod.etl/load"), flow_version("prod.etl/report")]
        states = {("prod.etl", "load", "hourly"): trigger_state(minutes=75)}
        self.store.put_flows(flows, [], states)

    def writer(self, name: str = "s", pace: Pace = QUICK, store: Any = None, **more: Any) -> StatusWriter:
        branch = StatusBranch(self.folder / f"{name}.git", self.url)
        mask = more.pop("mask", lambda value: value)
        return StatusWriter(store or self.store, more.pop("source", "prod"), branch, mask, self.clock, pace)

    async def started(self, name: str = "s", **more: Any) -> StatusWriter:
        """A writer that knows the source and has caught up."""
        writer = self.writer(name, **more)
        await writer.reconciled(a_status())
        await caught_up(writer)
        return writer

    def tell(self, *executions: Execution) -> None:
        """Store executions as the engine does, each with its report."""
        for execution in executions:
            base = self.versions.get(execution.id, 0)
            self.versions[execution.id] = base + 1
            batch = commit_of(execution, base, base + 1)
            batch.reports = {("execution", execution.id)}
            self.store.commit(batch)

    @property
    def tip(self) -> str | None:
        return self.author.head(BRANCH)

    def files(self) -> dict[str, bytes]:
        remote = Objects(self.author.path)
        tip = self.tip
        return {entry.path: remote.read(entry.blob_id) for entry in remote.files(tip)} if tip else {}

    def status(self, flow: str = "load") -> Any:
        return json.loads(self.files()[f"flows/prod.etl/{flow}/status.json"])

    def subjects(self) -> list[str]:
        """Of the commits, oldest first."""
        return run_git("log", "--reverse", "--format=%s", BRANCH, cwd=self.author.path).splitlines()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.store.close()


async def caught_up(writer: StatusWriter) -> None:
    async with asyncio.timeout(30):
        while await writer.turn():
            pass


@contextlib.asynccontextmanager
async def running(writer: StatusWriter) -> AsyncIterator[None]:
    task = asyncio.get_running_loop().create_task(writer.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 (the remote tells nobody)
            await asyncio.sleep(0.01)


def path(execution_id: str) -> str:
    return f"executions/2026/03/01/{execution_id}.json"


async def test_the_first_round_publishes_every_flow(house: House) -> None:
    writer = house.writer()
    assert not await writer.turn()
    assert house.tip is None, "nothing is known of the source yet"
    await writer.reconciled(a_status(refused()))
    await caught_up(writer)
    names = {f"flows/prod.etl/{flow}/{name}" for flow in ("load", "report") for name in FLOW_FILES}
    assert set(house.files()) == {"README.md", "reconcile.json", *names}
    assert (house.status()["state"], house.status("report")["state"]) == ("stalled", "unknown")
    assert house.status()["nextDate"] == "2026-03-01T13:15:00.000Z"
    assert b"prod.etl.load" in house.files()["README.md"]
    assert len(house.subjects()) == 1


FLOW_FILES = ("status.json", "badge.svg", "badge.json")


async def test_a_result_lands_with_its_trailers(house: House) -> None:
    writer = await house.started()
    house.tell(an_execution("e1", states=ENDED, trigger="hourly", outputs={"rows": 3}))
    await caught_up(writer)
    assert json.loads(house.files()[path("e1")])["outputs"] == {"rows": 3}
    assert house.status()["executions"][0]["document"] == path("e1")
    assert house.status()["state"] == "passing"
    assert house.subjects()[-1] == "prod.etl.load ✓ SUCCESS in 2.0 s"
    record = next(audited(house.author.path, BRANCH, "prod.etl", "load"))
    assert (record.id, record.revision, record.state, record.trigger) == ("e1", "c0ffee", "SUCCESS", "hourly")
    commit = Objects(house.author.path).commit_info(house.tip or "")
    assert commit.committed == NOON + timedelta(seconds=2)
    assert house.store.reports() == []


async def test_what_merely_runs_makes_no_commit(house: House) -> None:
    writer = await house.started()
    tip = house.tip
    house.tell(an_execution("e1", states=(State.CREATED,)))
    house.tell(an_execution("e1", states=(State.CREATED, State.RUNNING)))
    await caught_up(writer)
    assert house.tip == tip
    assert house.store.reports() == []


async def test_a_pause_is_told_and_so_is_its_end(house: House) -> None:
    writer = await house.started()
    house.tell(an_execution("e1", states=(State.CREATED, State.PAUSED)))
    await caught_up(writer)
    assert house.status()["state"] == "paused"
    assert path("e1") not in house.files()
    house.tell(an_execution("e1", states=(State.CREATED, State.PAUSED, State.RUNNING)))
    await caught_up(writer)
    assert (house.status()["state"], house.status()["executions"]) == ("unknown", [])
    house.tell(an_execution("e1", states=(State.CREATED, State.PAUSED, *ENDED)))
    await caught_up(writer)
    assert house.status()["state"] == "passing"


async def test_same_state_same_bytes_no_commit(house: House) -> None:
    writer = await house.started()
    house.tell(*(an_execution(f"e{n}", states=ENDED, seconds=n) for n in range(3)))
    await caught_up(writer)
    tip, files = house.tip, house.files()
    house.store.commit(Batch(reports={("execution", "e1"), ("flow", "prod.etl/load")}))
    await writer.reconciled(a_status())
    await caught_up(writer)
    await writer.check()
    await house.started("elsewhere")
    assert house.tip == tip
    assert house.files() == files
    house.author.delete_branch(BRANCH)
    await house.started("fresh")
    assert house.files() == files


async def test_many_results_are_pushed_together(house: House) -> None:
    house.author.hook("post-receive", "cat >> pushes")
    writer = await house.started(pace=msgspec.structs.replace(QUICK, single=4))
    before = len((house.author.path / "pushes").read_text().splitlines())
    house.tell(*(an_execution(f"e{n:02}", states=ENDED, seconds=n) for n in range(30)))
    await writer.turn()
    assert len((house.author.path / "pushes").read_text().splitlines()) == before + 1
    assert house.subjects()[1:] == ["prod.etl.load ✓ SUCCESS in 2.0 s"] * 4 + ["26 executions ended"]
    assert {record.id for record in audited(house.author.path, BRANCH, "prod.etl", "load")} == {
        f"e{n:02}" for n in range(30)
    }
    assert house.store.reports() == []
    assert len(house.status()["executions"]) == 10


async def test_a_kill_between_push_and_note_repeats_without_a_commit(house: House) -> None:
    class Killed(BaseException):
        pass

    class Forgetful:
        """The store of a daemon that dies before it notes what it has told."""

        def __getattr__(self, name: str) -> Any:
            return getattr(house.store, name)

        def reported(self, reports: list[Report]) -> None:
            raise Killed

    await house.started()
    house.tell(an_execution("e1", states=ENDED), an_execution("e2", states=ENDED, flow="prod.etl/report"))
    dying = house.writer(store=Forgetful())
    await dying.reconciled(a_status())
    with pytest.raises(Killed):
        await caught_up(dying)
    tip = house.tip
    assert {path("e1"), path("e2")} <= set(house.files())
    assert len(house.store.reports()) == 2
    house.tell(an_execution("e3", states=ENDED, seconds=9))
    await house.started()
    assert house.store.reports() == []
    told = run_git(
        "log",
        "--format=%(trailers:key=Headwater-Execution,valueonly)",
        f"{tip}..{BRANCH}",
        cwd=house.author.path,
    )
    assert told.split() == ["e3"]


async def test_a_shared_commit_tells_only_of_what_is_new(house: House) -> None:
    pace = msgspec.structs.replace(QUICK, single=1)
    house.tell(*(an_execution(f"e{n}", states=ENDED, seconds=n) for n in range(3)))
    reports = house.store.reports()
    writer = await house.started(pace=pace)
    # As after a kill between push and note: three are told of again, together with three that are new.
    house.store.commit(Batch(reports={(report.topic, report.key) for report in reports}))
    house.tell(*(an_execution(f"e{n}", states=ENDED, seconds=n) for n in range(3, 6)))
    await caught_up(writer)
    assert house.subjects()[-1] == "3 executions ended"
    told = run_git(
        "log", "--format=%(trailers:key=Headwater-Execution,valueonly)", BRANCH, cwd=house.author.path
    )
    assert sorted(told.split()) == [f"e{n}" for n in range(6)]


async def test_while_the_remote_is_away_nothing_is_lost(house: House) -> None:
    with http_server(house.folder / "remotes") as server:
        house.url = server.url("flows.git")
        writer = await house.started()
        server.fault = "error"
        house.tell(an_execution("e1", states=ENDED))
        with pytest.raises(UnavailableError):
            await writer.turn()
        async with running(writer):
            await until(lambda: writer.trouble)
            house.tell(an_execution("e2", states=ENDED, seconds=5))
            assert len(house.store.reports()) == 2
            server.fault = ""
            await until(lambda: not house.store.reports())
        assert writer.trouble is None
    assert {path("e1"), path("e2")} <= set(house.files())
    assert len(house.subjects()) == 3


async def test_a_protected_branch_is_told_and_tried_again(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    writer = await house.started()
    house.author.hook("pre-receive", "echo protected >&2; exit 1")
    house.tell(an_execution("e1", states=ENDED))
    with caplog.at_level(logging.WARNING, "reconciler.status.writer"):
        async with running(writer):
            await until(lambda: isinstance(writer.trouble, StatusRejected))
            assert house.store.reports()
            (house.author.path / "hooks" / "pre-receive").unlink()
            await until(lambda: not house.store.reports())
    assert path("e1") in house.files()
    assert sum("cannot be written" in record.message for record in caplog.records) == 1


async def test_a_status_that_could_not_be_written_is_not_forgotten(house: House) -> None:
    writer = await house.started()
    house.author.hook("pre-receive", "exit 1")
    await writer.reconciled(a_status(revision="b" * 40))
    with pytest.raises(StatusRejected):
        await writer.turn()
    (house.author.path / "hooks" / "pre-receive").unlink()
    await caught_up(writer)
    assert json.loads(house.files()["reconcile.json"])["revision"] == "b" * 40


async def test_two_writers_lose_nothing_of_each_other(house: House, tmp_path: Path) -> None:
    one, two = await house.started("one"), await house.started("two")
    house.tell(*(an_execution(f"e{n}", states=ENDED, seconds=n) for n in range(8)))
    await asyncio.gather(caught_up(one), caught_up(two))
    await caught_up(one)
    assert {path(f"e{n}") for n in range(8)} <= set(house.files())
    told = run_git(
        "log", "--format=%(trailers:key=Headwater-Execution,valueonly)", BRANCH, cwd=house.author.path
    )
    assert sorted(told.split()) == [f"e{n}" for n in range(8)]


async def test_hostile_edits_are_undone(house: House) -> None:
    await house.started()
    house.tell(an_execution("e1", states=ENDED))
    writer = await house.started()
    files = house.files()
    hostile = {
        path("e1"): "forged",
        path("e9"): "{}",
        "README.md": "# Pwned",
        "flows/prod.etl/load/badge.svg": None,
        ".github/workflows/x.yaml": "on: push",
    }
    house.author.commit(hostile, branch=BRANCH)
    await house.started()
    assert house.files() == files, "at the next start"
    house.author.commit(hostile, branch=BRANCH)
    house.clock.advance(timedelta(hours=2))
    await caught_up(writer)
    assert house.files() == files, "when the tip is checked"
    house.author.commit(hostile, branch=BRANCH)
    house.tell(an_execution("e2", states=ENDED, seconds=30))
    await caught_up(writer)
    house.clock.advance(timedelta(minutes=2))
    await caught_up(writer)
    assert set(house.files()) == {*files, path("e2")}, "soon after the next result met them"
    assert house.files()[path("e1")] == files[path("e1")]


async def test_a_rebuild_that_is_cut_short_is_done_again(house: House) -> None:
    writer = await house.started()
    house.tell(*(an_execution(f"e{n}", states=ENDED, seconds=n) for n in range(6)))
    await caught_up(writer)
    files = house.files()
    house.author.commit(dict.fromkeys(files, "forged"), branch=BRANCH)
    house.author.hook("update", "test -e pushed && exit 1; touch pushed")
    short = house.writer("other", msgspec.structs.replace(QUICK, batch=2))
    await short.reconciled(a_status())
    with pytest.raises(StatusRejected):
        await caught_up(short)
    assert b"forged" in house.files().values()
    (house.author.path / "hooks" / "update").unlink()
    await house.started("other")
    assert house.files() == files


async def test_a_deleted_branch_is_rebuilt_with_its_audit(house: House) -> None:
    writer = await house.started()
    house.tell(*(an_execution(f"e{n}", states=ENDED, seconds=n) for n in range(5)))
    house.tell(an_execution("running", states=(State.CREATED, State.RUNNING)))
    await caught_up(writer)
    files = house.files()
    house.author.delete_branch(BRANCH)
    await house.started()
    assert house.files() == files
    records = list(audited(house.author.path, BRANCH, "prod.etl", "load"))
    assert {record.id for record in records} == {f"e{n}" for n in range(5)}


async def test_old_executions_leave_the_tip_but_not_the_history(house: House) -> None:
    writer = await house.started()
    house.tell(an_execution("old", states=ENDED), an_execution("young", states=ENDED, seconds=86_400 * 20))
    await caught_up(writer)
    house.clock.advance(timedelta(days=31))
    await caught_up(writer)
    assert path("old") not in house.files()
    assert "executions/2026/03/21/young.json" in house.files()
    records = {record.id: record.state for record in audited(house.author.path, BRANCH, "prod.etl", "load")}
    assert records == {"old": "SUCCESS", "young": "SUCCESS"}
    tip = house.tip
    await house.started()
    assert house.tip == tip


async def test_only_so_many_executions_stay(house: House) -> None:
    house.tell(*(an_execution(f"e{n}", states=ENDED, seconds=n) for n in range(6)))
    await house.started(pace=msgspec.structs.replace(QUICK, keep=2))
    assert [name for name in house.files() if name.startswith("executions/")] == [path("e4"), path("e5")]


async def test_secrets_are_masked_everywhere(house: House) -> None:
    def mask(value: Any) -> Any:
        return json.loads(json.dumps(value).replace("s3cr3t", "********"))

    writer = await house.started(mask=mask)
    house.tell(
        an_execution(
            "e1",
            states=ENDED,
            trigger="s3cr3t",
            inputs={"a": "s3cr3t"},
            outputs={"s3cr3t": ["x s3cr3t"]},
            labels={"system.username": "s3cr3t"},
        )
    )
    await writer.reconciled(a_status(refused(message="not s3cr3t")))
    await caught_up(writer)
    assert not [name for name, data in house.files().items() if b"s3cr3t" in data]
    assert "s3cr3t" not in run_git("log", "--format=%B", BRANCH, cwd=house.author.path)
    assert json.loads(house.files()[path("e1")])["inputs"] == {"a": "********"}


async def test_flows_come_change_and_go(house: House) -> None:
    writer = await house.started()
    house.store.put_flows([flow_version("prod.etl/new")], [("prod.etl", "report")], {})
    house.store.commit(Batch(reports={("flow", "prod.etl/new"), ("flow", "prod.etl/report")}))
    await caught_up(writer)
    assert house.status("new")["revision"] == 1
    assert not [name for name in house.files() if name.startswith("flows/prod.etl/report")]
    assert b"report" not in house.files()["README.md"]
    await writer.reconciled(a_status(refused("prod.etl/new")))
    await caught_up(writer)
    assert house.status("new")["state"] == "stalled"
    await writer.reconciled(a_status())
    await caught_up(writer)
    assert house.status("new")["state"] == "unknown"


async def test_another_sources_flows_are_left_to_it(house: House) -> None:
    house.store.put_flows([flow_version("other/x", source="other")], [], {})
    house.tell(*(an_execution(f"o{n}", flow="other/x", states=ENDED, seconds=n) for n in range(9)))
    house.tell(an_execution("mine", states=ENDED, seconds=99))
    writer = await house.started(pace=msgspec.structs.replace(QUICK, batch=2))
    assert path("mine") in house.files()
    assert not [name for name in house.files() if "/o" in name or name.startswith("flows/other")]
    assert {report.key for report in house.store.reports()} == {f"o{n}" for n in range(9)}
    assert not await writer.turn()


async def test_one_execution_that_cannot_be_told_of_stops_no_other(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from reconciler.status import drafts

    def fails(execution: Execution, mask: Any) -> bytes:
        if execution.id == "poison":
            raise ValueError("cannot be written")
        return execution_file(execution, mask)

    execution_file = drafts.execution_file
    writer = await house.started()
    monkeypatch.setattr(drafts, "execution_file", fails)
    house.tell(an_execution("poison", states=ENDED), an_execution("fine", states=ENDED))
    with caplog.at_level(logging.ERROR):
        await caught_up(writer)
    assert path("fine") in house.files()
    assert house.store.reports() == []
    assert "poison" in caplog.text


async def test_a_nudge_is_answered_at_once_and_a_burst_in_few_pushes(house: House) -> None:
    house.author.hook("post-receive", "cat >> pushes")
    writer = await house.started(pace=Pace(interval=0.3, poll=30))
    before = len((house.author.path / "pushes").read_text().splitlines())
    async with running(writer):
        await asyncio.sleep(0)
        for n in range(40):
            house.tell(an_execution(f"e{n}", states=ENDED, seconds=n))
            writer.nudge()
            await asyncio.sleep(0)
        await until(lambda: not house.store.reports())
    pushes = len((house.author.path / "pushes").read_text().splitlines()) - before
    assert 1 <= pushes <= 4
    assert {path(f"e{n}") for n in range(40)} <= set(house.files())
