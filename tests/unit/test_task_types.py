"""What the built-in tasks besides scripts do: results of the instant ones, shapes of the flowable ones."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from engine.errors import UserError
from engine.model import shape
from engine.model.state import State
from tests.support.task_context import TaskContext, task

LOG = {"type": "core.log.Log", "message": "x"}


def child(name: str) -> dict[str, str]:
    return {"id": name, **LOG}


def test_log_writes_each_message_at_its_level() -> None:
    context = TaskContext({"who": "you"})
    task("core.log.Log", message=["hi {{ who }}", 42], level="warn").run(context)
    assert context.logs == [("WARN", "hi you"), ("WARN", "42")]


def test_log_refuses_an_unknown_level() -> None:
    with pytest.raises(ValidationError, match="`LOUD` is no log level"):
        task("core.log.Log", message="x", level="LOUD")
    with pytest.raises(UserError, match="`loud` is no log level"):
        task("core.log.Log", message="x", level="{{ level }}").run(TaskContext({"level": "loud"}))


@pytest.mark.parametrize(
    ("format_", "value"), [("a {{ 1 + 1 }}", "a 2"), (5, "5"), (None, None), (True, "true")]
)
def test_return_gives_its_format(format_: Any, value: Any) -> None:
    assert task("core.debug.Return", format=format_).run(TaskContext()).outputs == {"value": value}


def test_echo_and_output_values() -> None:
    context = TaskContext({"a": [1]})
    task("core.debug.Echo", format="{{ a }}").run(context)
    assert context.logs == [("INFO", "[1]")]
    values = {"typed": "{{ a }}", "text": "is {{ a }}", "deep": {"x": ["{{ a | length }}"]}}
    outputs = task("core.output.OutputValues", values=values).run(context).outputs
    assert outputs == {"values": {"typed": [1], "text": "is [1]", "deep": {"x": [1]}}}


def test_fail() -> None:
    assert task("core.execution.Fail").run(TaskContext()).error == "Task failure"
    failing = task("core.execution.Fail", condition="{{ bad }}", errorMessage="because {{ bad }}")
    assert failing.run(TaskContext({"bad": True})).error == "because true"
    assert failing.run(TaskContext({"bad": True})).state is State.FAILED
    assert failing.run(TaskContext({"bad": False})).state is State.SUCCESS


def test_assert() -> None:
    context = TaskContext({"n": 3})
    checks = task("core.execution.Assert", conditions=["{{ n > 2 }}", "{{ n > 3 }}"])
    result = checks.run(context)
    assert (result.state, result.error) == (State.FAILED, "1 of 2 assertions failed")
    assert context.logs == [("ERROR", "assertion failed: {{ n > 3 }}")]


def test_exit_names_an_end() -> None:
    assert task("core.execution.Exit", state="{{ s }}").run(TaskContext({"s": "killed"})).end is State.KILLED
    with pytest.raises(UserError, match="cannot exit as `RUNNING`"):
        task("core.execution.Exit", state="RUNNING").run(TaskContext())


@pytest.mark.parametrize(
    "labels",
    [
        {"a": "{{ n }}", "b": True},
        [{"key": "a", "value": "{{ n }}"}, {"key": "b", "value": True}],
        '{"a": 1, "b": "true"}',
    ],
)
def test_labels(labels: Any) -> None:
    assert task("core.execution.Labels", labels=labels).run(TaskContext({"n": 1})).labels == {
        "a": "1",
        "b": "true",
    }


def test_labels_of_the_engine_are_refused() -> None:
    with pytest.raises(UserError, match="belong to the engine"):
        task("core.execution.Labels", labels={"system.x": "y"}).run(TaskContext())


def test_variables_are_set_and_unset() -> None:
    context = TaskContext({"vars": {"a": 1}})
    assert task("core.execution.SetVariables", variables={"b": "{{ vars.a }}"}).run(context).variables == {
        "b": 1
    }
    with pytest.raises(UserError, match="`a` is set already"):
        task("core.execution.SetVariables", variables={"a": 2}, overwrite=False).run(context)
    unset = task("core.execution.UnsetVariables", variables=["a", "z"], ignoreMissing=True)
    assert unset.run(context).variables == {"a": None}
    with pytest.raises(UserError, match="no variable `z`"):
        task("core.execution.UnsetVariables", variables=["z"]).run(context)


def test_blocks_name_their_branches() -> None:
    block = task("core.flow.Sequential", tasks=[child("a")], errors=[child("b")], **{"finally": [child("c")]})
    found = {name: [each.id for each in tasks] for name, tasks in block.branches().items()}
    assert found == {"tasks": ["a"], "errors": ["b"], "finally": ["c"]}
    assert block.shape({}) == shape.Sequence()
    assert task("core.flow.Parallel", tasks=[child("a")], concurrent=3).shape({}) == shape.Parallel(limit=3)
    assert task("core.flow.AllowFailure", tasks=[child("a")]).tolerates()
    assert not block.tolerates()


def test_dag() -> None:
    dag = task(
        "core.flow.Dag",
        concurrent=2,
        tasks=[{"task": child("a")}, {"task": child("b"), "dependsOn": ["a"]}],
    )
    assert dag.shape({}) == shape.Dag(needs={"a": (), "b": ("a",)}, limit=2)
    assert [each.id for each in dag.branches()["tasks"]] == ["a", "b"]


def test_if_picks_once() -> None:
    block = task("core.flow.If", condition="{{ c }}", then=[child("a")], **{"else": [child("b")]})
    assert block.evaluates() == {"condition": "{{ c }}"}
    assert block.shape({"condition": "x"}) == shape.Sequence("then")
    assert block.shape({"condition": "false"}) == shape.Sequence("else")
    assert block.outputs({"condition": 0}) == {"evaluationResult": False}
    assert task("core.flow.If", condition="", then=[child("a")]).shape({"condition": ""}) == shape.Nothing()


def test_switch_matches_text() -> None:
    cases = {"true": [child("a")], 1: [child("b")]}
    block = task("core.flow.Switch", value="{{ v }}", cases=cases, defaults=[child("c")])
    assert block.shape({"value": True}) == shape.Sequence("cases.true")
    assert block.shape({"value": 1}) == shape.Sequence("cases.1")
    assert block.shape({"value": "z"}) == shape.Sequence("defaults")
    assert block.outputs({"value": "z"}) == {"value": "z", "defaults": True}
    assert set(block.branches()) == {"cases.true", "cases.1", "defaults", "errors", "finally"}
    bare = task("core.flow.Switch", value="x", cases=cases)
    assert bare.shape({"value": "z"}) == shape.Nothing()


LOOPS = [
    (["a", "b", "a"], ("a", "b")),
    ('["a", {"k": "v", "n": [1, true]}]', ("a", '{"k":"v","n":[1,true]}')),
    ([1, 2.5, True, {"k": 1}, [1]], ("1", "2.5", "true", '{"k":1}', "[1]")),
    ([1, "1"], ("1",)),
    ("[]", ()),
]


@pytest.mark.parametrize(("rendered", "values"), LOOPS)
def test_loop_values(rendered: Any, values: tuple[str, ...]) -> None:
    loop = task("core.flow.ForEach", values=rendered, tasks=[child("a")], concurrencyLimit=4)
    assert loop.shape({"values": rendered}) == shape.Each(values=values, limit=4)


def test_nulls_are_counted_and_refused() -> None:
    loop = task("core.flow.ForEach", values="x", tasks=[child("a")])
    with pytest.raises(
        UserError, match=r"Found '2' null values on Each, with values=\[1, null, \{k=v\}, null\]"
    ):
        loop.shape({"values": '[1, null, {"k": "v"}, null]'})


@pytest.mark.parametrize("rendered", ["abc", '{"a": 1}', {"a": 1}, 4, None])
def test_what_is_no_list_is_refused(rendered: Any) -> None:
    loop = task("core.flow.ForEach", values="x", tasks=[child("a")])
    with pytest.raises(UserError, match="the values are no list"):
        loop.shape({"values": rendered})


def test_older_loops() -> None:
    parallel = task("core.flow.EachParallel", value=[1], tasks=[child("a")], concurrent=2)
    assert parallel.shape({"value": [1]}) == shape.Each(values=("1",), limit=2)
    sequential = task("core.flow.EachSequential", value=[1], tasks=[child("a")])
    assert sequential.shape({"value": [1]}) == shape.Each(values=("1",), limit=1)


PAUSES: list[tuple[dict[str, Any], shape.Wait]] = [
    ({}, shape.Wait()),
    ({"pauseDuration": "PT5M"}, shape.Wait(300.0)),
    ({"delay": "PT1S", "behavior": "FAIL"}, shape.Wait(1.0, "FAILED")),
    ({"timeout": "PT1S"}, shape.Wait(1.0, "FAILED")),
    ({"tasks": [child("a")]}, shape.Wait(branch="tasks")),
]


@pytest.mark.parametrize(("properties", "expected"), PAUSES)
def test_pause(properties: dict[str, Any], expected: shape.Wait) -> None:
    pause = task("core.flow.Pause", **properties)
    assert pause.shape(pause.evaluates()) == expected


def test_pause_refuses_what_is_no_duration() -> None:
    pause = task("core.flow.Pause", pauseDuration="{{ x }}")
    with pytest.raises(UserError, match="`soon` is no duration"):
        pause.shape({"pauseDuration": "soon"})


async def test_sleep_of_nothing_ends() -> None:
    result = await task("core.flow.Sleep", duration="PT0S").run(TaskContext())
    assert result.state is State.SUCCESS


def test_subflow_renders_its_call() -> None:
    context = TaskContext({"flow": {"namespace": "n"}, "day": 4})
    call = task(
        "core.flow.Subflow",
        namespace="{{ flow.namespace }}.x",
        flowId="g",
        inputs={"day": "{{ day }}", "text": "on {{ day }}"},
        labels=[{"key": "a", "value": "{{ day }}"}],
        transmitFailed=False,
    ).call(context)
    assert (call.namespace, call.flow_id) == ("n.x", "g")
    assert call.inputs == {"day": 4, "text": "on 4"}
    assert call.labels == {"a": "4"}
    assert call.wait
    assert not call.transmit_failed


def test_when_is_the_newer_word_for_run_if() -> None:
    assert task("core.debug.Return", when="{{ a }}").run_if == "{{ a }}"
    assert task("core.debug.Return", runIf="{{ a }}").run_if == "{{ a }}"
    assert task("core.debug.Return").run_if == "true"
