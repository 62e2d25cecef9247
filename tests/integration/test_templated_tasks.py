"""Tasks that are known only when they run: a `spec` is rendered, checked and run as if it stood in the flow."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.errors import FlowInvalid
from engine.model.execution import Execution
from engine.model.flow import PluginDefault
from engine.model.records import Deployment
from engine.model.state import State
from engine.plugins import registry
from engine.spec.compile import compile_flow
from engine.spec.defaults import kept
from tests.support.engine import Engine, deployment, engine

LIMIT = 20.0  # seconds that one execution may take at the most


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Engine]:
    async with engine(tmp_path, secrets={"TOKEN": "s3cr3t-value"}) as running:
        yield running


def flow(spec: str, more: str = "", top: str = "") -> str:
    head = "id: f\nnamespace: demo\ninputs: [{id: kind, type: STRING, defaults: core.debug.Return}]\n"
    task = "tasks:\n  - id: t\n    type: io.kestra.plugin.core.templating.TemplatedTask\n"
    rest = textwrap.indent(f"spec: |\n{textwrap.indent(textwrap.dedent(spec), '  ')}\n{more}", "    ")
    return f"{head}{top}\n{task}{rest}\n"


async def run(it: Engine, text: str) -> Execution:
    await it.deploy(text)
    return await asyncio.wait_for(it.run("demo.f"), LIMIT)


async def test_a_task_is_rendered_and_gives_its_outputs_as_its_own(it: Engine) -> None:
    done = await run(
        it, flow("type: io.kestra.plugin.{{ inputs.kind }}\nformat: '{{ flow.id }} {{ 1 + 1 }}'")
    )
    assert done.state is State.SUCCESS, it.messages(done)
    assert done.runs["t"].outputs["value"] == "f 2"


@pytest.mark.parametrize(
    ("spec", "output", "expected"),
    [
        ("type: core.kv.Set\nkey: '{{ flow.id }}'\nvalue: 1", None, None),
        ("type: core.output.OutputValues\nvalues: {a: {{ 1 + 1 }}}", "values", {"a": 2}),
        ("id: other\ntype: core.storage.Write\ncontent: x", "uri", "headwater://"),
        (
            "type: scripts.shell.Commands\ncommands:\n{% for n in [1, 2] %}\n"
            '  - echo \'::{"outputs":{"n":{{ n }}}}::\'\n{% endfor %}',
            "vars",
            {"n": 2},
        ),
    ],
)
async def test_every_kind_of_runnable_task_runs(
    it: Engine, spec: str, output: str | None, expected: object
) -> None:
    done = await run(it, flow(spec))
    assert done.state is State.SUCCESS, (it.messages(done), done.runs["t"].error)
    if output is not None:
        found = done.runs["t"].outputs[output]
        assert found.startswith(expected) if isinstance(expected, str) else found == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("type: core.flow.Sequential\ntasks: [{id: a, type: core.debug.Return}]", "does not run by itself"),
        ("type: core.flow.Subflow\nnamespace: demo\nflowId: f", "does not run by itself"),
        ("type: core.templating.TemplatedTask\nspec: 'type: core.log.Log'", "does not run by itself"),
        ("type: core.debug.Retrun", "did you mean `core.debug.Return`"),
        ("type: core.log.Log\nmesage: x", "did you mean `message`"),
        ("type: core.log.Log", "`message` is required"),
        ("just text", "a task is a map of properties"),
        ("type: [", "this is not YAML"),
        ("message: x", "has no `type`"),
        ("type: core.log.Log\nmessage: {{ secret('TOKEN') }}\nbad: {{ secret('TOKEN') }}", "spec:3:1: bad:"),
        ("type: {{ nothing.here }}", "nothing"),
    ],
)
async def test_a_spec_that_is_no_runnable_task_fails_and_says_why(
    it: Engine, spec: str, expected: str
) -> None:
    done = await run(it, flow(spec))
    assert done.state is State.FAILED
    error = done.runs["t"].error
    assert expected in error
    assert "mistake" not in error
    assert "s3cr3t" not in error


async def test_retries_timeout_and_tolerance_are_those_of_the_outer_task(it: Engine) -> None:
    done = await run(
        it,
        flow(
            "type: core.execution.{{ taskrun.attemptsCount == 0 ? 'Fail' : 'Labels' }}\n"
            "{{ taskrun.attemptsCount == 0 ? 'errorMessage: no' : 'labels: {a: b}' }}",
            "retry: {type: constant, interval: PT0.01S, maxAttempts: 3}",
        ),
    )
    assert done.state is State.SUCCESS, done.runs["t"].error
    assert len(done.runs["t"].attempts) == 2
    assert done.labels["a"] == "b"
    done = await run(
        it,
        flow("type: core.flow.Sleep\nduration: PT1M\ntimeout: PT1M", "timeout: PT0.1S\nallowFailure: true"),
    )
    assert done.state is State.WARNING
    assert "timed out" in done.runs["t"].error


async def test_a_run_if_and_a_kill_reach_it(it: Engine) -> None:
    done = await run(it, flow("type: core.execution.Fail", "runIf: '{{ 1 == 2 }}'"))
    assert done.runs["t"].state is State.SKIPPED
    await it.deploy(flow("type: scripts.shell.Commands\ncommands: ['sleep 60']"))
    started = await it.start("demo.f")
    await it.service.kill(started.id)
    done = await asyncio.wait_for(it.service.wait(started.id), LIMIT)
    assert done.state is State.KILLED


async def test_plugin_defaults_of_the_flow_and_of_its_repository_hold_for_it(it: Engine) -> None:
    own = "pluginDefaults: [{type: core.debug.Return, values: {format: own}}]"
    done = await run(it, flow("type: core.debug.Return", top=own))
    assert done.runs["t"].outputs["value"] == "own"
    text = flow("type: core.debug.Return").encode()
    wide = kept([PluginDefault(type="core.debug.Return", values={"format": "wide"})])
    version = Deployment(
        compile_flow(text, "f.yaml", registry(), wide), text, "f.yaml", blob="b", defaults=wide
    )
    await it.service.deploy("test", "c2", [version], [])
    done = await asyncio.wait_for(it.run("demo.f"), LIMIT)
    assert done.runs["t"].outputs["value"] == "wide"


async def test_it_runs_for_each_value_and_in_a_shared_directory(it: Engine) -> None:
    spec = "\"type: scripts.shell.Commands\\ncommands: ['%s']\""
    done = await run(
        it,
        f"""
