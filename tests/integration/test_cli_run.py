"""`headwater run`: what is run, what is printed where, and with which exit code it ends."""

from __future__ import annotations

import base64
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.command import EXECUTABLE, HELLO, PATIENCE, Command, environment


@pytest.fixture
def headwater(tmp_path: Path) -> Command:
    return Command(tmp_path)


FAILING = """
id: failing
namespace: company
tasks:
  - {id: fine, type: core.log.Log, message: fine}
  - id: broken
    type: scripts.shell.Commands
    commands: ["echo the disk is full >&2; exit 3"]
errors:
  - {id: alert, type: core.log.Log, message: somebody look}
"""


def test_a_flow_runs_and_tells_line_by_line(headwater: Command) -> None:
    headwater.repository(hello=HELLO)
    ended = headwater("run", "company.hello", "--repo", "repo", "-i", "name=Ada")
    first, *lines = ended.out.splitlines()
    assert (ended.code, ended.err) == (0, "")
    assert first.startswith("company.hello  at work tree, as in ")
    assert any(line.endswith("INFO   greet  Hello, Ada!") for line in lines)
    assert any("✓ greet  SUCCESS" in line for line in lines)
    assert lines[-2].startswith("✓ SUCCESS in ")
    assert lines[-1] == "  greeting = Hello, Ada!"


def test_json_is_one_document_and_nothing_else(headwater: Command) -> None:
    repo = headwater.repository(hello=HELLO)
    commit = headwater.git("rev-parse", "HEAD")
    ended = headwater(
        "run", "company/hello", "--json", "--label", "team=etl", "-i", "count=3", "--repo", str(repo)
    )
    document = ended.document
    assert (ended.code, ended.err) == (0, "")
    assert document["state"]["current"] == "SUCCESS"
    assert (document["namespace"], document["flowId"], document["commit"]) == ("company", "hello", commit)
    assert document["inputs"] == {"name": "world", "count": 3}
    assert {"key": "team", "value": "etl"} in document["labels"]
    assert [run["taskId"] for run in document["taskRunList"]] == ["greet"]


def test_full_adds_what_it_led_to_and_its_logs(headwater: Command) -> None:
    parent = """
        id: parent
        namespace: company
        tasks:
          - {id: ask, type: core.flow.Subflow, namespace: company, flowId: hello, inputs: {name: child}}
    """
    headwater.repository(hello=HELLO, parent=parent)
    document = headwater("run", "company.parent", "--repo", "repo", "--json", "--full").document
    (child,) = document["executions"]
    assert document["execution"]["flowId"] == "parent"
    assert (child["flowId"], child["state"]["current"]) == ("hello", "SUCCESS")
    assert ["greet", "INFO", "Hello, child!", child["id"]] in [
        [entry.get("taskId"), entry["level"], entry["message"], entry["executionId"]]
        for entry in document["logs"]
    ]


def test_a_failure_names_the_task_its_last_lines_and_what_to_try(headwater: Command) -> None:
    headwater.repository(failing=FAILING)
    ended = headwater("run", "company.failing", "--repo", "repo")
    end = ended.out[ended.out.index("✗ FAILED") :]
    assert ended.code == 1
    assert "somebody look" in ended.out
    assert "task `broken`" in end
    assert "│ the disk is full" in end
    assert "try: " in end


def test_uncommitted_files_run_as_they_lie_and_committed_ones_as_they_were(headwater: Command) -> None:
    headwater.repository(hello=HELLO)
    headwater.write("repo/flows/hello.yaml", HELLO.replace("Hello", "Changed"))
    headwater.git("clone", "-q", "--bare", ".", "../bare.git")
    now = headwater("run", "company.hello", "--repo", "repo")
    then = headwater("run", "company.hello", "--repo", "repo", "--rev", "HEAD")
    bare = headwater("run", "company.hello", "--repo", "bare.git")
    assert "at work tree (1 file changed since " in now.out
    assert "Changed, world!" in now.out
    assert "Hello, world!" in then.out
    assert "Hello, world!" in bare.out


