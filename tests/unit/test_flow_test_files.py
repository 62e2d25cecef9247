"""Test files of flows: what they may say, what is refused with its place, and when an assertion holds."""

from __future__ import annotations

from typing import Any

import pytest

from engine.plugins import registry
from engine.spec.compile import compile_flow
from headwater.flow_tests.judge import holds
from headwater.flow_tests.suite import misfits, read_suite

HEAD = "id: s\nnamespace: n\nflowId: f\ntestCases:\n"
FLOW = compile_flow(
    b"""
id: f
namespace: n
inputs: [{id: size, type: INT}, {id: a.b, type: STRING}]
tasks:
  - id: block
    type: core.flow.Sequential
    tasks: [{id: inner, type: core.debug.Return}]
triggers: [{id: hook, type: core.trigger.Webhook, key: k}]
""",
    "f.yaml",
    registry(),
)

HOLD = [
    ("equalTo", "3", 3), ("equalTo", 3, "3"), ("equalTo", 3.0, 3), ("equalTo", "true", True),
    ("equalTo", [1, "b"], '[1, "b"]'), ("equalTo", {"a": "1"}, {"a": 1}), ("equalTo", None, None),
    ("notEqualTo", "a", "b"), ("notEqualTo", 1, True), ("notEqualTo", "03", 3), ("notEqualTo", [1], [1, 2]),
    ("isNull", None, True), ("isNull", 0, False), ("isNotNull", "", True), ("isNotNull", None, False),
    ("startsWith", "abc", "ab"), ("endsWith", "abc", "bc"), ("startsWith", 123, 1),
    ("contains", "abc", "b"), ("contains", [1, 2], "2"), ("contains", '["a", "b"]', "b"), ("contains", {"k": 1}, "k"),
    ("greaterThan", "10", 9), ("greaterThan", "2026-02-01", "2026-01-31"), ("greaterThanOrEqualTo", 3, 3),
    ("lessThan", 9, "10"), ("lessThanOrEqualTo", 3, "3"),
    ("in", 2, [1, 2]), ("in", "b", '["a", "b"]'), ("notIn", 3, [1, 2]),
]  # fmt: skip
DO_NOT = [
    ("equalTo", "a", "b"), ("equalTo", None, ""), ("equalTo", [1, 2], [2, 1]), ("notEqualTo", "3", 3),
    ("isNull", "x", True), ("isNotNull", None, True), ("startsWith", "abc", "b"), ("contains", None, "None"),
    ("contains", [12], "1"), ("greaterThan", None, 1), ("greaterThan", 9, "10"), ("lessThan", 3, 3),
    ("in", 3, [1, 2]), ("notIn", 2, [1, 2]),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "actual", "expected"), HOLD)
def test_it_holds(operator: str, actual: Any, expected: Any) -> None:
    assert holds(operator, actual, expected)


@pytest.mark.parametrize(("operator", "actual", "expected"), DO_NOT)
def test_it_does_not_hold(operator: str, actual: Any, expected: Any) -> None:
    assert not holds(operator, actual, expected)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", "t.yaml:1:1", "begins with `id`"),
        ("id: [", "t.yaml:1", ""),
        ("id: s\nnamespace: n\nflowId: f\n", "t.yaml", "`testCases` is required"),
        (HEAD + "- {id: c, asertions: []}\n", "t.yaml:5:11", "did you mean `assertions`"),
        (HEAD + "- id: c\n  assertions:\n  - {value: 1}\n", "t.yaml:7:5", "asks nothing"),
        (HEAD + "- {id: c, expectedState: DONE}\n", "t.yaml:5:26", "is not one of"),
        (HEAD + "- {id: c, fixtures: {tasks: [{id: x, state: RUNNING}]}}\n", "t.yaml:5:45", "is not one of"),
        (HEAD + "- id: c\n- id: c\n", "t.yaml:6:7", "duplicate test case id `c`"),
    ],
)
def test_a_file_that_is_wrong_is_refused_where_it_is(text: str, place: str, words: str) -> None:
    read = read_suite(text.encode(), "t.yaml")
    assert read.suite is None
    assert any(str(each).startswith(place) and words in str(each) for each in read.problems), read.problems


@pytest.mark.parametrize(
    ("case", "place", "words"),
    [
        ("fixtures: {tasks: [{id: iner}]}", "t.yaml:5:35", "has no task `iner`; did you mean `inner`?"),
        ("fixtures: {inputs: {sise: 1}}", "t.yaml:5:31", "has no input `sise`; did you mean `size`?"),
        ("fixtures: {trigger: {id: hok}}", "t.yaml:5:36", "has no trigger `hok`"),
        ("assertions: [{value: 1, equalTo: 1, taskId: x}]", "t.yaml:5:55", "has no task `x`"),
    ],
)
def test_what_the_flow_does_not_have_is_told_with_its_place(case: str, place: str, words: str) -> None:
    (problem,) = misfits(read_suite((HEAD + f"- {{id: c, {case}}}\n").encode(), "t.yaml"), FLOW)
    assert str(problem).startswith(place)
    assert words in problem.message


def test_nested_tasks_and_dotted_inputs_fit() -> None:
    case = "- {id: c, fixtures: {inputs: {a: {b: x}, size: 1}, tasks: [{id: inner}], trigger: {id: hook}}}\n"
    assert misfits(read_suite((HEAD + case).encode(), "t.yaml"), FLOW) == ()


def test_an_operator_that_asks_for_null_is_one() -> None:
    suite = read_suite((HEAD + "- {id: c, assertions: [{value: 1, equalTo: }]}\n").encode(), "t.yaml").suite
    assert suite is not None
    assert suite.test_cases[0].assertions[0].operators == {"equalTo": None}
