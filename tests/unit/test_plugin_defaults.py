"""Properties that a flow, or its repository, gives once for all plugins of a type."""

from __future__ import annotations

from typing import Any

from engine.model.flow import PluginDefault
from engine.spec.defaults import concerning, kept, with_defaults
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


def wide(*rules: dict[str, Any]) -> str:
    return kept(PluginDefault.model_validate(rule) for rule in rules)


def widely(own: list[dict[str, Any]], wider: str, task: dict[str, Any]) -> Any:
    return with_defaults({"pluginDefaults": own, "tasks": [task]}, wider)["tasks"][0]


def test_the_nearer_default_wins_but_not_over_a_forced_one() -> None:
    own = {"type": LOG, "values": {"message": "flow", "level": "flow"}}
    far = {"type": LOG, "values": {"message": "far", "logToFile": True}}
    assert widely([own], wide(far), {"type": LOG, "level": "own"}) == {
        "type": LOG, "message": "flow", "level": "own", "logToFile": True,
    }  # fmt: skip
    assert widely([own], wide({**far, "forced": True}), {"type": LOG})["message"] == "far"
    forced = [{**own, "forced": True}]
    assert widely(forced, wide(far), {"type": LOG, "message": "own"})["message"] == "flow"
    assert widely(forced, wide({**far, "forced": True}), {"type": LOG})["message"] == "far"


def test_only_rules_for_what_is_there_concern_a_flow() -> None:
    log, script = (
        {"type": "core.log", "values": {"level": "WARN"}},
        {"type": "scripts", "values": {"env": {}}},
    )
    data = {"pluginDefaults": [script], "tasks": [{"type": "core.flow.If", "then": [{"type": LOG}]}]}
    assert concerning(data, wide(log, script)) == wide(log)
    assert concerning(data, wide(script)) == concerning(data, "") == ""
    assert concerning(data, concerning(data, wide(log, script))) == wide(log)


def test_types_of_inputs_and_retries_are_no_plugins() -> None:
    data = {
        "inputs": [{"id": "x", "type": "STRING"}],
        "tasks": [{"type": LOG, "retry": {"type": "constant"}}],
    }
    merged = with_defaults(data, wide({"type": "io.kestra.plugin", "values": {"level": "WARN"}}))
    assert merged == {**data, "tasks": [{"type": LOG, "retry": {"type": "constant"}, "level": "WARN"}]}
