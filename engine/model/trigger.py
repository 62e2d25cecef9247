"""What a trigger is: the properties every trigger has, and the five kinds that the engine knows how to serve.

* `Schedulable`: due at instants it can name beforehand; pure.
* `Called`: fires when somebody calls its URL.
* `Reactive`: fires on what other executions do.
* `Polling`: looks at something every `interval`.
* `Realtime`: follows a stream, one execution for each event.

Source: dialect, section 3. This module must not know the scheduler, the store or any HTTP server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal, Protocol

from pydantic import AliasChoices, BeforeValidator, Field, PlainValidator

from engine.model.base import Document, Text
from engine.model.condition import AnyCondition, Render, is_true
from engine.model.duration import Duration
from engine.model.labels import Labels
from engine.model.state import State
from engine.model.task import Level
from engine.model.types import resolver

Recovery = Literal["ALL", "LAST", "NONE"]


def _named(value: Any) -> Any:
    return {} if value is None else value


class Trigger(Document):
    """The properties every trigger has (dialect, section 3.1).

    Args:
        id: names the trigger in its flow.
        type: what it fires on.
        version: of the plugin; read and not used: what is installed is what runs.
        description: for people, Markdown.
        conditions: all of them have to hold before it fires.
        when: an expression that has to be true before it fires.
        disabled: the trigger never fires.
        inputs: of the executions it starts; values are rendered, `trigger.*` is what it saw.
        labels: of the executions it starts.
        log_level: log lines below it are dropped.
        stop_after: when an execution of it ends in one of these states, the trigger is switched off.
        allow_concurrent: it may fire while an execution of it runs.
    """

    kind: ClassVar[str] = "abstract"

    id: Text = Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_-]*$", max_length=256)
    type: str
    version: str | None = None
    description: str | None = None
    conditions: tuple[AnyCondition, ...] = ()
    when: Any = None
    disabled: bool = False
    inputs: Annotated[dict[str, Any], BeforeValidator(_named)] = {}
    labels: Labels = {}
    log_level: Level | None = Field(default=None, validation_alias=AliasChoices("logLevel", "minLogLevel"))
    log_to_file: bool = False
    stop_after: tuple[State, ...] = ()
    fail_on_trigger_error: bool = False
    allow_concurrent: bool = False
    worker_group: Any = None
    worker_selector: Any = None
    assets: Any = None

    def evaluate(self, variables: Mapping[str, Any], render: Render) -> bool:
        """Whether `conditions` and `when` are all met.

        Args:
            variables: what expressions may see, `trigger` above all.
            render: renders one template against variables, typed.

        Raises:
            UserError: a condition cannot be told for these variables.
        """
        if not all(condition.holds(variables, render) for condition in self.conditions):
            return False
        return self.when is None or is_true(render(self.when, variables))


class Schedulable(Trigger):
    """Due at instants that follow from its properties alone."""

    kind: ClassVar[str] = "schedule"

    recover_missed_schedules: Recovery | None = None
    late_maximum_delay: Duration | None = Field(
        default=None, validation_alias=AliasChoices("lateMaximumDelay", "lateMaxDelay")
    )
    backfill: Any = None

    def next_due(self, after: datetime) -> datetime | None:
        """The first due time strictly after an aware instant, in the trigger's zone; none when none is left."""
        raise NotImplementedError

    def previous_due(self, before: datetime) -> datetime | None:
        """The last due time strictly before an aware instant, in the trigger's zone."""
        raise NotImplementedError

    def variables(self, due: datetime) -> dict[str, Any]:
        """The `trigger.*` of the fire at `due`: `date`, `next`, `previous`, ISO 8601 with offset."""
        return {
            name: instant.isoformat(timespec="milliseconds") if instant.microsecond else instant.isoformat()
            for name, instant in (
                ("date", due),
                ("next", self.next_due(due)),
                ("previous", self.previous_due(due)),
            )
            if instant is not None
        }


class Called(Trigger):
    """Fires when its URL is called; `key` is the credential and may be a template."""

    kind: ClassVar[str] = "webhook"

    key: Text = Field(min_length=1, max_length=256)
    wait: bool = False
    return_outputs: bool = False
    response_content_type: str | None = None
    response_code: Any = None


class Reactive(Trigger):
    """Fires on what other executions do."""

    kind: ClassVar[str] = "flow"


class Polled(Protocol):
    """What a polling or realtime trigger sees of the world. All text that leaves through it is masked."""

    @property
    def last(self) -> datetime | None:
        """When it was last looked at, UTC."""
        ...

    def value(self, template: Any) -> Any:
        """Render typed, deeply. Raises ExpressionError."""
        ...

    def log(self, level: Level, message: str) -> None:
        """Write a line to the trigger's log."""
        ...


class Polling(Trigger):
    """Looks at something every `interval`; what it finds in one look becomes one execution."""

    kind: ClassVar[str] = "polling"

    interval: Duration = Field(default=timedelta(seconds=60), gt=timedelta(0))

    async def poll(self, context: Polled) -> Mapping[str, Any] | None:
        """The `trigger.*` variables of what was found, or none. Raises HeadwaterError."""
        raise NotImplementedError


class Realtime(Trigger):
    """Follows a stream; every event becomes one execution."""

    kind: ClassVar[str] = "realtime"

    def subscribe(self, context: Polled) -> AsyncIterator[Mapping[str, Any]]:
        """The `trigger.*` variables of every event as it comes."""
        raise NotImplementedError


AnyTrigger = Annotated[Trigger, PlainValidator(resolver("triggers", Trigger))]


def due_between(trigger: Schedulable, after: datetime, until: datetime) -> Iterable[datetime]:
    """Every due time in (after, until], in order."""
    due = trigger.next_due(after)
    while due is not None and due <= until:
        yield due
        due = trigger.next_due(due)
