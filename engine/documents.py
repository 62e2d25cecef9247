"""Executions, summaries and log lines as the plain JSON documents that everybody outside reads.

One shape for the command line, the REST API and the status branch, with the field names of Kestra's REST API so
that its clients read them (dialect, sections 4.1 and 7.3). Other secrets than an execution's own are masked by
whoever hands a document out. Pure; it must not know where a document goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.masking import Masker
from engine.model.execution import Attempt, Execution, FlowRef, Moment, TaskRun
from engine.model.records import LogEntry, Summary

Document = dict[str, Any]


def execution_document(execution: Execution) -> Document:
    """An execution with all its task runs in order of creation, its own secret inputs masked wherever they stand.

    Fields that are null or empty are left out, `taskRunList` excepted.
    """
    flow = execution.flow
    masker = Masker()
    for secret in execution.secrets:
        masker.add(secret)
    return _filled(
        id=execution.id,
        namespace=flow.namespace,
        flowId=flow.id,
        flowRevision=flow.revision,
        commit=flow.commit,
        state=_state(execution.history),
        inputs=masker.value(execution.inputs),
        outputs=masker.value(execution.outputs),
        variables=masker.value(execution.variables),
        labels=masker.value(_labels(execution.labels)),
        trigger=masker.value(_trigger(execution)),
        parentId=execution.parent_id,
        originalId=execution.original_id,
    ) | {"taskRunList": [_task_run(execution, run, masker) for run in execution.task_runs()]}


def summary_document(summary: Summary) -> Document:
    """An execution in a list: the same fields, as far as a summary knows them."""
    return _filled(
        id=summary.id,
        namespace=summary.namespace,
        flowId=summary.flow_id,
        flowRevision=summary.revision,
        commit=summary.commit,
        state=_filled(
            current=str(summary.state),
            startDate=date(summary.created),
            endDate=date(summary.ended) if summary.ended else None,
            duration=duration(summary.ended - summary.created) if summary.ended else None,
        ),
        labels=_labels(summary.labels),
        trigger=_filled(id=summary.trigger_id),
    )


def log_document(entry: LogEntry, flow: FlowRef | None = None) -> Document:
    """A line of a log; with `flow` it names the flow too."""
    return _filled(
        namespace=flow.namespace if flow else None,
        flowId=flow.id if flow else None,
        executionId=entry.execution_id,
        taskId=entry.task_id,
        taskRunId=entry.task_run_id,
        attemptNumber=entry.attempt or None,
        level=entry.level,
        timestamp=date(entry.at),
    ) | {"message": entry.message}


def date(at: datetime) -> str:
    """An aware instant in UTC, ISO 8601: `2026-03-01T12:00:00.000Z`, with microseconds where it has any."""
    precision = "microseconds" if at.microsecond % 1000 else "milliseconds"
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def duration(length: timedelta) -> str:
    """A duration in ISO 8601, hours its largest unit: `PT26H3M0.5S`, `PT0S`; less than nothing is nothing."""
    total = max(length, timedelta()) // timedelta(microseconds=1)
    minutes, micros = divmod(total, 60_000_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{micros // 1_000_000}.{micros % 1_000_000:06}".rstrip("0").rstrip(".")
    parts = [f"{hours}H" if hours else "", f"{minutes}M" if minutes else "", f"{seconds}S" if micros else ""]
    return f"PT{''.join(parts) or '0S'}"


def _filled(**fields: Any) -> Document:
    return {name: value for name, value in fields.items() if value is not None and value not in ("", [], {})}


def _state(history: Sequence[Moment]) -> Document:
    first, last = history[0], history[-1]
    ended = last.at if last.state.terminal else None
    return _filled(
        current=str(last.state),
        startDate=date(first.at),
        endDate=date(ended) if ended else None,
        duration=duration(ended - first.at) if ended else None,
        histories=[{"state": str(moment.state), "date": date(moment.at)} for moment in history],
    )


def _labels(labels: dict[str, str]) -> list[Document]:
    return [{"key": key, "value": value} for key, value in labels.items()]


def _trigger(execution: Execution) -> Document | None:
    cause = execution.cause
    return _filled(id=cause.id, type=cause.type, variables=cause.variables) if cause else None


def _task_run(execution: Execution, run: TaskRun, masker: Masker) -> Document:
    parent = execution.runs.get(run.parent)
    return _filled(
        id=run.id,
        executionId=execution.id,
        taskId=run.task_id,
        parentTaskRunId=parent.id if parent else None,
        value=masker.value(run.value),
        iteration=run.iteration,
        state=_state(run.history),
        attempts=[_attempt(attempt) for attempt in run.attempts],
        outputs=masker.value(run.outputs),
    )


def _attempt(attempt: Attempt) -> Document:
    return {"state": _state(attempt.history)}
