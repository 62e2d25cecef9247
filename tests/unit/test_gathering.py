"""What Flow triggers gather: windows, needs, modes; ends in, a decision out, time by hand."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, timezone
from typing import Any

import pytest
from pydantic import TypeAdapter

from engine.errors import UserError
from engine.model.state import State
from engine.plugins import registry
from engine.triggers import gathering
from engine.triggers.flow import Filter, Flow
from engine.triggers.gathering import Always, Daily, Gathered, Sliding, Tumbling, Upstream

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
EAST = timezone(2 * HOUR)


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-{text}+00:00")


@pytest.mark.parametrize(
    ("window", "moment", "since"),
    [
        (Always(), "04T12:00", "1970-01-01T00:00+00:00"),
        (Sliding(6 * HOUR), "04T12:00", "2026-03-04T06:00+00:00"),
        (Tumbling(24 * HOUR), "04T12:00", "2026-03-04T00:00+00:00"),
        (Tumbling(24 * HOUR, 6 * HOUR), "04T05:59", "2026-03-03T06:00+00:00"),
        (Tumbling(24 * HOUR, -6 * HOUR), "04T19:00", "2026-03-04T18:00+00:00"),
        (Tumbling(HOUR), "04T12:00", "2026-03-04T12:00+00:00"),
        (Daily(time(0), time(9)), "04T08:59", "2026-03-04T00:00+00:00"),
        (Daily(time(0), time(9)), "04T09:00", None),
        (Daily(time(0, tzinfo=EAST), time(9, tzinfo=EAST)), "04T06:59", "2026-03-03T22:00+00:00"),
        (Daily(time(0, tzinfo=EAST), time(9, tzinfo=EAST)), "04T07:00", None),
        (Daily(time(22), time(6)), "04T23:00", "2026-03-04T22:00+00:00"),
        (Daily(time(22), time(6)), "05T05:59", "2026-03-04T22:00+00:00"),
        (Daily(time(22), time(6)), "05T12:00", None),
    ],
)
def test_windows(window: gathering.Window, moment: str, since: str | None) -> None:
    expected = datetime.fromisoformat(since) if since else None
    assert window.since(at(moment)) == expected


def flow_trigger(**properties: Any) -> Flow:
    document = {"id": "t", "type": "core.trigger.Flow", **properties}
    return Flow.model_validate(document, context={"types": registry()})


def end(flow_id: str, when: str, state: State = State.SUCCESS, number: int = 1, **facts: Any) -> Upstream:
    return Upstream(f"{flow_id}@{when}", "n", flow_id, 1, state, at(when), number, **facts)


def plain(template: Any, variables: Any) -> Any:
    """Stands for rendering: `state == X` and dotted names are all that the tests need."""
    name, _, wanted = str(template).partition(" == ")
    value = variables
    for part in name.split("."):
        value = value[part]
    return value == wanted if wanted else value


class Play:
    """A trigger that hears of one end after another."""

    def __init__(self, **properties: Any) -> None:
        self.trigger = flow_trigger(**properties)
        self.gathered = {each.id: Gathered() for each in self.trigger.gatherings()}

    def hear(self, upstream: Upstream) -> bool:
        variables = {"trigger": upstream.variables()}
        if not self.trigger.hears(variables, plain):
            return False
        gatherings = self.trigger.gatherings()
        met = {each.id: gathering.meets(each, variables, plain) for each in gatherings}
        heard = gathering.hear(gatherings, self.gathered, upstream, met)
        self.gathered = dict(heard.after)
        return bool(heard.ends)

    def heard(self, *ends: str) -> list[str]:
        """Which of the ends (`a 04T12:00`) fire it."""
        return [text for text in ends if self.hear(end(*text.split()))]


def deps(*names: str, **more: Any) -> dict[str, Any]:
    return {"dependsOn": [{"namespace": "n", "flowId": name} for name in names], **more}


def flows(*names: str, **more: Any) -> dict[str, Any]:
    return {
        "preconditions": {"id": "p", "flows": [{"namespace": "n", "flowId": name} for name in names], **more}
    }


@pytest.mark.parametrize(
    ("properties", "ends", "fires"),
    [
        (deps("a", "b"), ["a 04T01:00", "b 09T02:00"], ["b 09T02:00"]),
        (deps("a", "b"), ["b 04T01:00", "a 04T02:00", "a 04T03:00"], ["a 04T02:00"]),
        (deps("a", "b", mode="ANY"), ["b 04T01:00", "a 04T02:00"], ["b 04T01:00", "a 04T02:00"]),
        (
            deps("a", "b", "c", mode="AT_LEAST", minSatisfied=2),
            ["a 04T01:00", "a 04T02:00", "c 04T03:00"],
            ["c 04T03:00"],
        ),
        (deps("a", "b", window={"lookback": "PT1H"}), ["a 04T01:00", "b 04T02:01", "a 04T02:30"], ["a 04T02:30"]),
        (deps("a", "b", window={"every": "PT1H"}), ["a 04T01:59", "b 04T02:00"], []),
        (deps("a", "b", window={"every": "PT1H", "offset": "PT30M"}), ["a 04T01:59", "b 04T02:00"], ["b 04T02:00"]),
        (deps("a", window={"every": "P1D", "fireOnce": True}), ["a 04T01:00", "a 04T02:00", "a 05T01:00"],
         ["a 04T01:00", "a 05T01:00"]),
        (deps("a", window={"deadline": "09:00"}), ["a 04T10:00", "a 05T08:00"], ["a 05T08:00"]),
        (deps("a", "b", window={"from": "22:00", "to": "06:00"}), ["a 04T23:00", "b 05T05:00"], ["b 05T05:00"]),
        (flows("a", "b"), ["a 04T23:00", "b 05T01:00"], []),
        (flows("a", "b", timeWindow={"window": "PT12H", "windowAdvance": "PT6H"}), ["a 04T19:00", "b 05T05:00"],
         ["b 05T05:00"]),
        (flows("a", "b", timeWindow={"type": "SLIDING_WINDOW", "window": "PT3H"}), ["a 04T23:00", "b 05T01:00"],
         ["b 05T01:00"]),
        (flows("a", "b", timeWindow={"type": "DAILY_TIME_DEADLINE", "deadline": "09:00:00"}),
         ["a 04T08:00", "b 04T09:30", "b 05T08:00", "a 05T08:30"], ["a 05T08:30"]),
        (flows("a", "b", timeWindow={"type": "DAILY_TIME_WINDOW", "startTime": "06:00", "endTime": "09:00"}),
         ["a 04T05:00", "b 04T07:00", "a 04T08:00"], ["a 04T08:00"]),
        (flows("a", "b", resetOnSuccess=False), ["a 04T01:00", "b 04T02:00", "a 04T03:00", "c 04T04:00"],
         ["b 04T02:00", "a 04T03:00"]),
    ],
)  # fmt: skip
def test_what_fires_when(properties: dict[str, Any], ends: list[str], fires: list[str]) -> None:
    assert Play(**properties).heard(*ends) == fires


def test_the_ends_that_fire_together_are_named() -> None:
    trigger = flow_trigger(**deps("a", "b"))
    (each,) = trigger.gatherings()
    a, b = end("a", "04T01:00"), end("b", "04T02:00")
    first = gathering.hear([each], {each.id: Gathered()}, a, {each.id: frozenset({"0"})})
    assert first.ends == ()
    second = gathering.hear([each], first.after, b, {each.id: frozenset({"1"})})
    assert second.ends == (a, b)
    assert second.after == {each.id: Gathered({}, b.at)}


def test_an_end_counts_only_in_its_states_and_with_its_labels() -> None:
    need = {"namespace": "n", "flowId": "a", "states": ["FAILED"], "labels": {"team": "x"}}
    play = Play(dependsOn=[need], labels={"own": "y"})
    assert not play.hear(end("a", "04T01:00", labels={"team": "x"}))
    assert not play.hear(end("a", "04T01:00", State.FAILED))
    assert play.hear(end("a", "04T01:00", State.FAILED, labels={"team": "x"}))


def test_by_default_every_terminal_state_is_heard() -> None:
    play = Play()
    assert play.hear(end("a", "04T01:00", State.CANCELLED))
    assert not Play(states=["SUCCESS"]).hear(end("a", "04T01:00", State.CANCELLED))


@pytest.mark.parametrize(
    ("document", "passes"),
    [
        ({"field": "FLOW_ID", "type": "EQUAL_TO", "value": "alpha"}, True),
        ({"field": "FLOW_ID", "type": "NOT_EQUAL_TO", "value": "alpha"}, False),
        ({"field": "NAMESPACE", "type": "STARTS_WITH", "value": "n"}, True),
        ({"field": "NAMESPACE", "type": "ENDS_WITH", "value": "x"}, False),
        ({"field": "FLOW_ID", "type": "CONTAINS", "value": "lph"}, True),
        ({"field": "FLOW_ID", "type": "REGEX", "value": "al.*"}, True),
        ({"field": "FLOW_ID", "type": "REGEX", "value": "al"}, False),
        ({"field": "STATE", "type": "IN", "values": ["SUCCESS", "WARNING"]}, True),
        ({"field": "STATE", "type": "NOT_IN", "values": ["SUCCESS"]}, False),
        ({"field": "EXPRESSION", "type": "IS_TRUE", "value": "trigger.outputs.yes"}, True),
        ({"field": "EXPRESSION", "type": "IS_FALSE", "value": "trigger.outputs.yes"}, False),
        ({"field": "EXPRESSION", "type": "IS_NULL", "value": "trigger.outputs.no"}, True),
        ({"field": "EXPRESSION", "type": "IS_NOT_NULL", "value": "trigger.outputs.no"}, False),
    ],
)
def test_filters(document: dict[str, Any], passes: bool) -> None:
    upstream = end("alpha", "04T01:00", outputs={"yes": True, "no": None})
    item = TypeAdapter(Filter).validate_python(document)
    assert item.holds({"trigger": upstream.variables()}, plain) is passes


@pytest.mark.parametrize("pattern", ["(", r"(a|aa)+$"])
def test_a_pattern_that_is_none_or_never_ends_is_an_error(pattern: str) -> None:
    item = Filter.model_validate({"field": "FLOW_ID", "type": "REGEX", "value": pattern})
    with pytest.raises(UserError, match="pattern"):
        item.holds({"trigger": end("a" * 80 + "!", "04T01:00").variables()}, plain)


@pytest.mark.parametrize(
    ("properties", "known"),
    [
        ({}, None),
        (deps("a", "b"), {("n", "a"), ("n", "b")}),
        (flows("a"), {("n", "a")}),
        ({"preconditions": {"id": "p", "flows": [{"namespace": "n"}]}}, None),
        (
            {"conditions": [{"type": "core.condition.ExecutionFlow", "namespace": "n", "flowId": "z"}]},
            {("n", "z")},
        ),
        (
            {"preconditions": {"id": "p", "where": [
                {"id": "w", "filters": [{"field": "STATE", "type": "EQUAL_TO", "value": "FAILED"}]}]}},
            None,
        ),
    ],
)  # fmt: skip
def test_which_flows_it_can_hear_of(properties: dict[str, Any], known: set[Any] | None) -> None:
    assert flow_trigger(**properties).upstreams() == known


@pytest.mark.parametrize(
    "window",
    [
        {"deadline": "9 o'clock"},
        {"deadline": "09:00", "lookback": "PT1H"},
        {"from": "09:00"},
        {"offset": "PT1H"},
    ],
)
def test_windows_that_make_no_sense_are_refused(window: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"deadline|from|offset|time of day"):
        flow_trigger(**deps("a", window=window))


def test_outputs_come_under_their_own_names_and_by_flow() -> None:
    a = end("a", "04T01:00", outputs={"x": 1, "b": "mine"})
    b = end("b", "04T02:00", outputs={"x": 2})
    assert gathering.outputs_of([a, b], b, by_flow_first=True) == {
        "x": 2, "a": {"x": 1, "b": "mine"}, "b": {"x": 2},
    }  # fmt: skip
    assert gathering.outputs_of([a, b], b, by_flow_first=False)["b"] == "mine"
