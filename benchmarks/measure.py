"""Measuring honestly on a machine that has other work too: interleaved repeats, medians, quartiles, and a bound.

What is compared is measured in turns, so that a slow moment hits both. Knows numbers only, nothing of Headwater.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    json: bool
    quick: bool

    def repeats(self, usual: int, quick: int) -> int:
        """How often to measure."""
        return quick if self.quick else usual


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of some measurements."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one value."""
        if len(values) < 2:
            return cls(values[0], values[0], values[0], len(values))
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high, len(values))

    def text(self, unit: str) -> str:
        """For people: the median, and between which values its middle half lies."""
        digits = 3 if self.median < 10 else 1 if self.median < 1000 else 0
        low, median, high = (f"{each:,.{digits}f}" for each in (self.low, self.median, self.high))
        return f"{median} {unit} ({low} to {high})"


@dataclass(frozen=True)
class Figure:
    """One figure.

    Args:
        value: what was measured, in `unit`; for a ratio, of each pair of neighbours (`x`).
        bound: what the median is held to; none where it is only told.
        better: whether the bound is the highest (`low`) or lowest (`high`) that is good.
        subject, floor: for a ratio, what it is made of, in milliseconds.
    """

    name: str
    value: Spread
    unit: str
    bound: float | None = None
    better: Literal["low", "high"] = "low"
    subject: Spread | None = None
    floor: Spread | None = None

    @property
    def met(self) -> bool:
        """Whether the median keeps the bound."""
        if self.bound is None:
            return True
        return self.value.median <= self.bound if self.better == "low" else self.value.median >= self.bound

    def line(self) -> str:
        """For people."""
        text = f"{self.name}: {self.value.text(self.unit)}"
        if self.bound is not None:
            sign = "at most" if self.better == "low" else "at least"
            text += f"; bound: {sign} {self.bound:,g}: {'met' if self.met else 'MISSED'}"
        if self.subject and self.floor:
            text += f"\n    {self.subject.text('ms')} over a floor of {self.floor.text('ms')}"
        return text

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {**asdict(self), "met": self.met}


async def timed(act: Callable[[], Awaitable[Any]]) -> float:
    """Seconds that something takes."""
    started = time.perf_counter()
    await act()
    return time.perf_counter() - started


async def compared(
    name: str,
    subject: Callable[[], Awaitable[float]],
    floor: Callable[[], float],
    *,
    repeats: int,
    bound: float,
) -> Figure:
    """Measure subject and floor in turns; the figure is the ratio. One round more is taken first and thrown away.

    Args:
        subject, floor: measure once and return seconds; the floor holds up the event loop, to be alone.
    """
    pairs: list[tuple[float, float]] = []
    for index in range(repeats + 1):
        if index % 2:  # who is second finds warmer caches
            second, first = floor(), await subject()
        else:
            first, second = await subject(), floor()
        pairs.append((first, second))
    del pairs[0]
    return Figure(
        name,
        Spread.of([first / second for first, second in pairs]),
        "x",
        bound,
        subject=Spread.of([first * 1000 for first, _ in pairs]),
        floor=Spread.of([second * 1000 for _, second in pairs]),
    )


def main(measure: Callable[[Options], Iterable[Figure]], about: str) -> None:
    """Run a benchmark as a program: print its figures, and exit with 1 when one misses its bound."""
    parser = argparse.ArgumentParser(description=about.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--quick", action="store_true", help="measure less often: good enough for gross errors"
    )
    options = Options(**vars(parser.parse_args()))
    before = os.getloadavg()[0]
    figures = [*measure(options)]
    if options.json:
        document = {"cores": os.cpu_count(), "load": before, "figures": [each.document() for each in figures]}
        print(json.dumps(document, indent=2))
    else:
        for figure in figures:
            print(figure.line())
        print(f"({os.cpu_count()} cores, load {before:.1f} when it began)")
    sys.exit(not all(figure.met for figure in figures))
