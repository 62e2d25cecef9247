"""What conditions of triggers say yes to, and what they cannot tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from engine.errors import UserError
from engine.model.condition import is_true
from tests.support.flow_files import HEAD, TASK, flow


def render(template: Any, variables: Mapping[str, Any]) -> Any:
    return variables["trigger"].get("date") if template == "{{ trigger.date }}" else template


def holds(condition: str, **trigger: Any) -> bool:
    text = (
        HEAD
        + TASK
        + f"triggers:\n  - id: f\n    type: core.trigger.Flow\n    conditions:\n      - {condition}\n"
    )
    return flow(text).triggers[0].evaluate({"trigger": trigger}, render)


SATURDAY, MONDAY = "2026-11-21T10:00:00+01:00", "2026-11-23T10:00:00+01:00"

CASES = [
    ('{type: core.condition.Expression, expression: "yes"}', {}, True),
    ('{type: core.condition.Expression, expression: "false"}', {}, False),
    ("{type: core.condition.Weekend}", {"date": SATURDAY}, True),
    ("{type: core.condition.Weekend}", {"date": MONDAY}, False),
    ("{type: core.condition.Not, conditions: [{type: core.condition.Weekend}]}", {"date": MONDAY}, True),
    (
        "{type: core.condition.Or, conditions: [{type: core.condition.Weekend}, "
        "{type: core.condition.DayWeek, dayOfWeek: MONDAY}]}",
        {"date": MONDAY},
        True,
    ),
    ("{type: core.condition.DayWeekInMonth, dayOfWeek: MONDAY, dayInMonth: FOURTH}", {"date": MONDAY}, True),
    ("{type: core.condition.DayWeekInMonth, dayOfWeek: MONDAY, dayInMonth: LAST}", {"date": MONDAY}, False),
    (
        "{type: core.condition.DayWeekInMonth, dayOfWeek: MONDAY, dayInMonth: LAST}",
        {"date": "2026-11-30T00:00:00Z"},
        True,
    ),
    (
        "{type: core.condition.DayWeekInMonth, dayOfWeek: THURSDAY, dayInMonth: LAST}",
        {"date": "2026-12-31T00:00:00Z"},
        True,
    ),
    ('{type: core.condition.DateTimeBetween, after: "2026-11-23T08:59:59Z"}', {"date": MONDAY}, True),
    ('{type: core.condition.DateTimeBetween, after: "2026-11-23T09:00:00Z"}', {"date": MONDAY}, False),
    ('{type: core.condition.DateTimeBetween, before: "2026-11-23T09:00:01Z"}', {"date": MONDAY}, True),
    ('{type: core.condition.TimeBetween, after: "08:30:00Z", before: "09:30:00Z"}', {"date": MONDAY}, True),
    ('{type: core.condition.TimeBetween, after: "10:30:00+01:00"}', {"date": MONDAY}, False),
    ("{type: core.condition.PublicHoliday, country: FR}", {"date": "2026-07-14T08:00:00+02:00"}, True),
    ("{type: core.condition.PublicHoliday, country: FR}", {"date": MONDAY}, False),
    ("{type: io.kestra.core.models.conditions.types.WeekendCondition}", {"date": SATURDAY}, True),
    (
        "{type: core.condition.ExecutionFlow, namespace: n, flowId: f}",
        {"namespace": "n", "flowId": "f"},
        True,
    ),
    (
        "{type: core.condition.ExecutionFlow, namespace: n, flowId: f}",
        {"namespace": "n", "flowId": "g"},
        False,
    ),
    (
        "{type: core.condition.ExecutionNamespace, namespace: a, comparison: PREFIX}",
        {"namespace": "a.b"},
        True,
    ),
    ("{type: core.condition.ExecutionNamespace, namespace: a}", {"namespace": "a.b"}, False),
    ("{type: core.condition.ExecutionStatus, in: [FAILED, KILLED]}", {"state": "FAILED"}, True),
    ("{type: core.condition.ExecutionStatus, notIn: [FAILED]}", {"state": "FAILED"}, False),
    ("{type: core.condition.ExecutionLabels, labels: {a: 1}}", {"labels": {"a": "1", "b": "2"}}, True),
    ("{type: core.condition.ExecutionLabels, labels: {a: 1}}", {"labels": {}}, False),
    (
        "{type: core.condition.HasRetryAttempt, in: [FAILED]}",
        {"state": "FAILED", "hasRetryAttempt": True},
        True,
    ),
]


@pytest.mark.parametrize(("condition", "trigger", "expected"), CASES)
def test_condition(condition: str, trigger: dict[str, Any], expected: bool) -> None:
    assert holds(condition, **trigger) is expected


def test_what_cannot_be_told_says_why() -> None:
    with pytest.raises(UserError, match="`date` is `soon`, which is no date"):
        holds("{type: core.condition.Weekend}", date="soon")
    with pytest.raises(UserError, match="public holidays of `XX` are not known"):
        holds("{type: core.condition.PublicHoliday, country: XX}", date=MONDAY)


@pytest.mark.parametrize("value", [False, None, 0, "0", "-0", "", "  ", "false", " false "])
def test_false(value: Any) -> None:
    assert not is_true(value)


@pytest.mark.parametrize("value", [True, 1, "False", "no", "[]", "0.0", [], {}])
def test_true(value: Any) -> None:
    assert is_true(value)
