"""What a task is: the properties every task has, and the kinds that the engine knows how to carry out.

A task type is a frozen pydantic model: its fields are its properties as the flow file gives them (camelCase
there), templates still unrendered. Which kind it is, is its base class:

* `Flowable`: has children; evaluated by the machine alone, by picking a `Shape`.
* `Instant`: runs inside the engine's thread; no I/O, microseconds (Log, Return, Fail).
* `Inline`: a coroutine inside the daemon, for light I/O (HTTP requests, key-value calls).
* `Work`: builds a `RunRequest` that a runner carries out (scripts, containers).
* `Executable`: creates a child execution (Subflow); `Many`: one for each of several batches.
* `Templated`: an Instant, Inline or Work that is known only once its text is rendered.

Sources: dialect, sections 1.4, 1.5 and 2. This module must not know the machine, the store or any runner.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

import msgspec
from pydantic import AliasChoices, Field

from engine.model.base import Document, Text
from engine.model.duration import DurationText
from engine.model.retry import Retry
from engine.model.run import RunRequest, RunResult
from engine.model.shape import Shape
from engine.model.state import State

if TYPE_CHECKING:
    from engine.model.control import Control

Level = Literal["TRACE", "DEBUG", "INFO", "WARN", "ERROR"]


class Metric(msgspec.Struct, frozen=True):
    """A number that a task publishes; a timer's value is in seconds."""

    name: str
    kind: Literal["counter", "timer", "gauge"]
    value: float
    tags: dict[str, str] = {}


class TaskResult(msgspec.Struct, frozen=True, gc=False):
    """How one attempt of a task ended: a value, also when it failed.

    Args:
        state: SUCCESS, WARNING, FAILED, KILLED or SKIPPED.
        outputs: JSON values under their names; kept also when the attempt failed.
        error: one line for people, when it failed.
        labels: labels to add to the execution.
        variables: flow variables to set in the execution (a null removes one).
        end: ends the whole execution in this state (`core.execution.Exit`).
    """

    state: State = State.SUCCESS
    outputs: dict[str, Any] = {}
    error: str = ""
    labels: dict[str, str] = {}
    variables: dict[str, Any] = {}
    metrics: tuple[Metric, ...] = ()
    end: State | None = None


class Iteration(NamedTuple):
    """One iteration of a loop that has begun: the worst state in it, and what its last task sees."""

    state: State
    inside: Context


class Context(Protocol):
    """What a task sees of the world while it runs. All text that leaves through it is masked."""

    @property
    def namespace(self) -> str:
        """The namespace of the flow."""
        ...

    @property
    def flow_id(self) -> str:
        """The id of the flow."""
        ...

    @property
    def execution_id(self) -> str:
        """The id of the execution."""
        ...

    @property
    def task_run_id(self) -> str:
        """The id of the task run."""
        ...

    @property
    def attempt(self) -> int:
        """Which attempt this is, counted from 1."""
        ...

    @property
    def key(self) -> str:
        """Names this attempt for ever: two starts under one key are one."""
        ...

    @property
    def now(self) -> datetime:
        """When the attempt began, UTC."""
        ...

    def render(self, template: str) -> str:
        """Render to text. Raises ExpressionError."""
        ...

    def value(self, template: Any) -> Any:
        """Render typed: a string that is one expression gives its value; lists and maps are rendered deeply.

        Raises ExpressionError.
        """
        ...

    def truthy(self, template: Any) -> bool:
        """Render and apply the dialect's truth (section 1.4): false, 0, -0, blank and null are false."""
        ...

    def seeing(self, **taskrun: Any) -> Context:
        """The same, but expressions see these attributes of `taskrun` besides."""
        ...

    def iterations(self) -> Iterator[Iteration]:
        """The iterations of this loop that have begun, in order."""
        ...

    def children_of(self, task_id: str) -> Sequence[str]:
        """The ids of the child executions that a task beside this one has started, in order."""
        ...

    @property
    def directory(self) -> str | None:
        """Names the working directory that it shares with others, or lets its children share; none: it does not."""
        ...

    def log(self, level: Level, message: str) -> None:
        """Write a line to the execution's log."""
        ...

    def read_file(self, uri: str) -> bytes:
        """The content of a file of internal storage or of the namespace. Raises NotFound."""
        ...

    def local_path(self, uri: str) -> str:
        """A local path from which a file of internal storage or of the namespace can be read. Raises NotFound."""
        ...

    def store_file(self, name: str, source: str | bytes) -> str:
        """Keep a file (a local path, or bytes) in internal storage and return its URI."""
        ...

    def keep_file(self, name: str, source: str | bytes) -> None:
        """Keep a file for later executions of the flow, in place of the one of that name."""
        ...

    def kept_file(self, name: str) -> str | None:
        """A local path of the file that was kept under that name; none when there is none."""
        ...

    def namespace_files(self, namespace: str | None = None) -> Mapping[str, bytes]:
        """The files of a namespace (none: the flow's own) at the execution's commit, by relative path."""
        ...


