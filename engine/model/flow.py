"""A flow: what one flow file says, validated and frozen (dialect, sections 1.1 and 1.2).

Rules that look across the whole file (unique ids, a flow that calls itself) are in `engine.spec.rules`,
because they have to be reported together with everything else. This module must not know files, YAML or plugins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AliasChoices, BeforeValidator, Field, PlainValidator, model_validator

from engine.model.base import Document, Text
from engine.model.condition import AnyCondition
from engine.model.duration import Duration
from engine.model.input_types import AnyInput, check_type
from engine.model.labels import Labels
from engine.model.retry import Retry
from engine.model.task import Flowable, Task
from engine.model.trigger import AnyTrigger
from engine.model.types import resolver


def _none_is_empty(value: Any) -> Any:
    return () if value is None else value


AnyTask = Annotated[Task, PlainValidator(resolver("tasks", Task))]
Tasks = Annotated[tuple[AnyTask, ...], BeforeValidator(_none_is_empty)]
"""Children of a flow or a flowable, each of the class that its `type` names."""


class FlowOutput(Document):
    """A value that is rendered when the execution ends."""

    id: Text = Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$")
    type: Annotated[str, BeforeValidator(check_type)]
    value: Any
    description: str | None = None
    display_name: str | None = None
    required: bool = True


class Concurrency(Document):
    """How many executions of the flow may run at once, and what happens to one more (section 4.9)."""

    limit: int = Field(gt=0)
    behavior: Literal["QUEUE", "CANCEL", "FAIL"] = "QUEUE"


class Sla(Document):
    """A promise about an execution (section 1.6)."""

    id: Text
    type: Literal["MAX_DURATION", "EXECUTION_ASSERTION"]
    duration: Duration | None = None
    assertion: Any = Field(default=None, alias="assert")
    behavior: Literal["FAIL", "CANCEL", "NONE"]
    labels: Labels = {}

    @model_validator(mode="after")
    def _complete(self) -> Sla:
        if self.type == "MAX_DURATION" and self.duration is None:
            raise ValueError("a MAX_DURATION needs `duration`")
        if self.type == "EXECUTION_ASSERTION" and self.assertion is None:
            raise ValueError("an EXECUTION_ASSERTION needs `assert`")
        return self


CheckStyle = Literal["ERROR", "SUCCESS", "WARNING", "INFO"]
CheckBehavior = Literal["BLOCK_EXECUTION", "FAIL_EXECUTION", "CREATE_EXECUTION"]


class Check(Document):
    """A question asked before an execution is created (section 1.7)."""

    when: Any = Field(validation_alias=AliasChoices("when", "condition"))
    message: Text
    style: CheckStyle = "INFO"
    behavior: CheckBehavior = "BLOCK_EXECUTION"


class Quota(Document):
    """How many executions may be created within a time."""

    duration: Duration
    limit: int = Field(gt=0)
    behavior: Literal["FAIL", "CANCEL"] = "FAIL"


class PluginDefault(Document):
    """Properties for every plugin whose type is, or starts with, `type` (section 6.6).

    Args:
        type: in full or its beginning: `core.log.Log`, `scripts.python`, `io.kestra.plugin.scripts`.
        values: the properties; what a plugin says itself wins, deep inside maps too.
        forced: these win over what the plugin says itself.
    """

    type: str
    values: dict[str, Any]
    forced: bool = False


class Listener(Document):
    """Deprecated: tasks that run after the execution has ended."""

    description: str | None = None
    conditions: tuple[AnyCondition, ...] = ()
    tasks: Tasks


class Located(NamedTuple):
    """A task and where it hangs in the tree; `parent` is none for a task of the flow itself."""

    task: Task
    parent: Flowable | None
    branch: str


class Flow(Document):
    """What one flow file says.

    Validate with `context={"types": registry}` (see `engine.model.types`).

    Args:
        id: names the flow in its namespace.
        namespace: where it belongs; dots make a hierarchy.
        revision: read and not used: Git counts the revisions.
        description: for people, Markdown.
        labels: copied to every execution.
        inputs: what an execution may be given.
        variables: seen as `vars.*`; templates in them are rendered by `render(vars.x)` only.
        tasks: what is done, one after the other.
        errors: done when one of the tasks has failed.
        finally_: done in any case, before the execution ends.
        after_execution: done once the execution has ended; cannot change how.
        listeners: outdated; use `afterExecution`.
        triggers: what starts it by itself.
        plugin_defaults: properties for every task, trigger or condition whose `type` begins so.
        outputs: rendered when it ends; what a calling flow gets.
        concurrency: how many executions may run at once, and what happens to one more.
        retry: of every task that has none of its own, or of the whole execution.
        sla: promises, and what happens when one is broken.
        checks: asked before an execution is created.
        quotas: how many executions may be created within a time.
        disabled: nothing starts it.
        draft: nothing but a person starts it.
    """

    id: Text = Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]*$", min_length=1, max_length=100)
    namespace: Text = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", min_length=1, max_length=150)
    revision: int | None = Field(default=None, ge=1)
    description: str | None = None
    labels: Labels = {}
    inputs: Annotated[tuple[AnyInput, ...], BeforeValidator(_none_is_empty)] = ()
    variables: Annotated[dict[str, Any], BeforeValidator(lambda value: {} if value is None else value)] = {}
    tasks: Tasks = Field(min_length=1)
    errors: Tasks = ()
    finally_: Tasks = Field(default=(), alias="finally")
    after_execution: Tasks = ()
    listeners: tuple[Listener, ...] = ()
    triggers: Annotated[tuple[AnyTrigger, ...], BeforeValidator(_none_is_empty)] = ()
    plugin_defaults: tuple[PluginDefault, ...] = Field(
        default=(), validation_alias=AliasChoices("pluginDefaults", "taskDefaults")
    )
    outputs: Annotated[tuple[FlowOutput, ...], BeforeValidator(_none_is_empty)] = ()
    concurrency: Concurrency | None = None
    retry: Retry | None = None
    sla: tuple[Sla, ...] = ()
    checks: tuple[Check, ...] = ()
    quotas: tuple[Quota, ...] = ()
    disabled: bool = False
    draft: bool = False
    worker_group: Any = None
    worker_selector: Any = None
    policy_refs: tuple[Any, ...] = ()
    deleted: bool = False

    def branches(self) -> Mapping[str, Sequence[Task]]:
        """The flow's own lists of tasks by name: `tasks`, `errors`, `finally`, `afterExecution`, `listeners`.

        The tasks of all listeners come as one list, in the order of the file.
        """
        return {
            "tasks": self.tasks,
            "errors": self.errors,
            "finally": self.finally_,
            "afterExecution": self.after_execution,
            "listeners": tuple(task for listener in self.listeners for task in listener.tasks),
        }

    def all_tasks(self) -> Iterator[Located]:
        """Every task of the tree, parents before their children, in the order of the file."""
        for branch, tasks in self.branches().items():
            for task in tasks:
                yield from _walk(task, None, branch)

    @cached_property
    def by_id(self) -> Mapping[str, Located]:
        """Every task of the tree by its id."""
        return {located.task.id: located for located in self.all_tasks()}


def _walk(task: Task, parent: Flowable | None, branch: str) -> Iterator[Located]:
    yield Located(task, parent, branch)
    if isinstance(task, Flowable):
        for name, children in task.branches().items():
            for child in children:
                yield from _walk(child, task, name)
