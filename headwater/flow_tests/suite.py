"""A test file: which flow it tests, what stands in for the world in each case, and what has to come out.

From bytes to frozen values, or to all problems at once (dialect, section 4.11). It must not know how a case is played.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from engine.errors import FlowInvalid
from engine.model.base import Document, Text
from engine.model.flow import Flow
from engine.model.inputs import flat
from engine.model.problem import Problem
from engine.model.state import State
from engine.model.text import nearest
from engine.plugins import registry
from engine.spec.compile import said
from engine.spec.document import Document as Source
from engine.spec.document import dotted, parse
from engine.spec.marks import Path

OPERATORS = (
    "isNull", "isNotNull", "equalTo", "notEqualTo", "startsWith", "endsWith", "contains", "greaterThan",
    "greaterThanOrEqualTo", "lessThan", "lessThanOrEqualTo", "in", "notIn",
)  # fmt: skip


def _empty(value: Any) -> Any:
    return {} if value is None else value


def _none(value: Any) -> Any:
    return () if value is None else value


class TaskFixture(Document):
    """What is taken as the result of a task, instead of running it.

    Args:
        id: of the task.
        value: of the loop around it; without one the fixture stands for every iteration.
        outputs: may hold expressions over `files`.
    """

    id: Text
    value: Text | None = None
    state: Literal["SUCCESS", "WARNING", "FAILED", "SKIPPED"] = "SUCCESS"
    outputs: Annotated[dict[str, Any], BeforeValidator(_empty)] = {}
    description: str | None = None


class TriggerFixture(Document):
    """The trigger that the execution is to believe in: `trigger.*` are its `variables`."""

    id: Text
    type: Text = ""
    variables: Annotated[dict[str, Any], BeforeValidator(_empty)] = {}


class Fixtures(Document):
    """What stands in for the world.

    Args:
        inputs: of the execution; may hold expressions over `files`.
        files: by name: text, or `nsfile:///path` of a file of the namespace; `files['name']` is its URI.
    """

    inputs: Annotated[dict[str, Any], BeforeValidator(_empty)] = {}
    files: Annotated[dict[str, Any], BeforeValidator(_empty)] = {}
    tasks: Annotated[tuple[TaskFixture, ...], BeforeValidator(_none)] = ()
    trigger: TriggerFixture | None = None


class Assertion(Document):
    """A value of the ended execution, and what has to be true of it; every operator given has to hold.

    Args:
        task_id: the expression is seen from this task.
        error_message: for people, when it does not hold.
    """

    value: Any
    task_id: Text | None = None
    error_message: str | None = None
    description: str | None = None
    is_null: bool | None = None
    is_not_null: bool | None = None
    equal_to: Any = None
    not_equal_to: Any = None
    starts_with: Any = None
    ends_with: Any = None
    contains: Any = None
    greater_than: Any = None
    greater_than_or_equal_to: Any = None
    less_than: Any = None
    less_than_or_equal_to: Any = None
    in_: Any = Field(default=None, alias="in")
    not_in: Any = None

    @property
    def operators(self) -> dict[str, Any]:
        """What is asked, as the file names it, with what is expected."""
        fields = type(self).model_fields
        given = {str(fields[name].alias): getattr(self, name) for name in self.model_fields_set}
        return {name: given[name] for name in OPERATORS if name in given}

    @model_validator(mode="after")
    def _asks(self) -> Assertion:
        if not self.operators:
            raise ValueError(f"this asks nothing; give one of {', '.join(f'`{each}`' for each in OPERATORS)}")
        return self


class Case(Document):
    """One execution of the flow, and what has to come of it.

    Args:
        expected_state: in which it has to end; without one SUCCESS and WARNING will do.
    """

    id: Text = Field(min_length=1, max_length=256)
    type: Literal["io.kestra.core.tests.flow.UnitTest"] = "io.kestra.core.tests.flow.UnitTest"
    description: str | None = None
    disabled: bool = False
    fixtures: Annotated[Fixtures, BeforeValidator(_empty)] = Fixtures()
    assertions: Annotated[tuple[Assertion, ...], BeforeValidator(_none)] = ()
    expected_state: State | None = None


class Suite(Document):
    """What one test file says."""

    id: Text = Field(min_length=1, max_length=256)
    namespace: Text
    flow_id: Text
    description: str | None = None
    disabled: bool = False
    test_cases: tuple[Case, ...] = Field(min_length=1)


class Read(msgspec.Struct, frozen=True):
    """What became of a test file; `suite` is none when it has problems of its own."""

    path: str
    suite: Suite | None
    problems: tuple[Problem, ...] = ()
    source: Source | None = None

    def place(self, *path: str | int, key: bool = False) -> tuple[int, int]:
        """Line and column of a value of the file, or of its key."""
        return self.source.locate(path, key=key) if self.source else (0, 0)


def read_suite(content: bytes, path: str) -> Read:
    """Read a test file.

    Args:
        path: how problems name it.
    """
    try:
        source = parse(content, path)
    except FlowInvalid as error:
        return Read(path, None, error.problems)
    if not isinstance(source.data, Mapping):
        what = "a test file is a map that begins with `id`, `namespace`, `flowId`, `testCases`"
        return Read(path, None, (Problem(path, 1, 1, "", what),))
    try:
        suite = Suite.model_validate(source.data)
    except ValidationError as error:
        return Read(path, None, tuple(said(source, source.data, error, Suite, registry())))
    twice = tuple(_twice(path, suite, source))
    return Read(path, None if twice else suite, twice, source)


def misfits(read: Read, flow: Flow) -> tuple[Problem, ...]:
    """What a suite asks of its flow that the flow does not have: tasks, inputs, triggers."""
    assert read.suite is not None
    found: list[Problem] = []
    tasks = flow.by_id
    inputs = {each.id for each in flat(flow.inputs)}
    top = inputs | {name.split(".")[0] for name in inputs}
    triggers = {each.id: each for each in flow.triggers}

    def ask(name: str, known: Iterable[str], word: str, *path: str | int) -> None:
        if name not in known:
            near = nearest(name, known)
            hint = f"; did you mean `{near}`?" if near else ""
            message = f"the flow {flow.namespace}.{flow.id} has no {word} `{name}`{hint}"
            found.append(Problem(read.path, *read.place(*path, key=word == "input"), dotted(path), message))

    for place, case in enumerate(read.suite.test_cases):
        here: Path = ("testCases", place)
        for name in case.fixtures.inputs:
            ask(name, top, "input", *here, "fixtures", "inputs", name)
        for index, each in enumerate(case.fixtures.tasks):
            ask(each.id, tasks, "task", *here, "fixtures", "tasks", index, "id")
        if case.fixtures.trigger is not None and not case.fixtures.trigger.type:
            ask(case.fixtures.trigger.id, triggers, "trigger", *here, "fixtures", "trigger", "id")
        for index, assertion in enumerate(case.assertions):
            if assertion.task_id is not None:
                ask(assertion.task_id, tasks, "task", *here, "assertions", index, "taskId")
    return tuple(found)


def _twice(path: str, suite: Suite, source: Source) -> Iterator[Problem]:
    seen: set[str] = set()
    for place, case in enumerate(suite.test_cases):
        if case.id in seen:
            line, column = source.locate(("testCases", place, "id"))
            message = f"duplicate test case id `{case.id}`; rename one of them"
            yield Problem(path, line, column, f"testCases[{place}].id", message)
        seen.add(case.id)
