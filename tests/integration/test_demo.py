"""`headwater demo`: the whole story on real processes, in a pipe and on terminals, and what it says when it fails."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from headwater.demo import demo, person, story
from headwater.demo.checks import NotYet, StepFailed, wait_for
from tests.support.command import EXECUTABLE, environment

PATIENCE = 60.0  # seconds; the story takes about ten
TITLES = (
    "A bare origin is made from the example flows",
    "The daemon starts",
    "The first reconcile: every flow becomes live",
    "A schedule fires",
    "A pushed commit changes a flow",
    "A pushed commit breaks it: the last good version stays live",
    "A pushed commit mends it",
    "A webhook trigger is called",
    "The results are on the branch headwater/status",
)
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def away(tmp_path: Path) -> Path:
    """A folder that is no repository; temporary files go to `tmp` in it."""
    (tmp_path / "tmp").mkdir()
    return tmp_path


def variables(folder: Path, **more: str) -> dict[str, str]:
    return environment(folder, TMPDIR=str(folder / "tmp"), **more)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "tmp").glob("headwater-demo-*"))


def on_a_terminal(folder: Path, columns: int, **more: str) -> tuple[int, str]:
    """Run the demo in front of a pseudo-terminal; returns its exit code and all that was drawn."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [EXECUTABLE, "demo", "--once"],
        cwd=folder,
        env=variables(folder, TERM="xterm-256color", COLUMNS=str(columns), LINES="60", **more),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    drawn = b""
    try:
        while chunk := _read(ours):
            drawn += chunk
        return process.wait(PATIENCE), drawn.decode()
    finally:
        os.close(ours)
        if process.poll() is None:
            process.kill()
            process.wait()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # nobody has the other end open any more
        return b""


