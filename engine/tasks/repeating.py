"""The flowable that runs its children again and again until a condition holds (dialect, section 2.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import UserError
from engine.model import shape
from engine.model.base import Document, Text
from engine.model.condition import is_true
from engine.model.duration import DurationText, seconds_of
from engine.model.task import Verdict
from engine.tasks.blocks import Sequential


class CheckFrequency(Document):
    """How often to try, and how long; without limits it goes on until the condition holds."""

    interval: DurationText = "PT1M"
    max_iterations: int | Text | None = None
    max_duration: DurationText | None = None


class LoopUntil(Sequential):
    """Children one by one, again after each `interval` until `condition` is true.

    The output `iterationCount` is the number of the round under way, from 1. When a limit of `checkFrequency` is
    reached it ends as its children did, or fails with `failOnMaxReached`.
    """

    condition: Any
    fail_on_max_reached: bool | Text = False
    check_frequency: CheckFrequency = CheckFrequency()

    def shape(self, values: Mapping[str, Any]) -> shape.Shape:
        """Rounds."""
        return shape.Repeat()

    def outputs(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The first round."""
        return {"iterationCount": 1}

    def looks_back(self, failed: bool) -> bool:
        """After every round that did not fail."""
        return not failed

    def reviews(self) -> Mapping[str, Any]:
        """The condition, and the limits."""
        limits = self.check_frequency
        given = {
            "interval": limits.interval,
            "maxIterations": limits.max_iterations,
            "maxDuration": limits.max_duration,
            "failOnMaxReached": self.fail_on_max_reached,
        }
        return {
            "condition": self.condition,
            **{key: value for key, value in given.items() if value is not None},
        }

    def review(self, values: Mapping[str, Any], rounds: int, seconds: float) -> Verdict:
        """Enough, another round, or a limit reached. Raises UserError when a limit makes no sense."""
        if is_true(values["condition"]):
            return Verdict()
        reached = ""
        if "maxIterations" in values and rounds >= _count(values["maxIterations"]):
            reached = f"the condition does not hold after {rounds} iterations, its `maxIterations`"
        elif "maxDuration" in values and seconds > seconds_of(values["maxDuration"]):
            reached = f"the condition does not hold after {values['maxDuration']}, its `maxDuration`"
        if reached:
            return Verdict(error=reached if is_true(values["failOnMaxReached"]) else "")
        return Verdict(outputs={"iterationCount": rounds + 1}, again=_interval(values["interval"]))


def _count(value: Any) -> int:
    try:
        count = int(value)
    except (TypeError, ValueError):
        count = 0
    if count < 1:
        raise UserError(f"`maxIterations` cannot be `{value}`", hint="give a number from 1")
    return count


def _interval(value: Any) -> float:
    seconds = seconds_of(value)
    if seconds < 0.001:
        raise UserError(f"`interval` cannot be `{value}`", hint="give a duration such as PT1S")
    return seconds
