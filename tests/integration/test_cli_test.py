"""`headwater test`: cases on real engines, what stands in, what is judged, and how it is told."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from tests.support.command import Command, Ended

FLOW = """
id: etl
namespace: company
inputs:
  - {id: source, type: FILE, required: false}
  - {id: factor, type: INT, defaults: 1}
tasks:
  - {id: fetch, type: core.execution.Fail, retry: {type: constant, interval: PT1H, maxAttempts: 3}}
  - id: loop
    type: core.flow.ForEach
    values: [1, 2]
    tasks:
      - {id: each, type: core.debug.Return, format: "real {{ taskrun.value }}"}
  - {id: call, type: core.flow.Subflow, namespace: company, flowId: child, wait: true}
  - {id: ask, type: core.flow.Pause}
  - {id: last, type: core.debug.Return, format: "{{ outputs.fetch.rows }} {{ trigger.body.id ?? 'none' }}"}
errors:
  - {id: alert, type: core.log.Log, message: alert, level: ERROR}
triggers:
  - {id: hook, type: core.trigger.Webhook, key: k}
"""
CHILD = """
id: child
namespace: company
tasks: [{id: inner, type: core.debug.Return, format: child}]
"""
LISTENER = """
id: listener
namespace: company
tasks: [{id: t, type: core.debug.Return}]
triggers:
- id: after
  type: core.trigger.Flow
  conditions: [{type: core.condition.ExecutionNamespace, namespace: company}]
"""
SUITE = "id: s\nnamespace: company\nflowId: etl\ntestCases:\n"
FIXTURES = """
  fixtures:
    tasks:
      - {id: fetch, outputs: {rows: 7}}
      - {id: ask}
