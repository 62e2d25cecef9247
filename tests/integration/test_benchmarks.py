"""Every benchmark runs, and no figure is grossly off: a busy machine may be slow, a regression is slower still."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.measure import Figure, Spread

ROOT = Path(__file__).parents[2]
SLACK = 3.0
BENCHMARKS = ("noop", "push_to_ready", "reconcile", "sequence", "startup")


def test_all_are_known() -> None:
    programs = {
        path.stem for path in (ROOT / "benchmarks").glob("*.py") if "main(measure, " in path.read_text()
    }
    assert programs == set(BENCHMARKS)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", BENCHMARKS)
def test_no_figure_is_grossly_off(name: str) -> None:
    command = [sys.executable, "-m", f"benchmarks.{name}", "--quick", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    figures: list[dict[str, Any]] = json.loads(done.stdout)["figures"]
    assert any(figure["bound"] for figure in figures)
    assert (done.returncode == 0) == all(figure["met"] for figure in figures)
    off = [
        f"{figure['name']}: {figure['value']['median']:.3f} {figure['unit']}, bound {figure['bound']}"
        for figure in figures
        if figure["bound"] and not _near(figure)
    ]
    assert off == []


def _near(figure: dict[str, Any]) -> bool:
    median, bound = figure["value"]["median"], figure["bound"]
    return bool(median <= bound * SLACK if figure["better"] == "low" else median >= bound / SLACK)


@pytest.mark.parametrize(
    ("median", "better", "met"),
    [(2.0, "low", True), (2.1, "low", False), (2.0, "high", True), (1.9, "high", False)],
)
def test_a_figure_is_held_to_its_bound(median: float, better: Any, met: bool) -> None:
    figure = Figure("a figure", Spread(median, 1.0, 3.0, 9), "s", 2.0, better)
    assert figure.met is met
    assert ("MISSED" in figure.line()) is not met
    assert figure.document()["met"] is met


def test_the_middle_of_some_measurements_and_its_spread() -> None:
    assert Spread.of([5.0, 1.0, 2.0, 4.0, 3.0]) == Spread(3.0, 2.0, 4.0, 5)
    assert Spread.of([7.0]) == Spread(7.0, 7.0, 7.0, 1)
