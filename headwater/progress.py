"""How an execution looks while it runs: one line a task run, rewritten in place; in a pipe, lines with their times.

Knows executions and log lines; it must not know where they come from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from engine.documents import date
from engine.masking import Masker
from engine.model.execution import ROOT, Execution, TaskRun
from engine.model.records import LogEntry
from engine.model.state import State
from headwater.local import Result
from headwater.terminal import one_line, printable
from reconciler.status.symbols import SYMBOLS, length

if TYPE_CHECKING:
    from rich.text import Text

_STYLES = {
    State.SUCCESS: "green", State.WARNING: "yellow", State.FAILED: "red", State.KILLED: "red",
    State.CANCELLED: "red", State.PAUSED: "cyan", State.RETRYING: "yellow", State.RUNNING: "bold",
    State.CREATED: "dim", State.SKIPPED: "dim",
}  # fmt: skip
_TICK = 0.1  # seconds
_LIVE_LOGS = 5  # lines under a task that still runs
_LAST_LINES = 10  # lines of the task that failed, at the end
_WIDTH = 20  # of the names


class Progress(Protocol):
    """Shows an execution to a person; what it shows is masked and printable."""

    interactive: bool

    def begin(self, title: str, mask: Masker) -> None:
        """Say what is run."""
        ...

    def __enter__(self) -> Any:
        """Start showing."""
        ...

    def __exit__(self, *_: object) -> None:
        """Stop showing."""
        ...

    def changed(self, executions: Sequence[Execution]) -> None:
        """These executions have a new snapshot."""
        ...

    def logged(self, entries: Sequence[LogEntry]) -> None:
        """These lines were written."""
        ...

    def ask(self, question: str) -> None:
        """Ask something of the person in front of the terminal."""
        ...

    def end(self, result: Result) -> None:
        """Say how it ended."""
        ...


class Silence:
    """Shows nothing: the document is the answer."""

    interactive = False

    def begin(self, title: str, mask: Masker) -> None:
        """See `Progress`."""

    def __enter__(self) -> Silence:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def changed(self, executions: Sequence[Execution]) -> None:
        """See `Progress`."""

    def logged(self, entries: Sequence[LogEntry]) -> None:
        """See `Progress`."""

    def ask(self, question: str) -> None:
        """See `Progress`."""

    def end(self, result: Result) -> None:
        """See `Progress`."""


class PlainProgress(Silence):
    """Lines with their times, each as soon as it happens: every log line, and the end of every task run."""

    def begin(self, title: str, mask: Masker) -> None:
        """See `Progress`."""
        self._mask = mask
        self._told: set[str] = set()
        self._first = ""
        self._latest: dict[str, Execution] = {}
        _print(title)

    def changed(self, executions: Sequence[Execution]) -> None:
        """Nothing yet: what ended is told behind its log lines."""
        self._first = self._first or executions[0].id
        self._latest.update((each.id, each) for each in executions)

    def logged(self, entries: Sequence[LogEntry]) -> None:
        """See `Progress`."""
        for entry in entries:
            for line in printable(entry.message).splitlines() or [""]:
                _print(f"{date(entry.at)}  {entry.level:5}  {self._place(entry)}{line}")
        self._tell()

    def _place(self, entry: LogEntry) -> str:
        place = entry.key.partition(":")[0] or entry.task_id
        execution = self._latest.get(entry.execution_id)
        if execution is not None and execution.id != self._first:
            place = f"{execution.flow.name} {place}".strip()
        return f"{printable(place)}  " if place else ""

    def _tell(self) -> None:
        for execution in self._latest.values():
            for run in execution.task_runs():
                if run.state.terminal and run.id not in self._told:
                    self._told.add(run.id)
                    inside = "" if execution.id == self._first else f"{execution.flow.name} "
                    note = _note(run, self._mask)
                    told = f"{SYMBOLS[run.state]} {inside}{_name(run)}  {run.state}  {length(_seconds(run))}  {note}"
                    _print(f"{date(run.history[-1].at)}  {told}".rstrip())

    def end(self, result: Result) -> None:
        """See `Progress`."""
        self._tell()
        for line in summary(result, self._mask):
            _print(line)


class LiveProgress(Silence):
    """One line a task run, rewritten in place, with the log lines of each below it."""

    interactive = True

    def begin(self, title: str, mask: Masker) -> None:
        """See `Progress`."""
        from rich.console import Console
        from rich.live import Live

        self._mask = mask
        self._title = printable(title)
        self._question = ""
        self._executions: dict[str, Execution] = {}
        self._logs: dict[tuple[str, str], list[str]] = {}
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stdout=False)
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> LiveProgress:
        self._live.start()
        self._tick()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._live.stop()

    def changed(self, executions: Sequence[Execution]) -> None:
        """See `Progress`."""
        for execution in executions:
            self._executions[execution.id] = execution

    def logged(self, entries: Sequence[LogEntry]) -> None:
        """See `Progress`."""
        for entry in entries:
            known = self._logs.setdefault((entry.execution_id, entry.key), [])
            known.extend(printable(entry.message).splitlines() or [""])

    def ask(self, question: str) -> None:
        """See `Progress`."""
        self._draw(question)

    def end(self, result: Result) -> None:
        """All of it once more, to stay; then how it ended."""
        for line in self._lines(whole=True):
            self._console.print(line)
        for text in summary(result, self._mask):
            style = _STYLES.get(result.last.state, "") if text.startswith(SYMBOLS[result.last.state]) else ""
            self._console.print(text, style=style)

    def _tick(self) -> None:
        self._draw()
        self._timer = asyncio.get_running_loop().call_later(_TICK, self._tick)

    def _draw(self, question: str = "") -> None:
        from rich.console import Group

        self._question = question or self._question
        if not any(each.state is State.PAUSED for each in self._executions.values()):
            self._question = ""
        lines = list(self._lines(whole=False))
        room = self._console.height - 2
        if len(lines) > room:
            lines = [lines[0], *lines[len(lines) - room + 1 :]]
        self._live.update(Group(*lines, *([self._question] if self._question else [])), refresh=True)

    def _lines(self, *, whole: bool) -> Iterator[Text]:
        from rich.text import Text

        yield Text(self._title, style="bold", no_wrap=True, overflow="ellipsis")
        called = {
            (each.caller.execution_id, each.caller.key): each
            for each in self._executions.values()
            if each.caller
        }
        for execution in [each for each in self._executions.values() if each.caller is None]:
            if execution.number > 1:
                yield Text(f"try {execution.number}", style="bold")
            yield from self._below(execution, ROOT, 1, called, whole)
            yield from self._log_lines(execution.id, ROOT, 1, whole=True)

    def _below(
        self,
        execution: Execution,
        parent: str,
        depth: int,
        called: dict[tuple[str, str], Execution],
        whole: bool,
    ) -> Iterator[Text]:
        from rich.text import Text

        for run in execution.task_runs():
            if run.parent != parent:
                continue
            line = Text("  " * depth, no_wrap=True, overflow="ellipsis")
            line.append(f"{SYMBOLS[run.state]} ", style=_STYLES.get(run.state, ""))
            line.append(f"{_name(run).ljust(_WIDTH)} {length(_seconds(run)):>8}   ")
            line.append(_note(run, self._mask), style="dim")
            yield line
            yield from self._log_lines(execution.id, run.key, depth + 1, whole=whole)
            child = called.get((execution.id, run.key))
            if child is not None:
                yield from self._below(child, ROOT, depth + 1, called, whole)
                yield from self._log_lines(child.id, ROOT, depth + 1, whole=whole)
            if run.scope is not None:
                yield from self._below(execution, run.key, depth + 1, called, whole)

    def _log_lines(self, execution_id: str, key: str, depth: int, *, whole: bool) -> Iterator[Text]:
        from rich.text import Text

        found = self._logs.get((execution_id, key), [])
        for line in found if whole else found[-_LIVE_LOGS:]:
            yield Text("  " * depth + "│ " + line, style="dim", no_wrap=not whole, overflow="ellipsis")


def summary(result: Result, mask: Masker) -> Iterator[str]:
    """How it ended: state and length; after a failure the task, its last lines, and what to try."""
    last = result.last
    end = last.ended or datetime.now(UTC)
    whole = length((end - result.first.created).total_seconds())
    yield f"{SYMBOLS[last.state]} {last.state} {'after' if result.waiting else 'in'} {whole}"
    outputs = mask.value(last.outputs)
    if last.state.good and outputs:
        yield from (
            f"  {printable(str(name))} = {one_line(str(value), 300)}" for name, value in outputs.items()
        )
    if last.state is not State.FAILED:
        return
    failed = _failed(last)
    if failed is None:
        if last.error:
            yield f"  {one_line(mask.text(last.error), 1000)}"
        return
    attempts = f", attempt {len(failed.attempts)}" if len(failed.attempts) > 1 else ""
    error = f": {one_line(mask.text(failed.error), 1000)}" if failed.error else ""
    yield f"  task `{_name(failed)}`{attempts}{error}"
    tried = len(failed.attempts)
    written = [
        entry.message
        for entry in result.logs
        if (entry.execution_id, entry.key) == (last.id, failed.key) and entry.attempt in (0, tried)
    ]
    for line in "\n".join(map(printable, written)).splitlines()[-_LAST_LINES:]:
        yield f"  │ {line}"
    yield f"  try: correct it in {last.flow.name} and run it again; --json --full prints everything"


def _failed(execution: Execution) -> TaskRun | None:
    """The task run that failed first and is no mere container of others."""
    failed = [run for run in execution.task_runs() if run.state is State.FAILED]
    return min(
        (run for run in failed if run.scope is None or not any(each.parent == run.key for each in failed)),
        key=lambda run: run.history[-1].at,
        default=None,
    )


def _name(run: TaskRun) -> str:
    value = f" [{one_line(run.value, 40)}]" if run.value is not None else ""
    return printable(run.task_id) + value


def _seconds(run: TaskRun) -> float:
    end = run.history[-1].at if run.state.terminal else datetime.now(UTC)
    return (end - run.history[0].at).total_seconds()


def _note(run: TaskRun, mask: Masker) -> str:
    """What else is worth a word: which attempt it is, a few small outputs."""
    words = [f"attempt {len(run.attempts)}"] if len(run.attempts) > 1 else []
    if run.state is State.RETRYING:
        words.append("tries again")
    variables = run.outputs.get("vars") or {
        name: run.outputs[name] for name in ("value",) if name in run.outputs
    }
    for name, value in list(variables.items())[:3] if isinstance(variables, dict) else ():
        if isinstance(value, str | int | float):
            words.append(f"{one_line(str(name), 30)}={one_line(mask.text(str(value)), 30)}")
    return "  ".join(words)


def _print(text: str) -> None:
    print(printable(text), flush=True)
