"""The Flow trigger: fires on what other flows did (dialect, section 3.4). What it asks for; pure.

Both ways of saying it live side by side: `conditions` and `preconditions` of the older dialect, `dependsOn`,
`mode` and `window` of the newer. What has come together so far is kept elsewhere, see `engine.triggers.gathering`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import time, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from engine.errors import UserError
from engine.model.base import Document
from engine.model.condition import Render, is_true
from engine.model.duration import DurationText, seconds_of
from engine.model.labels import Labels
from engine.model.state import TERMINAL, State
from engine.model.trigger import Reactive
from engine.model.types import problem_at
from engine.triggers import gathering
from engine.triggers.conditions import MultipleCondition
from engine.triggers.gathering import Gathering, Need
from engine.triggers.upstream import ExecutionFlow

_OF_TYPE = {
    "DURATION_WINDOW": {"window", "window_advance"},
    "SLIDING_WINDOW": {"window"},
    "DAILY_TIME_DEADLINE": {"deadline"},
    "DAILY_TIME_WINDOW": {"start_time", "end_time"},
}
_CAMEL = {"window_advance": "windowAdvance", "start_time": "startTime", "end_time": "endTime"}
_DAY = timedelta(days=1)
_NEEDED = {"DAILY_TIME_DEADLINE": ("deadline",), "DAILY_TIME_WINDOW": ("start_time", "end_time")}


_PATIENCE = 0.05  # seconds for a pattern of a filter
_ENDED = tuple(sorted(TERMINAL))
_UPSTREAM_GOOD = (State.SUCCESS, State.WARNING)


def _clock(text: str) -> str:
    _time(text)
    return text


def _time(text: str) -> time:
    try:
        return time.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"`{text[:40]}` is no time of day such as `09:00:00`") from None


Clock = Annotated[str, AfterValidator(_clock)]
"""A time of day, perhaps with an offset; UTC where there is none."""


def _length(text: str | None, default: timedelta) -> timedelta:
    length = timedelta(seconds=seconds_of(text)) if text is not None else default
    if length <= timedelta(0):
        raise UserError(f"a window of `{text}` has no length", hint="give a duration such as `PT1H`")
    return length


def _shift(text: str | None) -> timedelta:
    return timedelta(seconds=seconds_of(text)) if text is not None else timedelta(0)


def _fits(
    variables: Mapping[str, Any],
    namespace: str,
    flow_id: str | None,
    states: tuple[State, ...],
    labels: Mapping[str, str],
) -> bool:
    """Whether an end is of that flow, in one of the states, and has all the labels."""
    end = variables["trigger"]
    return (
        end["namespace"] == namespace
        and flow_id in (None, end["flowId"])
        and end["state"] in states
        and all(end["labels"].get(key) == value for key, value in labels.items())
    )


class TimeWindow(Document):
    """Within which time all upstream conditions have to be met."""

    type: Literal["DURATION_WINDOW", "SLIDING_WINDOW", "DAILY_TIME_DEADLINE", "DAILY_TIME_WINDOW"] = (
        "DURATION_WINDOW"
    )
    window: DurationText | None = None
    window_advance: DurationText | None = None
    deadline: Clock | None = None
    start_time: Clock | None = None
    end_time: Clock | None = None

    @model_validator(mode="after")
    def _fits_type(self) -> TimeWindow:
        allowed = _OF_TYPE[self.type]
        for name in ("window", "window_advance", "deadline", "start_time", "end_time"):
            if getattr(self, name) is not None and name not in allowed:
                shown = _CAMEL.get(name, name)
                message = f"`{shown}` does not belong to a {self.type}; remove it"
                raise problem_at((shown,), "window", message, getattr(self, name))
        for name in _NEEDED.get(self.type, ()):
            if getattr(self, name) is None:
                raise ValueError(f"a {self.type} needs `{_CAMEL.get(name, name)}`")
        return self

    def bounds(self) -> gathering.Window:
        """The window. Raises UserError when its length makes no sense."""
        if self.type == "SLIDING_WINDOW":
            return gathering.Sliding(_length(self.window, _DAY))
        if self.type == "DURATION_WINDOW":
            return gathering.Tumbling(_length(self.window, _DAY), _shift(self.window_advance))
        start = _time(self.start_time) if self.start_time else _midnight(self.deadline or "")
        return gathering.Daily(start, _time(self.end_time or self.deadline or ""))


def _midnight(deadline: str) -> time:
    return time(tzinfo=_time(deadline).tzinfo)


class UpstreamFlow(Document):
    """A flow whose end counts."""

    namespace: str
    flow_id: str | None = None
    states: tuple[State, ...] = _UPSTREAM_GOOD
    labels: Labels = {}

    def holds(self, variables: Mapping[str, Any], render: Render) -> bool:
        """Whether an end counts."""
        return _fits(variables, self.namespace, self.flow_id, self.states, self.labels)


class Filter(Document):
    """One comparison with a field of the ended execution."""

    field: Literal["FLOW_ID", "NAMESPACE", "STATE", "EXPRESSION"]
    type: Literal[
        "EQUAL_TO", "NOT_EQUAL_TO", "IN", "NOT_IN", "IS_TRUE", "IS_FALSE", "IS_NULL", "IS_NOT_NULL",
        "STARTS_WITH", "ENDS_WITH", "REGEX", "CONTAINS",
    ]  # fmt: skip
    value: Any = None
    values: tuple[Any, ...] = ()

    def holds(self, variables: Mapping[str, Any], render: Render) -> bool:
        """Whether an end passes."""
        if self.field == "EXPRESSION":
            return _compare(self.type, render(self.value, variables), None, ())
        end = variables["trigger"]
        known = {"FLOW_ID": end["flowId"], "NAMESPACE": end["namespace"], "STATE": end["state"]}
        return _compare(self.type, known[self.field], self.value, self.values)


def _compare(kind: str, left: Any, value: Any, values: tuple[Any, ...]) -> bool:
    match kind:
        case "IS_TRUE" | "IS_FALSE":
            return is_true(left) is (kind == "IS_TRUE")
        case "IS_NULL" | "IS_NOT_NULL":
            return (left is None) is (kind == "IS_NULL")
    text, wanted = str(left), str(value)
    match kind:
        case "EQUAL_TO" | "NOT_EQUAL_TO":
            return (text == wanted) is (kind == "EQUAL_TO")
        case "IN" | "NOT_IN":
            return (text in {str(each) for each in values}) is (kind == "IN")
        case "STARTS_WITH":
            return text.startswith(wanted)
        case "ENDS_WITH":
            return text.endswith(wanted)
        case "CONTAINS":
            return wanted in text
        case _:
            return _matches(wanted, text)


def _matches(pattern: str, text: str) -> bool:
    import regex  # has a bound on time, and few need it

    try:
        return regex.fullmatch(pattern, text, timeout=_PATIENCE) is not None
    except (regex.error, TimeoutError) as error:
        reason = str(error) or "it takes too long"
        raise UserError(
            f"the pattern `{pattern[:80]}` cannot be used: {reason}", hint="simplify it"
        ) from None


class Where(Document):
    """Filters that an execution has to pass."""

    id: str
    operand: Literal["AND", "OR"] = "AND"
    filters: tuple[Filter, ...] = Field(min_length=1)

    def holds(self, variables: Mapping[str, Any], render: Render) -> bool:
        """Whether an end passes all of the filters, or one of them."""
        passed = (each.holds(variables, render) for each in self.filters)
        return all(passed) if self.operand == "AND" else any(passed)


class Preconditions(Document):
    """What has to have happened upstream, within one window."""

    id: str
    description: str | None = None
    time_window: TimeWindow | None = None
    reset_on_success: bool = True
    flows: tuple[UpstreamFlow, ...] = ()
    where: tuple[Where, ...] = ()

    def gathering(self) -> Gathering:
        """What has to come together: an end for each of the flows, and one for each `where`."""
        needs: dict[str, Need] = {f"flow {place}": each for place, each in enumerate(self.flows)}
        needs |= {f"where {each.id}": each for each in self.where}
        window = (self.time_window or TimeWindow()).bounds()
        return Gathering(self.id, needs, len(needs), window, self.reset_on_success)


class Dependency(Document):
    """A flow whose end counts, in the newer way of saying it."""

    namespace: str
    flow_id: str
    states: tuple[State, ...] = _UPSTREAM_GOOD
    labels: Labels = {}
    when: Any = None

    def holds(self, variables: Mapping[str, Any], render: Render) -> bool:
        """Whether an end counts; `when` sees what there is to know of it without `trigger.` before it."""
        if not _fits(variables, self.namespace, self.flow_id, self.states, self.labels):
            return False
        return self.when is None or is_true(render(self.when, {**variables, **variables["trigger"]}))


class Window(Document):
    """Within which time dependencies have to be met, in the newer way of saying it."""

    deadline: Clock | None = None
    start: Clock | None = Field(default=None, alias="from")
    end: Clock | None = Field(default=None, alias="to")
    every: DurationText | None = None
    offset: DurationText | None = None
    lookback: DurationText | None = None
    fire_once: bool = False

    @model_validator(mode="after")
    def _one_way(self) -> Window:
        ways = [self.deadline, self.start or self.end, self.every, self.lookback]
        if sum(each is not None for each in ways) > 1:
            raise ValueError("give one of `deadline`, `from` and `to`, `every`, `lookback`")
        if (self.start is None) != (self.end is None):
            raise ValueError("`from` and `to` go together")
        if self.offset is not None and self.every is None:
            raise ValueError("`offset` goes with `every`")
        return self

    def bounds(self) -> gathering.Window:
        """The window. Raises UserError when its length makes no sense."""
        if self.start is not None and self.end is not None:
            return gathering.Daily(_time(self.start), _time(self.end))
        if self.deadline is not None:
            return gathering.Daily(_midnight(self.deadline), _time(self.deadline))
        if self.every is not None:
            return gathering.Tumbling(_length(self.every, _DAY), _shift(self.offset))
        return gathering.Sliding(_length(self.lookback, _DAY)) if self.lookback else gathering.Always()


class OnMiss(Document):
    """What happens when a deadline passes."""

    behavior: Literal["FAIL"] = "FAIL"
    labels: Labels = {}


class Flow(Reactive):
    """Fires when executions of other flows end as asked."""

    states: tuple[State, ...] = ()
    preconditions: Preconditions | None = None
    depends_on: tuple[Dependency, ...] = ()
    mode: Literal["ALL", "ANY", "AT_LEAST"] = "ALL"
    min_satisfied: int | None = Field(default=None, ge=1)
    window: Window | None = None
    on_miss: OnMiss | None = None

    @model_validator(mode="after")
    def _counts(self) -> Flow:
        if (self.mode == "AT_LEAST") != (self.min_satisfied is not None):
            raise ValueError("`minSatisfied` goes with `mode: AT_LEAST`")
        return self

    def hears(self, variables: Mapping[str, Any], render: Render) -> bool:
        """Whether an end matters at all: its state, every plain condition, and `when`.

        Raises:
            UserError: it cannot be told.
        """
        if variables["trigger"]["state"] not in (self.states or _ENDED):
            return False
        plain = (each for each in self.conditions if not isinstance(each, MultipleCondition))
        if not all(condition.holds(variables, render) for condition in plain):
            return False
        return self.when is None or is_true(render(self.when, {**variables, **variables["trigger"]}))

    def gatherings(self) -> tuple[Gathering, ...]:
        """What has to come together before it fires; nothing: every end that it hears fires it.

        Raises:
            UserError: the length of a window makes no sense.
        """
        return tuple(each for each in self._gatherings() if each.needs)

    def _gatherings(self) -> Iterator[Gathering]:
        for each in self.conditions:
            if isinstance(each, MultipleCondition):
                yield _of_condition(each)
        if self.preconditions is not None:
            yield self.preconditions.gathering()
        if self.depends_on:
            window = self.window or Window()
            needs: dict[str, Need] = {str(place): each for place, each in enumerate(self.depends_on)}
            enough = {"ALL": len(needs), "ANY": 1}.get(self.mode, self.min_satisfied or 1)
            yield Gathering("dependsOn", needs, enough, window.bounds(), once=window.fire_once)

    def upstreams(self) -> frozenset[tuple[str, str]] | None:
        """The (namespace, flow id)s it can hear of; none when it may hear of any flow."""
        for condition in self.conditions:
            if isinstance(condition, ExecutionFlow):
                return frozenset({(condition.namespace, condition.flow_id)})
        named: set[tuple[str, str]] = set()
        needs = [need for each in self.gatherings() for need in each.needs.values()]
        for need in needs:
            if not isinstance(need, UpstreamFlow | Dependency | ExecutionFlow) or need.flow_id is None:
                return None
            named.add((need.namespace, need.flow_id))
        return frozenset(named) if needs else None


def _of_condition(condition: MultipleCondition) -> Gathering:
    window = TimeWindow.model_validate(condition.time_window or {})
    if condition.window is not None or condition.window_advance is not None:
        window = window.model_copy(
            update={"window": condition.window, "window_advance": condition.window_advance}
        )
    needs: dict[str, Need] = dict(condition.conditions)
    return Gathering(condition.id, needs, len(needs), window.bounds(), condition.reset_on_success)
