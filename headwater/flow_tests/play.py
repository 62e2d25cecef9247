"""Plays one case on an engine of its own: fixtures stand in, the execution runs to its end, assertions are judged.

An engine a case, so that no case sees what another has kept. It must not know how results are shown.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from engine import expressions
from engine.errors import ExpressionError, FlowInvalid, HeadwaterError, InputInvalid
from engine.ids import random_id
from engine.model.execution import Cause, Execution, TaskRun
from engine.model.flow import Flow
from engine.model.input_values import as_text
from engine.model.state import State
from engine.model.task import TaskResult
from engine.runtime.births import Submission
from headwater.flow_tests.judge import holds
from headwater.flow_tests.suite import Assertion, Case, TaskFixture
from headwater.local import Catalog, LocalEngine, Result, local_engine
from headwater.progress import Silence
from headwater.settings import Settings
from headwater.trees import Identity, Tree

_GOOD = (State.SUCCESS, State.WARNING)
_NAMESPACE_FILE = "nsfile://"
_LAST_ERRORS = 5  # lines of the log that are shown of a case that failed


class Judgement(msgspec.Struct, frozen=True):
    """What became of one assertion: the first operator that did not hold, or the last one that did.

    Args:
        index: of the assertion in its case.
        problem: why its value could not be had; empty when it could.
    """

    index: int
    assertion: Assertion
    operator: str
    expected: Any
    actual: Any
    held: bool
    problem: str = ""


class Outcome(msgspec.Struct, frozen=True):
    """What became of a case.

    Args:
        state: in which the execution ended; none when there was none.
        problems: what is wrong besides the assertions that did not hold.
        errors: the last lines of level ERROR in its logs.
        ran: by flow, the tasks that ran.
        stood_in: by flow, the tasks that fixtures stood in for.
        unused: the fixtures that no task asked for.
    """

    case: Case
    seconds: float = 0.0
    state: State | None = None
    judgements: tuple[Judgement, ...] = ()
    problems: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    ran: Mapping[Identity, frozenset[str]] = {}
    stood_in: Mapping[Identity, frozenset[str]] = {}
    unused: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether all is as the case expects."""
        return not self.problems and all(each.held for each in self.judgements)


