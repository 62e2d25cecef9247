"""The main job from end to end: a real daemon process, a real bare remote, and nobody who looks inside.

One story over each transport; everything is read back from Git and over HTTP.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.remote import Credentials
from tests.support.daemon import Daemon, eventually, installed, settings
from tests.support.git_servers import http_server, ssh_server
from tests.support.published import Published
from tests.support.repositories import Author

HOME = "shop.web"
GREET = """
id: greet
namespace: shop.web
inputs:
  - {id: name, type: STRING}
triggers:
  - {id: call, type: core.trigger.Webhook, key: greet-key, inputs: {name: "{{ trigger.body.name }}"}}
tasks:
  - id: say
    type: scripts.shell.Commands
    commands:
      - echo "hello {{ inputs.name }}"
      - 'echo ''::{"outputs": {"words": 2}}::'''
outputs:
  - {id: words, type: INT, value: "{{ outputs.say.vars.words }}"}
"""
BROKEN = GREET.replace("scripts.shell.Commands", "scripts.shell.Comands")
TICK = """
id: tick
namespace: shop.web
triggers:
  - {id: every-second, type: core.trigger.Schedule, cron: "* * * * * *", withSeconds: true}
tasks:
  - {id: note, type: core.debug.Return, format: "{{ trigger.date }}"}
"""
# Writes down that it begins, then waits (but not for ever) until it may end.
SLOW = """
id: slow
namespace: shop.web
triggers:
  - {id: call, type: core.trigger.Webhook, key: slow-key}
tasks:
  - id: wait
    type: scripts.shell.Commands
    commands:
      - echo "{{ taskrun.id }} {{ taskrun.attemptsCount }}" >> "{{ envs.marks }}/{{ trigger.body.name }}"
      - for n in $(seq 400); do test -e "{{ envs.marks }}/{{ trigger.body.name }}.go" && exit; sleep 0.05; done; exit 9
"""
FLOWS = {"flows/greet.yaml": GREET, "flows/deep/tick.yml": TICK, "flows/slow.yaml": SLOW}


class Story:
    """A remote, a daemon that follows it, and a person who pushes and looks."""

    def __init__(self, author: Author, daemon: Daemon, marks: Path) -> None:
        self.author = author
        self.daemon = daemon
        self.published = Published(author.path)
        self.marks = marks
        marks.mkdir()

    def applied(self, commit: str) -> None:
        """Wait until the remote says that a commit is live, whole and without complaint."""
        eventually(lambda: self.published.revision() == commit, f"Ready at {commit}")

    def push(self, files: dict[str, str | None], message: str) -> str:
        """Push a commit and tell the daemon."""
        commit = self.author.commit(files, message)
        assert self.daemon.hook().is_success
        return commit

    def greet(self, name: str) -> str:
        """Call the webhook of `greet`; returns the execution's id."""
        answer = self.daemon.call(HOME, "greet", "greet-key", {"name": name})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def begin_slow(self, name: str) -> str:
        """Start `slow` and wait until its process runs; returns the execution's id."""
        answer = self.daemon.call(HOME, "slow", "slow-key", {"name": name})
        assert answer.status_code == 200, answer.text
        eventually(lambda: self.begun(name), f"`slow` has begun for {name}")
        return str(answer.json()["id"])

    def begun(self, name: str) -> list[str]:
        """What the processes of `slow` wrote down, a line each time one began."""
        path = self.marks / name
        return path.read_text().splitlines() if path.exists() else []

    def let_go(self, name: str) -> None:
        """Let the process of `slow` end."""
        (self.marks / f"{name}.go").touch()