class InlineContext(Context, Protocol):
    """What a coroutine of the daemon sees besides."""

    @property
    def control(self) -> Control:
        """The engine around it."""
        ...

    def value_with(self, template: Any, variables: Mapping[str, Any]) -> Any:
        """Render typed, with these variables before all others. Raises ExpressionError."""
        ...

    def may_reach(self, address: str) -> bool:
        """Whether the operator lets tasks of the daemon speak to that IP address."""
        ...


class Verdict(msgspec.Struct, frozen=True):
    """What a flowable says when it looks back on its main children.

    Args:
        outputs: added to its own.
        again: seconds until it begins them anew; none: it does not.
        error: why it fails although they did not; empty when it does not.
    """

    outputs: dict[str, Any] = {}
    again: float | None = None
    error: str = ""


class Task(Document):
    """The properties every task has (dialect, section 1.4).

    Args:
        id: names the task in its flow, and its outputs for the tasks behind it: `outputs.<id>`.
        type: what the task does.
        version: of the plugin; read and not used: what is installed is what runs.
        description: for people, Markdown.
        retry: when and how often a failed attempt is repeated.
        timeout: how long one attempt may take, such as `PT5M`.
        disabled: leave the task out.
        run_if: an expression; the task is skipped when it gives false, 0, an empty text or null.
        allow_failure: a failure is a warning, and the flow goes on.
        allow_warning: a warning is a success.
        log_level: log lines below it are dropped.
        log_to_file: read and not used: logs go where all logs go.
        worker_group, worker_selector: read and not used; a task's runner says where it runs.
        task_cache: read and not used.
        assets: read and not used.
    """

    kind: ClassVar[str] = "abstract"

    id: Text = Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_-]*$", max_length=256)
    type: str
    version: str | None = None
    description: str | None = None
    retry: Retry | None = None
    timeout: DurationText | None = None
    disabled: bool = False
    run_if: Any = Field(default="true", validation_alias=AliasChoices("runIf", "when"))
    allow_failure: bool = False
    allow_warning: bool = False
    log_level: Level | None = None
    log_to_file: bool = False
    worker_group: Any = None
    worker_selector: Any = None
    task_cache: Any = None
    assets: Any = None


