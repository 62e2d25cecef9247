"""All test files of some paths, played one after the other, and what came of them, with the coverage of tasks."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from engine.errors import FlowInvalid, NotFound
from engine.machine.graph import build
from engine.model.flow import Flow
from engine.model.problem import Problem
from headwater.flow_tests.discover import discover
from headwater.flow_tests.play import Outcome, play
from headwater.flow_tests.suite import Read, Suite, misfits
from headwater.local import Catalog, compiled
from headwater.settings import Settings
from headwater.terminal import warn
from headwater.trees import Identity, Tree, read_tree


class SuiteResult(msgspec.Struct, frozen=True):
    """What became of a test file.

    Args:
        read: the file; without a suite when it has problems.
        problems: of the file, or of the flow it tests: no case was played.
        outcomes: of the cases that were played, in order.
        skipped: ids of the cases that are disabled.
    """

    read: Read
    problems: tuple[Problem, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    skipped: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.problems and all(outcome.passed for outcome in self.outcomes)


class Coverage(msgspec.Struct, frozen=True):
    """How much of a flow its tests have reached.

    Args:
        tasks: ids of its enabled tasks, in the order of the file.
        reached: of these, what ran or was stood in for.
        stood_in: of these, what only fixtures stood in for.
    """

    namespace: str
    id: str
    tasks: tuple[str, ...]
    reached: frozenset[str]
    stood_in: frozenset[str]

    @property
    def missed(self) -> tuple[str, ...]:
        """The tasks that no case reached."""
        return tuple(task for task in self.tasks if task not in self.reached)


class Results(msgspec.Struct, frozen=True):
    """What became of everything."""

    suites: tuple[SuiteResult, ...]
    coverage: tuple[Coverage, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return all(suite.passed for suite in self.suites)


class Watcher:
    """Is told how the tests go; tells nobody."""

    def suite(self, result: SuiteResult) -> None:
        """A test file is taken up, or cannot be played."""

    def case(self, read: Read, outcome: Outcome) -> None:
        """A case was played."""

    def skip(self, read: Read, case_id: str) -> None:
        """A case is disabled."""


async def run_tests(
    paths: Sequence[Path], settings: Settings, watcher: Watcher, *, patience: float
) -> Results:
    """Play all tests below the paths, each case for at most `patience` seconds.

    Raises:
        NotFound: there is no such path, no repository around it, or no test below it.
        FlowInvalid: with the problems of a repository's settings.
    """
    began = time.monotonic()
    suites: list[SuiteResult] = []
    coverage: list[Coverage] = []
    for repository, reads in discover(paths).items():
        tree = read_tree(repository)
        session = _Repository(settings, tree, Catalog(tree, warn), watcher, patience)
        found = [await session.suite(read) for read in reads]
        suites.extend(found)
        coverage.extend(session.coverage(found))
    return Results(tuple(suites), tuple(coverage), time.monotonic() - began)


class _Repository:
    """The tests of one repository."""

    def __init__(
        self, settings: Settings, tree: Tree, catalog: Catalog, watcher: Watcher, patience: float
    ) -> None:
        self._settings = settings
        self._tree = tree
        self._catalog = catalog
        self._watcher = watcher
        self._patience = patience
        self._flows: dict[Identity, Flow] = {}

    async def suite(self, read: Read) -> SuiteResult:
        problems = read.problems if read.suite is None else self._fits(read, read.suite)
        if problems or read.suite is None:
            result = SuiteResult(read, problems)
            self._watcher.suite(result)
            return result
        self._watcher.suite(SuiteResult(read))
        outcomes: list[Outcome] = []
        skipped: list[str] = []
        identity = (read.suite.namespace, read.suite.flow_id)
        for case in read.suite.test_cases:
            if read.suite.disabled or case.disabled:
                skipped.append(case.id)
                self._watcher.skip(read, case.id)
                continue
            outcome = await play(case, identity, self._settings, self._tree, self._catalog, self._patience)
            outcomes.append(outcome)
            self._watcher.case(read, outcome)
        return SuiteResult(read, (), tuple(outcomes), tuple(skipped))

    def _fits(self, read: Read, suite: Suite) -> tuple[Problem, ...]:
        identity = (suite.namespace, suite.flow_id)
        try:
            self._catalog.find("/".join(identity))
        except NotFound as error:
            return (Problem(read.path, *read.place("flowId"), "flowId", str(error)),)
        try:
            flow = self._flows[identity] = compiled(self._tree, self._catalog.files[identity])
        except FlowInvalid as error:
            return error.problems
        return misfits(read, flow)

    def coverage(self, suites: Iterable[SuiteResult]) -> list[Coverage]:
        """Of every flow that was tested, in the order of its tests."""
        outcomes = [outcome for suite in suites for outcome in suite.outcomes]
        tested = {
            (suite.read.suite.namespace, suite.read.suite.flow_id): None
            for suite in suites
            if suite.read.suite is not None and suite.outcomes
        }
        return [self._covered(identity, outcomes) for identity in tested]

    def _covered(self, identity: Identity, outcomes: list[Outcome]) -> Coverage:
        flow = self._flows[identity]
        enabled = build(flow).nodes
        tasks = tuple(each.task.id for each in flow.all_tasks() if each.task.id in enabled)
        ran = frozenset(task for outcome in outcomes for task in outcome.ran.get(identity, ()))
        stood_in = frozenset(task for outcome in outcomes for task in outcome.stood_in.get(identity, ()))
        return Coverage(*identity, tasks, (ran | stood_in).intersection(tasks), stood_in - ran)
