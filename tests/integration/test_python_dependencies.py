"""Python tasks with `dependencies`: an environment made once, by uv or pip; and the `kestra` calls in scripts."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from engine.model.state import State
from tests.support.engine import Engine, engine

BESIDE = Path(sys.executable).parent


def wheel(folder: Path, name: str, version: str, code: str) -> None:
    """A wheel that has nothing but one module."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    with ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}/__init__.py", code)
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: a-test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        file.writestr(
            f"{info}/RECORD",
            "".join(
                f"{each},,\n"
                for each in [f"{name}/__init__.py", f"{info}/METADATA", f"{info}/WHEEL", f"{info}/RECORD"]
            ),
        )


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    wheel(folder, "tiny", "1.0", "VERSION = '1.0'\n")
    wheel(folder, "tiny", "2.0", "VERSION = '2.0'\n")
    return folder


def flow(wheels: Path, tasks: str) -> str:
    """A flow whose tasks install from nowhere but the folder."""
    env = {
        "PATH": os.pathsep.join([str(BESIDE), os.environ["PATH"]]),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "UV_OFFLINE": "1",
        "UV_NO_INDEX": "1",
        "UV_FIND_LINKS": str(wheels),
        "UV_PYTHON_DOWNLOADS": "never",
    }
    values = "".join(f"        {name}: {value!r}\n" for name, value in env.items())
    defaults = f"pluginDefaults:\n  - type: scripts.python\n    values:\n      env:\n{values}"
    return f"id: f\nnamespace: n\n{defaults}tasks:\n{tasks}"


async def logged(running: Engine, text: str) -> tuple[State, list[str]]:
    await running.deploy(text)
    ended = await running.run("n.f")
    return ended.state, running.messages(ended)


@pytest.mark.parametrize(("manager", "by"), [("UV", "by uv"), ("PIP", "by pip")])
async def test_an_environment_is_made_once_and_found_again(
    tmp_path: Path, wheels: Path, manager: str, by: str
) -> None:
    task = (
        f"packageManager: {manager}, dependencies: ['tiny==1.0'],"
        " script: 'import sys, tiny; print(tiny.VERSION, sys.prefix)'"
    )
    tasks = (
        f"  - {{id: one, type: scripts.python.Script, {task}}}\n"
        f"  - {{id: two, type: scripts.python.Script, {task}, beforeCommands: ['python3 -c \"import tiny\"']}}\n"
    )
    async with engine(tmp_path) as running:
        state, said = await logged(running, flow(wheels, tasks))
    assert state is State.SUCCESS, said
    first, second, third = said
    assert first.startswith("installed tiny==1.0 " + by)
    assert second == third, "the second task found what the first had made"
    assert second.startswith("1.0 " + str((tmp_path / "runs" / "cache" / "environments").resolve()))


async def test_other_requirements_are_another_environment(tmp_path: Path, wheels: Path) -> None:
    tasks = "".join(
        f"  - {{id: t{each}, type: scripts.python.Commands, dependencies: tiny=={each}.0,"
        " commands: ['python -c \"import tiny; print(tiny.VERSION)\"']}\n"
        for each in (1, 2)
    )
    async with engine(tmp_path) as running:
        state, said = await logged(running, flow(wheels, tasks))
    assert state is State.SUCCESS, said
    assert [line for line in said if not line.startswith("installed")] == ["1.0", "2.0"]


async def test_many_at_once_make_it_once(tmp_path: Path, wheels: Path) -> None:
    task = "{id: t, type: scripts.python.Script, dependencies: [tiny], script: 'import tiny; print(tiny.VERSION)'}"
    each = "id: each\n    type: core.flow.ForEach\n    values: [1, 2, 3]\n    concurrencyLimit: 0"
    tasks = f"  - {each}\n    tasks: [{task}]\n"
    async with engine(tmp_path) as running:
        state, said = await logged(running, flow(wheels, tasks))
    assert state is State.SUCCESS, said
    assert sorted(line.partition(" by")[0] for line in said) == ["2.0", "2.0", "2.0", "installed tiny"]


async def test_without_the_cache_each_run_makes_its_own(tmp_path: Path, wheels: Path) -> None:
    task = "dependencies: [tiny], dependencyCacheEnabled: false, script: 'import tiny'"
    tasks = "".join(f"  - {{id: {each}, type: scripts.python.Script, {task}}}\n" for each in "ab")
    async with engine(tmp_path) as running:
        state, said = await logged(running, flow(wheels, tasks))
    assert state is State.SUCCESS, said
    assert [line.partition(" by")[0] for line in said] == ["installed tiny"] * 2
    assert not (tmp_path / "runs" / "cache").exists()


