"""The process runner when things die at bad moments: what only this runner can be asked."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from engine.errors import UnavailableError, UserError
from engine.model.run import RunHandle, RunRequest
from runners.process import ProcessRunner
from runners.process.processes import Process, exists, this_boot
from runners.process.rundir import RunDirectory
from runners.process.shepherd import started_at
from tests.conformance.runner_suite import first_line, lines, shell

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def runner(tmp_path: Path) -> AsyncIterator[ProcessRunner]:
    runner = ProcessRunner(tmp_path)
    yield runner
    await runner.close()


@pytest.fixture
async def another(tmp_path: Path) -> AsyncIterator[ProcessRunner]:
    """A runner as a later daemon has it: the same folder, nothing in memory."""
    runner = ProcessRunner(tmp_path)
    yield runner
    await runner.close()


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as process:
        yield process
        process.kill()


def folder(root: Path, handle: RunHandle) -> Path:
    return root / "runs" / handle.data["run"]


def shepherd_of(root: Path, handle: RunHandle) -> int:
    return int((folder(root, handle) / "process").read_text().split()[2])


async def kill_and_wait(pid: int) -> None:
    """Kill a process that is not ours to reap, and see it gone."""
    descriptor = os.pidfd_open(pid)
    gone = asyncio.Event()
    asyncio.get_running_loop().add_reader(descriptor, gone.set)
    os.kill(pid, signal.SIGKILL)
    await gone.wait()
    asyncio.get_running_loop().remove_reader(descriptor)
    os.close(descriptor)


async def test_a_pid_that_came_round_again_is_nobody_of_ours(
    runner: ProcessRunner, another: ProcessRunner, tmp_path: Path, bystander: subprocess.Popen[bytes]
) -> None:
    handle = await runner.start(shell("exit 1"))
    await runner.wait(handle)
    (folder(tmp_path, handle) / "exit").unlink()
    start = started_at(bystander.pid)
    for record in (
        f"{bystander.pid} {start - 1} 0 0 {this_boot()}",
        f"{bystander.pid} {start} 0 0 last-boot",
    ):
        (folder(tmp_path, handle) / "process").write_text(record + "\n")
        fresh = ProcessRunner(tmp_path)
        result = await fresh.wait(handle)
        assert result.outcome == "vanished"
        assert result.message
        await fresh.cancel(handle, grace=0)
        assert await lines(fresh, handle) == []
        await fresh.close()
    await another.cleanup(handle)
    assert bystander.poll() is None


async def test_a_run_without_its_shepherd_lives_on_and_vanishes(
    runner: ProcessRunner, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    handle = await runner.start(shell(f"echo ready; until [ -e '{gate}' ]; do sleep 0.01; done; echo end"))
    await first_line(runner, handle)
    await kill_and_wait(shepherd_of(tmp_path, handle))
    waiting = asyncio.ensure_future(runner.wait(handle))
    after = await runner.start(shell("exit 3", "after"))
    assert (await runner.wait(after)).exit_code == 3
    assert not waiting.done()
    gate.touch()
    assert (await waiting).outcome == "vanished"
    assert [line.text for line in await lines(runner, handle)] == ["ready", "end"]
    assert (await runner.wait(handle)).exit_code is None


async def test_a_start_that_was_not_written_down_is_found_and_not_repeated(
    runner: ProcessRunner, another: ProcessRunner, tmp_path: Path
) -> None:
    request = shell(f"echo x >> '{tmp_path}/count'; echo ready; exec sleep 1000")
    handle = await runner.start(request)
    await first_line(runner, handle)
    (folder(tmp_path, handle) / "process").unlink()
    assert await another.start(request) == handle
    assert (tmp_path / "count").read_text() == "x\n"
    await another.cancel(handle, grace=0)
    assert not exists(Process(handle.data["pid"], started_at(handle.data["pid"]) or -1, this_boot()))


async def test_a_start_that_got_only_half_way_is_done_again(runner: ProcessRunner, tmp_path: Path) -> None:
    handle = await runner.start(shell("cat f", files={"f": b"once"}))
    await runner.wait(handle)
    await runner.cleanup(handle)
    half = folder(tmp_path, handle) / "work"
    half.mkdir(parents=True)
    (half / "f").write_bytes(b"half")
    assert await runner.find("run") is None
    handle = await runner.start(shell("cat f", files={"f": b"once"}))
    assert [line.text for line in await lines(runner, handle)] == ["once"]


async def test_a_cancelled_key_does_not_start(runner: ProcessRunner, tmp_path: Path) -> None:
    handle = await runner.start(shell("true"))
    await runner.wait(handle)
    await runner.cleanup(handle)
    folder(tmp_path, handle).mkdir()
    await runner.cancel(handle, grace=0)
    await runner.start(shell(f"touch '{tmp_path}/ran'"))
    assert (await runner.wait(handle)).outcome == "cancelled"
    assert not (tmp_path / "ran").exists()


async def test_a_start_in_the_middle_of_a_cancel(
    runner: ProcessRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cancel finds no folder to mark, and the process is there when it looks again."""
    loop, mark, marks = asyncio.get_running_loop(), RunDirectory.mark_cancelled, []

    def start_after_marking(directory: RunDirectory) -> None:
        mark(directory)
        marks.append(directory)
        if len(marks) == 1:
            asyncio.run_coroutine_threadsafe(runner.start(shell("sleep 1000")), loop).result()

    monkeypatch.setattr(RunDirectory, "mark_cancelled", start_after_marking)
    handle = RunHandle("process", "run", {})
    await runner.cancel(handle, grace=0)
    assert (await runner.wait(handle)).outcome == "cancelled"


