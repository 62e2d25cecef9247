"""`headwater run` on a real terminal: lines rewritten in place, the question at a pause, Ctrl-C as a key."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time
from pathlib import Path

import pytest

from tests.support.command import EXECUTABLE, HELLO, PATIENCE, Command, environment

ROWS, COLUMNS = 24, 100


def on_terminal(folder: Path, *arguments: str, keys: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit code and all that was drawn; each of `keys` is pressed once its text has been drawn."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execve(EXECUTABLE, [EXECUTABLE, *arguments], environment(folder, TERM="xterm"))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    drawn = ""
    pending = dict(keys or {})
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        ready, _, _ = select.select([terminal], [], [], 1)
        if not ready:
            continue
        try:
            drawn += os.read(terminal, 65536).decode(errors="replace")
        except OSError:  # how a terminal says that nobody is there any more
            break
        for text in list(pending):
            if text in drawn:
                os.write(terminal, pending.pop(text).encode())
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), drawn


def final(drawn: str) -> list[str]:
    """The lines that stay: what comes after the last piece that was wiped out."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-JL-Za-z]", "", drawn.rpartition("\x1b[2K")[2])
    return [line.rstrip() for line in plain.replace("\r", "").splitlines() if line.strip()]


@pytest.fixture
def headwater(tmp_path: Path) -> Command:
    return Command(tmp_path)


PAUSING = """
id: pausing
namespace: company
tasks:
  - {id: before, type: core.log.Log, message: look at this}
  - {id: review, type: core.flow.Pause}
  - {id: after, type: core.log.Log, message: gone on}
"""


def test_one_line_a_task_with_its_log_below(headwater: Command) -> None:
    headwater.repository(hello=HELLO)
    code, drawn = on_terminal(headwater.folder, "run", "company.hello", "--repo", "repo", "-i", "name=Ada")
    title, task, log, end, output = final(drawn)
    assert code == 0
    assert title.startswith("company.hello  at work tree, as in ")
    assert re.fullmatch(r"  ✓ greet +(\d+ ms|\d+\.\d s)", task)
    assert log == "    │ Hello, Ada!"
    assert end.startswith("✓ SUCCESS in ")
    assert output == "  greeting = Hello, Ada!"


def test_a_line_is_rewritten_while_its_task_runs(headwater: Command) -> None:
    slow = """
        id: slow
        namespace: company
        tasks: [{id: wait, type: core.flow.Sleep, duration: PT1S}]
    """
    headwater.repository(slow=slow)
    code, drawn = on_terminal(headwater.folder, "run", "company.slow", "--repo", "repo")
    assert code == 0
    assert len(re.findall(r"● .*?wait", drawn)) > 3
    assert sum("wait" in line for line in final(drawn)) == 1


def test_enter_resumes_what_is_paused(headwater: Command) -> None:
    headwater.repository(pausing=PAUSING)
    code, drawn = on_terminal(
        headwater.folder, "run", "company.pausing", "--repo", "repo", keys={"press Enter to resume": "\n"}
    )
    lines = final(drawn)
    assert code == 0
    assert "‖ paused at review" in drawn
    assert lines.count("    │ look at this") == 1
    assert lines.count("    │ gone on") == 1
    assert lines[-1].startswith("✓ SUCCESS")


def test_ctrl_c_at_a_pause_kills(headwater: Command) -> None:
    headwater.repository(pausing=PAUSING)
    code, drawn = on_terminal(
        headwater.folder, "run", "company.pausing", "--repo", "repo", keys={"press Enter to resume": "\x03"}
    )
    assert code == 130
    assert final(drawn)[-1].startswith("⊘ KILLED")
    assert "Traceback" not in drawn


def test_more_lines_than_the_terminal_has_are_all_there_at_the_end(headwater: Command) -> None:
    wide = """
        id: wide
        namespace: company
        tasks:
          - id: each
            type: core.flow.ForEach
            values: "{{ range(1, 40) }}"
            tasks: [{id: say, type: core.log.Log, message: "number {{ taskrun.value }}"}]
    """
    headwater.repository(wide=wide)
    code, drawn = on_terminal(headwater.folder, "run", "company.wide", "--repo", "repo")
    lines = final(drawn)
    assert code == 0
    assert sum("│ number " in line for line in lines) == 40
