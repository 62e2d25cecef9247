"""The Flow trigger: fires on what other flows did (dialect, section 3.4). Model and validation only.

Both ways of saying it live side by side: `conditions` and `preconditions` of the older dialect, `dependsOn`,
`mode` and `window` of the newer.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from engine.model.base import Document
from engine.model.duration import DurationText
from engine.model.labels import Labels
from engine.model.state import State
from engine.model.trigger import Reactive
from engine.model.types import problem_at

_OF_TYPE = {
    "DURATION_WINDOW": {"window", "window_advance"},
    "SLIDING_WINDOW": {"window"},
    "DAILY_TIME_DEADLINE": {"deadline"},
    "DAILY_TIME_WINDOW": {"start_time", "end_time"},
}
_CAMEL = {"window_advance": "windowAdvance", "start_time": "startTime", "end_time": "endTime"}
_NEEDED = {"DAILY_TIME_DEADLINE": ("deadline",), "DAILY_TIME_WINDOW": ("start_time", "end_time")}


class TimeWindow(Document):
    """Within which time all upstream conditions have to be met."""

    type: Literal["DURATION_WINDOW", "SLIDING_WINDOW", "DAILY_TIME_DEADLINE", "DAILY_TIME_WINDOW"] = (
        "DURATION_WINDOW"
    )
    window: DurationText | None = None
    window_advance: DurationText | None = None
    deadline: str | None = None
    start_time: str | None = None
    end_time: str | None = None

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


class UpstreamFlow(Document):
    """A flow whose end counts."""

    namespace: str
    flow_id: str | None = None
    states: tuple[State, ...] = (State.SUCCESS, State.WARNING)
    labels: Labels = {}


class Filter(Document):
    """One comparison with a field of the ended execution."""

    field: Literal["FLOW_ID", "NAMESPACE", "STATE", "EXPRESSION"]
    type: Literal[
        "EQUAL_TO", "NOT_EQUAL_TO", "IN", "NOT_IN", "IS_TRUE", "IS_FALSE", "IS_NULL", "IS_NOT_NULL",
        "STARTS_WITH", "ENDS_WITH", "REGEX", "CONTAINS",
    ]  # fmt: skip
    value: Any = None
    values: tuple[Any, ...] = ()


class Where(Document):
    """Filters that an execution has to pass."""

    id: str
    operand: Literal["AND", "OR"] = "AND"
    filters: tuple[Filter, ...] = Field(min_length=1)


class Preconditions(Document):
    """What has to have happened upstream, within one window."""

    id: str
    description: str | None = None
    time_window: TimeWindow | None = None
    reset_on_success: bool = True
    flows: tuple[UpstreamFlow, ...] = ()
    where: tuple[Where, ...] = ()


class Dependency(Document):
    """A flow whose end counts, in the newer way of saying it."""

    namespace: str
    flow_id: str
    states: tuple[State, ...] = (State.SUCCESS, State.WARNING)
    labels: Labels = {}
    when: Any = None


class Window(Document):
    """Within which time dependencies have to be met, in the newer way of saying it."""

    deadline: str | None = None
    start: str | None = Field(default=None, alias="from")
    end: str | None = Field(default=None, alias="to")
    every: DurationText | None = None
    offset: DurationText | None = None
    lookback: DurationText | None = None
    fire_once: bool = False


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
