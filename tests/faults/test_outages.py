"""What stops working around the daemon never stops what runs in it: it is told, waited out, and made good.

A real daemon each time; remote, status branch and disk go away and come back.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon, eventually, installed, settings
from tests.support.git_servers import GitHttpServer, http_server
from tests.support.published import BRANCH, Published
from tests.support.repositories import Author

NAME = ("outage", "hello")
HELLO = """
id: hello
namespace: outage
triggers:
  - {id: call, type: core.trigger.Webhook, key: hello-key}
tasks:
  - {id: say, type: scripts.shell.Commands, commands: ["echo hello {{ trigger.body.n }}"]}
"""
REFUSE = f"""while read old new ref; do
  if [ "$ref" = refs/heads/{BRANCH} ]; then echo "this branch is protected" >&2; exit 1; fi
done"""
FLOOD = 300


class Place:
    """A daemon, its remote and what the remote shows."""

    def __init__(self, author: Author, server: GitHttpServer, daemon: Daemon) -> None:
        self.author = author
        self.server = server
        self.daemon = daemon
        self.published = Published(author.path)

    def begin(self) -> None:
        """Start the daemon and wait until the remote shows that all is well."""
        commit = self.author.commit({"flows/hello.yaml": HELLO}, "Begin")
        self.daemon.start()
        eventually(lambda: self.published.revision() == commit, "Ready at the first commit")

    def call(self, number: int) -> str:
        """Call the webhook trigger; returns the execution's id."""
        answer = self.daemon.call(*NAME, "hello-key", {"n": number})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def succeeds(self, execution_id: str) -> None:
        """Wait for an execution to end well."""
        assert self.daemon.ended(execution_id)["state"]["current"] == "SUCCESS"

    def condition(self, kind: str) -> dict[str, Any]:
        """A condition of the source, as the daemon tells it."""
        answer = self.daemon.http.get("/api/v1/main/sources/flows")
        assert answer.status_code == 200, answer.text
        return next(dict(each) for each in answer.json()["conditions"] if each["type"] == kind)

    def warnings(self, part: str) -> list[str]:
        """The warnings in the daemon's log that say so."""
        found = [entry["message"] for entry in self.daemon.log() if entry.get("level") == "WARNING"]
        return [message for message in found if part in message]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    author = Author(tmp_path / "remotes" / "flows.git")
    with http_server(tmp_path / "remotes") as server:
        config = settings(server.url("flows.git"), poll=0.2)
        with installed(tmp_path / "headwater", config) as daemon:
            yield Place(author, server, daemon)


@pytest.mark.parametrize("fault", ["error", "drop"])
def test_a_remote_that_is_away_stops_no_execution_and_is_taken_up_again(place: Place, fault: str) -> None:
    place.begin()
    place.server.fault = fault
    during = place.call(1)
    place.succeeds(during)
    eventually(lambda: place.condition("Ready")["status"] == "Unknown", "the outage is told")
    assert place.condition("Reconciling")["status"] == "True", "it is tried again"
    assert place.condition("Stalled")["status"] == "False", "nobody has to act"
    assert place.daemon.ready()
    assert during not in place.published.executions()
    commit = place.author.commit({"flows/hello.yaml": HELLO + "description: meanwhile\n"}, "Meanwhile")
    place.server.fault = ""
    eventually(lambda: place.published.revision() == commit, "what was pushed meanwhile is live")
    eventually(lambda: during in place.published.executions(), "what ended meanwhile is told")
    assert place.daemon.executions(*NAME)[0]["id"] == during
    assert place.daemon.stop() == 0
    assert place.daemon.complaints() == []


def test_a_daemon_that_starts_while_the_remote_is_away_serves_what_it_knows(place: Place) -> None:
    place.begin()
    assert place.daemon.stop() == 0
    place.server.fault = "error"
    place.daemon.start()
    during = place.call(1)
    place.succeeds(during)
    place.server.fault = ""
    eventually(lambda: during in place.published.executions(), "the result is told in the end")
    assert place.daemon.complaints() == []


def test_a_protected_status_branch_stops_nothing_and_is_told_once(place: Place) -> None:
    place.begin()
    place.author.hook("pre-receive", REFUSE)
    first = place.call(1)
    place.succeeds(first)
    told = eventually(lambda: place.warnings("the status branch cannot be written"), "the refusal is told")
    assert "this branch is protected" in told[0]
    commit = place.author.commit({"flows/more.yaml": HELLO.replace("id: hello", "id: more")}, "Add a flow")
    eventually(lambda: place.daemon.badge("outage", "more"), "commits are still followed")
    second = place.call(2)
    place.succeeds(second)
    assert place.daemon.badge(*NAME).startswith("passing")
    assert len(place.warnings("the status branch cannot be written")) == 1
    (place.author.path / "hooks" / "pre-receive").unlink()
    assert place.daemon.stop() == 0
    place.daemon.start()
    eventually(lambda: {first, second} <= place.published.executions().keys(), "nothing was forgotten")
    eventually(lambda: place.published.revision() == commit, "the last commit is told")
    assert place.daemon.complaints() == []


def test_a_full_disk_refuses_what_is_new_and_loses_nothing(place: Place) -> None:
    place.begin()
    before = place.call(1)
    place.succeeds(before)
    process = place.daemon.pid
    room = resource.prlimit(process, resource.RLIMIT_FSIZE)
    # A page of the store's log is longer: whatever the daemon wants to keep fails as on a full disk.
    resource.prlimit(process, resource.RLIMIT_FSIZE, (4096, room[1]))
    answer = place.daemon.call(*NAME, "hello-key", {"n": 2})
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert place.daemon.execution(before)["state"]["current"] == "SUCCESS", "what is known can be read"
    assert place.daemon.http.get("/healthz").status_code == 200
    resource.prlimit(process, resource.RLIMIT_FSIZE, room)

    def taken() -> str:
        again = place.daemon.call(*NAME, "hello-key", {"n": 3})
        return str(again.json()["id"]) if again.status_code == 200 else ""

    after = eventually(taken, "with room again, calls are accepted again")
    place.succeeds(after)
    numbers = [
        place.daemon.execution(each["id"])["trigger"]["variables"]["body"]["n"]
        for each in place.daemon.executions(*NAME)
    ]
    assert sorted(numbers) == [1, 3], "a call that was refused has started nothing"
    eventually(lambda: {before, after} <= place.published.executions().keys(), "both are told")


def test_a_flood_of_hooks_becomes_few_looks(place: Place) -> None:
    place.daemon.config.write_text(settings(place.server.url("flows.git"), poll=60))
    place.begin()
    running = place.call(1)
    eventually(lambda: running in place.published.executions(), "all is quiet")
    place.server.seen.clear()
    with ThreadPoolExecutor(8) as senders:
        forged = list(
            senders.map(lambda _: place.daemon.hook(secret="guessed at random").status_code, range(FLOOD))
        )
        assert set(forged) == {401}
        assert place.server.seen == [], "an unsigned delivery makes nobody look"
        answers = list(senders.map(lambda _: place.daemon.hook().status_code, range(FLOOD)))
    assert set(answers) <= {200, 202, 429, 503}
    assert len(place.server.seen) < FLOOD / 2, "many nudges are one look"
    commit = place.author.commit({"flows/hello.yaml": HELLO + "description: after the flood\n"}, "After")
    assert place.daemon.hook().is_success
    eventually(lambda: place.published.revision() == commit, "it goes on as before")
    assert place.daemon.complaints() == []