class _StandIns:
    """What stands in for the tasks of one case; asked by the engine's thread."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self.results: dict[tuple[str, str | None], TaskResult] = {}
        self.used: set[tuple[str, str | None]] = set()

    def add(self, fixture: TaskFixture, outputs: dict[str, Any]) -> None:
        state = State(fixture.state)
        error = "a fixture lets it fail" if state is State.FAILED else ""
        self.results[fixture.id, fixture.value] = TaskResult(state, outputs=outputs, error=error)

    def __call__(self, execution: Execution, run: TaskRun) -> TaskResult | None:
        name = self.name_of(execution, run)
        if name is None:
            return None
        self.used.add(name)
        return self.results[name]

    def name_of(self, execution: Execution, run: TaskRun) -> tuple[str, str | None] | None:
        """Which of them is for a task run; none for those of other flows, which this one calls."""
        if execution.caller is not None or (execution.flow.namespace, execution.flow.id) != self._identity:
            return None
        names = ((run.task_id, run.value), (run.task_id, None))
        return next((name for name in names if name in self.results), None)


async def play(
    case: Case, identity: Identity, settings: Settings, tree: Tree, catalog: Catalog, patience: float
) -> Outcome:
    """Play a case of the flow `identity`, for at most `patience` seconds."""
    began = time.monotonic()
    stand_ins = _StandIns(identity)
    async with local_engine(settings, tree, catalog, stand_ins) as engine:
        outcome = await _Playing(engine, case, identity, stand_ins, tree).outcome(patience)
    return msgspec.structs.replace(outcome, seconds=time.monotonic() - began)


class _Playing:
    """One case under way."""

    def __init__(
        self, engine: LocalEngine, case: Case, identity: Identity, stand_ins: _StandIns, tree: Tree
    ) -> None:
        self._engine = engine
        self._case = case
        self._identity = identity
        self._stand_ins = stand_ins
        self._tree = tree
        self._files: dict[str, str] = {}

    async def outcome(self, patience: float) -> Outcome:
        try:
            execution = await self._begin()
        except InputInvalid as error:
            return Outcome(self._case, problems=tuple(str(error).splitlines()))
        except FlowInvalid as error:
            return Outcome(self._case, problems=tuple(str(each) for each in error.problems))
        except HeadwaterError as error:
            return Outcome(self._case, problems=(f"it cannot begin: {error}",))
        late = False
        try:
            async with asyncio.timeout(patience):
                result = await self._engine.follow(execution.id, Silence())
        except TimeoutError:
            late = True
            await self._engine.kill()
            result = await self._engine.follow(execution.id, Silence())
        outcome = self._judged(result, f"it did not end within {patience:g} s" if late else "")
        if result.waiting:
            await self._engine.kill()
        return outcome

    async def _begin(self) -> Execution:
        fixtures, execution_id = self._case.fixtures, random_id()
        for name, value in fixtures.files.items():
            self._files[name] = self._engine.keep_file(
                self._identity, execution_id, name, self._content(value)
            )
        for fixture in fixtures.tasks:
            self._stand_ins.add(fixture, self._rendered(fixture.outputs))
        cause = None
        if (trigger := fixtures.trigger) is not None:
            kind = trigger.type or _type_of(self._engine.flow(self._identity), trigger.id)
            cause = Cause(trigger.id, kind, self._rendered(trigger.variables))
        wish = Submission(
            *self._identity,
            inputs=self._rendered(fixtures.inputs),
            cause=cause,
            id=execution_id,
            kind="TEST",
        )
        return await self._engine.submit(wish)

    def _content(self, value: Any) -> bytes:
        text = as_text(value)
        if not text.startswith(_NAMESPACE_FILE) or "\n" in text:
            return text.encode()
        name = text.strip().removeprefix(_NAMESPACE_FILE).lstrip("/")
        files = self._tree.namespace_files.files(self._identity[0], self._tree.commit)
        if name not in files:
            raise InputInvalid(f"the namespace {self._identity[0]} has no file `{name}`")
        return files[name]

    def _rendered(self, value: Any) -> Any:
        return expressions.render_deep(value, expressions.Scope({"files": self._files}, {}))

    def _judged(self, result: Result, problem: str) -> Outcome:
        execution, case = result.last, self._case
        every = (result.first, *result.others)
        errors = [entry.message for entry in result.logs if entry.level == "ERROR"]
        judgements = (
            () if problem else tuple(self._judge(*each, execution) for each in enumerate(case.assertions))
        )
        outcome = Outcome(
            case,
            state=execution.state,
            judgements=judgements,
            problems=tuple(filter(None, [problem or self._wrong_end(execution)])),
            ran=self._reached(every, stood_in=False),
            stood_in=self._reached(every, stood_in=True),
            unused=tuple(
                f"{name} (value {value})" if value is not None else name
                for name, value in self._stand_ins.results
                if (name, value) not in self._stand_ins.used
            ),
        )
        return (
            outcome
            if outcome.passed
            else msgspec.structs.replace(outcome, errors=tuple(errors[-_LAST_ERRORS:]))
        )

    def _reached(
        self, executions: tuple[Execution, ...], *, stood_in: bool
    ) -> dict[Identity, frozenset[str]]:
        """By flow, the tasks that ran, or those that fixtures stood in for."""
        found: dict[Identity, frozenset[str]] = {}
        for execution in executions:
            identity = (execution.flow.namespace, execution.flow.id)
            here = {
                run.task_id
                for run in execution.task_runs()
                if (run.state is not State.SKIPPED or stood_in)
                and (self._stand_ins.name_of(execution, run) is not None) == stood_in
            }
            found[identity] = found.get(identity, frozenset()) | here
        return found

    def _wrong_end(self, execution: Execution) -> str:
        wanted, state = self._case.expected_state, execution.state
        if wanted is not None:
            return "" if state is wanted else f"the execution ended {state}, not {wanted}"
        if state in _GOOD:
            return ""
        if state is State.PAUSED:
            waiting = ", ".join(
                f"`{run.task_id}`" for run in execution.task_runs() if run.state is State.PAUSED
            )
            where = f"the execution waits for somebody at {waiting or 'a pause'}"
            return f"{where}; give it a fixture, or `expectedState: PAUSED`"
        return f"the execution ended {state}; if that is meant, say `expectedState: {state}`"

    def _judge(self, index: int, assertion: Assertion, execution: Execution) -> Judgement:
        operator, expected, actual = next(iter(assertion.operators)), None, None
        try:
            scope = self._engine.scope(execution, assertion.task_id, {"files": self._files})
            actual = expressions.render_deep(assertion.value, scope)
            for operator, wanted in assertion.operators.items():
                expected = expressions.render_deep(wanted, scope)
                if not holds(operator, actual, expected):
                    return self._judgement(index, assertion, operator, expected, actual, held=False)
        except ExpressionError as error:
            return self._judgement(
                index, assertion, operator, expected, actual, held=False, problem=str(error)
            )
        return self._judgement(index, assertion, operator, expected, actual, held=True)

    def _judgement(
        self,
        index: int,
        assertion: Assertion,
        operator: str,
        expected: Any,
        actual: Any,
        *,
        held: bool,
        problem: str = "",
    ) -> Judgement:
        mask = self._engine.mask
        return Judgement(
            index, assertion, operator, mask.value(expected), mask.value(actual), held, mask.text(problem)
        )


def _type_of(flow: Flow, trigger_id: str) -> str:
    return next((each.type for each in flow.triggers if each.id == trigger_id), "")
