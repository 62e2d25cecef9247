"""Whether a failed attempt is tried again, and when (dialect, section 1.5). Pure; the delays are the policies' own."""

from __future__ import annotations

from datetime import datetime

from engine.machine.graph import Graph
from engine.model.execution import Execution, TaskRun
from engine.model.retry import Retry


def policy(graph: Graph, task_id: str) -> Retry | None:
    """The task's own policy, else that of the nearest flowable around it that has one, else the flow's."""
    own = graph.nodes[task_id].task.retry
    if own is not None:
        return own
    for node in reversed(graph.ancestors(task_id)):
        if node.task.retry is not None:
            return node.task.retry
    return graph.flow.retry


def next_try(
    retry: Retry, run: TaskRun, execution: Execution, ended: datetime, chance: float
) -> datetime | None:
    """When to try again after the attempt that `ended`, or none when the budget is spent.

    `maxAttempts` counts all attempts, the first too; `maxDuration` runs from the first attempt's start, over all
    executions that a CREATE_NEW_EXECUTION retry made.
    """
    again = retry.behavior == "CREATE_NEW_EXECUTION"
    tried = execution.number if again else len(run.attempts)
    if retry.max_attempts is not None and tried >= retry.max_attempts:
        return None
    due = ended + retry.delay(tried, chance)
    if retry.max_duration is not None:
        first = execution.first_started if again else run.attempts[0].history[0].at
        if due > first + retry.max_duration:
            return None
    return due