def test_in_a_pipe_each_step_is_told_in_plain_lines(away: Path) -> None:
    hostile = {"GIT_DIR": "/nonexistent", "HEADWATER_LISTEN": "nowhere", "HTTP_PROXY": "http://127.0.0.1:9"}
    done = subprocess.run(
        [EXECUTABLE, "demo", "--once"],
        cwd=away,
        env=variables(away, **hostile),
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    told = done.stdout.decode()
    assert (done.returncode, done.stderr.decode()) == (0, ""), told
    assert "\x1b" not in told
    steps = re.findall(r"^ (\d) ✓ (.+) \((?:[0-9.]+ s|[0-9]+ ms)\)$", told, re.MULTILINE)
    assert steps == [(str(number), title) for number, title in enumerate(TITLES, 1)]
    assert re.search(r"-  currency: EUR\n +\+  currency: CHF\n", told)
    assert "flows/basics/pipeline.yaml:40:11: tasks[2].type: unknown type `core.log.Lgo`" in told
    assert told.count("report   3 orders, 42 CHF") == 2, "the changed flow and its last good version"
    assert re.search(r"badge +company\.pipeline \| stalled\n", told)
    assert re.search(r"[0-9a-f]{7} company\.order-received ✓ SUCCESS in ", told)
    assert re.search(r"Headwater-Flow: company\.order-received\n", told)
    assert re.search(r"All of it happened: 9 steps in \d+\.\d s\.", told)
    assert left(away) == []


@pytest.mark.parametrize(("columns", "more"), [(80, {}), (120, {"NO_COLOR": "1"})])
def test_on_a_terminal_it_fills_in_while_it_happens_and_never_runs_over(
    away: Path, columns: int, more: dict[str, str]
) -> None:
    code, drawn = on_a_terminal(away, columns, **more)
    lines = [_ESCAPE.sub("", line) for line in re.split(r"[\r\n]+", drawn)]
    assert code == 0, drawn
    assert bool(re.search(r"\x1b\[[0-9;]*3[0-9]m", drawn)) is not bool(more), "colours, unless refused"
    for number, title in enumerate(TITLES, 1):
        assert any(
            re.match(rf" {number} ✓ {re.escape(title)} +(?:[0-9.]+ s|[0-9]+ ms)", line) for line in lines
        ), title
        assert any(re.match(rf" {number} [^✓] {re.escape(title)}", line) for line in lines), (
            "it was under way"
        )
    assert max(len(line.rstrip()) for line in lines) <= columns
    assert left(away) == []


def test_it_stays_up_until_ctrl_c_and_leaves_nothing(away: Path) -> None:
    process = subprocess.Popen(
        [EXECUTABLE, "demo"], cwd=away, env=variables(away), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    told = []
    for line in process.stdout:
        told.append(line.decode())
        if line.startswith(b"The daemon stays up"):
            process.send_signal(signal.SIGINT)
            break
    told.append(process.stdout.read().decode())
    _, complaint = process.communicate(timeout=PATIENCE)
    text = "".join(told)
    assert (process.returncode, complaint) == (0, b""), text
    assert re.search(r"page +http://127\.0\.0\.1:\d+/\n", text)
    assert re.search(r"API +http://127\.0\.0\.1:\d+/api/v1/main/executions/search\n", text)
    assert re.search(r"badge +http://127\.0\.0\.1:\d+/badges/company/order-received\.svg\n", text)
    assert re.search(r"push +http://127\.0\.0\.1:\d+/hooks/example\n", text)
    assert re.search(r"webhook +http://127\.0\.0\.1:\d+/api/v1/main/executions/webhook/company/", text)
    assert left(away) == []


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_stopped_in_the_middle_it_cleans_up(away: Path, number: signal.Signals, code: int) -> None:
    process = subprocess.Popen(
        [EXECUTABLE, "demo"], cwd=away, env=variables(away), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    daemon = 0
    for line in process.stdout:
        if found := re.search(rb"process +(\d+), listening on", line):
            daemon = int(found[1])
            process.send_signal(number)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    assert left(away) == []
    with pytest.raises(ProcessLookupError):
        os.kill(daemon, 0)


# What goes wrong is said plainly


def spoilt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, old: str, new: str) -> None:
    """Let the demo play on example flows of which one place is different."""
    folder = tmp_path / "example"
    original = person.example_folder()
    for file in (each for each in original.rglob("*") if each.is_file()):
        copy = folder / file.relative_to(original)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    text = (folder / path).read_text()
    assert old in text
    (folder / path).write_text(text.replace(old, new))
    monkeypatch.setattr(story, "example_folder", lambda: folder)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.mark.parametrize(
    ("path", "old", "new", "step", "expected"),
    [
        ("flows/basics/hello.yaml", "id: hello", "id: [", 3, "12 live flows, Ready"),
        ("flows/basics/pipeline.yaml", "currency: EUR", "currency: USD", 5, "`currency: EUR` once in"),
        ("flows/triggers/order-received.yaml", "key: let-me-in", "key: other", 8, "the webhook to start"),
    ],
)
def test_a_step_that_does_not_happen_is_named_and_ends_the_story(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    path: str,
    old: str,
    new: str,
    step: int,
    expected: str,
) -> None:
    spoilt(tmp_path, monkeypatch, path, old, new)
    assert demo(once=True) == 1
    told = capsys.readouterr().out
    assert re.search(rf"^ {step} ✗ {re.escape(TITLES[step - 1])} \(", told, re.MULTILINE)
    assert re.search(rf"expected +{re.escape(expected)}", told)
    assert re.search(r"\n     seen +\S", told)
    kept = re.search(rf"Step {step} did not happen; what led to it is kept in (\S+)\.\n", told)
    assert kept
    assert (Path(kept[1]) / "daemon.log").exists()
    assert "listening on" in told, "the daemon's log ends the message"
    assert "All of it happened" not in told


def test_a_daemon_that_cannot_start_is_told_with_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert demo(once=True) == 1
    told = capsys.readouterr().out
    assert " 2 ✗ The daemon starts" in told
    assert "it ended with exit code 1" in told


def test_a_missing_git_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("headwater.demo.own_environment", lambda: {"PATH": str(tmp_path)})
    assert demo(once=True) == 1
    assert "it is not installed or not in PATH" in capsys.readouterr().out


def test_waiting_has_an_end() -> None:
    def look() -> None:
        raise NotYet("nothing at all")

    with pytest.raises(StepFailed) as failed:
        wait_for("something", look, lambda: None, seconds=0.01)
    assert failed.value.seen == "nothing at all"