def test_namespace_files_come_from_the_same_place_as_the_flow(headwater: Command) -> None:
    reading = """
        id: reading
        namespace: company
        tasks: [{id: say, type: core.log.Log, message: "{{ read('motto.txt') }}"}]
    """
    headwater.write("repo/files/company/motto.txt", "committed")
    headwater.repository(reading=reading)
    headwater.write("repo/files/company/motto.txt", "changed")
    assert "say  changed" in headwater("run", "company.reading", "--repo", "repo").out
    assert "say  committed" in headwater("run", "company.reading", "--repo", "repo", "--rev", "main").out


def test_namespace_files_do_not_leave_their_folder(headwater: Command) -> None:
    outside = """
        id: outside
        namespace: company
        tasks: [{id: say, type: core.log.Log, message: "{{ read('secret.txt', namespace='..') }}"}]
    """
    headwater.write("repo/secret.txt", "hunter2")
    headwater.repository(outside=outside)
    ended = headwater("run", "company.outside", "--repo", "repo")
    assert ended.code == 1
    assert "hunter2" not in ended.out


def test_a_file_input_is_handed_over(headwater: Command) -> None:
    reading = """
        id: reading
        namespace: company
        inputs: [{id: data, type: FILE}, {id: text, type: STRING}]
        tasks: [{id: say, type: core.log.Log, message: "{{ read(inputs.data) }} {{ inputs.text }}"}]
    """
    headwater.repository(reading=reading)
    path = headwater.write("data.txt", "from the file")
    arguments = ["run", "company.reading", "--repo", "repo", "-i", "text=@literally"]
    assert "say  from the file @literally" in headwater(*arguments, "-i", f"data=@{path}").out
    missing = headwater(*arguments, "-i", "data=@missing.txt")
    assert (missing.code, missing.out) == (1, "")
    assert "there is no file `missing.txt`" in missing.err


def test_globals_envs_and_secrets_come_from_the_settings(headwater: Command) -> None:
    using = """
        id: using
        namespace: company
        tasks:
          - {id: say, type: core.log.Log, message: "{{ globals.region }} {{ envs.zone }} {{ secret('KEY') }}"}
          - {id: out, type: core.debug.Return, format: "{{ secret('KEY') }}"}
    """
    headwater.repository(using=using)
    headwater.write("headwater.toml", '[globals]\nregion = "eu"\n')
    env = {"ENV_ZONE": "b", "SECRET_KEY": base64.b64encode(b"hunter2").decode()}
    ended = headwater("run", "company.using", "--repo", "repo", env=env)
    assert ended.code == 0
    assert "say  eu b ********" in ended.out
    assert "hunter2" not in ended.out


def test_triggers_do_not_fire(headwater: Command) -> None:
    ticking = (
        HELLO
        + 'triggers: [{id: tick, type: core.trigger.Schedule, cron: "* * * * * *", withSeconds: true}]\n'
    )
    slow = """
        id: slow
        namespace: company
        tasks: [{id: wait, type: core.flow.Sleep, duration: PT2S}]
    """
    headwater.repository(hello=ticking, slow=slow)
    document = headwater("run", "company.slow", "--repo", "repo", "--json", "--full").document
    assert document["executions"] == []


def test_a_broken_neighbour_is_told_and_does_not_matter(headwater: Command) -> None:
    headwater.repository(hello=HELLO, broken="id: [", nameless="tasks: []")
    ended = headwater("run", "company.hello", "--repo", "repo", "--json")
    assert ended.code == 0
    assert ended.document["state"]["current"] == "SUCCESS"
    assert "flows/broken.yaml is left out" in ended.err
    assert "flows/nameless.yaml is left out" in ended.err


