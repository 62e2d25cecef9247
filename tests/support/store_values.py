"""Values to store: small ones by hand, and arbitrary ones that Hypothesis builds from the types of the model."""

from __future__ import annotations

import enum
import types
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

import immutables
import msgspec
from hypothesis import strategies as st

from engine.model.execution import Cause, Execution, FlowRef, Moment, TaskRun
from engine.model.records import FlowVersion, LogEntry, TriggerState
from engine.model.state import State
from engine.ports import Batch

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def moment(state: State = State.RUNNING, seconds: float = 0) -> Moment:
    return Moment(state, NOON + timedelta(seconds=seconds))


def task_run(key: str, seq: int = 0, state: State = State.RUNNING, **more: Any) -> TaskRun:
    return TaskRun(key, f"id-of-{key}", seq, key.partition(":")[0], "", "main", (), (moment(state),), **more)


def an_execution(
    key: str = "e1",
    *,
    flow: str = "prod.etl/load",
    states: tuple[State, ...] = (State.CREATED,),
    seconds: float = 0,
    trigger: str | None = None,
    **more: Any,
) -> Execution:
    """An execution of `flow` that entered its `states` one second after another, from `seconds` past noon."""
    namespace, _, flow_id = flow.partition("/")
    history = tuple(moment(state, seconds + number) for number, state in enumerate(states))
    cause = Cause(trigger, "core.trigger.Schedule") if trigger else None
    return Execution(key, FlowRef(namespace, flow_id, 3, "c0ffee", "b10b"), history, cause=cause, **more)


def commit_of(execution: Execution, base: int = 0, version: int = 1) -> Batch:
    """A batch that stores the execution as `version`, with all its task runs and values."""
    execution = msgspec.structs.replace(execution, version=version)
    return Batch(
        executions={execution.id: execution},
        bases={execution.id: base},
        touched={execution.id: set(execution.runs)},
        valued={execution.id: set(execution.values)},
    )


def line(execution_id: str = "e1", message: str = "hello", **more: Any) -> LogEntry:
    return LogEntry(execution_id, NOON, "INFO", message, **more)


def flow_version(flow: str = "prod.etl/load", revision: int = 1, **more: Any) -> FlowVersion:
    namespace, _, flow_id = flow.partition("/")
    values: dict[str, Any] = {
        "commit": f"commit-{revision}",
        "blob": f"blob-{revision}",
        "path": f"flows/{flow_id}.yaml",
        "source": "prod",
        "content": b"id: " + flow_id.encode(),
        "at": NOON,
        **more,
    }
    return FlowVersion(namespace=namespace, id=flow_id, revision=revision, **values)


def trigger_state(name: str = "prod.etl/load/hourly", minutes: float | None = 0, **more: Any) -> TriggerState:
    due = None if minutes is None else NOON + timedelta(minutes=minutes)
    return TriggerState(*name.split("/"), type="core.trigger.Schedule", next_due=due, **more)


_TEXT = st.text(max_size=8)
_NUMBERS = st.integers(-(2**53), 2**53)
_FLOATS = st.floats(allow_nan=False, allow_infinity=False)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | _FLOATS | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)
_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    Any: _JSON,
    str: _TEXT,
    int: _NUMBERS,
    float: _FLOATS,
    bool: st.booleans(),
    datetime: st.datetimes(timezones=st.just(UTC)),
    types.NoneType: st.none(),
}


@cache
def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Arbitrary values of a type of `engine.model`: of a struct, a union, a container or a plain type."""
    if kind in _PLAIN:
        return _PLAIN[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, types.UnionType):
        return st.one_of(*map(values_of, arguments))
    if origin is tuple and arguments[-1] is ...:
        return st.lists(values_of(arguments[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values_of, arguments))
    if origin is dict or origin is immutables.Map:
        found = st.dictionaries(values_of(arguments[0]), values_of(arguments[1]), max_size=2)
        return found if origin is dict else found.map(immutables.Map)
    if issubclass(kind, enum.Enum):
        return st.sampled_from(list(kind))
    if issubclass(kind, msgspec.Struct):
        return st.builds(kind, **{field.name: _field(field) for field in msgspec.structs.fields(kind)})
    raise TypeError(f"no strategy for {kind}")


def _field(field: msgspec.structs.FieldInfo) -> st.SearchStrategy[Any]:
    if field.name == "history":  # never empty: its last entry is the state
        return st.lists(values_of(Moment), min_size=1, max_size=3).map(tuple)
    return values_of(field.type)
