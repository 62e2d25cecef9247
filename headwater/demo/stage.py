"""How the demo looks: numbered steps that fill while they happen, with their times; in a pipe the same as plain lines.

On a terminal the step under way has a spinner and says what it waits for. It must not know what the steps do.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from headwater.demo.checks import StepFailed
from headwater.terminal import printable
from reconciler.status.symbols import length

_WIDEST = 100  # columns
_LABEL = 11  # columns
_INDENT = 5  # columns, under the titles
_DIFF = {"+": "green", "-": "red"}


class Step:
    """One step of the story. Made by `Stage.step`."""

    def __init__(self, number: int, title: str, width: int, spinner: str) -> None:
        self.number = number
        self.title = title
        self.symbol = ""
        self._width = width
        self._spinner = Spinner(spinner, style="cyan")
        self._waiting = ""
        self._lines: list[tuple[str, Text]] = []
        self._started = time.monotonic()
        self._seconds = 0.0

    def show(self, label: str, text: str, style: str = "") -> None:
        """A line of what was seen; an empty label goes on under the one before."""
        self._waiting = ""
        self._lines.append((label, Text(printable(text), style)))

    def show_all(self, label: str, texts: Iterable[str], style: str = "") -> None:
        """Several lines under one label."""
        for text in texts:
            self.show(label, text, style)
            label = ""

    def show_diff(self, label: str, path: str, diff: Iterable[str]) -> None:
        """The lines that a commit took and put."""
        self.show(label, path)
        for line in diff:
            self.show("", line, _DIFF.get(line[:1], ""))

    def waiting(self, what: str) -> None:
        """Say what the step waits for, until there is something to show."""
        self._waiting = what

    def end(self, symbol: str) -> None:
        """It is over; `symbol` says how."""
        self.symbol, self._waiting = symbol, ""
        self._seconds = time.monotonic() - self._started

    @property
    def plain(self) -> Iterator[str]:
        """It as lines of text."""
        yield f"{self.number:2} {self.symbol} {self.title} ({length(self._seconds)})"
        for label, text in self._lines:
            yield f"{'':{_INDENT}}{label:{_LABEL}}{text.plain}".rstrip()

    def __rich__(self) -> RenderableType:
        head = Table.grid(expand=False, padding=(0, 1, 0, 0))
        head.width = self._width
        head.add_column(width=2, justify="right", style="dim")
        head.add_column(width=1)
        head.add_column(ratio=1, style="bold")
        head.add_column(justify="right", style="dim", no_wrap=True)
        failed = self.symbol == "✗"
        mark = Text(self.symbol, "bold red" if failed else "bold green") if self.symbol else self._spinner
        head.add_row(str(self.number), mark, self.title, length(self._seconds) if self.symbol else "")
        body = Table.grid(padding=0)
        body.add_column(width=_INDENT)
        body.add_column(width=_LABEL, style="dim")
        body.add_column(overflow="fold")
        for label, text in self._lines:
            body.add_row("", label, text)
        if self._waiting:
            body.add_row("", "", Text(f"{self._waiting} …", "dim italic"))
        return Group(head, Constrain(body, self._width), Text())


class Stage:
    """Where the story is shown: standard output."""

    def __init__(self) -> None:
        self._console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
        self._live = self._console.is_terminal and not self._console.is_dumb_terminal
        self._steps = 0
        self._started = time.monotonic()

    @property
    def steps(self) -> int:
        """So many have begun."""
        return self._steps

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._started

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """The next step, as long as the block lasts; what ends it with an error makes it a failed one."""
        self._steps += 1
        unicode = self._console.encoding.lower().startswith("utf")
        width = min(self._console.width, _WIDEST)
        step = Step(self._steps, title, width, "dots" if unicode else "line")
        symbol = "✗"
        with self._showing(step):
            try:
                yield step
                symbol = "✓"
            except StepFailed as error:
                step.show_all("expected", error.expected.splitlines())
                step.show_all("seen", error.seen.splitlines(), "red")
                raise
            except KeyboardInterrupt:
                symbol = "⊘"
                raise
            finally:
                step.end(symbol)

    @contextmanager
    def _showing(self, step: Step) -> Iterator[None]:
        if self._live:
            with Live(step, console=self._console, vertical_overflow="visible", refresh_per_second=12):
                yield
            return
        try:
            yield
        finally:
            self.say(*step.plain, "")

    def headline(self, text: str) -> None:
        """What all of it is about."""
        self.say(Text(text, "bold"), "")

    def say(self, *lines: str | Text) -> None:
        """Lines outside of the steps."""
        for line in lines:
            text = Text(printable(line)) if isinstance(line, str) else line
            self._console.print(text, soft_wrap=not self._live)

    def say_pairs(self, heading: str, pairs: Iterable[tuple[str, str]]) -> None:
        """Names and what they stand for, in columns under a heading."""
        self.say(Text(heading, "bold"))
        for name, value in pairs:
            line = Text(" " * _INDENT)
            line.append(f"{name:{_LABEL}}" if name else "", "dim")
            line.append(value)
            self._console.print(line, soft_wrap=True)  # addresses and commands are to be copied whole
        self.say("")