@pytest.fixture(params=["file", "http", "ssh"])
def story(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Story]:
    """The story's beginning, over one of the transports."""
    author = Author(tmp_path / "remotes" / "flows.git")
    marks = tmp_path / "marks"

    def begun(url: str, credentials: Credentials | None = None) -> Iterator[Story]:
        config = settings(url, credentials, poll=60)
        with installed(tmp_path / "headwater", config, {"ENV_MARKS": str(marks)}) as daemon:
            yield Story(author, daemon, marks)

    match request.param:
        case "file":
            yield from begun(author.url)
        case "http":
            user = ("ada", "correct horse battery")
            with http_server(tmp_path / "remotes", user) as http:
                yield from begun(http.url("flows.git"), Credentials(*user))
        case _:
            with ssh_server(tmp_path / "sshd") as ssh:
                yield from begun(ssh.url(author.path), ssh.credentials)


def test_a_commit_becomes_running_flows_and_results_come_back(story: Story) -> None:
    first = the_first_reconcile(story)
    a_push_is_seen_at_once(story)
    results_land(story)
    a_broken_flow_keeps_its_last_good_version(story)
    a_deleted_flow_is_pruned(story)
    a_force_push_is_followed_and_told(story, first)
    a_kill_loses_and_doubles_nothing(story)
    a_stop_leaves_what_runs_to_the_next_start(story)
    assert story.daemon.stop() == 0
    assert story.daemon.complaints() == []
    story.published.check()


def the_first_reconcile(story: Story) -> str:
    commit = story.author.commit(FLOWS, "Begin")
    story.daemon.start()
    story.applied(commit)
    assert story.published.reconciled()["counts"]["live"] == 3
    for flow in ("greet", "slow"):
        assert story.published.flow(HOME, flow)["commit"] == commit
        assert story.daemon.badge(HOME, flow) == "unknown"
    return commit


def a_push_is_seen_at_once(story: Story) -> None:
    """With a poll a minute, only the hook can have told of it."""
    commit = story.author.commit({"flows/fresh.yaml": GREET.replace("id: greet", "id: fresh")}, "Add a flow")
    assert story.daemon.hook(secret="not the right secret").status_code == 401
    assert story.daemon.badge(HOME, "fresh") == ""
    pushed = time.monotonic()
    assert story.daemon.hook().is_success
    eventually(lambda: story.daemon.badge(HOME, "fresh"), "the new flow is live", 2.0)
    assert time.monotonic() - pushed < 2.0
    story.applied(commit)


def results_land(story: Story) -> None:
    called, head = story.greet("Ada"), story.author.head()
    document = story.daemon.ended(called)
    assert document["state"]["current"] == "SUCCESS"
    assert (document["outputs"], document["inputs"]) == ({"words": 2}, {"name": "Ada"})
    told = eventually(lambda: story.published.executions().get(called), "the result is on the status branch")
    assert told == document
    assert story.published.audit()[called] == {
        "Execution": called, "Flow": f"{HOME}.greet", "Revision": head, "Trigger": "call",
    }  # fmt: skip
    status = story.published.flow(HOME, "greet")
    assert status["executions"][0]["id"] == called
    assert story.daemon.badge(HOME, "greet").startswith("passing")
    assert story.published.json(f"flows/{HOME}/greet/badge.json")["message"].startswith("passing")
    assert "passing" in story.published.text(f"flows/{HOME}/greet/badge.svg")
    assert f"{HOME}.greet" in story.published.text("README.md")
    scheduled = [each for each in story.published.audit().values() if each["Flow"] == f"{HOME}.tick"]
    assert {each["Trigger"] for each in scheduled} == {"every-second"}


