"""What `headwater run` does: reads a repository, runs one flow of it, shows or prints what came of it.

Ctrl-C kills the execution and all it started. It must not know how the engine is put together.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from engine.documents import execution_document, log_document
from engine.errors import FlowInvalid, HeadwaterError, UserError
from engine.model.execution import Execution
from engine.model.state import State
from headwater.commands.validate import problem_line
from headwater.local import Catalog, LocalEngine, Result, local_engine
from headwater.progress import LiveProgress, PlainProgress, Progress, Silence
from headwater.settings import Settings, load
from headwater.terminal import print_json, warn
from headwater.trees import Identity, Tree, read_tree


class Wanted(NamedTuple):
    """What is to be run: see the options of `headwater run`."""

    flow: str
    repo: Path
    revision: str | None
    inputs: Mapping[str, str]
    labels: Mapping[str, str]
    config: Path | None


class _Stopped(Exception):
    """Somebody pressed Ctrl-C, or asked the process to end."""

    def __init__(self, number: int) -> None:
        self.number = number


def run_here(wanted: Wanted, *, json: bool, full: bool) -> int:
    """Run a flow; returns the exit code.

    Raises:
        UserError: there is no such repository, commit or flow, or the inputs do not fit.
    """
    settings = load(wanted.config)
    try:
        tree = read_tree(wanted.repo, wanted.revision)
        catalog = Catalog(tree, warn)
        identity = catalog.find(wanted.flow)
    except FlowInvalid as error:
        return _refused(error)

    played = asyncio.run(_play(wanted, settings, tree, catalog, identity, json=json, full=full))
    if isinstance(played, FlowInvalid):
        return _refused(played)
    if isinstance(played, HeadwaterError):
        raise played
    return played


async def _play(
    wanted: Wanted,
    settings: Settings,
    tree: Tree,
    catalog: Catalog,
    identity: Identity,
    *,
    json: bool,
    full: bool,
) -> int | HeadwaterError:
    """The exit code, or what went wrong: the engine is to be left in good order, not by an exception."""
    async with local_engine(settings, tree, catalog) as engine:
        progress = _progress(json)
        try:
            execution = await engine.start(identity, wanted.inputs, wanted.labels)
            progress.begin(f"{'.'.join(identity)}  {tree.described}", engine.mask)
            with progress:
                result, code = await _until_the_end(engine, execution, progress)
        except HeadwaterError as error:
            return error
        if json:
            print_json(_document(engine, result, full))
        else:
            progress.end(result)
        return code


def _refused(error: FlowInvalid) -> int:
    for problem in error.problems:
        print(problem_line(problem), file=sys.stderr)
    return error.exit_code


def _progress(json: bool) -> Progress:
    if json:
        return Silence()
    return LiveProgress() if sys.stdout.isatty() else PlainProgress()


async def _until_the_end(engine: LocalEngine, execution: Execution, progress: Progress) -> tuple[Result, int]:
    stopped = _Signals()
    async with asyncio.TaskGroup() as group:
        while True:
            following = group.create_task(engine.follow(execution.id, progress))
            try:
                await stopped.race(following)
                result = following.result()
                if (
                    result.waiting
                    and progress.interactive
                    and await _resumed(engine, result, progress, stopped)
                ):
                    continue
                return result, _code(result)
            except _Stopped as stop:
                await engine.kill()
                with suppress(HeadwaterError):
                    await following
                return await engine.follow(execution.id, progress), 128 + stop.number


def _code(result: Result) -> int:
    if result.waiting:
        names = ", ".join(f"`{name}`" for name in waiting_tasks(result)) or "it"
        warn(
            f"the execution is paused: {names} waits for a person; run it on a terminal, or with a daemon: "
            "`headwater execute`, then `headwater resume`"
        )
        return 1
    return 0 if result.last.state in (State.SUCCESS, State.WARNING) else 1


def waiting_tasks(result: Result) -> list[str]:
    """The tasks that wait for a person."""
    return [
        run.task_id
        for execution in (result.first, *result.others)
        for run in execution.task_runs()
        if run.state is State.PAUSED
    ]


async def _resumed(engine: LocalEngine, result: Result, progress: Progress, stopped: _Signals) -> bool:
    """Ask whether to go on; False when it cannot be resumed from here."""
    names = ", ".join(waiting_tasks(result))
    progress.ask(f"‖ paused at {names}: press Enter to resume, Ctrl-C to stop")
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[None] = loop.create_future()
    loop.add_reader(sys.stdin, _answer, answered)
    try:
        await stopped.race(answered)
    finally:
        loop.remove_reader(sys.stdin)
    if not sys.stdin.readline():
        return False
    try:
        for each in (result.first, *result.others):
            if any(run.state is State.PAUSED for run in each.task_runs()):
                await engine.resume(each.id)
    except UserError as error:
        warn(f"it cannot be resumed from here: {error}")
        return False
    return True


def _answer(answered: asyncio.Future[None]) -> None:
    if not answered.done():
        answered.set_result(None)


class _Signals:
    """SIGINT and SIGTERM as something to wait for beside something else."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._came: asyncio.Future[int] = loop.create_future()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._note, number)

    def _note(self, number: int) -> None:
        if self._came.done():
            raise KeyboardInterrupt  # asked twice: end at once
        self._came.set_result(number)

    async def race(self, other: asyncio.Future[Any]) -> None:
        """Wait for the other one. Raises _Stopped when a signal comes first."""
        await asyncio.wait((other, self._came), return_when=asyncio.FIRST_COMPLETED)
        if not other.done():
            raise _Stopped(self._came.result())


def _document(engine: LocalEngine, result: Result, full: bool) -> Any:
    def told(execution: Execution) -> dict[str, Any]:
        """Masked but for the outputs: those are what the caller asked for."""
        document = execution_document(execution)
        runs = [
            {**engine.mask.value(run), **({"outputs": run["outputs"]} if "outputs" in run else {})}
            for run in document.pop("taskRunList")
        ]
        outputs = {"outputs": document["outputs"]} if "outputs" in document else {}
        return {**engine.mask.value(document), **outputs, "taskRunList": runs}

    if not full:
        return told(result.first)
    return {
        "execution": told(result.first),
        "executions": [told(each) for each in result.others],
        "logs": [log_document(entry) for entry in result.logs],
    }
