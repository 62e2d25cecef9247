"""A source under test: a real bare remote, a real mirror, a real store, and an engine that only records."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from engine.clock import ManualClock
from engine.model.problem import Problem
from engine.model.records import Deployment, FlowVersion
from engine.plugins import Registry, installed
from engine.store.sqlite import SqliteStore
from reconciler.conditions import Condition
from reconciler.desired import Check, checker
from reconciler.inventory import FlowFile, Identity
from reconciler.loop import Reconciler, Summary
from reconciler.report import ReconcileStatus
from reconciler.repository import Mirror
from tests.support.repositories import Author

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def flow_text(flow_id: str, message: str = "hello", namespace: str = "company.etl") -> str:
    return (
        f"id: {flow_id}\nnamespace: {namespace}\ntasks:\n"
        f"  - id: say\n    type: core.log.Log\n    message: {message}\n"
    )


def broken_text(flow_id: str, namespace: str = "company.etl") -> str:
    return f"id: {flow_id}\nnamespace: {namespace}\ntasks:\n  - id: say\n    type: core.log.Lgo\n"


def flow_file(
    path: str, identity: Identity | None, blob: str = "b1", *, refused: bool = False, line: int = 1
) -> FlowFile:
    """A record as a scan makes it; `identity` is none where the file does not tell."""
    problems = (Problem(path, 3, 1, "tasks", "wrong"),) if refused else ()
    return FlowFile(path, blob, "file", *(identity or ("", "")), line, refused, problems)


@cache
def real_check() -> Check:
    return checker(Registry(installed()))


class Killed(BaseException):
    """The process ends here."""


class RecordingEngine:
    """Takes deployments as the engine does and writes them to the store; `failure` is raised instead, once."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.deploys: list[tuple[str, list[str], list[str]]] = []
        self.writes: list[dict[str, Any]] = []
        self.deploy_failure: BaseException | None = None
        self.remember_failure: BaseException | None = None

    async def deploy(
        self,
        source: str,
        commit: str,
        changed: Sequence[Deployment],
        removed: Sequence[tuple[str, str]],
    ) -> None:
        failure, self.deploy_failure = self.deploy_failure, None
        if failure is not None:
            raise failure
        self.store.put_flows([self._version(source, commit, each) for each in changed], removed, {})
        names = [f"{each.flow.namespace}.{each.flow.id}" for each in changed]
        self.deploys.append((commit, sorted(names), sorted(".".join(name) for name in removed)))

    def _version(self, source: str, commit: str, each: Deployment) -> FlowVersion:
        live = self.store.flow(each.flow.namespace, each.flow.id)
        last = self.store.last_revision(each.flow.namespace, each.flow.id)
        same = live is not None and (live.content, live.defaults) == (each.content, each.defaults)
        return FlowVersion(
            namespace=each.flow.namespace,
            id=each.flow.id,
            revision=last if same else last + 1,
            commit=commit,
            blob=each.blob,
            path=each.path,
            source=source,
            content=each.content,
            at=NOON,
            defaults=each.defaults,
        )

    async def remember(self, space: str, values: Mapping[str, Any], remove: Sequence[str] = ()) -> None:
        failure, self.remember_failure = self.remember_failure, None
        if failure is not None:
            raise failure
        self.writes.append(dict(values))
        self.store.put(space, values, remove)


class CountingCheck:
    """The real check, which notes every file that it is asked about."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def __call__(self, content: bytes, path: str, defaults: str) -> Any:
        self.paths.append(path)
        return real_check()(content, path, defaults)


class Source:
    """One source and all that it needs, in `folder`."""

    def __init__(
        self, folder: Path, name: str = "prod", url: str = "", store: SqliteStore | None = None
    ) -> None:
        self.folder = folder
        self.name = name
        self.author = Author(folder / "remotes" / f"{name}.git")
        self.url = url or self.author.url
        self.store = store or SqliteStore(folder / "store.db")
        self.engine = RecordingEngine(self.store)
        self.check = CountingCheck()
        self.clock = ManualClock(NOON)
        self.reports: list[ReconcileStatus] = []
        self.turn = asyncio.Lock()
        self.restart()

    def restart(self, checker: str = "") -> None:
        """Forget everything in memory, as a new process does."""
        mirror = Mirror(self.folder / f"{self.name}-mirror.git", self.url, "main")
        self.reconciler = Reconciler(
            self.name,
            mirror,
            self.store,
            self.engine,
            self.check,
            self.clock,
            self._report,
            checker=checker,
            turn=self.turn,
        )

    async def _report(self, status: ReconcileStatus) -> None:
        self.reports.append(status)

    async def round(self, *, poll: bool = False) -> Summary:
        self.clock.advance(timedelta(minutes=1))
        return await self.reconciler.reconcile(poll=poll)

    async def push(self, files: Mapping[str, Any], **more: Any) -> Summary:
        self.author.commit(files, **more)
        return await self.round()

    def live(self) -> dict[str, str]:
        """The message that each live flow would log, by the flow's id."""
        return {
            each.id: each.content.decode().rpartition("message: ")[2].strip()
            for each in self.store.flows(self.name)
        }


def condition(summary: Summary | ReconcileStatus, kind: Any) -> Condition:
    status = summary.status if isinstance(summary, Summary) else summary
    found = status.condition(kind)
    assert found is not None
    return found


def stands(summary: Summary | ReconcileStatus) -> tuple[bool | None, bool | None, bool | None, str]:
    """Ready, Reconciling, Stalled and the reason of Ready."""
    return (
        condition(summary, "Ready").status,
        condition(summary, "Reconciling").status,
        condition(summary, "Stalled").status,
        condition(summary, "Ready").reason,
    )
