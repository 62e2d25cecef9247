"""The conditions on other executions that a Flow trigger may carry (dialect, section 3.6). Pure.

They see the ended execution as `trigger.*`: namespace, flowId, state, labels, outputs, hasRetryAttempt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from engine.model.condition import Condition, Render, is_true
from engine.model.labels import Labels
from engine.model.state import State


def _seen(variables: Mapping[str, Any], name: str) -> Any:
    trigger = variables.get("trigger")
    return trigger.get(name) if isinstance(trigger, Mapping) else None


class ExecutionFlow(Condition):
    """The execution is of that flow."""

    namespace: str
    flow_id: str

    def holds(self, variables: Mapping[str, Any], render: Render) -> bool:
        """Whether it is met."""
        return (_seen(variables, "namespace"), _seen(variables, "flowId")) == (self.namespace, self.flow_id)


class ExecutionNamespace(Condition):
    """The execution is of that namespace, or of one that begins or ends so."""

    namespace: str
    comparison: Literal["EQUALS", "PREFIX", "SUFFIX"] | None = None
    prefix: bool = False

    def holds(self, variables: Mapping[str, Any], render: Render) -> bool:
        """Whether it is met."""
        namespace = str(_seen(variables, "namespace") or "")
        comparison = self.comparison or ("PREFIX" if self.prefix else "EQUALS")
        if comparison == "PREFIX":
            return namespace.startswith(self.namespace)
        return namespace.endswith(self.namespace) if comparison == "SUFFIX" else namespace == self.namespace


class ExecutionStatus(Condition):
    """The execution ended in one of the states `in`, and in none of `notIn`."""

    in_: tuple[State, ...] = Field(default=(), alias="in")
    not_in: tuple[State, ...] = ()

    def holds(self, variables: Mapping[str, Any], render: Render) -> bool:
        """Whether it is met."""
        state = _seen(variables, "state")
        return (not self.in_ or state in self.in_) and state not in self.not_in


class ExecutionLabels(Condition):
    """The execution has all of these labels."""

    labels: Labels

    def holds(self, variables: Mapping[str, Any], render: Render) -> bool:
        """Whether it is met."""
        has = _seen(variables, "labels") or {}
        return all(has.get(key) == value for key, value in self.labels.items())


class ExecutionOutputs(Condition):
    """Its expression over `trigger.outputs` renders to something true."""

    expression: Any

    def holds(self, variables: Mapping[str, Any], render: Render) -> bool:
        """Whether it is met."""
        return is_true(render(self.expression, variables))


class HasRetryAttempt(Condition):
    """Some task of the execution was tried again, and ended so."""

    in_: tuple[State, ...] = Field(default=(), alias="in")
    not_in: tuple[State, ...] = ()

    @model_validator(mode="after")
    def _some(self) -> HasRetryAttempt:
        if not self.in_ and not self.not_in:
            raise ValueError("one of `in` and `notIn` is needed")
        return self

    def holds(self, variables: Mapping[str, Any], render: Render) -> bool:
        """Whether it is met."""
        state = _seen(variables, "state")
        fits = (not self.in_ or state in self.in_) and state not in self.not_in
        return bool(_seen(variables, "hasRetryAttempt")) and fits