"""


@pytest.fixture
def headwater(tmp_path: Path) -> Command:
    command = Command(tmp_path)
    for name, text in {"etl": FLOW, "child": CHILD, "listener": LISTENER}.items():
        command.write(f"repo/flows/{name}.yaml", text)
    return command


def played(headwater: Command, cases: str, *options: str) -> Ended:
    headwater.write("repo/tests/etl.yaml", SUITE + cases)
    return headwater("test", "repo", *options)


def case(headwater: Command, text: str) -> dict:
    return played(headwater, text, "--json").document["suites"][0]["cases"][0]


def test_fixtures_stand_in_and_what_they_give_is_seen(headwater: Command) -> None:
    ended = played(
        headwater,
        "- id: c"
        + FIXTURES
        + "    trigger: {id: hook, variables: {body: {id: 5}}}\n"
        + "  assertions:\n"
        + "  - {value: '{{ outputs.last.value }}', equalTo: 7 5}\n"
        + "  - {value: '{{ outputs.call.state }}', equalTo: SUCCESS}\n"
        + "  - {value: '{{ outputs.each[1].value }}', equalTo: real 1}\n"
        + "  - {value: '{{ taskrun.value }}', taskId: each, equalTo: 2}\n",
    )
    assert ended.code == 0, ended.out
    assert "✓ c (" in ended.out
    assert (
        "company.etl  6 of 7 tasks (86 %); by fixtures only: `fetch`, `ask`; not reached: `alert`"
        in ended.out
    )
    assert "1 case: 1 passed" in ended.out


def test_a_fixture_of_one_iteration_leaves_the_others_alone(headwater: Command) -> None:
    found = case(
        headwater,
        "- id: c"
        + FIXTURES
        + "      - {id: each, value: 2, outputs: {value: told}}\n"
        + "  assertions:\n"
        + "  - {value: '{{ outputs.each[1].value }} {{ outputs.each[2].value }}', equalTo: real 1 told}\n",
    )
    assert found["result"] == "passed", found


def test_a_flowable_and_a_subflow_can_be_stood_in_for(headwater: Command) -> None:
    ended = played(
        headwater,
        "- id: c"
        + FIXTURES
        + "      - {id: loop, outputs: {done: true}}\n"
        + "      - {id: call, outputs: {outputs: {x: 1}}}\n"
        + "  assertions:\n"
        + "  - {value: '{{ tasks.each is defined }}', equalTo: false}\n"
        + "  - {value: '{{ outputs.call.outputs.x + 1 }}', equalTo: 2}\n",
        "--json",
    )
    document = ended.document
    assert document["suites"][0]["cases"][0]["result"] == "passed", ended.out
    assert document["coverage"][0]["missed"] == ["each", "alert"]


def test_files_reach_inputs_and_outputs(headwater: Command) -> None:
    headwater.write("repo/files/company/rows.txt", "a\nb\n")
    headwater.write(
        "repo/flows/reads.yaml",
        "id: reads\nnamespace: company\ninputs: [{id: file, type: FILE}]\ntasks:\n"
        "- {id: fetch, type: core.execution.Fail}\n"
        "- {id: r, type: core.debug.Return, format: '{{ read(inputs.file) }}{{ read(outputs.fetch.uri) }}'}\n",
    )
    headwater.write(
        "repo/tests/reads.yaml",
        "id: s\nnamespace: company\nflowId: reads\ntestCases:\n- id: c\n  fixtures:\n"
        "    files: {one: hello, two: 'nsfile:///rows.txt'}\n"
        "    inputs: {file: \"{{ files['one'] }}\"}\n"
        "    tasks: [{id: fetch, outputs: {uri: \"{{ files['two'] }}\"}}]\n"
        "  assertions:\n  - {value: '{{ outputs.r.value }}', equalTo: \"helloa\\nb\\n\"}\n",
    )
    ended = headwater("test", "repo/tests/reads.yaml")
    assert ended.code == 0, ended.out


def test_a_failure_that_stands_in_is_not_retried_and_the_errors_run(headwater: Command) -> None:
    found = case(
        headwater,
        "- id: c\n  fixtures: {tasks: [{id: fetch, state: FAILED}]}\n  expectedState: FAILED\n"
        "  assertions: [{value: '{{ tasks.alert.state }}', equalTo: SUCCESS}]\n",
    )
    assert (found["result"], found["state"]) == ("passed", "FAILED"), found


def test_what_does_not_hold_is_told_with_its_place(headwater: Command) -> None:
    ended = played(
        headwater,
        "- id: c"
        + FIXTURES
        + "  assertions:\n"
        + "  - {value: '{{ outputs.last.value }}', contains: x, errorMessage: there is no x}\n"
        + "  - {value: '{{ outputs.nobody.value }}', isNull: true}\n",
    )
    assert ended.code == 1
    lines = [line.strip() for line in ended.out.splitlines()]
    assert "repo/tests/etl.yaml:11:5  {{ outputs.last.value }} contains" in lines
    assert lines[lines.index("expected  x") + 1 :][:2] == ["actual    7 none", "there is no x"]
    assert any("nobody" in line for line in lines)
    assert "1 case: 0 passed, 1 failed" in ended.out


def test_an_end_that_nobody_expects_fails_the_case(headwater: Command) -> None:
    found = case(headwater, "- id: c\n  fixtures: {tasks: [{id: fetch, state: FAILED}]}\n")
    assert found["problems"] == ["the execution ended FAILED; if that is meant, say `expectedState: FAILED`"]
    assert "alert" in found["errors"]


def test_a_case_that_waits_for_somebody_fails_at_once(headwater: Command) -> None:
    found = case(headwater, "- id: c\n  fixtures: {tasks: [{id: fetch, outputs: {rows: 1}}]}\n")
    assert "waits for somebody at `ask`" in found["problems"][0]


def test_a_case_that_takes_too_long_is_killed(headwater: Command) -> None:
    slow = FLOW.replace(
        "{id: ask, type: core.flow.Pause}", "{id: ask, type: core.flow.Sleep, duration: PT1H}"
    )
    headwater.write("repo/flows/etl.yaml", slow)
    ended = played(
        headwater,
        "- id: c\n  fixtures: {tasks: [{id: fetch, outputs: {rows: 1}}]}\n",
        "--timeout",
        "0.5",
        "--json",
    )
    found = ended.document["suites"][0]["cases"][0]
    assert (found["problems"], found["state"]) == (["it did not end within 0.5 s"], "KILLED")


def test_inputs_that_do_not_fit_are_told(headwater: Command) -> None:
    found = case(headwater, "- id: c\n  fixtures: {inputs: {factor: many}}\n")
    assert found["problems"] == ["input `factor`: a whole number is expected, but got `many`"]


def test_disabled_cases_and_unused_fixtures_are_told(headwater: Command) -> None:
    ended = played(
        headwater,
        "- id: off\n  disabled: true\n- id: c" + FIXTURES + "      - {id: each, value: 9}\n",
    )
    assert ended.code == 0
    assert "○ off (disabled)" in ended.out
    assert "the fixture of `each (value 9)` was not used" in ended.out


def test_one_wrong_file_does_not_keep_the_others_from_running(headwater: Command) -> None:
    headwater.write("repo/tests/a.yaml", "id: a\nnamespace: company\nflowId: elt\ntestCases: [{id: c}]\n")
    ended = played(headwater, "- id: c" + FIXTURES)
    assert ended.code == 1
    assert "repo/tests/a.yaml:3:9: flowId: there is no flow `company/elt`; did you mean" in ended.out
    assert "✓ c (" in ended.out
    assert "1 case: 1 passed, 1 file could not be played" in ended.out


def test_junit_says_the_same(headwater: Command) -> None:
    ended = played(
        headwater,
        "- id: good" + FIXTURES + "- id: bad\n- id: off\n  disabled: true\n",
        "--junit",
        "results.xml",
        "--timeout",
        "5",
    )
    assert ended.code == 1
    root = Xml.parse(headwater.folder / "results.xml").getroot()
    assert {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "3",
        "failures": "1",
        "errors": "0",
        "skipped": "1",
    }
    good, bad, off = root.findall("testsuite/testcase")
    assert (good.get("classname"), good.get("name"), list(good)) == ("company.etl", "good", [])
    failure = bad.find("failure")
    assert failure is not None
    assert "did not end" in (failure.get("message") or "")
    assert off.find("skipped") is not None


def test_a_test_sets_no_other_flow_off(headwater: Command) -> None:
    ended = played(headwater, "- id: c" + FIXTURES, "--json")
    assert ended.code == 0
    assert [each["flowId"] for each in ended.document["coverage"]] == ["etl"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "there is no file or folder `nowhere`"),
        (["repo"], "tests are YAML files in `tests/`"),
        (["plain.yaml"], "lies in no flows repository"),
    ],
)
def test_nothing_to_test_is_said(headwater: Command, arguments: list[str], words: str) -> None:
    headwater.write("plain.yaml", "id: a\n")
    ended = headwater("test", *arguments)
    assert (ended.code, ended.out) == (1, "")
    assert words in ended.err


def test_the_folder_of_tests_is_a_setting(headwater: Command) -> None:
    headwater.write("repo/.headwater.yaml", "tests: [checks]\n")
    headwater.write("repo/checks/etl.yml", SUITE + "- id: c" + FIXTURES)
    assert "✓ c (" in headwater("test", "repo").out
