"""What a flow asks before an execution of it is created, its `checks` (dialect, section 1.7)."""

from __future__ import annotations

from dataclasses import dataclass

from engine import expressions
from engine.errors import NotPermitted
from engine.machine.graph import Graph
from engine.model.execution import Execution
from engine.model.flow import CheckBehavior, CheckStyle
from engine.model.input_values import as_text
from engine.runtime.context import scope_of
from engine.runtime.surroundings import Surroundings


class CheckRefused(NotPermitted):
    """A check does not let the execution be created."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A check that does not pass."""

    message: str
    style: CheckStyle
    behavior: CheckBehavior


def failed(around: Surroundings, graph: Graph, execution: Execution) -> list[Failed]:
    """The checks that an execution about to be created does not pass, in the order of the file.

    Raises:
        ExpressionError: one cannot be told.
    """
    if not graph.flow.checks:
        return []
    scope = scope_of(around, graph, execution)
    return [
        Failed(
            around.masker.text(as_text(expressions.render_deep(check.message, scope))),
            check.style,
            check.behavior,
        )
        for check in graph.flow.checks
        if not expressions.truthy(expressions.render_deep(check.when, scope))
    ]


def refuse(found: list[Failed]) -> None:
    """Raises CheckRefused when one of them blocks the execution."""
    messages = [each.message for each in found if each.behavior == "BLOCK_EXECUTION"]
    if messages:
        raise CheckRefused("\n".join(messages), hint="start it with other inputs")


def fails(found: list[Failed]) -> str:
    """Why the execution fails at once; empty when it does not."""
    return "\n".join(each.message for each in found if each.behavior == "FAIL_EXECUTION")
