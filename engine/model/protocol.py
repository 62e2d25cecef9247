"""What a task says about itself in its output: the `::{…}::` line protocol (dialect, section 2.5).

Pure: one line of text in, a value out. Knows no runner, and not where outputs, metrics and messages go.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from engine.model.task import Level, Metric

MAX_LINE = 256 * 1024
"""Longest line, in bytes, that a runner hands on in one piece, and so the longest that can carry a report."""

_LEVELS: dict[str, Level] = {
    "TRACE": "TRACE",
    "DEBUG": "DEBUG",
    "INFO": "INFO",
    "WARN": "WARN",
    "WARNING": "WARN",
    "ERROR": "ERROR",
    "CRITICAL": "ERROR",
    "FATAL": "ERROR",
}


class Message(msgspec.Struct, frozen=True):
    """One log line that the task gave a level of its own."""

    level: Level
    text: str


class Report(msgspec.Struct, frozen=True):
    """What one protocol line carries. Of outputs with one name, the last line wins."""

    outputs: dict[str, Any] = {}
    metrics: tuple[Metric, ...] = ()
    logs: tuple[Message, ...] = ()


class _WireMetric(msgspec.Struct):
    name: str
    type: Literal["counter", "timer", "gauge"]
    value: float
    tags: dict[str, str | int | float | bool] | None = None


class _WireMessage(msgspec.Struct):
    message: str
    level: str = "INFO"


class _Wire(msgspec.Struct):
    outputs: dict[str, Any] | None = None
    metrics: tuple[_WireMetric, ...] | None = None
    logs: tuple[_WireMessage, ...] | None = None


_decoder = msgspec.json.Decoder(_Wire)


def parse(text: str) -> Report | None:
    """What the line reports, or none when it is an ordinary line (also: malformed JSON, another shape, too long).

    Properties that are not known are passed over, so that newer client libraries keep working.
    """
    if not (text.startswith("::{") and text.endswith("}::")) or len(text) > MAX_LINE:
        return None
    try:
        wire = _decoder.decode(text[2:-2])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return Report(
        outputs=wire.outputs or {},
        metrics=tuple(_metric(metric) for metric in wire.metrics or ()),
        logs=tuple(Message(_LEVELS.get(log.level.upper(), "INFO"), log.message) for log in wire.logs or ()),
    )


def stream_level(stream: Literal["stdout", "stderr"]) -> Level:
    """The level of an ordinary line."""
    return "ERROR" if stream == "stderr" else "INFO"


def _metric(wire: _WireMetric) -> Metric:
    tags = {name: _tag(value) for name, value in (wire.tags or {}).items()}
    return Metric(wire.name, wire.type, wire.value, tags)


def _tag(value: str | int | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
