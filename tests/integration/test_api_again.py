"""Restart, replay, other statuses, the queue and backfills over HTTP, at Kestra's paths."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.api import api

FLAKY = """
id: flaky
namespace: demo
inputs:
  - {id: word, type: STRING, defaults: one}
  - {id: data, type: FILE, required: false}
tasks:
  - {id: first, type: core.debug.Return, format: "{{ inputs.word }}"}
  - {id: work, type: core.execution.Fail, runIf: "{{ taskrun.attemptsCount == 0 }}"}
  - {id: last, type: core.debug.Return, format: x}
"""
LIMITED = """
id: limited
namespace: demo
concurrency: {limit: 1}
tasks: [{id: wait, type: core.flow.Pause}]
"""
TICK = """
id: tick
namespace: demo
triggers: [{id: every, type: core.trigger.Schedule, cron: "0 0 1 1 *", timezone: UTC}]
tasks: [{id: wait, type: core.flow.Pause}]
"""


@pytest.mark.parametrize("between", ["", "/actions"])
async def test_restart_replay_and_another_status(tmp_path: Path, between: str) -> None:
    async with api(tmp_path, FLAKY) as edge:
        failed = await edge.ended(await edge.document("POST", "executions/demo/flaky"))
        assert failed["state"]["current"] == "FAILED"
        path = f"executions/{failed['id']}{between}"
        replayed = await edge.document("POST", f"{path}/replay", params={"latestRevision": "true"})
        assert replayed["parentId"] == failed["id"]
        work = next(run for run in failed["taskRunList"] if run["taskId"] == "work")
        part = await edge.document("POST", f"{path}/replay", params={"taskRunId": work["id"]})
        part = await edge.ended(part)
        assert [run["state"]["current"] for run in part["taskRunList"]] == ["SUCCESS", "FAILED"]
        answer = await edge.ask(
            "POST", f"{path}/replay-with-inputs", files={"word": (None, "two"), "data": ("a.txt", b"x")}
        )
        other = await edge.ended(answer.json())
        assert other["taskRunList"][0]["outputs"] == {"value": "two"}
        assert other["inputs"]["data"].endswith("a.txt")
        restarted = await edge.ended(await edge.document("POST", f"{path}/restart"))
        assert (restarted["id"], restarted["state"]["current"]) == (failed["id"], "SUCCESS")
        assert (await edge.ask("POST", f"{path}/restart")).status_code == 409
        body = {"taskRunId": work["id"], "state": "WARNING"}
        changed = await edge.ended(await edge.document("POST", f"{path}/state", json=body))
        assert changed["state"]["current"] == "WARNING"
        declared = await edge.document("POST", f"{path}/change-status", params={"status": "FAILED"})
        assert declared["state"]["current"] == "FAILED"


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        ("executions/nobody/restart", {}, 404),
        ("executions/nobody/replay", {}, 404),
        ("executions/{id}/replay", {"params": {"revision": "x"}}, 422),
        ("executions/{id}/replay", {"params": {"taskRunId": "nobody"}}, 404),
        ("executions/{id}/change-status", {"params": {"status": "GREAT"}}, 422),
        ("executions/{id}/state", {"content": b"{"}, 422),
        ("executions/{id}/force-run", {}, 409),
        ("executions/{id}/unqueue", {}, 409),
        ("triggers/backfill/create", {"json": {}}, 422),
        ("triggers/backfill/pause", {"json": {"namespace": "n", "flowId": "f", "triggerId": "t"}}, 404),
    ],
)
async def test_what_makes_no_sense_is_told_and_changes_nothing(
    tmp_path: Path, path: str, options: dict[str, object], status: int
) -> None:
    async with api(tmp_path, FLAKY) as edge:
        failed = await edge.ended(await edge.document("POST", "executions/demo/flaky"))
        answer = await edge.ask("POST", path.format(id=failed["id"]), **options)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"].startswith("application/problem+json")
        assert await edge.document("GET", f"executions/{failed['id']}") == failed


async def test_the_queue(tmp_path: Path) -> None:
    async with api(tmp_path, LIMITED) as edge:
        made = [await edge.document("POST", "executions/demo/limited") for _ in range(3)]
        assert [each["state"]["current"] for each in made[1:]] == ["QUEUED", "QUEUED"]
        sent = await edge.document(
            "POST", f"executions/{made[1]['id']}/unqueue", params={"state": "CANCELLED"}
        )
        assert sent["state"]["current"] == "CANCELLED"
        await edge.document("POST", f"executions/{made[2]['id']}/force-run")
        waiting = await edge.engine.service.wait(made[2]["id"], paused=True)
        assert waiting.state == "PAUSED"


async def test_a_backfill(tmp_path: Path) -> None:
    async with api(tmp_path, TICK) as edge:
        name = {"namespace": "demo", "flowId": "tick", "triggerId": "every"}
        start = (datetime.now(UTC) - timedelta(days=800)).isoformat()
        past = {"start": start, "labels": [{"key": "why", "value": "gap"}]}
        begun = await edge.document("POST", "triggers/backfill/create", json={**name, "backfill": past})
        assert begun["backfill"]["paused"] is False
        assert begun["nextExecutionDate"] > datetime.now(UTC).isoformat()
        assert (await edge.document("PUT", "triggers/backfill/pause", json=name))["backfill"]["paused"]
        flow = await edge.document("GET", "flows/demo/tick")
        assert flow["triggers"][0]["backfill"]["labels"] == past["labels"]
        assert not (await edge.document("PUT", "triggers/backfill/unpause", json=name))["backfill"]["paused"]
        assert "backfill" not in await edge.document("POST", "triggers/backfill/delete", json=name)
        naive = {**name, "backfill": {"start": "2020-01-01T00:00:00"}}
        assert (await edge.ask("PUT", "triggers", json=naive)).status_code == 422
