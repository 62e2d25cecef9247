"""Tasks that forget what is over: executions, logs, files, versions (dialect, sections 2.2, 2.4 and 6.7)."""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic import model_validator

from engine.errors import UserError
from engine.model.base import Document, Text
from engine.model.records import LogQuery, Query, Summary
from engine.model.state import State
from engine.model.task import Inline, InlineContext, Metric, TaskResult
from engine.tasks.log import level_named
from engine.tasks.values import instant, names, states, whole

_ENDED = tuple(state for state in State if state.terminal)
_LARGEST_BATCH = 1000
_ALL = 1 << 31


class PurgeExecutions(Inline):
    """Forgets executions that ended, were created before `endDate`, and fit: with their logs and files.

    One that has not ended stays, whatever its state and `states` say.
    """

    namespace: Text | None = None
    flow_id: Text | None = None
    start_date: Any = None
    end_date: Any
    states: list[Text] | Text | None = None
    purge_execution: Any = True
    purge_log: Any = True
    purge_metric: Any = True
    purge_storage: Any = True
    batch_size: Any = 100

    async def run(self, context: InlineContext) -> TaskResult:
        """Outputs `executionsCount`, `logsCount`, `storagesCount` and `metricsCount`."""
        until = instant(self.end_date, "endDate", context)
        if until is None:
            raise UserError("`endDate` is empty", hint="say up to when executions are forgotten")
        wanted = states(self.states, "states", context)
        query = Query(
            namespace=context.render(self.namespace) if self.namespace else None,
            flow_id=context.render(self.flow_id) if self.flow_id else None,
            below=self.flow_id is None,
            states=tuple(state for state in wanted or _ENDED if state.terminal),
            since=instant(self.start_date, "startDate", context),
            until=until,
            limit=min(whole(self.batch_size, "batchSize", context, least=1), _LARGEST_BATCH),
        )
        if query.flow_id is not None and query.namespace is None:
            raise UserError("a `flowId` needs its `namespace`", hint="add `namespace`")
        counts = {"executionsCount": 0, "logsCount": 0, "storagesCount": 0, "metricsCount": 0}
        if query.states:
            await self._purge(context, query, counts)
        return TaskResult(outputs=dict(counts))

    async def _purge(self, context: InlineContext, query: Query, counts: dict[str, int]) -> None:
        executions = context.truthy(self.purge_execution)
        logs, files = context.truthy(self.purge_log), context.truthy(self.purge_storage)
        while batch := await context.control.executions(query):
            gone = 0
            if files:
                for each in batch:
                    counts["storagesCount"] += await context.control.remove_files(
                        each.namespace, each.flow_id, each.id
                    )
            if executions:
                gone, lines = await context.control.forget([each.id for each in batch])
                counts["executionsCount"] += gone
                counts["logsCount"] += lines
            elif logs:
                counts["logsCount"] += await _forget_logs(context, batch)
            query = msgspec.structs.replace(query, offset=query.offset + len(batch) - gone)


async def _forget_logs(context: InlineContext, batch: list[Summary]) -> int:
    return sum(
        [
            await context.control.forget_logs(LogQuery(until=context.now, execution_id=each.id))
            for each in batch
        ]
    )


class PurgeLogs(Inline):
    """Forgets log lines written before `endDate` that fit."""

    namespace: Text | None = None
    flow_id: Text | None = None
    execution_id: Text | None = None
    log_levels: list[Text] | Text | None = None
    start_date: Any = None
    end_date: Any

    async def run(self, context: InlineContext) -> TaskResult:
        """Output `count`."""
        until = instant(self.end_date, "endDate", context)
        if until is None:
            raise UserError("`endDate` is empty", hint="say up to when lines are forgotten")
        query = LogQuery(
            until=until,
            since=instant(self.start_date, "startDate", context),
            namespace=context.render(self.namespace) if self.namespace else None,
            below=self.flow_id is None,
            flow_id=context.render(self.flow_id) if self.flow_id else None,
            execution_id=context.render(self.execution_id) if self.execution_id else None,
            levels=tuple(level_named(name) for name in names(self.log_levels, "logLevels", context)),
        )
        return TaskResult(outputs={"count": await context.control.forget_logs(query)})