class Flowable(Task):
    """A task with children. Subclasses say which children there are and pick a shape; nothing else."""

    kind: ClassVar[str] = "flowable"
    shares_directory: ClassVar[bool] = False  # its children work in one directory, which goes when it ends
    encloses: ClassVar[bool] = False  # in one iteration, children see each other's outputs without its value

    def branches(self) -> Mapping[str, Sequence[Task]]:
        """Every list of children by the name of its branch, `errors` and `finally` among them."""
        raise NotImplementedError

    def evaluates(self) -> Mapping[str, Any]:
        """The properties that have to be rendered, typed, before the shape can be picked."""
        return {}

    def asks(self) -> bool:
        """Whether anything has to be rendered, or done, before it begins."""
        return self.run_if != "true" or bool(self.evaluates())

    def shape(self, values: Mapping[str, Any]) -> Shape:
        """Pick the shape from the rendered `evaluates()`. Raises UserError when the values make no sense."""
        raise NotImplementedError

    def outputs(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs that follow from the rendered `evaluates()`."""
        return {}

    def looks_back(self, failed: bool) -> bool:
        """Whether it wants to look back on its main children, now that they have ended, or failed."""
        return False

    def reviews(self) -> Mapping[str, Any]:
        """The properties that have to be rendered, typed, before it does."""
        return {}

    def review(self, values: Mapping[str, Any], rounds: int, seconds: float) -> Verdict:
        """Look back, given the rendered `reviews()`. Raises UserError, which fails it.

        Args:
            rounds: how often its main children have run.
            seconds: since it was created.
        """
        raise NotImplementedError

    def tolerates(self) -> bool:
        """Whether failing children end as a WARNING (`core.flow.AllowFailure`)."""
        return False


class Carry(Protocol):
    """Lets a runner (none: the operator's default) carry out a request and gives how it ended, within the block.

    Raises HeadwaterError when it cannot.
    """

    def __call__(self, request: RunRequest, runner: str | None) -> AbstractAsyncContextManager[RunResult]:
        """The run, to its end; its files can be read until the block is left."""
        ...


class Settling(Flowable):
    """A flowable that has work of its own outside, before its children begin or before it looks back on them."""

    def asks(self) -> bool:
        """As every flowable, or when there is work before its children begin."""
        return super().asks() or self.outside(0)

    def outside(self, stage: int) -> bool:
        """Whether there is such work at a stage (0: before its children begin; else before it looks back)."""
        raise NotImplementedError

    async def settle(self, stage: int, context: Context, carry: Carry) -> Mapping[str, Any]:
        """Do it, in place of rendering: what it returns are the values. Repeatable. Raises HeadwaterError."""
        raise NotImplementedError

    def runners(self, context: Context) -> Sequence[str | None]:
        """The runners that may keep something for its children; none: the operator's default."""
        return (None,)


class Instant(Task):
    """Runs inside the engine's thread: no I/O, microseconds."""

    kind: ClassVar[str] = "instant"

    def run(self, context: Context) -> TaskResult:
        """Carry it out. Raises ExpressionError, which fails the attempt."""
        raise NotImplementedError


class Inline(Task):
    """A coroutine inside the daemon, for light I/O; at least once."""

    kind: ClassVar[str] = "inline"

    async def run(self, context: InlineContext) -> TaskResult:
        """Carry it out. Raises HeadwaterError, which fails the attempt."""
        raise NotImplementedError


class Work(Task):
    """Carried out by a runner."""

    kind: ClassVar[str] = "work"

    def runner(self, context: Context) -> tuple[str | None, Mapping[str, Any]]:
        """The runner's name (none: the operator's default) and its own rendered properties."""
        return None, {}

    def waits(self) -> bool:
        """Whether making the request may wait for a disk or a network, and so must not happen on the event loop."""
        return True

    def request(self, context: Context) -> RunRequest:
        """Say what to run. Raises HeadwaterError, which fails the attempt."""
        raise NotImplementedError

    def result(
        self, context: Context, result: RunResult, outputs: Mapping[str, Any], metrics: Sequence[Metric]
    ) -> TaskResult:
        """Turn what the runner reports into a result. `outputs` and `metrics` came by the `::{}::` protocol."""
        raise NotImplementedError


class Templated(Task):
    """Stands for a task that is known only when an attempt begins: text that, rendered, is the YAML of one.

    Its outputs, retries, timeout and log level are this task's own.
    """

    kind: ClassVar[str] = "work"

    spec: Text


class Call(msgspec.Struct, frozen=True):
    """The child execution that an `Executable` wants.

    Args:
        restarts: when the task is restarted, so is the child it had, instead of a new one.
    """

    namespace: str
    flow_id: str
    inputs: dict[str, Any] = {}
    labels: dict[str, str] = {}
    wait: bool = True
    transmit_failed: bool = True
    inherit_labels: bool = False
    revision: int | None = None
    restarts: bool = False


class Executable(Task):
    """Creates a child execution and, mostly, waits for it."""

    kind: ClassVar[str] = "executable"

    def call(self, context: Context) -> Call:
        """Say which child. Raises ExpressionError, which fails the attempt."""
        raise NotImplementedError


class Batches(msgspec.Struct, frozen=True):
    """How many child executions a `Many` wants, and what their ends mean to it."""

    count: int
    wait: bool = True
    transmit_failed: bool = True


class Many(Task):
    """Creates many child executions, a bounded number of them at a time, and mostly waits for them."""

    kind: ClassVar[str] = "executable"

    def batches(self, context: Context) -> Batches:
        """Say how many children. Raises HeadwaterError, which fails the attempt."""
        raise NotImplementedError

    def call(self, context: Context, number: int) -> Call:
        """Say which child is the one of that number, from 1. Raises HeadwaterError, which fails the attempt."""
        raise NotImplementedError
