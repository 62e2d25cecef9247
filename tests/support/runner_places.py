"""Opens runners by name, for suites and for processes of their own that are killed.

`python -m tests.support.runner_places NAME FOLDER KEY SCRIPT…` starts each shell script under its key, to bring
back the file `o`, prints the handles as lines of JSON, and stays until it is killed or its standard input ends.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from engine.model.run import RunRequest
from engine.ports import Runner
from runners.process import ProcessRunner

OPENERS: dict[str, Callable[[Path], ProcessRunner]] = {
    "process": lambda folder: ProcessRunner(folder / "runs")
}


@asynccontextmanager
async def opened(name: str, folder: Path) -> AsyncIterator[Runner]:
    runner = OPENERS[name](folder)
    try:
        yield runner
    finally:
        await runner.close()


async def main(name: str, folder: str, *scripts: str) -> None:
    async with opened(name, Path(folder)) as runner:
        for key, script in zip(scripts[::2], scripts[1::2], strict=True):
            handle = await runner.start(RunRequest(key, ("/bin/sh", "-c", script), output_files=("o",)))
            print(msgspec.json.encode(handle).decode(), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
