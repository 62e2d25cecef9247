"""The webhook trigger: one execution for each call of its URL (dialect, section 3.3). Knows no HTTP server."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import model_validator

from engine.model.trigger import Called
from engine.model.types import problem_at
from engine.triggers.conditions import MultipleCondition


class Webhook(Called):
    """Fires when somebody who knows `key` calls its URL."""

    fetch_type: Literal["FETCH", "STORE", "NONE"] = "FETCH"
    response_headers: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _single(self) -> Webhook:
        for place, condition in enumerate(self.conditions):
            if isinstance(condition, MultipleCondition):
                message = "a webhook cannot wait for several flows; use a Flow trigger"
                raise problem_at(("conditions", place), "multiple", message, condition.id)
        return self