id: f
namespace: demo
tasks:
  - id: each
    type: core.flow.ForEach
    values: [a, b]
    tasks:
      - {{id: t, type: core.templating.TemplatedTask, spec: "type: core.debug.Return\\nformat: {{{{taskrun.value}}}}"}}
  - id: shared
    type: core.flow.WorkingDirectory
    tasks:
      - {{id: put, type: core.templating.TemplatedTask, spec: {spec % "echo {{ flow.id }} > file"}}}
      - {{id: get, type: core.templating.TemplatedTask, spec: {spec % "cat file"}}}
  - {{id: see, type: core.debug.Return, format: "{{{{ outputs.t.a.value }}}} {{{{ outputs.t.b.value }}}}"}}
""",
    )
    assert done.state is State.SUCCESS, [(run.task_id, run.error) for run in done.runs.values()]
    assert done.runs["see"].outputs["value"] == "a b"
    assert "f" in it.messages(done)


async def test_the_run_that_a_stopped_engine_left_is_adopted_not_repeated(tmp_path: Path) -> None:
    store, mark = tmp_path / "s.db", tmp_path / "mark"
    commands = f"['echo begun >> {mark}', 'until [ -e {mark}.go ]; do sleep 0.05; done', 'echo done']"
    async with engine(tmp_path, store=store) as it:
        await it.deploy(flow(f"# {{{{ now() }}}}\ntype: scripts.shell.Commands\ncommands: {commands}"))
        execution = await it.start("demo.f")
        async with asyncio.timeout(LIMIT):
            while not mark.exists():  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(0.02)
    async with engine(tmp_path, store=store) as again:
        Path(f"{mark}.go").touch()
        done = await asyncio.wait_for(again.service.wait(execution.id), LIMIT)
        assert done.state is State.SUCCESS, again.messages(done)
        assert len(done.runs["t"].attempts) == 1
    assert mark.read_text() == "begun\n"


def test_a_templated_task_without_a_spec_is_refused() -> None:
    with pytest.raises(FlowInvalid, match="`spec` is required"):
        deployment("id: f\nnamespace: demo\ntasks: [{id: t, type: core.templating.TemplatedTask}]")
