"""What Prometheus is told while executions run, end and come back after a restart."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry

from engine.model.execution import FlowRef
from engine.model.records import Query
from engine.model.state import State
from reconciler.conditions import Condition
from reconciler.report import Counts, ReconcileStatus
from tests.support.engine import engine
from tests.support.store_values import an_execution
from webhooks.metrics import FLOWS, Metrics

FLOW = """
id: demo
namespace: metered
inputs: [{id: fail, type: BOOL, defaults: false}]
tasks:
  - {id: say, type: core.log.Log, message: hi}
  - {id: stop, type: core.execution.Fail, runIf: "{{ inputs.fail }}"}
afterExecution:
  - {id: later, type: core.log.Log, message: bye}
"""
GATE = "{id: gate, namespace: metered, tasks: [{id: wait, type: core.flow.Pause}]}"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
_FLOW = {"namespace": "metered", "flow": "demo"}


async def test_executions_and_task_runs_are_counted_once_by_state(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry, dict)
    async with engine(tmp_path) as running, metrics.following(running.service):
        await running.deploy(FLOW)
        await running.run("metered.demo")
        last = await running.run("metered.demo", fail=True)
        while running.service.store.execution(last.id).runs["later"].state is not State.SUCCESS:  # type: ignore[union-attr]
            await running.service.remember("test", {"beat": 1})
        await running.service.remember("test", {"beat": 2})

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert value("headwater_executions_total", **_FLOW, state="SUCCESS") == 1
    assert value("headwater_executions_total", **_FLOW, state="FAILED") == 1
    assert value("headwater_execution_seconds_count", **_FLOW) == 2
    assert value("headwater_task_runs_total", state="SUCCESS") == 4
    assert value("headwater_task_runs_total", state="FAILED") == 1
    assert value("headwater_executions_live", state="RUNNING") is None


async def test_what_an_earlier_daemon_left_is_live_again(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    async with engine(tmp_path, store=store) as running:
        await running.deploy(GATE)
        paused = await running.start("metered.gate")
        await running.service.wait(paused.id, paused=True)
    registry = CollectorRegistry()
    metrics = Metrics(registry, dict)
    async with engine(tmp_path, store=store) as running, metrics.following(running.service):
        assert registry.get_sample_value("headwater_executions_live", {"state": "PAUSED"}) == 1
        await running.service.kill(paused.id)
        await running.service.wait(paused.id)
        assert registry.get_sample_value("headwater_executions_live", {"state": "PAUSED"}) is None
        assert len(running.service.store.executions(Query())) == 1


def test_labels_are_bounded() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry, dict)
    for number in range(FLOWS + 7):
        execution = an_execution(str(number), states=(State.CREATED, State.SUCCESS))
        metrics.changed([msgspec.structs.replace(execution, flow=FlowRef("prod", f"flow{number}"))])
    other = {"namespace": "other", "flow": "other", "state": "SUCCESS"}
    assert registry.get_sample_value("headwater_executions_total", other) == 7


def test_sources_tell_whether_they_are_ready_and_how_long_rounds_take() -> None:
    registry = CollectorRegistry()
    ready = Condition("Ready", True, "Applied", "", "c1", NOW)
    status = ReconcileStatus("prod", "c1", (ready,), NOW, 0.2, counts=Counts(live=41, stalled=1))
    metrics = Metrics(registry, lambda: {"prod": status, "new": None})
    metrics.reconciled(status)
    metrics.reconciled(msgspec.structs.replace(status, seconds=9.0))  # says nothing new
    prod = {"source": "prod"}
    assert registry.get_sample_value("headwater_reconcile_seconds_count", prod) == 1
    assert registry.get_sample_value("headwater_reconcile_seconds_sum", prod) == 0.2
    assert registry.get_sample_value("headwater_source_ready", prod) == 1
    assert registry.get_sample_value("headwater_source_ready", {"source": "new"}) == 0
    assert registry.get_sample_value("headwater_source_flows", prod) == 41
    assert registry.get_sample_value("headwater_source_stalled_files", prod) == 1
