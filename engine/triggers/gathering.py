"""What a Flow trigger has gathered of the ends it waits for, and whether that is enough (dialect, section 3.4). Pure.

A gathering is a set of needs and a window of time. Every end that meets a need is noted under it; ends that lie
before the window are forgotten; once enough needs are met at the same time, the trigger fires.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, NamedTuple, Protocol

import msgspec

from engine.model.condition import Render
from engine.model.state import State

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


class Upstream(msgspec.Struct, frozen=True):
    """The end of an execution, as Flow triggers see it.

    Args:
        number: which end of this execution it is, from 1; a restarted one ends again.
        again: some task of it was tried more than once.
    """

    execution_id: str
    namespace: str
    flow_id: str
    revision: int
    state: State
    at: datetime
    number: int = 1
    labels: dict[str, str] = {}
    outputs: dict[str, Any] = {}
    again: bool = False

    @property
    def identity(self) -> str:
        """Names this end for ever."""
        return f"{self.execution_id}#{self.number}"

    def variables(self) -> dict[str, Any]:
        """The `trigger.*` that conditions see."""
        return {
            "executionId": self.execution_id,
            "namespace": self.namespace,
            "flowId": self.flow_id,
            "flowRevision": self.revision,
            "state": str(self.state),
            "labels": self.labels,
            "outputs": self.outputs,
            "hasRetryAttempt": self.again,
        }


class Need(Protocol):
    """Something that an end may meet."""

    def holds(self, variables: Mapping[str, Any], render: Render) -> bool:
        """Whether the end that `variables["trigger"]` tells of meets it. Raises UserError when it cannot be told."""
        ...


# Windows


@dataclass(frozen=True, slots=True)
class Always:
    """No bound at all."""

    def since(self, at: datetime) -> datetime | None:
        """From when on ends count together with one at `at`; none when that one does not count either."""
        return _EPOCH


@dataclass(frozen=True, slots=True)
class Sliding:
    """The time `length` before."""

    length: timedelta

    def since(self, at: datetime) -> datetime | None:
        """From when on ends count together with one at `at`."""
        return at - self.length


@dataclass(frozen=True, slots=True)
class Tumbling:
    """Windows of `length` one behind the other, shifted by `offset` from midnight of 1970-01-01 UTC."""

    length: timedelta
    offset: timedelta = timedelta(0)

    def since(self, at: datetime) -> datetime | None:
        """The beginning of the window that `at` lies in."""
        past = at - _EPOCH - self.offset
        return at - past % self.length


@dataclass(frozen=True, slots=True)
class Daily:
    """Each day from `start` to `end`, over midnight where `end` is earlier; on the clock of their offset, else UTC."""

    start: time
    end: time

    def since(self, at: datetime) -> datetime | None:
        """The beginning of the window that `at` lies in; none outside."""
        zone = self.start.tzinfo or self.end.tzinfo or UTC
        here = at.astimezone(zone)
        for day in (here.date(), here.date() - _DAY):
            start = datetime.combine(day, self.start.replace(tzinfo=zone))
            end = datetime.combine(day, self.end.replace(tzinfo=self.end.tzinfo or zone))
            end += _DAY if end <= start else timedelta(0)
            if start <= here < end:
                return start.astimezone(UTC)
        return None


Window = Always | Sliding | Tumbling | Daily


# Gathering


@dataclass(frozen=True, slots=True)
class Gathering:
    """What has to come together.

    Args:
        id: among those of one trigger.
        enough: how many of the needs.
        reset: whether everything is forgotten once it fired.
        once: whether it fires once in a window only.
    """

    id: str
    needs: Mapping[str, Need]
    enough: int
    window: Window
    reset: bool = True
    once: bool = False


class Gathered(msgspec.Struct, frozen=True):
    """What has come together so far: ends by need, and when it fired last."""

    met: dict[str, Upstream] = {}
    fired: datetime | None = None


def meets(gathering: Gathering, variables: Mapping[str, Any], render: Render) -> frozenset[str]:
    """The names of the needs that an end meets. Raises UserError when it cannot be told."""
    return frozenset(name for name, need in gathering.needs.items() if need.holds(variables, render))


class Heard(NamedTuple):
    """What came of an end.

    Args:
        after: what has come together now, by gathering; as it was when the end meets no need.
        ends: those that fire the trigger together; none when it does not fire.
    """

    after: Mapping[str, Gathered]
    ends: tuple[Upstream, ...] = ()


def hear(
    gatherings: Sequence[Gathering],
    before: Mapping[str, Gathered],
    upstream: Upstream,
    met: Mapping[str, frozenset[str]],
) -> Heard:
    """Note an end that meets the needs `met`, and tell whether every gathering of the trigger is complete now.

    Without any gathering each end fires.
    """
    if not gatherings:
        return Heard({}, (upstream,))
    if not any(met[each.id] for each in gatherings):
        return Heard(before)
    after = {each.id: _noted(each, before[each.id], upstream, met[each.id]) for each in gatherings}
    if not all(_complete(each, after[each.id], upstream.at) for each in gatherings):
        return Heard(after)
    ends = {end.identity: end for each in after.values() for end in each.met.values()}
    spent = {each.id: Gathered({} if each.reset else after[each.id].met, upstream.at) for each in gatherings}
    return Heard(spent, tuple(ends.values()))


def _noted(gathering: Gathering, before: Gathered, upstream: Upstream, names: frozenset[str]) -> Gathered:
    since = gathering.window.since(upstream.at)
    if since is None:
        return before
    met = {name: end for name, end in before.met.items() if name in gathering.needs and end.at >= since}
    return Gathered({**met, **dict.fromkeys(sorted(names), upstream)}, before.fired)


def _complete(gathering: Gathering, gathered: Gathered, at: datetime) -> bool:
    since = gathering.window.since(at)
    if since is None or len(gathered.met) < gathering.enough:
        return False
    return not (gathering.once and gathered.fired is not None and gathered.fired >= since)


def outputs_of(ends: Sequence[Upstream], last: Upstream, *, by_flow_first: bool) -> dict[str, Any]:
    """The `trigger.outputs`: those of all ends under their own names, and besides by flow id.

    Args:
        by_flow_first: which of the two prevails where an output has the name of a flow.
    """
    flat: dict[str, Any] = {}
    by_flow: dict[str, Any] = {}
    for end in [*sorted(ends, key=lambda each: each.at), last]:
        flat.update(end.outputs)
        by_flow[end.flow_id] = end.outputs
    return {**flat, **by_flow} if by_flow_first else {**by_flow, **flat}
