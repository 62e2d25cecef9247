"""What script tasks ask of a runner, and what becomes of its answer."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import NotFound, UserError
from engine.model.run import RunResult
from engine.model.state import State
from engine.tasks.script_files import fits
from tests.support.task_context import TaskContext, task

SHELL, SCRIPT = "scripts.shell.Commands", "scripts.shell.Script"
PYTHON = "scripts.python.Script"


def command(type_: str, context: TaskContext | None = None, **properties: Any) -> tuple[str, ...]:
    found: tuple[str, ...] = task(type_, **properties).request(context or TaskContext()).command
    return found


def test_lines_are_one_argument_of_one_shell() -> None:
    context = TaskContext({"x": "a'; rm -rf /"})
    found = command(SHELL, context, commands=["echo {{ x }}", "echo two"], beforeCommands=["cd /"])
    assert found == ("/bin/sh", "-c", "set -e\ncd /\necho a'; rm -rf /\necho two")


def test_fail_fast_and_the_interpreter_can_be_changed() -> None:
    assert command(SHELL, commands=["a", "b"], failFast=False) == ("/bin/sh", "-c", "a\nb")
    assert command(SHELL, commands="a", interpreter=["/bin/bash", "-c"]) == ("/bin/bash", "-c", "set -e\na")


def test_commands_may_be_text_that_renders_to_a_list() -> None:
    context = TaskContext({"lines": ["a", "b"]})
    assert command(SHELL, context, commands="{{ lines }}")[-1] == "set -e\na\nb"
    assert command(SHELL, commands="echo [1]")[-1] == "set -e\necho [1]"


def test_a_shell_script_is_the_argument_itself() -> None:
    assert command(SCRIPT, script="echo a\necho b") == ("/bin/sh", "-c", "set -e\necho a\necho b")


def test_a_python_script_is_a_file_and_needs_no_shell() -> None:
    request = task(PYTHON, script="print({{ 1 + 1 }})").request(TaskContext())
    assert request.command == ("python3", "headwater_script.py")
    assert request.files == {"headwater_script.py": b"print(2)"}
    assert request.env == {"PYTHONUNBUFFERED": "1"}
    assert request.image == "python:3.13-slim"
    assert request.key == "e/t/1"


def test_a_python_script_after_other_commands_or_packages() -> None:
    found = command(PYTHON, script="x", beforeCommands=["pip list"], pythonVersion="3.12")
    assert found == ("/bin/sh", "-c", "set -e\npip list\npython3.12 headwater_script.py")
    task_ = task(PYTHON, script="x", beforeCommands=["pip list"], dependencies=["a>=2; os_name == 'posix'"])
    strict, make, use, before, run = task_.request(TaskContext()).command[-1].split("\n")
    assert make.endswith("""UV true python3 'a>=2; os_name == '"'"'posix'"'"'' || exit""")
    assert use.endswith('export PATH="$VIRTUAL_ENV/bin:$PATH"')
    assert (strict, before, run) == ("set -e", "pip list", "python3 headwater_script.py")
    with pytest.raises(UserError, match="no list of packages"):
        command(PYTHON, script="x", dependencies=["--index-url=http://evil"])


def test_other_languages_are_thin() -> None:
    request = task("scripts.node.Script", script="1").request(TaskContext())
    assert (request.command, request.image) == (("node", "headwater_script.js"), "node")
    assert task("scripts.go.Script", script="1").request(TaskContext()).command == (
        "go",
        "run",
        "headwater_script.go",
    )


def test_environment() -> None:
    context = TaskContext({"m": {"A": 1, "B": None}, "x": "y"})
    assert task(SHELL, commands="a", env={"A": "{{ x }}", "N": 1, "B": True, "Z": None}).request(
        context
    ).env == {
        "A": "y",
        "N": "1",
        "B": "true",
    }
    assert task(SHELL, commands="a", env="{{ m }}").request(context).env == {"A": "1"}
    with pytest.raises(UserError, match="cannot be an environment variable"):
        task(SHELL, commands="a", env={"A=B": "1"}).request(context)


def test_input_files_are_text_or_stored() -> None:
    context = TaskContext(
        {"uri": "headwater:///n/a.csv"}, {"headwater:///n/a.csv": b"1", "nsfile:///q.sql": b"select"}
    )
    given = {"a.txt": "hello {{ 1 }}", "d/b.csv": "{{ uri }}", "q.sql": "nsfile:///q.sql"}
    assert task(SHELL, commands="a", inputFiles=given).request(context).files == {
        "a.txt": b"hello 1",
        "d/b.csv": "/stored/a.csv",
        "q.sql": b"select",
    }
    assert task(SHELL, commands="a", inputFiles='{"x": "y"}').request(context).files == {"x": b"y"}


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../b", "", "a\x00b"])
def test_input_files_stay_inside(name: str) -> None:
    with pytest.raises(UserError, match="is no path inside the working directory"):
        task(SHELL, commands="a", inputFiles={name: "x"}).request(TaskContext())


def test_a_missing_input_file_says_so() -> None:
    with pytest.raises(NotFound):
        task(SHELL, commands="a", inputFiles={"a": "headwater:///gone"}).request(TaskContext())


def test_namespace_files() -> None:
    context = TaskContext(namespace_files={"a.py": b"1", "sql/b.sql": b"2", "sql/c.txt": b"3"})

    def files(**block: Any) -> list[str]:
        return sorted(task(SHELL, commands="a", namespaceFiles=block).request(context).files)

    assert files(enabled=True) == ["a.py", "sql/b.sql", "sql/c.txt"]
    assert files(enabled=False) == []
    assert files(include=["*.sql", "a.*"]) == ["a.py", "sql/b.sql"]
    assert files(exclude="sql/**") == ["a.py"]
    assert files(include=["a.py"], folderPerNamespace=True) == ["n/a.py"]
    assert not task(SHELL, commands="a").request(context).files


def test_files_of_several_namespaces_and_what_happens_when_they_meet() -> None:
    class Two(TaskContext):
        def namespace_files(self, namespace: str | None = None) -> dict[str, bytes]:
            return {"own": {"a": b"own", "b": b"own"}, "shared": {"a": b"shared"}}[namespace or "own"]

    def files(context: TaskContext, **block: Any) -> dict[str, Any]:
        block = {"namespaces": ["own", "shared"], **block}
        made = task(SHELL, commands="x", inputFiles={"b": "given"}, namespaceFiles=block)
        return dict(made.request(context).files)

    assert files(Two()) == {"a": b"shared", "b": b"own"}
    assert files(Two(), ifExists="IGNORE") == {"a": b"own", "b": b"given"}
    context = Two()
    assert files(context, ifExists="WARN") == {"a": b"own", "b": b"given"}
    assert [message for _, message in context.logs] == [
        "the file `b` of the namespace own is left out: there is one already",
        "the file `a` of the namespace shared is left out: there is one already",
    ]
    assert files(Two(), folderPerNamespace=True) == {
        "own/a": b"own", "own/b": b"own", "shared/a": b"shared", "b": b"given",
    }  # fmt: skip
    with pytest.raises(UserError, match="is there already"):
        files(Two(), ifExists="FAIL")


def test_stored_files_in_commands_become_local() -> None:
    context = TaskContext({"uri": "kestra:///n/data.csv"}, {"kestra:///n/data.csv": b""})
    request = task(SHELL, commands=["wc '{{ uri }}'"]).request(context)
    (path,) = request.files
    assert request.files[path] == "/stored/data.csv"
    assert path.endswith("/data.csv")
    assert request.command[-1] == f"set -e\nwc '{path}'"


def test_the_working_directory_has_a_name() -> None:
    assert command(SHELL, commands="ls {{ workingDir }}/a")[-1] == "set -e\nls ./a"
    request = task(SHELL, commands="touch {{ outputDir }}/a", outputDirectory=True).request(TaskContext())
    assert request.command[-1] == "set -e\ntouch ./outputs/a"
    assert request.output_files == ("outputs/**",)
    assert list(request.files) == ["outputs/.headwater"]


RUNNERS: list[tuple[dict[str, Any], tuple[str | None, dict[str, Any]]]] = [
    ({}, (None, {})),
    ({"taskRunner": {"type": "io.kestra.plugin.core.runner.Process"}}, ("process", {})),
    (
        {"taskRunner": {"type": "io.kestra.plugin.scripts.runner.docker.Docker", "pullPolicy": "{{ p }}"}},
        ("docker", {"pullPolicy": "NEVER"}),
    ),
    ({"runner": "DOCKER"}, ("docker", {})),
    ({"docker": {"image": "x", "user": "1"}}, ("docker", {"user": "1"})),
]


@pytest.mark.parametrize(("properties", "expected"), RUNNERS)
def test_runner(properties: dict[str, Any], expected: tuple[str | None, dict[str, Any]]) -> None:
    made = task(SHELL, commands="a", **properties)
    assert made.runner(TaskContext({"p": "NEVER"})) == expected
    assert made.request(TaskContext({"p": "NEVER"})).options == expected[1]


def test_image() -> None:
    assert (
        task(SHELL, commands="a", containerImage="{{ i }}").request(TaskContext({"i": "alpine"})).image
        == "alpine"
    )
    assert task(SHELL, commands="a", docker={"image": "busybox"}).request(TaskContext()).image == "busybox"
    assert task(PYTHON, script="a", pythonVersion="3.11").request(TaskContext()).image == "python:3.11-slim"


def test_success_keeps_outputs_and_files() -> None:
    context = TaskContext()
    ended = RunResult("exited", 0, {"out/a.csv": "/tmp/a"}, missing=("*.txt",))
    result = task(SHELL, commands="a", outputFiles=["out/*.csv", "*.txt"]).result(
        context, ended, {"n": 1}, ()
    )
    assert result.state is State.SUCCESS
    assert result.outputs == {
        "vars": {"n": 1},
        "outputFiles": {"out/a.csv": "headwater:///out/a.csv"},
        "exitCode": 0,
    }
    assert context.logs == [("WARN", "no file fits the output pattern *.txt")]


def test_failure_keeps_what_there_is() -> None:
    result = task(SHELL, commands="a").result(
        TaskContext(), RunResult("exited", 3, {"a": "/a"}), {"n": 1}, ()
    )
    assert (result.state, result.error) == (State.FAILED, "exit code 3")
    assert result.outputs == {"vars": {"n": 1}, "outputFiles": {"a": "headwater:///a"}, "exitCode": 3}


def test_other_ends() -> None:
    made = task(PYTHON, script="a")
    assert made.result(TaskContext(), RunResult("cancelled"), {}, ()).state is State.KILLED
    lost = made.result(TaskContext(), RunResult("vanished"), {}, ())
    assert (lost.state, lost.error) == (State.FAILED, "the runner lost the run")


def test_our_own_files_are_no_outputs() -> None:
    files = {"headwater_script.py": "/1", ".headwater/packages/x": "/2", "a": "/3"}
    result = task(PYTHON, script="a", outputFiles=["**"]).result(
        TaskContext(), RunResult("exited", 0, files), {}, ()
    )
    assert result.outputs["outputFiles"] == {"a": "headwater:///a"}


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("a/b/c.sql", "*.sql", True),
        ("a/b/c.sql", "a/*.sql", False),
        ("a/b/c.sql", "a/**/*.sql", True),
        ("a/c.sql", "a/**/*.sql", True),
        ("a/b/c.sql", "a/**", True),
        ("a.sql", "?.sql", True),
        ("a.sql", "a[.]sql", False),
        ("a/b", "/a/b", True),
    ],
)
def test_globs(path: str, pattern: str, expected: bool) -> None:
    assert fits(path, pattern) is expected
