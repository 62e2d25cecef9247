"""The task that publishes numbers (dialect, section 2.2)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from engine.errors import UserError
from engine.model.base import Text
from engine.model.duration import seconds_of
from engine.model.input_values import as_text
from engine.model.task import Context, Instant, Metric, TaskResult

_MOST = 1000


class Publish(Instant):
    """Publishes metrics: counters, gauges, and timers, whose value is a duration or seconds."""

    metrics: list[dict[str, Any]] | Text

    def run(self, context: Context) -> TaskResult:
        """Render and read each."""
        found = context.value(self.metrics)
        if not isinstance(found, list) or len(found) > _MOST:
            raise UserError(f"`metrics` is no list of at most {_MOST} metrics")
        return TaskResult(metrics=tuple(_metric(each, number) for number, each in enumerate(found)))


def _metric(given: Any, number: int) -> Metric:
    where = f"`metrics[{number}]`"
    if not isinstance(given, Mapping) or not given.get("name"):
        raise UserError(f"{where} has no name", hint="give `name`, `type` and `value`")
    tags = given.get("tags") or {}
    if not isinstance(tags, Mapping):
        raise UserError(f"{where}: `tags` is no map")
    shown = {str(key): as_text(value) for key, value in tags.items()}
    name, value = as_text(given["name"]), given.get("value")
    match as_text(given.get("type") or "").lower():
        case "counter":
            return Metric(name, "counter", _number(value, where), shown)
        case "gauge":
            return Metric(name, "gauge", _number(value, where), shown)
        case "timer":
            return Metric(name, "timer", _seconds(value, where), shown)
        case unknown:
            raise UserError(f"{where}: `{unknown[:80]}` is no type", hint="use counter, gauge or timer")


def _number(value: Any, where: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise UserError(f"{where}: `{as_text(value)[:80]}` is no number")
    return number


def _seconds(value: Any, where: str) -> float:
    try:
        return _number(value, where)
    except UserError:
        return seconds_of(value)
