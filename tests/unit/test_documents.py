"""The documents that the outside reads: Kestra's field names, ISO 8601 in UTC, nothing empty."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import immutables
import msgspec
import pytest
from hypothesis import given
from pydantic import TypeAdapter

from engine.documents import date, duration, execution_document, log_document, summary_document
from engine.model.execution import Attempt, Cause, Execution, FlowRef
from engine.model.records import Summary
from engine.model.state import State
from tests.support.store_values import NOON, an_execution, line, moment, task_run, values_of


def test_an_execution_without_anything_is_small() -> None:
    assert execution_document(an_execution()) == {
        "id": "e1",
        "namespace": "prod.etl",
        "flowId": "load",
        "flowRevision": 3,
        "commit": "c0ffee",
        "state": {
            "current": "CREATED",
            "startDate": "2026-03-01T12:00:00.000Z",
            "histories": [{"state": "CREATED", "date": "2026-03-01T12:00:00.000Z"}],
        },
        "taskRunList": [],
    }


def test_an_ended_execution_tells_all() -> None:
    execution = an_execution(
        states=(State.CREATED, State.RUNNING, State.FAILED),
        trigger="hourly",
        inputs={"day": "today", "none": None},
        outputs={"rows": 0},
        variables={"v": 1},
        labels={"team": "etl", "empty": ""},
        parent_id="e0",
        original_id="e00",
    )
    document = execution_document(execution)
    assert document["state"]["endDate"] == "2026-03-01T12:00:02.000Z"
    assert document["state"]["duration"] == "PT2S"
    assert [entry["state"] for entry in document["state"]["histories"]] == ["CREATED", "RUNNING", "FAILED"]
    assert document["inputs"] == {"day": "today", "none": None}
    assert document["outputs"] == {"rows": 0}
    assert document["variables"] == {"v": 1}
    assert document["labels"] == [{"key": "team", "value": "etl"}, {"key": "empty", "value": ""}]
    assert document["trigger"] == {"id": "hourly", "type": "core.trigger.Schedule"}
    assert (document["parentId"], document["originalId"]) == ("e0", "e00")


def test_task_runs_come_in_order_of_creation_and_name_their_parent_by_id() -> None:
    runs = {
        "load:1": msgspec.structs.replace(
            task_run("load:1", 2, value="b", outputs={"n": 2}, attempts=(Attempt(1, (moment(),)),)),
            parent="each",
            path=(1,),
        ),
        "load:0": msgspec.structs.replace(task_run("load:0", 1, value="a"), parent="each", path=(0,)),
        "each": task_run("each", 0),
    }
    listed = execution_document(an_execution(runs=immutables.Map(runs)))["taskRunList"]
    assert [run["taskId"] for run in listed] == ["each", "load", "load"]
    assert "parentTaskRunId" not in listed[0]
    assert "iteration" not in listed[0]
    assert [run["parentTaskRunId"] for run in listed[1:]] == ["id-of-each", "id-of-each"]
    assert [(run["value"], run["iteration"]) for run in listed[1:]] == [("a", 0), ("b", 1)]
    assert listed[2]["attempts"][0]["state"]["current"] == "RUNNING"
    assert listed[2]["outputs"] == {"n": 2}
    assert {run["executionId"] for run in listed} == {"e1"}


def test_what_started_it_keeps_its_variables() -> None:
    cause = Cause("hook", "core.trigger.Webhook", {"body": {"a": 1}})
    document = execution_document(msgspec.structs.replace(an_execution(), cause=cause))
    assert document["trigger"] == {
        "id": "hook",
        "type": "core.trigger.Webhook",
        "variables": {"body": {"a": 1}},
    }


@given(values_of(Execution))
def test_every_execution_has_a_document_that_is_json(execution: Execution) -> None:
    document = execution_document(execution)
    assert json.loads(json.dumps(document)) == document
    assert len(document["taskRunList"]) == len(execution.runs)


def test_dates_are_utc() -> None:
    elsewhere = datetime(2026, 3, 1, 14, 30, tzinfo=timezone(timedelta(hours=2)))
    assert date(elsewhere) == "2026-03-01T12:30:00.000Z"
    assert date(NOON + timedelta(microseconds=1500)) == "2026-03-01T12:00:00.001500Z"
    assert date(NOON + timedelta(milliseconds=15)) == "2026-03-01T12:00:00.015Z"


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(), "PT0S"),
        (timedelta(seconds=1, milliseconds=234), "PT1.234S"),
        (timedelta(microseconds=5), "PT0.000005S"),
        (timedelta(seconds=10), "PT10S"),
        (timedelta(minutes=1), "PT1M"),
        (timedelta(hours=1, seconds=100), "PT1H1M40S"),
        (timedelta(days=2, microseconds=100_000), "PT48H0.1S"),
        (timedelta(seconds=-3), "PT0S"),
    ],
)
def test_durations(length: timedelta, text: str) -> None:
    assert duration(length) == text
    assert TypeAdapter(timedelta).validate_python(text) == max(length, timedelta())


def test_a_summary_and_its_execution_agree() -> None:
    execution = an_execution(states=(State.CREATED, State.SUCCESS), trigger="hourly", labels={"a": "b"})
    flow = execution.flow
    summary = Summary(
        execution.id, flow.namespace, flow.id, flow.revision, flow.commit, execution.state, execution.created,
        execution.ended, "hourly", execution.labels,
    )  # fmt: skip
    short, full = summary_document(summary), execution_document(execution)
    assert short["state"] == {key: value for key, value in full["state"].items() if key != "histories"}
    assert short["trigger"] == {"id": "hourly"}
    assert {key: full[key] for key in short if key not in ("state", "trigger")} == {
        key: value for key, value in short.items() if key not in ("state", "trigger")
    }
    running = msgspec.structs.replace(summary, state=State.RUNNING, ended=None, trigger_id=None, labels={})
    assert summary_document(running)["state"] == {
        "current": "RUNNING",
        "startDate": "2026-03-01T12:00:00.000Z",
    }
    assert summary_document(running).keys().isdisjoint({"trigger", "labels"})


def test_log_lines() -> None:
    entry = line(message="", task_id="load", task_run_id="id-of-load", attempt=2)
    assert log_document(entry) == {
        "executionId": "e1",
        "taskId": "load",
        "taskRunId": "id-of-load",
        "attemptNumber": 2,
        "level": "INFO",
        "message": "",
        "timestamp": "2026-03-01T12:00:00.000Z",
    }
    named = log_document(line(), FlowRef("prod.etl", "load"))
    assert (named["namespace"], named["flowId"]) == ("prod.etl", "load")
    assert named.keys().isdisjoint({"taskId", "taskRunId", "attemptNumber"})
