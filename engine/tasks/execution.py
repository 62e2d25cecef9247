"""Tasks that end, judge or change the execution they run in (dialect, section 2.2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from engine.errors import UserError
from engine.model.base import Text
from engine.model.input_values import as_text
from engine.model.state import State
from engine.model.task import Context, Instant, TaskResult

_ENDS = (State.SUCCESS, State.WARNING, State.KILLED, State.FAILED, State.CANCELLED)


class Fail(Instant):
    """Fails: always, or when `condition` is true."""

    condition: Any = None
    error_message: Text = "Task failure"

    def run(self, context: Context) -> TaskResult:
        """Judge the condition."""
        if self.condition is not None and not context.truthy(self.condition):
            return TaskResult()
        return TaskResult(State.FAILED, error=context.render(self.error_message))


class Assert(Instant):
    """Fails when one of `conditions` is not true."""

    conditions: tuple[Any, ...] = Field(min_length=1)
    error_message: Text | None = None

    def run(self, context: Context) -> TaskResult:
        """Judge all conditions; each that fails is logged."""
        failed = [as_text(condition) for condition in self.conditions if not context.truthy(condition)]
        for condition in failed:
            context.log("ERROR", f"assertion failed: {condition}")
        if not failed:
            return TaskResult()
        message = context.render(self.error_message) if self.error_message else ""
        return TaskResult(
            State.FAILED, error=message or f"{len(failed)} of {len(self.conditions)} assertions failed"
        )


class Exit(Instant):
    """Ends the whole execution in `state`."""

    state: Text = "SUCCESS"

    def run(self, context: Context) -> TaskResult:
        """Name the state."""
        name = context.render(self.state).strip().upper()
        if name not in _ENDS:
            raise UserError(f"an execution cannot exit as `{name}`", hint=f"use one of {', '.join(_ENDS)}")
        return TaskResult(end=State(name))


class Labels(Instant):
    """Adds labels to the execution."""

    labels: dict[str, Any] | list[Any] | Text

    def run(self, context: Context) -> TaskResult:
        """Render the labels: a map, a list of `{key, value}`, or text that is JSON of either."""
        found = context.value(self.labels)
        if isinstance(found, str):
            try:
                found = json.loads(found)
            except ValueError:
                raise UserError("`labels` is text, but not JSON", hint="give a map of labels") from None
        labels = _labels(found)
        taken = next((key for key in labels if key.startswith("system.")), None)
        if taken is not None:
            raise UserError(f"label `{taken}`: keys that start with `system.` belong to the engine")
        return TaskResult(labels=labels)


def _labels(found: Any) -> dict[str, str]:
    if isinstance(found, list) and all(
        isinstance(item, Mapping) and {"key", "value"} <= item.keys() for item in found
    ):
        found = {item["key"]: item["value"] for item in found}
    if not isinstance(found, Mapping):
        raise UserError("`labels` is neither a map nor a list of `{key, value}`")
    return {str(key): as_text(value) for key, value in found.items() if value is not None}


class SetVariables(Instant):
    """Sets flow variables for the rest of the execution."""

    variables: dict[str, Any]
    overwrite: Any = True

    def run(self, context: Context) -> TaskResult:
        """Render deeply; without `overwrite`, a variable that is there already is an error."""
        if not context.truthy(self.overwrite):
            known = [name for name in self.variables if name in _variables(context)]
            if known:
                raise UserError(
                    f"variable `{known[0]}` is set already", hint="rename it, or set `overwrite: true`"
                )
        return TaskResult(variables=context.value(self.variables))


class UnsetVariables(Instant):
    """Removes flow variables for the rest of the execution."""

    variables: list[Any] | Text
    ignore_missing: Any = False

    def run(self, context: Context) -> TaskResult:
        """Remove them; one that is not there is an error unless `ignoreMissing`."""
        names = context.value(self.variables)
        if not isinstance(names, list):
            raise UserError("`variables` is no list of names")
        missing = [name for name in names if name not in _variables(context)]
        if missing and not context.truthy(self.ignore_missing):
            raise UserError(
                f"there is no variable `{missing[0]}`", hint="correct it, or set `ignoreMissing: true`"
            )
        return TaskResult(variables={str(name): None for name in names if name not in missing})


def _variables(context: Context) -> Mapping[str, Any]:
    found = context.value("{{ vars ?? {} }}")
    return found if isinstance(found, Mapping) else {}
