"""Tasks that wait: for a person, or for time (dialect, sections 2.1 and 4.5)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field

from engine.errors import UserError
from engine.model import shape
from engine.model.duration import DurationText, seconds_of
from engine.model.flow import AnyTask, Tasks
from engine.model.input_types import AnyInput
from engine.model.task import Inline, InlineContext, Task, TaskResult
from engine.tasks.blocks import Block

_STATES = {"RESUME": "SUCCESS", "WARN": "WARNING", "FAIL": "FAILED", "CANCEL": "CANCELLED"}


def _listed(value: Any) -> Any:
    return () if value is None else value


class Pause(Block):
    """Waits until somebody resumes it, or `pauseDuration` is over; `behavior` says how it then ends.

    With `timeout` and no `pauseDuration` it fails when nobody came in time. `onPause` runs before the wait begins.
    """

    pause_duration: DurationText | None = Field(
        default=None, validation_alias=AliasChoices("pauseDuration", "delay")
    )
    behavior: Literal["RESUME", "WARN", "FAIL", "CANCEL"] = "RESUME"
    on_resume: Annotated[tuple[AnyInput, ...], BeforeValidator(_listed)] = ()
    on_pause: AnyTask | None = None
    tasks: Tasks = ()

    def main(self) -> Mapping[str, Sequence[Task]]:
        """What follows the wait, and the task that runs when it begins."""
        return {"tasks": self.tasks, "onPause": (self.on_pause,) if self.on_pause else ()}

    def evaluates(self) -> Mapping[str, Any]:
        """The durations."""
        given = {"pauseDuration": self.pause_duration, "timeout": self.timeout}
        return {name: value for name, value in given.items() if value is not None}

    def shape(self, values: Mapping[str, Any]) -> shape.Shape:
        """A wait. Raises UserError when a duration makes no sense."""
        branch = "tasks" if self.tasks else ""
        first = "onPause" if self.on_pause else ""
        if "pauseDuration" in values:
            return shape.Wait(_positive(values["pauseDuration"]), _STATES[self.behavior], branch, first)
        if "timeout" in values:
            return shape.Wait(_positive(values["timeout"]), "FAILED", branch, first)
        return shape.Wait(branch=branch, first=first)


class Sleep(Inline):
    """Waits while it is running."""

    duration: DurationText

    async def run(self, context: InlineContext) -> TaskResult:
        """Wait; after a restart of the daemon the wait begins anew."""
        await asyncio.sleep(_positive(context.render(self.duration)))
        return TaskResult()


def _positive(value: Any) -> float:
    seconds = seconds_of(value)
    if seconds < 0:
        raise UserError(f"a wait cannot last `{value}`", hint="give a positive duration")
    return seconds
