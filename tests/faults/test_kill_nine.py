"""Kill -9 at any moment, fifty times over: nothing that was accepted is lost, nothing happens twice.

The moments are random; the verdict is not: whatever was killed when, the end is fully determined by what was
accepted and by the clock's seconds. The seed is printed with a failure and can be given as `HEADWATER_FAULT_SEED`.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.model.records import Query
from engine.store.sqlite import SqliteStore
from reconciler import memory
from reconciler.status.board import Board
from tests.support.daemon import ENDED, Daemon, eventually, installed, settings
from tests.support.published import Published
from tests.support.repositories import Author, run_git

KILLS = 50
NAMESPACE = "kill"
FLOWS_SEEN = ("work", "child", "tick")


def marked(*more: str) -> str:
    """Commands that write down that this attempt begins and, a little later, that it ends; then more of them."""
    mark = 'echo "{{ execution.id }} {{ taskrun.id }} {{ taskrun.attemptsCount }}" >> "{{ envs.marks }}/%s"'
    return json.dumps([mark % "begun", "sleep 0.05", mark % "ended", *more])


OUTPUT = """echo '::{"outputs":{"x":1}}::'"""
WORK = f"""
id: work
namespace: kill
triggers:
  - {{id: call, type: core.trigger.Webhook, key: work-key}}
tasks:
  - id: first
    type: scripts.shell.Commands
    commands: {marked(OUTPUT)}
  - id: both
    type: core.flow.Parallel
    tasks:
      - id: left
        type: scripts.shell.Commands
        commands: {marked()}
      - id: again
        type: scripts.shell.Commands
        retry: {{type: constant, interval: PT0.1S, maxAttempts: 3}}
        commands: {marked("test {{ taskrun.attemptsCount }} -ge 1")}
  - id: child
    type: core.flow.Subflow
    namespace: kill
    flowId: child
    wait: true
    transmitFailed: true
    inputs: {{n: "{{{{ outputs.first.vars.x }}}}"}}
  - id: last
    type: core.debug.Return
    format: "{{{{ outputs.child.outputs.twice }}}}"
"""
CHILD = f"""
id: child
namespace: kill
inputs:
  - {{id: n, type: INT}}
tasks:
  - id: each
    type: core.flow.ForEach
    values: [1, 2]
    tasks:
      - id: step
        type: scripts.shell.Commands
        commands: {marked()}
outputs:
  - {{id: twice, type: INT, value: "{{{{ inputs.n * 2 }}}}"}}
"""
TICK = """
id: tick
namespace: kill
triggers:
  - {id: every-second, type: core.trigger.Schedule, cron: "* * * * * *", withSeconds: true}
tasks:
  - {id: note, type: core.debug.Return, format: "{{ trigger.date }}"}
