"""The story that the demo plays: nine steps, each of them seen to happen through Git and HTTP before it counts.

Nothing is shown that was not read back from the origin or the daemon. It must not know how things are drawn.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from headwater.demo.checks import NotYet, StepFailed, wait_for
from headwater.demo.daemon import SOURCE, Daemon
from headwater.demo.person import BRANCH, Commit, Person, example_folder
from headwater.demo.stage import Stage, Step

STATUS = "headwater/status"
SCHEDULED, CHANGED, HOOKED = "company.heartbeat", "company.pipeline", "company.order-received"
HOOK_KEY = "let-me-in"
_FILE = "flows/basics/pipeline.yaml"
_ORDER = {"order": 17, "amount": 250}
_ENDED = ("SUCCESS", "WARNING", "FAILED", "KILLED", "CANCELLED", "SKIPPED")
_LISTED = 8  # commits

Found = TypeVar("Found")
Document = dict[str, Any]


class Story:
    """Told once.

    Args:
        person: who commits.
        daemon: what follows; started by the story.
        stage: where it is shown.
    """

    def __init__(self, person: Person, daemon: Daemon, stage: Stage) -> None:
        self._person = person
        self._daemon = daemon
        self._stage = stage
        self._ran: list[Document] = []  # executions that the status branch has to know in the end

    def play(self) -> None:
        """All steps, in order.

        Raises:
            StepFailed: one of them did not happen.
        """
        first = self._origin()
        self._start()
        self._first_reconcile(first)
        self._schedule(first)
        changed = self._change()
        self._break(changed)
        self._webhook(self._mend())
        self._results()

    # The steps

    def _origin(self) -> Commit:
        with self._stage.step("A bare origin is made from the example flows") as step:
            commit = self._person.make_origin(example_folder())
            step.show("origin", str(self._person.origin))
            step.show_all(BRANCH, self._person.log(BRANCH, "--oneline", "--no-decorate"))
            step.show("", f"{len(self._flow_files())} flows, one a file")
            return commit

    def _start(self) -> None:
        with self._stage.step("The daemon starts") as step:
            step.waiting("waiting for it to listen")
            self._daemon.start()
            step.show("runs", f"headwater serve --config {self._daemon.config.name}")
            step.show("process", f"{self._daemon.pid}, listening on {self._daemon.url}")
            step.show("log", str(self._daemon.log))

    def _first_reconcile(self, first: Commit) -> None:
        with self._stage.step("The first reconcile: every flow becomes live") as step:
            step.waiting("waiting for Ready")
            status = self._applied(first, self._reported)
            live, wanted = status["counts"]["live"], len(self._flow_files())
            if live != wanted or not _is(status, "Ready"):
                raise StepFailed(
                    f"{wanted} live flows, Ready", f"{live} live flows; {_said(status, 'Ready')}"
                )
            if not self._daemon.answers("/readyz"):
                raise StepFailed("/readyz to say that the daemon is ready", "it does not")
            step.show("● Ready", f"{_said(status, 'Ready')}: {live} flows live, nothing refused")

    def _schedule(self, first: Commit) -> None:
        with self._stage.step("A schedule fires") as step:
            page = f"flows/{SCHEDULED.replace('.', '/')}/status.json"
            due = str(self._told(page).get("nextDate", ""))[11:19]
            step.waiting(f"{SCHEDULED} is due at {due} UTC")
            execution = self._wait(f"an execution of {SCHEDULED} by its schedule", self._fired)
            self._show_execution(step, execution, first.id)

    def _change(self) -> Document:
        with self._stage.step("A pushed commit changes a flow") as step:
            edit = partial(self._person.replace, _FILE, "currency: EUR", "currency: CHF")
            commit, status = self._push(step, lambda: edit("Count in francs"))
            self._require_ready(status)
            execution = self._run(step)
            self._show_execution(step, execution, commit.id, "CHF")
            return execution

    def _break(self, good: Document) -> None:
        with self._stage.step("A pushed commit breaks it: the last good version stays live") as step:
            edit = partial(self._person.replace, _FILE, "core.log.Log", "core.log.Lgo")
            commit, status = self._push(step, lambda: edit("Report with a typo"))
            problem = _problem(status)
            place = f"{_FILE}:{commit.line}:"
            if not problem.startswith(place) or not _is(status, "Stalled"):
                raise StepFailed(f"a problem at {place}…, Stalled", problem or _said(status, "Stalled"))
            step.show("✗ Stalled", problem, "red")
            self._show_badge(step, CHANGED, "stalled")
            execution = self._run(step)
            if execution["flowRevision"] != good["flowRevision"]:
                raise StepFailed(
                    f"revision {good['flowRevision']} of {CHANGED} to run",
                    f"revision {execution['flowRevision']}",
                )
            self._show_execution(step, execution, good["commit"], "CHF")

    def _mend(self) -> Commit:
        with self._stage.step("A pushed commit mends it") as step:
            commit, status = self._push(step, self._person.revert)
            self._require_ready(status)
            self._show_badge(step, CHANGED, "passing")
            return commit

    def _webhook(self, tip: Commit) -> None:
        with self._stage.step("A webhook trigger is called") as step:
            path = f"/api/v1/main/executions/webhook/{HOOKED.replace('.', '/')}/{HOOK_KEY}"
            step.show("POST", f"{path}  {json.dumps(_ORDER)}")
            named = self._asked("the webhook to start an execution", self._called)
            self._show_execution(step, self._ended(named), tip.id, str(_ORDER["order"]))

    def _results(self) -> None:
        with self._stage.step(f"The results are on the branch {STATUS}") as step:
            step.waiting("waiting for the last push")
            self._wait(f"commits about all {len(self._ran)} executions", self._all_told)
            options = ("--oneline", "--no-decorate", f"--max-count={_LISTED}")
            step.show_all("git log", self._person.log(STATUS, *options))
            last = self._ran[-1]["id"]
            found = self._person.log(STATUS, f"--grep=^Headwater-Execution: {last}", "--format=%B")
            step.show_all("trailers", (line for line in found if line.startswith("Headwater-")))
            badge = f"flows/{HOOKED.replace('.', '/')}/badge.json"
            document = self._told(badge)
            step.show("badge", f"{document['label']} | {document['message']}")

    # What they have in common

    def _push(self, step: Step, make: Callable[[], Commit]) -> tuple[Commit, Document]:
        """Commit and push, tell the hook as a forge does, wait until it is applied; returns how the source stands."""
        commit = make()
        step.show_diff("diff", commit.path, commit.diff)
        pushed = time.monotonic()
        answer = self._daemon.tell_of_push(commit.id)
        if not 200 <= answer < 300:
            raise StepFailed(f"/hooks/{SOURCE} to take the signed delivery", f"it answers {answer}")
        step.waiting("pushed; waiting for the daemon")
        self._applied(commit, self._daemon.source)
        live = time.monotonic() - pushed
        status = self._applied(commit, self._reported)
        told = time.monotonic() - pushed
        step.show("push", f"{commit.short} {commit.subject}")
        step.show("", f"applied after {live:.2f} s, told on the status branch after {told:.1f} s")
        return commit, status

    def _applied(self, commit: Commit, ask: Callable[[], Document]) -> Document:
        """How the source stands, once that is about a commit and nothing is under way."""

        def look() -> Document:
            status = ask()
            if status["revision"] != commit.id or _is(status, "Reconciling"):
                raise NotYet(f"{status['revision'][:7]}, {_said(status, 'Ready')}")
            return status

        return self._wait(f"{commit.short} to be applied", look)

    def _reported(self) -> Document:
        return self._status("reconcile.json")

    def _require_ready(self, status: Document) -> None:
        if not _is(status, "Ready"):
            raise StepFailed("Ready", _problem(status) or _said(status, "Ready"))

    def _fired(self) -> Document:
        for each in self._daemon.executions(SCHEDULED):
            if each["state"]["current"] in _ENDED and each.get("trigger"):
                return self._daemon.execution(each["id"])
        raise NotYet("none has ended yet")

    def _called(self) -> str:
        return self._daemon.call_webhook(HOOKED, HOOK_KEY, _ORDER)

    def _run(self, step: Step) -> Document:
        step.waiting(f"running {CHANGED}")
        return self._ended(self._asked(f"{CHANGED} to start", lambda: self._daemon.run(CHANGED)))

    def _ended(self, execution_id: str) -> Document:
        def look() -> Document:
            document = self._daemon.execution(execution_id)
            if document["state"]["current"] not in _ENDED:
                raise NotYet(f"it is {document['state']['current']}")
            return document

        return self._wait(f"the end of execution {execution_id}", look)

    def _show_execution(self, step: Step, execution: Document, revision: str, word: str = "") -> None:
        """Show how an execution ended and what it wrote.

        Raises:
            StepFailed: it did not end well, ran at another commit, or its log has not the word.
        """
        self._ran.append(execution)
        name = f"{execution['namespace']}.{execution['flowId']}"
        state, ran_from = execution["state"]["current"], execution.get("commit", "")
        lines = [f"{each.get('taskId') or '':8} {each['message']}" for each in self._log(execution["id"])]
        if state != "SUCCESS":
            raise StepFailed(f"{name} to end with SUCCESS", "\n".join([state, *lines]))
        if ran_from != revision:
            raise StepFailed(f"{name} to run at {revision[:7]}", ran_from[:7])
        if not any(word in line for line in lines):
            raise StepFailed(f"`{word}` in the log of {name}", "\n".join(lines) or "an empty log")
        step.show("run", f"{name} ✓ {state}, revision {execution['flowRevision']} at {ran_from[:7]}")
        step.show_all("log", lines)

    def _log(self, execution_id: str) -> Sequence[Document]:
        return self._asked("the log of an execution", lambda: self._daemon.logs(execution_id))

    def _show_badge(self, step: Step, flow: str, state: str) -> None:
        def look() -> str:
            said = self._daemon.badge(flow)
            if state not in said:
                raise NotYet(said)
            return said

        step.show("badge", self._wait(f"a badge that says {state}", look))

    def _all_told(self) -> None:
        """Raises NotYet when an execution has no commit, no document, or the document says another thing."""
        told = self._person.log(STATUS, "--format=%(trailers:key=Headwater-Execution,valueonly)")
        paths = self._person.files(STATUS, "executions/")
        for execution in self._ran:
            named = execution["id"]
            path = next((each for each in paths if each.endswith(f"/{named}.json")), None)
            if named not in told or path is None:
                raise NotYet(f"none about {execution['flowId']} {named}")
            document = self._status(path)
            for field in ("flowId", "commit", "state"):
                if document[field] != execution[field]:
                    raise NotYet(f"another {field} in {path}")

    def _flow_files(self) -> Sequence[str]:
        return [path for path in self._person.files(BRANCH, "flows/") if path.endswith((".yaml", ".yml"))]

    def _status(self, path: str) -> Document:
        """A document of the status branch. Raises NotYet when it is not there."""
        return dict(json.loads(self._person.read(STATUS, path)))

    def _told(self, path: str) -> Document:
        """A document that the status branch has to have by now."""
        return self._asked(f"{path} on the status branch", lambda: self._status(path))

    def _wait(self, expected: str, look: Callable[[], Found]) -> Found:
        return wait_for(expected, look, self._daemon.alive)

    def _asked(self, expected: str, ask: Callable[[], Found]) -> Found:
        """Ask the daemon once; what it refuses has not happened."""
        return wait_for(expected, ask, self._daemon.alive, 0)


def _condition(status: Document, kind: str) -> Document:
    return next((each for each in status["conditions"] if each["type"] == kind), {})


def _is(status: Document, kind: str) -> bool:
    return _condition(status, kind).get("status") == "True"


def _said(status: Document, kind: str) -> str:
    found = _condition(status, kind)
    return str(found.get("message") or found.get("reason") or f"no condition {kind}")


def _problem(status: Document) -> str:
    """The first problem of a file, as `path:line:column: property: message`."""
    for file in status["files"]:
        for each in file["problems"]:
            place = f"{each['path']}:{each['line']}:{each['column']}"
            return f"{place}: {each['property']}: {each['message']}"
    return ""
