"""Flowables that run their children once for each of several values (dialect, section 2.1)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from engine.errors import UserError
from engine.model import shape
from engine.model.flow import Tasks
from engine.model.task import Task
from engine.tasks.blocks import Block

MAX_VALUES = 100_000


def loop_values(rendered: Any) -> tuple[str, ...]:
    """The values of a loop, as text, each once, in order; maps and lists become JSON.

    Raises:
        UserError: it is no list, has nulls, or is too long.
    """
    return tuple(dict.fromkeys(_texts(_parsed(rendered), rendered)))


def _parsed(rendered: Any) -> Any:
    if not isinstance(rendered, str):
        return rendered
    try:
        return json.loads(rendered)
    except (ValueError, RecursionError):
        return None


def _texts(values: Any, rendered: Any) -> list[str]:
    if not isinstance(values, list | tuple):
        shown = _java(rendered)
        shown = shown if len(shown) <= 120 else shown[:119] + "…"
        raise UserError(f"the values are no list: `{shown}`", hint='give a list, or text such as ["a", "b"]')
    if len(values) > MAX_VALUES:
        raise UserError(f"{len(values)} values are too many for one loop; at most {MAX_VALUES}")
    nulls = sum(value is None for value in values)
    if nulls:
        raise UserError(
            f"Found '{nulls}' null values on Each, with values={_java(values)}", hint="remove them"
        )
    return [_text(value) for value in values]


def loop_entries(rendered: Any) -> tuple[Any, ...]:
    """The values of a `Loop`, as a shape wants them: of a list, or of a map with their keys; none is left out.

    Raises:
        UserError: it is neither, has nulls, or is too long.
    """
    values = _parsed(rendered)
    if isinstance(values, Mapping):
        return tuple(zip(map(str, values), _texts(list(values.values()), rendered), strict=True))
    return tuple(_texts(values, rendered))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _java(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}={_java(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_java(item) for item in value) + "]"
    return value if isinstance(value, str) else json.dumps(value, default=str)


class _Loop(Block):
    tasks: Tasks = Field(min_length=1)

    def main(self) -> Mapping[str, Sequence[Task]]:
        """The children."""
        return {"tasks": self.tasks}

    def _limit(self) -> int:
        return 1

    def shape(self, values: Mapping[str, Any]) -> shape.Shape:
        """A loop over the rendered values. Raises UserError when they are no list, or have nulls."""
        (rendered,) = values.values()
        return shape.Each(values=loop_values(rendered), limit=self._limit())


class ForEach(_Loop):
    """Children in order for each of `values`, `concurrencyLimit` values at a time (0: all)."""

    values: Any
    concurrency_limit: int = Field(default=1, ge=0)

    def evaluates(self) -> Mapping[str, Any]:
        """The values."""
        return {"values": self.values}

    def _limit(self) -> int:
        return self.concurrency_limit


class EachSequential(_Loop):
    """Outdated: children in order for each value of `value`, one value after the other."""

    value: Any

    def evaluates(self) -> Mapping[str, Any]:
        """The values."""
        return {"value": self.value}


class EachParallel(EachSequential):
    """Outdated: as EachSequential, but `concurrent` values at a time (0: all)."""

    concurrent: int = Field(default=0, ge=0)

    def _limit(self) -> int:
        return self.concurrent
