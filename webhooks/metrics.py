"""What Prometheus is told: executions, task runs and reconciles as counters, how things stand as gauges.

Fed by what the engine commits and by the status of each source, so that nothing of it costs a query. Labels are
bounded: beyond `FLOWS` flows the rest counts as `other`. It must not know HTTP.
"""

from __future__ import annotations

import asyncio
from collections import Counter as Tally
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from engine.model.execution import Execution
from engine.model.records import Query
from engine.model.state import TERMINAL, State
from engine.runtime.live import finished
from engine.service import Service
from reconciler.report import ReconcileStatus

FLOWS = 500
"""Flows with labels of their own."""

OTHER = "other"
_REMEMBERED = 10_000  # executions that have finished, so that none is counted twice
_EXECUTION_BUCKETS = (0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200, 43200)
_RECONCILE_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60)
_MOST = 100_000

Statuses = Callable[[], Mapping[str, ReconcileStatus | None]]


class Metrics:
    """The metrics of a daemon.

    Args:
        registry: where they are registered.
        statuses: how every source stands; none before its first round.
    """

    def __init__(self, registry: CollectorRegistry, statuses: Statuses) -> None:
        self._flows: set[tuple[str, str]] = set()
        self._live: dict[str, State] = {}
        self._finished: OrderedDict[str, None] = OrderedDict()
        self._rounds: dict[str, ReconcileStatus] = {}
        flow = ("namespace", "flow")
        self._executions = Counter(
            "headwater_executions", "Executions that have ended.", (*flow, "state"), registry=registry
        )
        self._seconds = Histogram(
            "headwater_execution_seconds",
            "From the creation of executions to their end.",
            flow,
            buckets=_EXECUTION_BUCKETS,
            registry=registry,
        )
        self._task_runs = Counter(
            "headwater_task_runs", "Task runs of executions that have ended.", ("state",), registry=registry
        )
        self._attempts = Counter(
            "headwater_task_attempts", "Attempts of these task runs.", ("state",), registry=registry
        )
        self._reconciles = Histogram(
            "headwater_reconcile_seconds",
            "Rounds of a source that found something new.",
            ("source",),
            buckets=_RECONCILE_BUCKETS,
            registry=registry,
        )
        registry.register(_Standing(self._live, statuses))

    @asynccontextmanager
    async def following(self, service: Service) -> AsyncIterator[None]:
        """Count what the engine does while the block runs."""
        async with service.listening(self.changed):
            alive = Query(states=tuple(set(State) - TERMINAL), limit=_MOST)
            for summary in await asyncio.to_thread(service.store.executions, alive):
                if summary.id not in self._finished:
                    self._live.setdefault(summary.id, summary.state)
            yield

    def changed(self, executions: Sequence[Execution]) -> None:
        """These executions have a new snapshot."""
        for execution in executions:
            if not finished(execution):
                self._live[execution.id] = execution.state
            elif execution.id not in self._finished:
                self._count(execution)

    def reconciled(self, status: ReconcileStatus) -> None:
        """A source has a new status."""
        if not status.same_as(self._rounds.get(status.source)):
            self._reconciles.labels(status.source).observe(status.seconds)
        self._rounds[status.source] = status

    def _count(self, execution: Execution) -> None:
        self._live.pop(execution.id, None)
        self._finished[execution.id] = None
        if len(self._finished) > _REMEMBERED:
            self._finished.popitem(last=False)
        flow = self._labels(execution.flow.namespace, execution.flow.id)
        self._executions.labels(*flow, str(execution.state)).inc()
        if execution.ended is not None:
            self._seconds.labels(*flow).observe((execution.ended - execution.created).total_seconds())
        runs = execution.runs.values()
        for state, count in Tally(run.state for run in runs).items():
            self._task_runs.labels(str(state)).inc(count)
        for state, count in Tally(each.state for run in runs for each in run.attempts).items():
            self._attempts.labels(str(state)).inc(count)

    def _labels(self, namespace: str, flow_id: str) -> tuple[str, str]:
        flow = (namespace, flow_id)
        if flow not in self._flows:
            if len(self._flows) >= FLOWS:
                return OTHER, OTHER
            self._flows.add(flow)
        return flow


class _Standing(Collector):
    """How things stand when somebody asks."""

    def __init__(self, live: Mapping[str, State], statuses: Statuses) -> None:
        self._live = live
        self._statuses = statuses

    def describe(self) -> Iterable[Metric]:
        """Nothing: so that registering asks nobody."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The gauges."""
        running = GaugeMetricFamily(
            "headwater_executions_live", "Executions that have not ended.", labels=["state"]
        )
        for state, count in sorted(Tally(list(self._live.values())).items()):
            running.add_metric([str(state)], count)
        ready = GaugeMetricFamily(
            "headwater_source_ready", "Whether what is live is what the branch wants.", labels=["source"]
        )
        flows = GaugeMetricFamily("headwater_source_flows", "Live flows of a source.", labels=["source"])
        stalled = GaugeMetricFamily(
            "headwater_source_stalled_files", "Flow files that are refused.", labels=["source"]
        )
        for name, status in self._statuses().items():
            ready.add_metric([name], float(status is not None and status.ready))
            if status is not None:
                flows.add_metric([name], status.counts.live)
                stalled.add_metric([name], status.counts.stalled)
        return (running, ready, flows, stalled)
