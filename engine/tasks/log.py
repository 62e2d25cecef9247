"""Tasks that write to the execution's log or give a value back (dialect, sections 2.2 and 2.4)."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import AfterValidator

from engine.errors import UserError
from engine.model.base import Text
from engine.model.input_values import as_text
from engine.model.task import Context, Instant, Level, Metric, TaskResult

_LEVELS: tuple[Level, ...] = get_args(Level)


def level_named(name: str) -> Level:
    """The log level of a name, in letters of any case. Raises UserError."""
    for level in _LEVELS:
        if level == name.strip().upper():
            return level
    raise UserError(f"`{name}` is no log level", hint=f"use one of {', '.join(_LEVELS)}")


def _known(name: str) -> str:
    if "{{" not in name:
        try:
            return level_named(name)
        except UserError as error:
            raise ValueError(str(error)) from None
    return name


LevelText = Annotated[Text, AfterValidator(_known)]
"""A log level, or a template that renders to one."""


class Log(Instant):
    """Writes a message, or each of several, to the execution's log."""

    message: Text | list[Text]
    level: LevelText = "INFO"

    def run(self, context: Context) -> TaskResult:
        """Write; no outputs."""
        level = level_named(context.render(self.level))
        messages = [self.message] if isinstance(self.message, str) else self.message
        for message in messages:
            context.log(level, context.render(message))
        return TaskResult()


class Return(Instant):
    """Gives its rendered `format` back as the output `value`."""

    format: Any = None

    def run(self, context: Context) -> TaskResult:
        """Render; output `value`, metrics `length` and `duration`."""
        if self.format is None:
            return TaskResult(outputs={"value": None})
        value = context.render(as_text(self.format))
        metrics = (Metric("length", "counter", len(value), {"format": as_text(self.format)[:200]}),)
        return TaskResult(outputs={"value": value}, metrics=metrics)


class Echo(Instant):
    """Outdated: writes its `format` to the log."""

    format: Text = ""
    level: LevelText = "INFO"

    def run(self, context: Context) -> TaskResult:
        """Write; no outputs."""
        context.log(level_named(context.render(self.level)), context.render(self.format))
        return TaskResult()


class OutputValues(Instant):
    """Gives rendered values back as the output `values`."""

    values: dict[str, Any]

    def run(self, context: Context) -> TaskResult:
        """Render deeply; output `values`."""
        return TaskResult(outputs={"values": context.value(self.values)})
