"""Flowables that walk their children: in a row, at once, by dependency, on a condition (dialect, section 2.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, model_validator

from engine.model import shape
from engine.model.base import Document, Text
from engine.model.condition import is_true
from engine.model.flow import AnyTask, Tasks
from engine.model.input_values import as_text
from engine.model.task import Flowable, Task
from engine.model.types import problem_at


class Block(Flowable):
    """What most flowables share: branches for errors and for the end."""

    errors: Tasks = ()
    finally_: Tasks = Field(default=(), alias="finally")

    def branches(self) -> Mapping[str, Sequence[Task]]:
        """The main children under `tasks`, besides `errors` and `finally`."""
        return {**self.main(), "errors": self.errors, "finally": self.finally_}

    def main(self) -> Mapping[str, Sequence[Task]]:
        """The main children by the name of their branch."""
        raise NotImplementedError


class Sequential(Block):
    """Children one by one."""

    tasks: Tasks = Field(min_length=1)

    def main(self) -> Mapping[str, Sequence[Task]]:
        """The children."""
        return {"tasks": self.tasks}

    def shape(self, values: Mapping[str, Any]) -> shape.Shape:
        """A sequence."""
        return shape.Sequence()


class AllowFailure(Sequential):
    """Children one by one; when they fail, it ends with a warning."""

    def tolerates(self) -> bool:
        """Yes."""
        return True


class Parallel(Sequential):
    """Children all at once, or `concurrent` at a time."""

    concurrent: int = Field(default=0, ge=0)

    def shape(self, values: Mapping[str, Any]) -> shape.Shape:
        """Parallel, with its limit."""
        return shape.Parallel(limit=self.concurrent)


class DagNode(Document):
    """A child of a Dag and what it waits for."""

    task: AnyTask
    depends_on: tuple[str, ...] = ()


class Dag(Block):
    """Children each as soon as those it depends on have ended."""

    tasks: tuple[DagNode, ...] = Field(min_length=1)
    concurrent: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _acyclic(self) -> Dag:
        needs = self._needs()
        for place, node in enumerate(self.tasks):
            for index, name in enumerate(node.depends_on):
                where = ("tasks", place, "dependsOn", index)
                if name not in needs:
                    raise problem_at(where, "dag", f"there is no task `{name}` in this Dag", name)
                if _reaches(name, node.task.id, needs):
                    message = f"`{node.task.id}` and `{name}` depend on each other; break the cycle"
                    raise problem_at(where, "dag", message, name)
        return self

    def _needs(self) -> dict[str, tuple[str, ...]]:
        return {node.task.id: node.depends_on for node in self.tasks}

    def main(self) -> Mapping[str, Sequence[Task]]:
        """The children, in the order of the file."""
        return {"tasks": tuple(node.task for node in self.tasks)}

    def shape(self, values: Mapping[str, Any]) -> shape.Shape:
        """A Dag, with its limit."""
        return shape.Dag(needs=self._needs(), limit=self.concurrent)


def _reaches(start: str, goal: str, needs: Mapping[str, tuple[str, ...]]) -> bool:
    waiting, seen = [start], {start}
    while waiting:
        name = waiting.pop()
        if name == goal:
            return True
        waiting.extend(other for other in needs.get(name, ()) if other not in seen)
        seen.update(needs.get(name, ()))
    return False


class If(Block):
    """Children of `then` when the condition is true, else those of `else`; judged once."""

    condition: Any
    then: Tasks = Field(min_length=1)
    else_: Tasks = Field(default=(), alias="else")

    def main(self) -> Mapping[str, Sequence[Task]]:
        """Both branches."""
        return {"then": self.then, "else": self.else_}

    def evaluates(self) -> Mapping[str, Any]:
        """The condition."""
        return {"condition": self.condition}

    def shape(self, values: Mapping[str, Any]) -> shape.Shape:
        """The branch that the condition picks."""
        if is_true(values["condition"]):
            return shape.Sequence("then")
        return shape.Sequence("else") if self.else_ else shape.Nothing()

    def outputs(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """`evaluationResult`: what the condition came to."""
        return {"evaluationResult": is_true(values["condition"])}


class Switch(Block):
    """The children of the case that its value names, else those of `defaults`."""

    value: Any
    cases: dict[Text, Tasks] = {}
    defaults: Tasks = ()

    @model_validator(mode="after")
    def _has_cases(self) -> Switch:
        if not self.cases and not self.defaults:
            raise ValueError("a Switch needs `cases` or `defaults`")
        return self

    def main(self) -> Mapping[str, Sequence[Task]]:
        """Each case under `cases.<value>`, and `defaults`."""
        return {**{f"cases.{name}": tasks for name, tasks in self.cases.items()}, "defaults": self.defaults}

    def evaluates(self) -> Mapping[str, Any]:
        """The value."""
        return {"value": self.value}

    def shape(self, values: Mapping[str, Any]) -> shape.Shape:
        """The case, the defaults, or nothing."""
        value = as_text(values["value"])
        if value in self.cases:
            return shape.Sequence(f"cases.{value}")
        return shape.Sequence("defaults") if self.defaults else shape.Nothing()

    def outputs(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """`value`, and `defaults`: whether no case had it."""
        value = as_text(values["value"])
        return {"value": value, "defaults": value not in self.cases}
