"""`headwater schema`: editors complete and mark what the engine reads and refuses, from the same models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, ValidationError

from engine.errors import FlowInvalid
from engine.plugins import registry
from engine.spec.compile import compile_flow
from engine.spec.document import parse
from engine.spec.schema import flow_schema
from engine.type_names import canonical, spellings

ROOT = Path(__file__).parents[2]
SCHEMA = flow_schema(registry())
VALIDATOR = Draft7Validator(SCHEMA)
HEAD = "id: a\nnamespace: b\n"

GOOD = {
    "short and full names": "tasks:\n- {id: t, type: core.log.Log, message: hi}\n"
    "- {id: u, type: io.kestra.plugin.core.log.Log, message: [hi, you]}\n",
    "an older package": "tasks:\n- {id: t, type: io.kestra.core.tasks.log.Log, message: hi}\n",
    "bare numbers as text": "tasks:\n- {id: t, type: core.log.Log, message: 42, timeout: PT1M}\n",
    "quoted booleans": "tasks:\n- {id: t, type: core.log.Log, message: x, disabled: 'true'}\n",
    "older names of properties": "inputs:\n- {name: x, type: STRING}\n"
    "tasks:\n- {id: t, type: core.log.Log, message: x, when: '{{ inputs.x }}', "
    "retry: {type: constant, interval: PT1S, maxAttempt: 3}}\n",
    "labels either way": "labels: [{key: a, value: 1}]\ntasks:\n"
    "- {id: t, type: core.flow.Subflow, namespace: b, flowId: c, labels: {a: true}}\n",
    "nothing where a list may be": "triggers:\ninputs:\nvariables:\n"
    "tasks:\n- {id: t, type: core.log.Log, message: x}\n",
    "children": "tasks:\n- id: t\n  type: core.flow.If\n  condition: true\n"
    "  then: [{id: u, type: core.debug.Return}]\n  errors: [{id: e, type: core.execution.Fail}]\n",
    "cases": "tasks:\n- id: t\n  type: core.flow.Switch\n  value: 1\n"
    "  cases: {1: [{id: u, type: core.debug.Return}]}\n",
    "triggers and conditions": "tasks: [{id: t, type: core.debug.Return}]\ntriggers:\n"
    "- {id: s, type: core.trigger.Schedule, cron: '0 0 * * *', conditions: [{type: core.condition.Weekend}]}\n",
    "inputs": "inputs:\n- {id: s, type: SELECT, values: [a, 1, {label: B, value: b}]}\n"
    "- {id: n, type: INT, min: 1, defaults: 2}\n- {id: l, type: ARRAY, itemType: DATE}\n"
    "- {id: f, type: FORM, inputs: [{id: g, type: BOOLEAN}]}\ntasks: [{id: t, type: core.debug.Return}]\n",
}
BAD = {
    "no tasks": ("", "$", "'tasks' is a required property"),
    "an empty list of tasks": ("tasks: []\n", "$.tasks", "non-empty"),
    "an unknown type": ("tasks: [{id: t, type: core.log.Lgo}]\n", "$.tasks[0].type", "not valid under any"),
    "no type": ("tasks: [{id: t}]\n", "$.tasks[0]", "'type' is a required property"),
    "an unknown property": ("taskz: []\ntasks: [{id: t, type: core.debug.Return}]\n", "$", "'taskz' was unexpected"),
    "an unknown property of a task": (
        "tasks: [{id: t, type: core.log.Log, message: x, mesage: y}]\n",
        "$.tasks[0]",
        "'mesage' was unexpected",
    ),
    "a missing property": ("tasks: [{id: t, type: core.log.Log}]\n", "$.tasks[0]", "'message' is a required"),
    "a child's missing property": (
        "tasks: [{id: t, type: core.flow.Sequential, tasks: [{id: u, type: core.log.Log}]}]\n",
        "$.tasks[0].tasks[0]",
        "'message' is a required property",
    ),
    "a bad id": ("tasks: [{id: a b, type: core.debug.Return}]\n", "$.tasks[0].id", "does not match"),
    "a word that is none of the choices": (
        "tasks: [{id: t, type: core.debug.Return}]\nconcurrency: {limit: 1, behavior: STOP}\n",
        "$.concurrency.behavior",
        "is not one of",
    ),
    "a number below its bound": (
        "tasks: [{id: t, type: core.debug.Return}]\nconcurrency: {limit: 0}\n",
        "$.concurrency.limit",
        "minimum",
    ),
    "a map for a list": ("tasks: {id: t}\n", "$.tasks", "is not of type 'array'"),
    "an unknown type of input": (
        "inputs: [{id: x, type: STRNG}]\ntasks: [{id: t, type: core.debug.Return}]\n",
        "$.inputs[0].type",
        "not valid under any",
    ),
    "an input without its name": (
        "inputs: [{type: STRING}]\ntasks: [{id: t, type: core.debug.Return}]\n",
        "$.inputs[0]",
        "not valid under any",
    ),
}  # fmt: skip


def problems(text: str) -> list[ValidationError]:
    return list(VALIDATOR.iter_errors(parse(text.encode(), "flow.yaml").data))


def deepest(errors: list[ValidationError]) -> list[ValidationError]:
    """The errors, with those of each alternative behind what none of them fits."""
    return [each for error in errors for each in (error, *deepest(error.context or []))]


def test_it_is_a_schema_and_the_same_each_time() -> None:
    Draft7Validator.check_schema(SCHEMA)
    assert json.dumps(flow_schema(registry())) == json.dumps(SCHEMA)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "example-repo" / "flows").rglob("*.yaml")), ids=lambda path: path.stem
)
def test_the_examples_fit(path: Path) -> None:
    assert problems(path.read_text()) == []


@pytest.mark.parametrize("body", GOOD.values(), ids=GOOD.keys())
def test_what_the_engine_reads_fits(body: str) -> None:
    compile_flow((HEAD + body).encode(), "flow.yaml", registry())
    assert [error.message for error in problems(HEAD + body)] == []


@pytest.mark.parametrize(("body", "place", "words"), BAD.values(), ids=BAD.keys())
def test_what_the_engine_refuses_is_marked_where_it_is_wrong(body: str, place: str, words: str) -> None:
    with pytest.raises(FlowInvalid):
        compile_flow((HEAD + body).encode(), "flow.yaml", registry())
    said = [(error.json_path, error.message) for error in deepest(problems(HEAD + body))]
    assert any(at == place and words in message for at, message in said), said


@pytest.mark.parametrize("group", ["tasks", "triggers", "conditions"])
def test_every_type_of_the_installation_is_there_in_every_spelling(group: str) -> None:
    branches = SCHEMA["definitions"][group[:-1]]["allOf"]
    known = {written for branch in branches for written in branch["if"]["properties"]["type"]["enum"]}
    offered: dict[str, Any] = SCHEMA["definitions"][group[:-1]]["properties"]["type"]
    assert known == {written for choice in offered["anyOf"] for written in choice["enum"]}
    for name in registry().names(group):
        assert {name, f"io.kestra.plugin.{name}"} <= known
        assert all(canonical(written).short == name for written in spellings(name))


def test_outdated_names_are_read_but_not_offered() -> None:
    current, outdated = SCHEMA["definitions"]["task"]["properties"]["type"]["anyOf"]
    assert "io.kestra.core.tasks.log.Log" in outdated["enum"]
    assert outdated["deprecated"] is True
    assert not [written for written in current["enum"] if canonical(written).outdated]


def test_types_and_properties_are_explained() -> None:
    log = SCHEMA["definitions"]["task.core.log.Log"]
    assert log["description"].startswith("Writes a message")
    assert "PT5M" in log["properties"]["timeout"]["description"]
    assert "namespace" in SCHEMA["properties"]["id"]["description"]
