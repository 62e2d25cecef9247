"""How soon a daemon is ready, and what it holds in memory when it has nothing to do.

From the start of the process to the first 200 of `/readyz`, which needs the source to be read: ten flows, once with an
empty data folder (a clone and a new store) and once with what the daemon before left. The floor is an empty
Starlette application under uvicorn with the same Python.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from benchmarks.measure import Figure, Options, Spread, main
from benchmarks.place import folder
from benchmarks.process import daemon, free_port, process
from benchmarks.repositories import repository

FLOWS = 10
READY = 1.0  # seconds
RESIDENT = 120.0  # MB
IDLE = 5.0  # seconds after it became ready

BARE = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
app = Starlette(routes=[Route("/readyz", lambda request: PlainTextResponse("ok"))])
uvicorn.run(app, port=int(sys.argv[1]), log_config=None, access_log=False)
"""


def bare(place: Path) -> float:
    """Seconds until the floor is ready."""
    port = free_port()
    with process([sys.executable, "-c", BARE, str(port)], port, place) as running:
        return running.ready()


def measure(options: Options) -> list[Figure]:
    repeats = options.repeats(9, 1)
    fresh, again, floor, worked, resident, proportional = [], [], [], [], [], []
    with folder() as place:
        author = repository(place / "flows.git", FLOWS)
        for index in range(repeats + 1):
            data = place / f"daemon{index}"
            floor.append(bare(place))
            with daemon(data, author.url) as running:
                fresh.append(running.ready())
                worked.append(running.worked())
            with daemon(data, author.url) as running:
                again.append(running.ready())
                if index and (options.quick or index % 3 == 0):
                    time.sleep(1.0 if options.quick else IDLE)
                    sizes = running.memory()
                    resident.append(sizes[0])
                    proportional.append(sizes[1])
    del fresh[0], again[0], floor[0]
    return [
        Figure("ready with an empty data folder", Spread.of(fresh), "s", READY),
        Figure("ready with a used data folder", Spread.of(again), "s", READY),
        Figure("processor time until ready, which other work delays less", Spread.of(worked), "s"),
        Figure("resident when idle", Spread.of(resident), "MB", RESIDENT),
        Figure("its share of memory when idle (PSS)", Spread.of(proportional), "MB", RESIDENT),
        Figure("floor: bare uvicorn ready", Spread.of(floor), "s"),
    ]


if __name__ == "__main__":
    main(measure, __doc__ or "")