def test_a_broken_flow_is_refused_with_all_its_problems(headwater: Command) -> None:
    broken = (
        "id: broken\nnamespace: company\ntasks: [{id: a, type: core.log.Lgo}, {id: a, type: core.log.Log}]\n"
    )
    headwater.repository(broken=broken)
    ended = headwater("run", "company.broken", "--repo", "repo")
    assert (ended.code, ended.out) == (1, "")
    assert len([line for line in ended.err.splitlines() if line.startswith("flows/broken.yaml:")]) >= 2
    assert "core.log.Log" in ended.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["company.helo"], 1, "there is no flow `company.helo`; did you mean `company.hello`?"),
        (["company.hello", "-i", "nmae=Ada"], 1, "has no input `nmae`; did you mean `name`?"),
        (["company.hello", "-i", "count=many"], 1, "count"),
        (["company.hello", "-i", "name"], 2, "not of the form key=value"),
        (["company.hello", "-i", "name=a", "-i", "name=b"], 2, "given twice"),
        (["company.hello", "--full"], 2, "--json"),
        (["company.hello", "--rev", "nowhere"], 1, "there is no commit `nowhere`"),
        (["company.hello", "--rev=--upload-pack=x"], 1, "there is no commit"),
        (["company.hello", "--config", "missing.toml"], 1, "missing.toml: No such file"),
        (["company\x1b[2J.hello"], 1, "there is no flow"),
        ([], 2, "Usage"),
    ],
)
def test_what_cannot_be_run_is_said_in_one_message(
    headwater: Command, arguments: list[str], code: int, said: str
) -> None:
    headwater.repository(hello=HELLO)
    ended = headwater("run", "--repo", "repo", *arguments)
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err
    assert "\x1b" not in ended.err


def test_there_has_to_be_a_repository(headwater: Command) -> None:
    missing = headwater("run", "company.hello", "--repo", "missing")
    assert (missing.code, missing.out) == (1, "")
    assert "there is no folder `missing`" in missing.err
    headwater.write("plain/flows/hello.yaml", HELLO)
    assert headwater("run", "company.hello", "--repo", "plain").code == 0
    revision = headwater("run", "company.hello", "--repo", "plain", "--rev", "HEAD")
    assert (revision.code, "`plain` is no Git repository" in revision.err) == (1, True)


def test_a_pause_without_end_does_not_hang_where_nobody_can_answer(headwater: Command) -> None:
    pausing = "id: pausing\nnamespace: company\ntasks: [{id: review, type: core.flow.Pause}]\n"
    headwater.repository(pausing=pausing)
    ended = headwater("run", "company.pausing", "--repo", "repo", "--json")
    assert ended.code == 1
    assert ended.document["state"]["current"] == "PAUSED"
    assert "`review` waits for a person" in ended.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_kills_the_execution_and_what_it_started(
    headwater: Command, number: signal.Signals, code: int
) -> None:
    sleeping = """
        id: sleeping
        namespace: company
        tasks:
          - id: sleep
            type: scripts.shell.Commands
            commands: ["echo $$ > $FOLDER/pid; echo begun; exec sleep 600"]
            env: {FOLDER: "{{ envs.home }}"}
    """
    headwater.repository(sleeping=sleeping)
    process = subprocess.Popen(
        [EXECUTABLE, "run", "company.sleeping", "--repo", "repo"],
        cwd=headwater.folder,
        env=environment(headwater.folder, ENV_HOME=str(headwater.folder)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert any("begun" in line for line in iter(process.stdout.readline, ""))
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
    pid = int((headwater.folder / "pid").read_text())
    assert process.returncode == code
    assert "⊘ KILLED" in out
    assert "Traceback" not in err
    assert not Path(f"/proc/{pid}").exists()


def test_nothing_stays_behind(headwater: Command) -> None:
    headwater.repository(hello=HELLO)
    temporary = headwater.folder / "tmp"
    temporary.mkdir()
    headwater("run", "company.hello", "--repo", "repo", env={"TMPDIR": str(temporary)})
    assert list(temporary.iterdir()) == []
    assert headwater.git("status", "--porcelain") == ""


def test_control_characters_of_a_log_do_not_reach_the_terminal(headwater: Command) -> None:
    hostile = r"""
        id: hostile
        namespace: company
        tasks: [{id: say, type: scripts.shell.Commands, commands: ["printf 'a\\033[2Jb\\033]0;title\\007c\\n'"]}]
    """
    headwater.repository(hostile=hostile)
    ended = headwater("run", "company.hostile", "--repo", "repo")
    assert ended.code == 0
    assert "\x1b" not in ended.out
    assert "\x07" not in ended.out
