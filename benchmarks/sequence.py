"""Script tasks in sequence, over the bare spawn of the same programs.

Forty tasks of one flow, each a Python interpreter of its own, against `posix_spawn` of the same interpreter with the
same file, the same variables and output into files. Twice: as `scripts.python.Script`, which starts the interpreter
itself, and as `scripts.shell.Commands`, which starts it from a shell line; so does its floor.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import Figure, Options, compared, main, timed
from benchmarks.place import deploy, folder, on_loop, run, service_in
from runners.process.environment import FALLBACK_PATH, variables

TASKS = 40
BOUND = 1.25
CODE = "f = lambda n: n if n < 2 else f(n - 1) + f(n - 2)\nf(10)\n"


def flow(flow_id: str, kind: str, body: str) -> str:
    tasks = "".join(f"  - id: t{index}\n    type: {kind}\n    {body}\n" for index in range(TASKS))
    return f"id: {flow_id}\nnamespace: benchmark\ntasks:\n{tasks}"


class Floor:
    """The bare loop: spawn, wait, next.

    Args:
        place: folder in which the program works.
    """

    def __init__(self, place: Path, command: Sequence[str]) -> None:
        self._place = place
        place.mkdir()
        (place / "headwater_script.py").write_text(CODE)
        program = shutil.which(command[0], path=FALLBACK_PATH)
        assert program, f"{command[0]} is not on {FALLBACK_PATH}"
        self._program, self._command = program, [*command]
        at = str(place)
        self._variables = variables({}, work=at, outputs=at, temporary=at, path=FALLBACK_PATH, cache=at)

    def seconds(self) -> float:
        os.chdir(self._place)
        started = time.perf_counter()
        self._loop()
        return time.perf_counter() - started

    def _loop(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        for _ in range(TASKS):
            pid = os.posix_spawn(
                self._program,
                self._command,
                self._variables,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 1, "stdout", flags, 0o600),
                    (os.POSIX_SPAWN_OPEN, 2, "stderr", flags, 0o600),
                ],
            )
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


async def measure_all(options: Options) -> list[Figure]:
    source = CODE.encode("unicode_escape").decode()
    line = f"python3 -c '{CODE}'"
    repeats = options.repeats(15, 2)
    with folder() as place:
        async with service_in(place / "data") as service:
            await deploy(service, flow("script", "scripts.python.Script", f'script: "{source}"'))
            quoted = line.encode("unicode_escape").decode()
            await deploy(service, flow("shell", "scripts.shell.Commands", f'commands: ["{quoted}"]'))
            direct = Floor(place / "direct", ["python3", "headwater_script.py"])
            through = Floor(place / "through", ["/bin/sh", "-c", f"set -e\n{line}"])
            return [
                await compared(
                    f"{TASKS} sequential {name} tasks over the bare spawn loop",
                    lambda flow_id=flow_id: timed(lambda: run(service, flow_id)),  # type: ignore[misc]
                    floor.seconds,
                    repeats=repeats,
                    bound=BOUND,
                )
                for name, flow_id, floor in (
                    ("scripts.python.Script", "script", direct),
                    ("scripts.shell.Commands", "shell", through),
                )
            ]


def measure(options: Options) -> list[Figure]:
    return on_loop(lambda: measure_all(options))


if __name__ == "__main__":
    main(measure, __doc__ or "")