class PurgeCurrentExecutionFiles(Inline):
    """Removes all files of this execution from internal storage."""

    async def run(self, context: InlineContext) -> TaskResult:
        """Output `count`: how many files there were."""
        count = await context.control.remove_files(context.namespace, context.flow_id, context.execution_id)
        return TaskResult(outputs={"count": count})


class PurgeStorage(Inline):
    """Removes the files of executions that have ended or are forgotten, and whose newest file is that old.

    Files of an execution that has not ended stay. Unless `dryRun` is false, it counts and removes nothing.
    """

    namespace: Text | None = None
    flow_id: Text | None = None
    start_date: Any = None
    end_date: Any
    dry_run: Any = True

    async def run(self, context: InlineContext) -> TaskResult:
        """Outputs `scannedCount` and `purgedCount` (executions), and `deletedFilesCount`."""
        until = instant(self.end_date, "endDate", context)
        if until is None:
            raise UserError("`endDate` is empty", hint="say up to when files are removed")
        since = instant(self.start_date, "startDate", context)
        namespace = context.render(self.namespace).strip() if self.namespace else None
        flow_id = context.render(self.flow_id).strip() if self.flow_id else None
        if flow_id and not namespace:
            raise UserError("a `flowId` needs its `namespace`", hint="add `namespace`")
        scanned = await context.control.stored(namespace, flow_id)
        alive = await _alive(context)
        doomed = [
            each
            for each in scanned
            if each.at < until and (since is None or each.at >= since) and each.execution_id not in alive
        ]
        files = 0
        if not context.truthy(self.dry_run):
            for each in doomed:
                files += await context.control.remove_files(each.namespace, each.flow_id, each.execution_id)
        else:
            context.log("INFO", f"dry run: the files of {len(doomed)} executions would be removed")
        counts = {"scanned": len(scanned), "purged": len(doomed), "deleted.files": files}
        return TaskResult(
            outputs={"scannedCount": len(scanned), "purgedCount": len(doomed), "deletedFilesCount": files},
            metrics=tuple(Metric(name, "counter", count) for name, count in counts.items()),
        )


async def _alive(context: InlineContext) -> set[str]:
    """The ids of all executions that have not ended."""
    states = tuple(state for state in State if not state.terminal)
    # At one glance: between two pages one could end, and another slip through.
    return {each.id for each in await context.control.executions(Query(states=states, limit=_ALL))}


class Versions(Document):
    """Which versions would go."""

    type: Text = "version"
    before: Any = None
    keep_amount: Any = None

    @model_validator(mode="after")
    def _one_choice(self) -> Versions:
        if self.before is not None and self.keep_amount is not None:
            raise ValueError("give `before` or `keepAmount`, not both")
        return self


class _PurgeVersions(Inline):
    namespaces: list[Text] | Text | None = None
    namespace_pattern: Text | None = None
    include_child_namespaces: Any = True
    behavior: Versions | Text = Versions()

    @model_validator(mode="after")
    def _one_choice(self) -> _PurgeVersions:
        if self.namespaces is not None and self.namespace_pattern is not None:
            raise ValueError("give `namespaces` or `namespacePattern`, not both")
        return self

    async def run(self, context: InlineContext) -> TaskResult:
        """Output `size`: always 0."""
        context.log(
            "INFO", "nothing was removed: Git keeps every version, and only its owner rewrites that history"
        )
        return TaskResult(outputs={"size": 0})


class PurgeFiles(_PurgeVersions):
    """Removes nothing, and says so: all versions of a namespace's files live in Git."""

    file_pattern: Text | None = None


class PurgeFlows(_PurgeVersions):
    """Removes nothing, and says so: all versions of a flow live in Git."""

    flow_pattern: Text | None = None
    namespace: Text | None = None
    flow_id: Text | None = None