"""
RARE = TICK.replace('"* * * * * *"', '"0 0 0 1 1 *"')
FLOWS = {"flows/work.yaml": WORK, "flows/child.yaml": CHILD, "flows/tick.yaml": TICK}


class Ordeal:
    """A daemon that is killed again and again while somebody calls it and somebody pushes."""

    def __init__(self, author: Author, daemon: Daemon, marks: Path, seed: int) -> None:
        self.author = author
        self.daemon = daemon
        self.marks = marks
        self.chance = random.Random(seed)
        self.published = Published(author.path)
        self.calls = 0
        self.accepted: dict[int, str] = {}
        """Execution ids by the number of the call that was answered with them."""
        self.startup = 1.0

    def begin(self) -> None:
        commit = self.author.commit(FLOWS)
        began = time.monotonic()
        self.daemon.start()
        self.startup = time.monotonic() - began
        eventually(lambda: self.published.revision() == commit, "all flows are live")
        self.daemon.kill()

    def live_and_die(self) -> None:
        """One life of the daemon: it ends while it starts, or while it is called."""
        self.daemon.spawn()
        if self.chance.random() < 0.3:
            threading.Event().wait(self.chance.uniform(0.2, 1.2) * self.startup)
        else:
            eventually(self.daemon.listens, "the daemon listens")
            killer = threading.Timer(self.chance.uniform(0.02, 0.4), self.daemon.shoot)
            killer.start()
            for _ in range(self.chance.randrange(1, 4)):
                self.call()
            killer.join()
        self.daemon.kill()

    def call(self) -> None:
        self.calls += 1
        try:
            answer = self.daemon.call(NAMESPACE, "work", "work-key", {"n": self.calls})
        except httpx.TransportError:
            return  # nobody knows whether it was accepted
        assert answer.status_code == 200, answer.text
        self.accepted[self.calls] = answer.json()["id"]

    def settle(self) -> None:
        """Stop what would never end, and let all that was begun end."""
        commit = self.author.commit({"flows/tick.yaml": RARE}, "Tick once a year")
        self.daemon.start()
        eventually(lambda: self.published.revision() == commit, "the last commit is live")
        for execution_id in self.accepted.values():
            self.daemon.ended(execution_id, 60)
        eventually(self.is_quiet, "everything has ended", 60)
        ids = {each["id"] for flow in FLOWS_SEEN for each in self.daemon.executions(NAMESPACE, flow)}
        eventually(lambda: self.published.executions().keys() == ids, "everything is told")

    def is_quiet(self) -> bool:
        known = [each for flow in FLOWS_SEEN for each in self.daemon.executions(NAMESPACE, flow)]
        return all(each["state"]["current"] in ENDED for each in known)

    def documents(self, flow: str) -> list[dict[str, Any]]:
        """The execution documents of a flow, in full."""
        return [self.daemon.execution(each["id"]) for each in self.daemon.executions(NAMESPACE, flow)]


@pytest.fixture
def ordeal(tmp_path: Path) -> Iterator[Ordeal]:
    seed = int(os.environ.get("HEADWATER_FAULT_SEED") or random.randrange(2**32))
    print(f"HEADWATER_FAULT_SEED={seed}")
    author = Author(tmp_path / "flows.git")
    marks = tmp_path / "marks"
    marks.mkdir()
    config = settings(author.url, poll=60)
    with installed(tmp_path / "headwater", config, {"ENV_MARKS": str(marks)}) as daemon:
        yield Ordeal(author, daemon, marks, seed)


@pytest.mark.timeout(240)
def test_killed_fifty_times_nothing_is_lost_or_doubled(ordeal: Ordeal) -> None:
    ordeal.begin()
    for number in range(KILLS - 1):
        if number % 5 == 4:
            ordeal.author.commit({"flows/child.yaml": f"{CHILD}description: version {number}\n"})
        ordeal.live_and_die()
    ordeal.settle()
    works, children, ticks = map(ordeal.documents, FLOWS_SEEN)
    each_call_became_one_execution(ordeal, works)
    assert Counter(each["state"]["current"] for each in [*works, *children, *ticks]).keys() == {"SUCCESS"}
    assert sorted(each["trigger"]["variables"]["executionId"] for each in children) == sorted(
        each["id"] for each in works
    )
    each_attempt_ran_once(ordeal, [*works, *children])
    each_second_fired_once(ticks)
    ids = {each["id"] for each in [*works, *children, *ticks]}
    assert ordeal.published.audit().keys() == ids
    assert ordeal.daemon.stop() == 0
    the_status_branch_is_what_the_store_says(ordeal)
    git_finds_everything_sound(ordeal)
    assert ordeal.daemon.complaints() == []
    assert list((ordeal.daemon.data / "runs").glob("runs/*")) == []


def each_call_became_one_execution(ordeal: Ordeal, works: list[dict[str, Any]]) -> None:
    assert len(ordeal.accepted) > KILLS / 4, "too few calls were answered for this to show anything"
    found = {each["trigger"]["variables"]["body"]["n"]: each["id"] for each in works}
    assert len(found) == len(works), "a call became two executions"
    assert ordeal.accepted.items() <= found.items(), "an accepted call is lost"
    assert found.keys() <= set(range(1, ordeal.calls + 1))


def each_attempt_ran_once(ordeal: Ordeal, documents: list[dict[str, Any]]) -> None:
    """Every attempt on record left its mark once, and no mark is of an attempt that is not on record."""
    expected = []
    for document in documents:
        for run in document["taskRunList"]:
            if run["taskId"] in ("first", "left", "again", "step"):
                states = [attempt["state"]["current"] for attempt in run["attempts"]]
                assert states == (["FAILED", "SUCCESS"] if run["taskId"] == "again" else ["SUCCESS"])
                expected += [f"{document['id']} {run['id']} {attempt}" for attempt in range(len(states))]
    for name in ("begun", "ended"):
        assert sorted((ordeal.marks / name).read_text().splitlines()) == sorted(expected), name


def each_second_fired_once(ticks: list[dict[str, Any]]) -> None:
    """Also those in which no daemon ran: `recoverMissedSchedules` is ALL unless it is set."""
    dates = sorted(
        datetime.fromisoformat(each["trigger"]["variables"]["date"]).astimezone(UTC) for each in ticks
    )
    assert len(dates) > KILLS / 4
    assert dates == [dates[0] + timedelta(seconds=n) for n in range(len(dates))]


def the_status_branch_is_what_the_store_says(ordeal: Ordeal) -> None:
    store = SqliteStore(ordeal.daemon.data / "headwater.db")
    board = Board(store, "flows", lambda value: value)
    _, status = memory.load(store, "flows")
    assert status is not None
    board.load(status)
    expected = board.front()
    for files in board.pages(list(board.rows)).values():
        expected |= files
    ids = [each.id for each in store.executions(Query(limit=10_000))]
    expected |= {told.path: told.data for told in board.ended(ids)}
    assert store.work() == []
    store.close()
    files = ordeal.published.files()
    assert files.keys() == expected.keys()
    assert [path for path in files if files[path] != expected[path]] == []


def git_finds_everything_sound(ordeal: Ordeal) -> None:
    ordeal.published.check()
    heads = {"flows": ordeal.author.head(), "flows.status": ordeal.published.tip}
    for name, head in heads.items():
        mirror = ordeal.daemon.data / "mirrors" / name
        run_git("fsck", "--strict", "--no-dangling", cwd=mirror)
        assert str(head) in run_git("for-each-ref", "--format=%(objectname)", cwd=mirror).split()
