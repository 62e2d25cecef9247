"""How values become columns and back: bodies as JSON text, times as integer microseconds since 1970.

JSON because a person can read it in the sqlite3 shell and msgspec is as quick with it as with msgpack. What JSON
cannot say is bent, never refused: a lone surrogate becomes U+FFFD, NaN and infinities become null. This module
must not know any table.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import immutables
import msgspec

from engine.errors import Bug
from engine.model.events import AnyEvent
from engine.model.execution import Execution, TaskRun
from engine.model.records import Backfill, Work

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_RUNS: immutables.Map[str, TaskRun] = immutables.Map()
_NO_VALUES: immutables.Map[str, tuple[Any, ...]] = immutables.Map()


def micros(at: datetime) -> int:
    """Microseconds since 1970 of an aware time. Raises Bug for a naive one."""
    try:
        since = at - _EPOCH
    except TypeError as error:
        raise Bug(f"a time without a zone cannot be stored: {at.isoformat()}") from error
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def maybe_micros(at: datetime | None) -> int | None:
    """Like `micros`; none stays none."""
    return None if at is None else micros(at)


def instant(number: int) -> datetime:
    """The time (UTC) of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=number)


def maybe_instant(number: int | None) -> datetime | None:
    """Like `instant`; none stays none."""
    return None if number is None else instant(number)


def text(value: str) -> str:
    """The same text, with every lone surrogate replaced: SQLite and JSON hold valid Unicode only."""
    if value.isascii():
        return value
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _from_map(value: Any) -> Any:
    if isinstance(value, immutables.Map):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def _to_map(_: type, value: Any) -> Any:
    return immutables.Map(value)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value


_ENCODER = msgspec.json.Encoder(enc_hook=_from_map)


def body(value: Any) -> str:
    """JSON text of a value. Raises Bug for what is no JSON value at all, or nested too deeply to be read again."""
    try:
        try:
            return _ENCODER.encode(value).decode()
        except UnicodeEncodeError:
            plain = msgspec.to_builtins(value, enc_hook=_from_map)
            return _ENCODER.encode(_clean(plain)).decode()
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Bug(f"a {type(value).__name__} cannot be stored: {error}") from error


def header(execution: Execution) -> str:
    """JSON text of an execution without its task runs and loop values."""
    return body(msgspec.structs.replace(execution, runs=_NO_RUNS, values=_NO_VALUES))


_EXECUTION = msgspec.json.Decoder(Execution, dec_hook=_to_map)
_RUN = msgspec.json.Decoder(TaskRun)
_VALUES = msgspec.json.Decoder(tuple[Any, ...])
_EVENT: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
_WORK = msgspec.json.Decoder(Work)
_TRIGGERS = msgspec.json.Decoder(tuple[str, ...])
_LABELS = msgspec.json.Decoder(dict[str, str])
_BACKFILL = msgspec.json.Decoder(Backfill)
_ANY = msgspec.json.Decoder()


def read_execution(header_body: str, runs: dict[str, str], values: dict[str, str]) -> Execution:
    """Put an execution together from its header and from the bodies of task runs and loop values by key."""
    return msgspec.structs.replace(
        _EXECUTION.decode(header_body),
        runs=immutables.Map({key: _RUN.decode(run) for key, run in runs.items()}),
        values=immutables.Map({key: _VALUES.decode(value) for key, value in values.items()}),
    )


def read_event(event: str) -> AnyEvent:
    """An event from its body."""
    return _EVENT.decode(event)


def read_work(work: str) -> Work:
    """A piece of work from its body."""
    return _WORK.decode(work)


def read_backfill(backfill: str) -> Backfill:
    """A backfill from its column."""
    return _BACKFILL.decode(backfill)


def read_labels(labels: str) -> dict[str, str]:
    """Labels from their column."""
    return _LABELS.decode(labels)


def read_triggers(triggers: str) -> tuple[str, ...]:
    """A flow version's trigger ids from their column."""
    return _TRIGGERS.decode(triggers)


def read_json(document: str) -> Any:
    """A document from its body."""
    return _ANY.decode(document)
