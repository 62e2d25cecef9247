"""What an execution finds around it: secrets, key-value pairs, files, globals; made where the daemon is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.clock import Clock, SystemClock
from engine.masking import Masker
from engine.model.execution import Execution, TaskRun
from engine.model.task import TaskResult
from engine.networks import DEFAULT, Network, networks
from engine.ports import FileStorage, NamespaceFiles, SecretProvider, Store

StandIn = Callable[[Execution, TaskRun], TaskResult | None]


def nothing(execution: Execution, run: TaskRun) -> None:
    """Nothing stands in for any task."""


@dataclass(frozen=True)
class Surroundings:
    """The daemon's own part of what expressions and tasks see.

    Args:
        globals: the operator's `[globals]`, seen as `globals.*`.
        envs: seen as `envs.*` (variables with the prefix `ENV_` or `KESTRA_`, lower-cased).
        secrets: providers, asked in order.
        environment, url: seen as `kestra.environment` and `kestra.url`.
        default_runner: for script tasks that name none.
        stand_in: for a task run of a TEST, what is taken as its result instead of running it; mostly none.
        refused_networks: that tasks of the daemon itself must not speak to.
    """

    store: Store
    files: FileStorage
    namespace_files: NamespaceFiles | None = None
    secrets: Sequence[SecretProvider] = ()
    globals: Mapping[str, Any] = field(default_factory=dict)
    envs: Mapping[str, str] = field(default_factory=dict)
    environment: str | None = None
    url: str | None = None
    default_runner: str = "process"
    refused_networks: Sequence[Network] = networks(DEFAULT)
    stand_in: StandIn = nothing
    masker: Masker = field(default_factory=Masker)
    clock: Clock = field(default_factory=SystemClock)

    def variables(self) -> dict[str, Any]:
        """The variables that do not depend on the execution."""
        known: dict[str, Any] = {"globals": self.globals, "envs": self.envs}
        kestra = {"environment": self.environment, "url": self.url}
        known["kestra"] = {name: value for name, value in kestra.items() if value is not None}
        return known