def a_broken_flow_keeps_its_last_good_version(story: Story) -> None:
    good = story.published.flow(HOME, "greet")
    before = good["revision"]
    commit = story.push({"flows/greet.yaml": BROKEN}, "Break a flow")
    eventually(lambda: story.published.condition("Stalled")["status"] == "True", "the break is told")
    reconciled = story.published.reconciled()
    assert reconciled["revision"] == commit
    assert story.published.condition("Ready")["reason"] == "FlowInvalid"
    (refused,) = reconciled["files"]
    (problem,) = refused["problems"]
    line = 1 + BROKEN.splitlines().index("    type: scripts.shell.Comands")
    assert (problem["path"], problem["line"], problem["column"]) == ("flows/greet.yaml", line, 11)
    assert "scripts.shell.Comands" in problem["message"]
    assert f"flows/greet.yaml:{line}:11" in story.published.text("README.md")
    assert story.daemon.badge(HOME, "greet") == "stalled"
    eventually(lambda: story.published.flow(HOME, "greet")["state"] == "stalled", "its badge tells too")
    ran = story.daemon.ended(story.greet("last good"))
    assert (ran["flowRevision"], ran["commit"]) == (before, good["commit"])
    fixed = story.push({"flows/greet.yaml": GREET + "description: mended\n"}, "Mend it")
    story.applied(fixed)
    assert story.published.reconciled()["files"] == []
    assert story.daemon.ended(story.greet("mended"))["flowRevision"] == before + 1
    assert story.daemon.badge(HOME, "greet").startswith("passing")


def a_deleted_flow_is_pruned(story: Story) -> None:
    folder = f"flows/{HOME}/tick/"
    assert any(path.startswith(folder) for path in story.published.files())
    commit = story.push({"flows/deep/tick.yml": None}, "Delete a flow")
    story.applied(commit)
    eventually(
        lambda: not any(path.startswith(folder) for path in story.published.files()), "its files are gone"
    )
    assert story.daemon.badge(HOME, "tick") == ""
    assert f"{HOME}.tick" not in story.published.text("README.md")


def a_force_push_is_followed_and_told(story: Story, first: str) -> None:
    ticks = len(story.daemon.executions(HOME, "tick"))
    assert ticks > 0
    lost = story.author.head()
    changed = {
        "flows/deep/tick.yml": None,
        "flows/greet.yaml": GREET + "description: rewritten\n",
        "flows/slow.yaml": SLOW,
    }
    commit = story.author.commit(changed, "Rewrite history", parents=[first])
    assert story.daemon.hook().is_success
    story.applied(commit)
    assert lost is not None
    assert lost[:7] in story.published.condition("Ready")["message"]
    assert "rewritten" in story.published.condition("Ready")["message"]
    eventually(lambda: story.daemon.badge(HOME, "fresh") == "", "what history left out is pruned")
    assert story.daemon.ended(story.greet("rewritten"))["commit"] == commit
    assert len(story.daemon.executions(HOME, "tick")) == ticks, "a pruned schedule fires no more"


def a_kill_loses_and_doubles_nothing(story: Story) -> None:
    done = story.daemon.executions(HOME, "greet")
    eventually(lambda: {each["id"] for each in done} <= story.published.executions().keys(), "all is told")
    files, badge = story.published.files(), story.daemon.badge(HOME, "greet")
    running = story.begin_slow("killed")
    story.daemon.kill()
    story.daemon.start()
    assert story.daemon.execution(running)["state"]["current"] == "RUNNING"
    assert story.published.files() == files
    assert story.daemon.badge(HOME, "greet") == badge
    assert story.daemon.executions(HOME, "greet") == done
    story.let_go("killed")
    assert story.daemon.ended(running)["state"]["current"] == "SUCCESS"
    assert len(story.begun("killed")) == 1, "its process was adopted, not started again"
    eventually(lambda: running in story.published.audit(), "the adopted execution is told")


def a_stop_leaves_what_runs_to_the_next_start(story: Story) -> None:
    running = story.begin_slow("stopped")
    assert story.daemon.stop(5.0) == 0
    story.let_go("stopped")
    story.daemon.start()
    document = story.daemon.ended(running)
    assert document["state"]["current"] == "SUCCESS"
    assert len(document["taskRunList"][0]["attempts"]) == len(story.begun("stopped")) == 1
    eventually(lambda: running in story.published.audit(), "what went on without a daemon is told")