async def test_giving_up_a_start_does_not_lose_the_run(runner: ProcessRunner) -> None:
    starting = asyncio.ensure_future(runner.start(shell("exit 4")))
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.wait((starting,))
    handle = await runner.find("run")
    if handle is not None:
        assert (await runner.wait(handle)).exit_code == 4
    assert (await runner.wait(await runner.start(shell("exit 4")))).exit_code == 4


async def test_no_child_is_left_to_reap(runner: ProcessRunner) -> None:
    handle = await runner.start(shell("true"))
    await runner.wait(handle)
    assert Path("/proc/thread-self/children").read_text() == ""


async def test_descriptors_do_not_pile_up(runner: ProcessRunner) -> None:
    async def run(key: str) -> None:
        handle = await runner.start(shell("echo x", key))
        await asyncio.gather(runner.wait(handle), lines(runner, handle))
        await runner.cleanup(handle)

    await asyncio.gather(*(run(f"a{number}") for number in range(10)))
    before = len(os.listdir("/proc/self/fd"))
    await asyncio.gather(*(run(f"b{number}") for number in range(10)))
    assert len(os.listdir("/proc/self/fd")) == before


async def test_signals_reach_runs_with_their_default_action(runner: ProcessRunner) -> None:
    """A daemon ignores SIGPIPE, and its shepherd blocks SIGTERM; neither is for the runs."""
    code = "import signal; print(signal.getsignal(signal.SIGTERM).name, signal.pthread_sigmask(0, []))"
    handle = await runner.start(RunRequest("run", (sys.executable, "-c", code)))
    assert [line.text for line in await lines(runner, handle)] == ["SIG_DFL set()"]
    status = await runner.start(RunRequest("ignored", ("grep", "SigIgn", "/proc/self/status")))
    (line,) = await lines(runner, status)
    of_the_c_library = 0b11 << 31  # 32 and 33, which no program can touch
    assert int(line.text.split()[1], 16) & ~of_the_c_library == 0


async def test_a_run_sees_no_descriptor_but_three(runner: ProcessRunner) -> None:
    handle = await runner.start(shell("ls /proc/self/fd", env={"LC_ALL": "C"}))
    assert [line.text for line in await lines(runner, handle)] == [
        "0",
        "1",
        "2",
        "3",
    ]  # 3 is the listing's own


async def test_a_script_that_empties_its_output_does_not_stop_the_log(runner: ProcessRunner) -> None:
    handle = await runner.start(shell("echo a long first line; echo x > /dev/stdout; echo y"))
    await runner.wait(handle)
    assert [line.text for line in await lines(runner, handle)] == ["x", "y"]


async def test_a_folder_deeper_than_python_can_go_is_removed(runner: ProcessRunner, tmp_path: Path) -> None:
    handle = await runner.start(shell("i=0; while [ $i -lt 1500 ]; do mkdir d && cd d; i=$((i+1)); done"))
    assert (await runner.wait(handle)).exit_code == 0
    await runner.cleanup(handle)
    assert not folder(tmp_path, handle).exists()
    assert list((tmp_path / "graves").iterdir()) == []


async def test_no_process_can_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = ProcessRunner(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    with pytest.raises(UnavailableError):
        await runner.start(shell("true"))
    await runner.close()


async def test_what_nobody_wants_any_more_is_found_after_a_crash(
    runner: ProcessRunner, another: ProcessRunner, tmp_path: Path
) -> None:
    kept, left = [await runner.start(shell("sleep 1000", key)) for key in ("kept", "left")]
    (tmp_path / "runs" / "never-begun").mkdir()
    (found,) = await another.left_over({"kept"})
    assert found.key == "left"
    await another.cleanup(found)
    assert (await runner.wait(left)).exit_code != 0
    assert [each.name for each in (tmp_path / "runs").iterdir()] == [kept.data["run"]]
    await another.cleanup(kept)


@pytest.mark.parametrize(
    "content", [b"", b"small\n", b"zero\0bytes", b"x" * 40_000], ids=["empty", "small", "zero bytes", "large"]
)
async def test_a_file_is_the_same_however_it_is_laid_in(
    runner: ProcessRunner, tmp_path: Path, content: bytes
) -> None:
    handle = await runner.start(shell("stat -c %a data.bin", files={"./data.bin": content}))
    assert [line.text for line in await lines(runner, handle)] == ["644"]
    assert (folder(tmp_path, handle) / "work" / "data.bin").read_bytes() == content


async def test_a_start_that_comes_again_leaves_the_files_of_the_run_alone(
    runner: ProcessRunner, another: ProcessRunner, tmp_path: Path
) -> None:
    request = shell("echo changed > data.txt; echo done; sleep 1000", files={"data.txt": b"given"})
    handle = await runner.start(request)
    assert await first_line(runner, handle) == "done"
    assert await another.start(request) == handle
    assert (folder(tmp_path, handle) / "work" / "data.txt").read_text() == "changed\n"
    await runner.cancel(handle, 0)


async def test_a_small_file_whose_path_climbs_is_refused_before_anything_is_made(
    runner: ProcessRunner, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"climbs out of its folder"):
        await runner.start(shell("true", files={"../data.txt": b"given"}))
    assert list((tmp_path / "runs").iterdir()) == []
