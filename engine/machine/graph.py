"""A flow's tasks as the machine walks them: who owns whom, in which branch, at which place.

Built once for a version of a flow and then only read. Disabled tasks are left out: they have no task run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.model.execution import ROOT
from engine.model.flow import Flow
from engine.model.task import Flowable, Task


@dataclass(frozen=True, slots=True)
class Node:
    """A task at its place: the id of the flowable that owns it (`ROOT`: the flow), the branch, the index in it."""

    task: Task
    owner: str
    branch: str
    index: int


@dataclass(frozen=True, slots=True)
class Graph:
    """A flow and its nodes, by task id and by (owner, branch)."""

    flow: Flow
    nodes: Mapping[str, Node] = field(repr=False)
    branches: Mapping[tuple[str, str], tuple[Node, ...]] = field(repr=False)

    def branch(self, owner: str, name: str) -> tuple[Node, ...]:
        """The enabled tasks of a branch, in order; none when there is no such branch."""
        return self.branches.get((owner, name), ())

    def ancestors(self, task_id: str) -> tuple[Node, ...]:
        """The flowables around a task, outermost first."""
        chain: list[Node] = []
        node = self.nodes[task_id]
        while node.owner != ROOT:
            node = self.nodes[node.owner]
            chain.append(node)
        return tuple(reversed(chain))


def build(flow: Flow) -> Graph:
    """The graph of a flow."""
    nodes: dict[str, Node] = {}
    branches: dict[tuple[str, str], tuple[Node, ...]] = {}
    pending: list[tuple[str, str, tuple[Task, ...]]] = [
        (ROOT, "tasks", tuple(flow.tasks)),
        (ROOT, "errors", tuple(flow.errors)),
        (ROOT, "finally", tuple(flow.finally_)),
        (ROOT, "after", tuple(flow.after_execution)),
    ]
    while pending:
        owner, name, tasks = pending.pop()
        enabled = [task for task in tasks if not task.disabled]
        row = tuple(Node(task, owner, name, index) for index, task in enumerate(enabled))
        branches[owner, name] = row
        for node in row:
            nodes[node.task.id] = node
            if isinstance(node.task, Flowable):
                pending.extend(
                    (node.task.id, branch, tuple(children))
                    for branch, children in node.task.branches().items()
                )
    return Graph(flow, nodes, branches)