@pytest.mark.parametrize("manager", ["UV", "PIP"])
async def test_what_cannot_be_installed_fails_the_task_even_without_fail_fast(
    tmp_path: Path, wheels: Path, manager: str
) -> None:
    tasks = (
        f"  - {{id: t, type: scripts.python.Commands, packageManager: {manager}, failFast: false,"
        " dependencies: [nowhere-to-be-found], commands: ['echo went on']}\n"
    )
    async with engine(tmp_path) as running:
        state, said = await logged(running, flow(wheels, tasks))
    assert state is State.FAILED
    assert "went on" not in said
    assert any("the dependencies nowhere-to-be-found could not be installed" in line for line in said)


KESTRA = """
from kestra import Kestra
log = Kestra.logger()
log.warning("careful: %s", 1)
Kestra.outputs({"rows": 3})
Kestra.counter("read", 3, {"kind": "csv"})
Kestra.timer("took", 1.5)
Kestra.timer("ran", lambda: None)
"""


def script(text: str, **more: str) -> str:
    lines = "".join(f"      {line}\n" for line in text.strip().splitlines())
    return f"  - id: t\n    type: scripts.python.Script\n    script: |\n{lines}" + "".join(
        f"    {name}: {value}\n" for name, value in more.items()
    )


async def test_a_script_that_imports_kestra_can_report(tmp_path: Path, wheels: Path) -> None:
    async with engine(tmp_path) as running:
        await running.deploy(flow(wheels, script(KESTRA)))
        ended = await running.run("n.f")
        entries = running.logs(ended)
    assert ended.state is State.SUCCESS, entries
    assert ended.runs["t"].outputs["vars"] == {"rows": 3}
    assert [(entry.level, entry.message) for entry in entries] == [("WARN", "careful: 1")]


async def test_a_namespace_script_called_by_a_command_can_report(tmp_path: Path, wheels: Path) -> None:
    tasks = (
        "  - id: t\n    type: scripts.python.Commands\n    inputFiles:\n      deep/main.py: |\n"
        + "".join(f"        {line}\n" for line in KESTRA.strip().splitlines())
        + "    commands: ['cd deep && python3 main.py']\n"
    )
    async with engine(tmp_path) as running:
        await running.deploy(flow(wheels, tasks))
        ended = await running.run("n.f")
    assert ended.runs["t"].outputs["vars"] == {"rows": 3}, running.messages(ended)


async def test_the_real_package_wins_where_it_is_installed(tmp_path: Path, wheels: Path) -> None:
    wheel(wheels, "kestra", "9.9", "class Kestra:\n    real = True\n")
    text = "from kestra import Kestra\nimport kestra\nprint(Kestra.real, kestra.Kestra is Kestra)"
    async with engine(tmp_path) as running:
        state, said = await logged(running, flow(wheels, script(text, dependencies="[kestra]")))
    assert (state, said[-1]) == (State.SUCCESS, "True True"), said


async def test_what_the_built_in_module_lacks_says_what_to_do(tmp_path: Path, wheels: Path) -> None:
    async with engine(tmp_path) as running:
        state, said = await logged(running, flow(wheels, script("import kestra\nkestra.Flow")))
    assert state is State.FAILED
    assert any("list `kestra` among the task's `dependencies`" in line for line in said), said


async def test_files_left_in_the_output_folder_are_outputs(tmp_path: Path) -> None:
    text = (
        "id: f\nnamespace: n\ntasks:\n"
        "  - id: t\n    type: scripts.shell.Commands\n    outputFiles: ['*.log']\n"
        "    commands: ['mkdir {{ outputDir }}/d', 'echo 1 > {{ outputDir }}/d/a.csv', 'echo 2 | tee b.log > c']\n"
        "  - {id: none, type: scripts.shell.Commands, commands: ['ls {{ outputDir }}']}\n"
        "  - {id: r, type: core.debug.Return, format: \"{{ read(outputs.t.outputFiles['d/a.csv']) }}\"}\n"
    )
    async with engine(tmp_path) as running:
        await running.deploy(text)
        ended = await running.run("n.f")
        assert ended.state is State.SUCCESS, running.messages(ended)
        assert sorted(ended.runs["t"].outputs["outputFiles"]) == ["b.log", "d/a.csv"]
        assert ended.runs["none"].outputs["outputFiles"] == {}
        assert ended.runs["r"].outputs["value"] == "1\n"
        assert running.messages(ended) == [], "an empty folder is nothing to warn of"
