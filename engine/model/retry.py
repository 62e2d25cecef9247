"""Retry policies (dialect, section 1.5): data and the pure delay of each. When to retry is `engine.machine.retry`."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, model_validator

from engine.model.base import Document
from engine.model.duration import Duration

Behavior = Literal["RETRY_FAILED_TASK", "CREATE_NEW_EXECUTION"]


class _Policy(Document):
    max_attempts: int | None = Field(
        default=None, ge=1, validation_alias=AliasChoices("maxAttempts", "maxAttempt")
    )
    max_duration: Duration | None = None
    warning_on_retry: bool = False
    behavior: Behavior = "RETRY_FAILED_TASK"


class Constant(_Policy):
    """The same pause every time."""

    type: Literal["constant"] = "constant"
    interval: Duration

    @model_validator(mode="after")
    def _ordered(self) -> Constant:
        if self.max_duration is not None and self.interval >= self.max_duration:
            raise ValueError("interval must be less than maxDuration")
        return self

    def delay(self, attempt: int, chance: float) -> timedelta:
        """The pause after the `attempt`-th attempt (from 1); `chance` is in [0, 1)."""
        return self.interval


class Exponential(_Policy):
    """A pause that grows by `delayFactor`, up to `maxInterval`."""

    type: Literal["exponential"] = "exponential"
    interval: Duration
    max_interval: Duration
    delay_factor: float | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Exponential:
        if self.interval >= self.max_interval:
            raise ValueError("interval must be less than maxInterval")
        return self

    def delay(self, attempt: int, chance: float) -> timedelta:
        """The pause after the `attempt`-th attempt (from 1); `chance` is in [0, 1)."""
        factor = self.delay_factor or 2.0
        try:
            grown = self.interval * factor ** (attempt - 1)
        except OverflowError:
            return self.max_interval
        return min(grown, self.max_interval)


class Random(_Policy):
    """A pause drawn evenly from [minInterval, maxInterval)."""

    type: Literal["random"] = "random"
    min_interval: Duration
    max_interval: Duration

    @model_validator(mode="after")
    def _ordered(self) -> Random:
        if self.min_interval >= self.max_interval:
            raise ValueError("minInterval must be less than maxInterval")
        return self

    def delay(self, attempt: int, chance: float) -> timedelta:
        """The pause after the `attempt`-th attempt (from 1); `chance` is in [0, 1)."""
        return self.min_interval + (self.max_interval - self.min_interval) * chance


Retry = Annotated[Constant | Exponential | Random, Field(discriminator="type")]
