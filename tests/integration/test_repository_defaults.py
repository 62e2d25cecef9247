"""`pluginDefaults` of `.headwater.yaml`: given once for a repository, judged anew when they change, kept with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.plugins import registry
from engine.spec.compile import compile_flow
from tests.support.command import Command
from tests.support.reconciling import Source, stands

LOG = "id: {id}\nnamespace: company.etl\ntasks:\n- {{id: t, type: core.log.Log{more}}}\n"
OTHER = "id: other\nnamespace: company.etl\ntasks:\n- {id: t, type: core.debug.Return, format: x}\n"


def defaults(values: str, more: str = "") -> str:
    return f"pluginDefaults:\n- type: io.kestra.plugin.core.log\n  values: {values}\n{more}"


def log_flow(flow_id: str, more: str = "") -> str:
    return LOG.format(id=flow_id, more=more)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    made = Source(tmp_path)
    yield made
    made.store.close()


def message(source: Source, flow_id: str, revision: int | None = None) -> str:
    """What the flow logs, as its version in the store says."""
    version = source.store.flow("company.etl", flow_id, revision)
    assert version is not None
    flow = compile_flow(version.content, version.path, registry(), version.defaults)
    return str(flow.tasks[0].model_dump()["message"])


async def test_a_change_of_them_judges_all_files_and_deploys_those_it_concerns(source: Source) -> None:
    files = {
        "flows/a.yaml": log_flow("a"),
        "flows/b.yaml": log_flow("b", ", message: own"),
        "flows/c.yaml": OTHER,
    }
    summary = await source.push({**files, ".headwater.yaml": defaults("{message: first}")})
    assert stands(summary)[0] is True
    assert (message(source, "a"), message(source, "b")) == ("first", "own")

    source.check.paths.clear()
    summary = await source.push({".headwater.yaml": defaults("{message: second}")})
    assert stands(summary)[0] is True
    assert sorted(source.check.paths) == sorted(files)
    assert source.engine.deploys[-1][1] == ["company.etl.a", "company.etl.b"]
    assert (message(source, "a"), message(source, "a", revision=1)) == ("second", "first")

    source.check.paths.clear()
    await source.push({"README.md": "nothing to do with flows"})
    assert source.check.paths == []


async def test_flows_that_they_break_keep_their_last_good_version(source: Source) -> None:
    await source.push({"flows/a.yaml": log_flow("a"), ".headwater.yaml": defaults("{message: first}")})
    summary = await source.push({".headwater.yaml": defaults("{message: x, mesage: y}")})
    assert stands(summary)[3] == "FlowInvalid"
    (file,) = summary.status.files
    assert "did you mean `message`? (a plugin default gives it)" in file.problems[0].message
    assert message(source, "a") == "first"
    summary = await source.push({".headwater.yaml": defaults("{message: third}")})
    assert stands(summary)[0] is True
    assert message(source, "a") == "third"


async def test_taking_them_away_refuses_those_that_leaned_on_them(source: Source) -> None:
    await source.push({"flows/a.yaml": log_flow("a"), ".headwater.yaml": defaults("{message: first}")})
    summary = await source.push({".headwater.yaml": None})
    assert stands(summary)[3] == "FlowInvalid"
    assert message(source, "a") == "first"


async def test_a_restart_finds_them_in_force(source: Source) -> None:
    await source.push({"flows/a.yaml": log_flow("a"), ".headwater.yaml": defaults("{message: first}")})
    source.restart()
    source.check.paths.clear()
    summary = await source.round()
    assert not summary.changed
    assert source.check.paths == []
    await source.push({"flows/a.yaml": log_flow("a", ", level: WARN")})
    assert message(source, "a") == "first"
    assert stands(await source.round())[0] is True


async def test_settings_that_are_wrong_leave_the_last_good_ones_in_force(source: Source) -> None:
    await source.push({"flows/a.yaml": log_flow("a"), ".headwater.yaml": defaults("{message: first}")})
    await source.push(
        {".headwater.yaml": "pluginDefaults: [{type: core.log}]\n", "flows/b.yaml": log_flow("b")}
    )
    assert (message(source, "a"), message(source, "b")) == ("first", "first")


def test_they_hold_without_a_daemon(tmp_path: Path) -> None:
    headwater = Command(tmp_path)
    headwater.write("repo/.headwater.yaml", defaults("{message: from the repository}"))
    headwater.write("repo/flows/a.yaml", log_flow("a"))
    assert headwater("validate", "repo").code == 0
    assert headwater("validate", "repo/flows/a.yaml").code == 0
    ended = headwater("run", "company.etl.a", "--repo", "repo", "--json", "--full")
    assert [line["message"] for line in ended.document["logs"]] == ["from the repository"]
    headwater.write("repo/.headwater.yaml", "prune: {breaker: 1}\n")
    assert "`message` is required" in headwater("validate", "repo/flows/a.yaml").out
