"""The task that runs another flow (dialect, sections 2.1 and 4.7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from engine.errors import UserError
from engine.model.base import Text
from engine.model.input_values import as_text
from engine.model.labels import Labels
from engine.model.task import Call, Context, Executable


class Subflow(Executable):
    """Runs another flow and, unless `wait` is false, ends as it does."""

    namespace: Text
    flow_id: Text
    revision: int | None = Field(default=None, ge=1)
    inputs: dict[str, Any] | None = None
    labels: Labels = {}
    inherit_labels: bool = False
    wait: bool = True
    transmit_failed: bool = True
    schedule_date: Any = None
    restart_behavior: Literal["RETRY_FAILED", "NEW_EXECUTION"] = "RETRY_FAILED"

    def call(self, context: Context) -> Call:
        """The child, all properties rendered. Raises UserError when they make no sense."""
        if self.schedule_date is not None:
            raise UserError("`scheduleDate` of a Subflow is not supported", hint="use a Pause before it")
        inputs = context.value(self.inputs) if self.inputs else {}
        if not isinstance(inputs, Mapping):
            raise UserError("`inputs` is no map")
        return Call(
            namespace=context.render(self.namespace),
            flow_id=context.render(self.flow_id),
            inputs={str(name): value for name, value in inputs.items()},
            labels={key: as_text(context.value(value)) for key, value in self.labels.items()},
            wait=self.wait,
            transmit_failed=self.transmit_failed,
            inherit_labels=self.inherit_labels,
            revision=self.revision,
            restarts=self.restart_behavior == "RETRY_FAILED",
        )
