"""Properties that a flow gives once for all plugins of a type."""

from __future__ import annotations

from typing import Any

from engine.spec.defaults import with_defaults
from tests.support.flow_files import HEAD, flow

LOG = "io.kestra.plugin.core.log.Log"


def merged(defaults: list[dict[str, Any]], task: dict[str, Any], key: str = "pluginDefaults") -> Any:
    return with_defaults({key: defaults, "tasks": [task]})["tasks"][0]


def test_a_default_fills_what_is_missing() -> None:
    assert merged(
        [{"type": LOG, "values": {"level": "WARN", "message": "d"}}], {"type": LOG, "message": "m"}
    ) == {
        "type": LOG,
        "level": "WARN",
        "message": "m",
    }


def test_spellings_and_prefixes_meet() -> None:
    for written in (
        "core.log.Log",
        LOG,
        "io.kestra.plugin.core",
        "io.kestra.core.tasks.log.Log",
        "io.kestra",
    ):
        assert (
            merged([{"type": written, "values": {"level": "WARN"}}], {"type": "core.log.Log"})["level"]
            == "WARN"
        )
    assert "level" not in merged(
        [{"type": "core.flow", "values": {"level": "WARN"}}], {"type": "core.log.Log"}
    )


def test_forced_defaults_win_and_maps_merge_deeply() -> None:
    task = {"type": LOG, "env": {"a": 1, "b": 2}}
    assert merged([{"type": LOG, "forced": True, "values": {"env": {"b": 3}}}], task)["env"] == {
        "a": 1,
        "b": 3,
    }
    assert merged([{"type": LOG, "values": {"env": {"b": 3, "c": 4}}}], task)["env"] == {
        "a": 1,
        "b": 2,
        "c": 4,
    }


def test_they_reach_nested_tasks_and_runners() -> None:
    task = {"type": "core.flow.Parallel", "tasks": [{"type": "x.Y", "taskRunner": {"type": "a.b.Docker"}}]}
    found = merged([{"type": "a.b.Docker", "values": {"pullPolicy": "NEVER"}}], task, "taskDefaults")
    assert found["tasks"][0]["taskRunner"] == {"type": "a.b.Docker", "pullPolicy": "NEVER"}


def test_the_file_itself_is_left_alone() -> None:
    task = {"type": LOG}
    merged([{"type": LOG, "values": {"message": "m"}}], task)
    assert task == {"type": LOG}


def test_a_flow_may_lean_on_them() -> None:
    text = (
        HEAD + "pluginDefaults:\n  - type: core.log.Log\n    values: {message: hi}\ntasks:\n"
        "  - {id: t, type: core.log.Log}\n"
    )
    made = flow(text)
    assert made.tasks[0].model_dump()["message"] == "hi"
    assert made.plugin_defaults[0].type == "core.log.Log"
