"""What every runner must do: `RunnerSuite`. A driver's test class names it and is done.

Runs are shell lines of POSIX, so that they work in any image. Times are bounds on waiting, never pauses.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from engine.errors import UserError
from engine.model.run import LogLine, RunHandle, RunRequest
from engine.ports import Runner
from tests.support.runner_places import opened

ROOT = Path(__file__).parents[2]
LONG = 30.0


def shell(script: str, key: str = "run", **more: Any) -> RunRequest:
    return RunRequest(key, ("/bin/sh", "-c", script), **more)


async def lines(runner: Runner, handle: RunHandle, after: str = "") -> list[LogLine]:
    return [line async for line in runner.logs(handle, after)]


async def texts(runner: Runner, request: RunRequest, stream: str = "stdout") -> list[str]:
    handle = await runner.start(request)
    async with asyncio.timeout(LONG):
        found = await lines(runner, handle)
    return [line.text for line in found if line.stream == stream]


async def first_line(runner: Runner, handle: RunHandle) -> str:
    """Wait until the run says something: then it certainly runs."""
    stream = runner.logs(handle)
    try:
        async with asyncio.timeout(LONG):
            return (await anext(stream)).text
    finally:
        await stream.aclose()  # type: ignore[attr-defined]


class RunnerSuite:
    name: ClassVar[str]

    @pytest.fixture
    async def runner(self, tmp_path: Path) -> AsyncIterator[Runner]:
        async with opened(self.name, tmp_path) as runner:
            yield runner

    @pytest.mark.parametrize(
        ("script", "code"),
        [("true", 0), ("exit 1", 1), ("exit 255", 255), ("kill -9 $$", 137), ("kill -TERM $$", 143)],
    )
    async def test_exit_code(self, runner: Runner, script: str, code: int) -> None:
        result = await runner.wait(await runner.start(shell(script)))
        assert (result.outcome, result.exit_code) == ("exited", code)

    async def test_waiting_again_gives_the_same_result(self, runner: Runner) -> None:
        handle = await runner.start(shell("echo x > x; exit 4", output_files=("x",)))
        results = await asyncio.gather(*(runner.wait(handle) for _ in range(3)))
        assert results == [results[0]] * 3 == [await runner.wait(handle)] * 3

    async def test_cancelling_the_wait_leaves_the_run_alone(self, runner: Runner, tmp_path: Path) -> None:
        gate = tmp_path / "gate"
        handle = await runner.start(shell(f"until [ -e '{gate}' ]; do sleep 0.01; done; exit 5"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await runner.wait(handle)
        gate.touch()
        assert (await runner.wait(handle)).exit_code == 5

    async def test_output_in_order(self, runner: Runner) -> None:
        script = "i=0; while [ $i -lt 2000 ]; do echo $i; i=$((i+1)); done"
        assert await texts(runner, shell(script)) == [str(number) for number in range(2000)]

    async def test_the_streams_are_told_apart(self, runner: Runner) -> None:
        handle = await runner.start(shell("echo out; echo err >&2"))
        assert {(line.stream, line.text) for line in await lines(runner, handle)} == {
            ("stdout", "out"),
            ("stderr", "err"),
        }

    async def test_much_output_in_bounded_memory(self, runner: Runner) -> None:
        handle = await runner.start(shell("yes $(printf %0999d 7) | head -c 20500000"))
        await runner.wait(handle)
        tracemalloc.start()
        count = size = 0
        async for line in runner.logs(handle):
            count += 1
            size += len(line.text) + 1
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (count, size) == (20_500, 20_500_000)
        assert peak < 16_000_000

    async def test_lines_show_while_the_run_goes_on(self, runner: Runner, tmp_path: Path) -> None:
        gate = tmp_path / "gate"
        handle = await runner.start(
            shell(f"echo ready; until [ -e '{gate}' ]; do sleep 0.01; done; echo end")
        )
        seen = []
        async with asyncio.timeout(LONG):
            async for line in runner.logs(handle):
                seen.append(line.text)
                gate.touch()
        assert seen == ["ready", "end"]

    @pytest.mark.parametrize(
        ("output", "expected"),
        [
            ("no end", ["no end"]),
            ("", []),
            (r"\n\n", ["", ""]),
            (r"dos\r\nunix\n", ["dos", "unix"]),
            (r"a\377\376b\n", ["a��b"]),
            (r"gr\303\274n\n\342\202\n", ["grün", "�"]),
            (r"nul\000byte\n", ["nul\0byte"]),
        ],
    )
    async def test_any_bytes_are_lines(self, runner: Runner, output: str, expected: list[str]) -> None:
        assert await texts(runner, shell(f"printf '{output}'")) == expected

    async def test_an_endless_line_comes_in_pieces(self, runner: Runner) -> None:
        pieces = await texts(runner, shell("yes ü | tr -d '\\n' | head -c 1500001; printf '\\274'"))
        assert len(pieces) > 1
        assert max(map(len, pieces)) <= 256 * 1024
        assert "".join(pieces) == "ü" * 750_001

    async def test_logs_go_on_after_a_cursor(self, runner: Runner) -> None:
        handle = await runner.start(shell("for i in 1 2 3 4; do echo $i; echo e$i >&2; done"))
        await runner.wait(handle)
        everything = await lines(runner, handle)
        assert len(everything) == 8
        for index, line in enumerate(everything):
            assert await lines(runner, handle, line.cursor) == everything[index + 1 :]

    async def test_there_is_no_input(self, runner: Runner) -> None:
        assert await texts(runner, shell("cat; read x || echo ended")) == ["ended"]

    async def test_the_environment_is_what_was_given(
        self, runner: Runner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SECRET_OF_THE_DAEMON", "no")
        given = {"GIVEN": "a b\n'c' $HOME", "odd.name": "ü=1", "LANG": "C"}
        found = await texts(runner, RunRequest("run", ("env", "-0"), env=given))
        env = dict(entry.split("=", 1) for entry in "\n".join(found).split("\0")[:-1])
        assert env.items() >= given.items()
        own = {"PATH", "HOME", "LC_ALL", "TMPDIR", "WORKING_DIR", "OUTPUT_DIR", "PYTHONUNBUFFERED"}
        assert set(env) - {"HEADWATER_CACHE"} == set(given) | own, "a folder that outlasts runs is not owed"

    async def test_arguments_are_no_shell_line(self, runner: Runner) -> None:
        arguments = ["$HOME; exit 1", "a  b", "*", "-n", "ü", ""]
        request = RunRequest("run", ("printf", r"%s\n", *arguments))
        assert await texts(runner, request) == arguments

    async def test_the_working_directory_is_empty_and_its_own(self, runner: Runner) -> None:
        script = (
            'ls -A; [ "$PWD" = "$WORKING_DIR" ] && touch x && ls; ls -A "$OUTPUT_DIR" "$TMPDIR" | grep -v :'
        )
        for key in ("one", "two"):
            assert [text for text in await texts(runner, shell(script, key)) if text] == ["x"]

    async def test_files_go_in_and_come_back(self, runner: Runner, tmp_path: Path) -> None:
        stored = tmp_path / "stored"
        stored.write_bytes(b"kept\n")
        files = {"a/b/c.txt": b"deep\n", "top": str(stored), "é 'x'\n.txt": b"odd"}
        request = RunRequest(
            "run",
            (
                "/bin/sh",
                "-c",
                'cat a/b/c.txt top; echo more >> top; mkdir -p o/p; echo 1 > o/p/q.csv; echo 2 > "$OUTPUT_DIR/r.csv"',
            ),
            files=files,
            output_files=("o/**", "*.csv", "top", "none/*.txt", "é*"),
        )
        handle = await runner.start(request)
        result = await runner.wait(handle)
        assert [line.text for line in await lines(runner, handle)] == ["deep", "kept"]
        assert set(result.files) == {"o/p/q.csv", "r.csv", "top", "é 'x'\n.txt"}
        assert Path(result.files["top"]).read_bytes() == b"kept\nmore\n"
        assert result.missing == ("none/*.txt",)
        assert stored.read_bytes() == b"kept\n"

    async def test_a_failed_run_brings_its_files_back_too(self, runner: Runner) -> None:
        handle = await runner.start(shell("echo x > x; exit 9", output_files=("x", "y")))
        result = await runner.wait(handle)
        assert (result.exit_code, set(result.files), result.missing) == (9, {"x"}, ("y",))

    @pytest.mark.parametrize("path", ["/etc/evil", "../evil", "a/../../evil", "", ".", "a\0b", "x" * 300])
    async def test_files_stay_inside(self, runner: Runner, path: str) -> None:
        with pytest.raises(UserError) as refused:
            await runner.start(RunRequest("run", ("true",), files={path: b"x"}))
        assert path[:50] in refused.value.message
        assert await runner.find("run") is None

    @pytest.mark.parametrize("pattern", ["/etc/*", "../*", ""])
    async def test_patterns_stay_inside(self, runner: Runner, pattern: str) -> None:
        with pytest.raises(UserError):
            await runner.start(RunRequest("run", ("true",), output_files=(pattern,)))

    async def test_links_that_lead_outside_are_not_followed(self, runner: Runner, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("x")
        script = f"ln -s '{tmp_path}/secret' out; ln -s '{tmp_path}' dir; echo 1 > in; ln -s in inner"
        result = await runner.wait(await runner.start(shell(script, output_files=("out", "dir/*", "in*"))))
        assert set(result.files) == {"in", "inner"}
        assert result.missing == ("out", "dir/*")
        assert "`out`" in result.message

    async def test_a_shared_workspace_lasts(self, runner: Runner, tmp_path: Path) -> None:
        first = await runner.start(shell(f"echo 1 > x; ln -s '{tmp_path}' link", "one", workspace="w"))
        await runner.wait(first)
        await runner.cleanup(first)
        assert await texts(runner, shell("cat x", "two", workspace="w")) == ["1"]
        with pytest.raises(UserError):
            await runner.start(shell("true", "three", workspace="w", files={"link/evil": b"x"}))
        assert not (tmp_path / "evil").exists()

    async def test_a_command_that_is_not_there(self, runner: Runner) -> None:
        with pytest.raises(UserError, match="no-such-program"):
            await runner.start(RunRequest("run", ("no-such-program",)))

    @pytest.mark.parametrize(
        "request_",
        [
            RunRequest("run", ()),
            RunRequest("run", ("true", "\0")),
            RunRequest("run", ("true",), env={"a=b": ""}),
        ],
    )
    async def test_a_request_that_cannot_be_is_refused(self, runner: Runner, request_: RunRequest) -> None:
        with pytest.raises(UserError):
            await runner.start(request_)

    async def test_one_key_starts_once(self, runner: Runner, tmp_path: Path) -> None:
        request = shell(f"echo x >> '{tmp_path}/count'", files={"f": b""})
        handles = await asyncio.gather(*(runner.start(request) for _ in range(5)))
        await runner.wait(handles[0])
        assert await runner.start(request) == handles[0] == handles[4]
        async with opened(self.name, tmp_path) as another:
            assert await another.start(request) == handles[0]
        assert (tmp_path / "count").read_text() == "x\n"

    async def test_find(self, runner: Runner) -> None:
        assert await runner.find("run") is None
        handle = await runner.start(shell("exit 3"))
        assert await runner.find("run") == handle
        await runner.wait(handle)
        assert await runner.find("run") == handle

    async def test_handles_survive_json(self, runner: Runner) -> None:
        handle = await runner.start(shell("exit 3"))
        again = msgspec.json.decode(msgspec.json.encode(handle), type=RunHandle)
        assert (await runner.wait(again)).exit_code == 3

    async def test_cancel_is_polite_first(self, runner: Runner) -> None:
        handle = await runner.start(
            shell("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done")
        )
        await first_line(runner, handle)
        await runner.cancel(handle, grace=LONG)
        result = await runner.wait(handle)
        assert (result.outcome, result.exit_code) == ("cancelled", 7)
        said = [line.text for line in await lines(runner, handle) if line.stream == "stdout"]
        assert said == ["ready", "bye"]

    async def test_cancel_ends_a_tree_that_will_not_go(self, runner: Runner) -> None:
        script = """trap '' TERM HUP INT
            sleep 1000 & (sleep 1000 & wait) & setsid sleep 1000 & setsid sh -c 'trap "" TERM; sleep 1000; :' &
            echo ready; while :; do wait; sleep 0.1; done"""
        handle = await runner.start(shell(script))
        await first_line(runner, handle)
        await runner.cancel(handle, grace=0.1)
        async with asyncio.timeout(LONG):
            result = await runner.wait(handle)
        assert result.outcome == "cancelled"
        assert self.alive(handle) == 0

    async def test_cancel_while_it_starts(self, runner: Runner) -> None:
        for number in range(10):
            request = shell("sleep 1000", f"run{number}", files={"f": b"x"})
            starting = asyncio.ensure_future(runner.start(request))
            for _ in range(number % 4):
                await asyncio.sleep(0)
            await runner.cancel(RunHandle(runner.name, request.key, {}), grace=0)
            handle = await starting
            # A cancel that came before the start had begun has nothing to end; the next one has.
            await runner.cancel(handle, grace=0)
            async with asyncio.timeout(LONG):
                assert (await runner.wait(handle)).outcome == "cancelled"

    async def test_cancel_repeats_and_does_not_change_an_end(self, runner: Runner) -> None:
        handle = await runner.start(shell("exit 2"))
        await runner.wait(handle)
        for _ in range(2):
            await runner.cancel(handle, grace=0)
        assert (await runner.wait(handle)).outcome == "exited"

    async def test_cleanup_repeats_and_forgets(self, runner: Runner) -> None:
        handle = await runner.start(shell("mkdir -p a/b; touch a/b/c; chmod 0 a; echo x"))
        await runner.wait(handle)
        for _ in range(2):
            await runner.cleanup(handle)
        assert await runner.find("run") is None
        assert (await runner.wait(handle)).outcome == "vanished"
        assert await lines(runner, handle) == []
        await runner.cancel(handle, grace=0)
        assert await runner.find("run") is None

    async def test_cleanup_ends_what_still_runs(self, runner: Runner) -> None:
        handle = await runner.start(shell("sleep 1000 & echo ready"))
        assert (await runner.wait(handle)).exit_code == 0
        await runner.cleanup(handle)
        assert self.alive(handle) == 0

    async def test_a_run_outlives_a_killed_daemon(self, tmp_path: Path) -> None:
        gate = tmp_path / "gate"
        script = f"echo begin; until [ -e '{gate}' ]; do sleep 0.01; done; echo end; echo o > o; exit 6"
        scripts = ["going", script, "short", "echo done; exit 8"]
        command = [sys.executable, "-m", "tests.support.runner_places", self.name, str(tmp_path), *scripts]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as daemon:
            assert daemon.stdout is not None
            handles = [msgspec.json.decode(daemon.stdout.readline(), type=RunHandle) for _ in "12"]
            daemon.kill()
        async with opened(self.name, tmp_path) as runner, asyncio.timeout(LONG):
            assert [await runner.find("going"), await runner.find("short")] == handles
            assert await runner.start(shell(script, "going")) == handles[0]
            waiting = asyncio.ensure_future(runner.wait(handles[0]))
            assert await first_line(runner, handles[0]) == "begin"
            assert not waiting.done()
            gate.touch()
            result = await waiting
            assert (result.outcome, result.exit_code, set(result.files)) == ("exited", 6, {"o"})
            assert [line.text for line in await lines(runner, handles[0])] == ["begin", "end"]
            assert (await runner.wait(handles[1])).exit_code == 8

    def alive(self, handle: RunHandle) -> int:
        """How many processes of that run still exist."""
        raise NotImplementedError
