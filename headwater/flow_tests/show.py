"""How tests look on a terminal, and in a pipe: a line a case as it ends, what went wrong below it, then the coverage.

Knows results; it must not know how they came about.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from headwater.flow_tests.play import Judgement, Outcome
from headwater.flow_tests.session import Coverage, Results, SuiteResult, Watcher
from headwater.flow_tests.suite import Read
from headwater.terminal import one_line, plural, printable

_LONG = 300  # characters of a value
_STYLES = {"✓": "green", "✗": "red", "○": "dim"}


class Lines(Watcher):
    """Prints what it is told, in colours where that is a terminal."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(highlight=False, soft_wrap=True)

    def suite(self, result: SuiteResult) -> None:
        """The file's name, or what is wrong with it."""
        suite = result.read.suite
        flow = f"  {suite.namespace}.{suite.flow_id}" if suite else ""
        self._say(f"{result.read.path}{flow}", "bold")
        for problem in result.problems:
            self._say(f"  ✗ {problem}", "red")

    def case(self, read: Read, outcome: Outcome) -> None:
        """The case, and why it failed."""
        mark = "✓" if outcome.passed else "✗"
        self._say(f"  {mark} {outcome.case.id} ({outcome.seconds:.2f} s)", _STYLES[mark])
        for line in failures(read, outcome):
            self._say(f"      {line}")
        for name in outcome.unused:
            self._say(f"      the fixture of `{name}` was not used", "dim")

    def skip(self, read: Read, case_id: str) -> None:
        """The case, disabled."""
        self._say(f"  ○ {case_id} (disabled)", _STYLES["○"])

    def end(self, results: Results) -> None:
        """Coverage and sums."""
        if results.coverage:
            self._say("\ncoverage of tasks", "bold")
        for each in results.coverage:
            self._say(f"  {_covered(each)}")
        self._say(f"\n{summary(results)}", "green" if results.passed else "red")

    def _say(self, text: str, style: str | None = None) -> None:
        self._console.print(printable(text), style=style, markup=False)


def failures(read: Read, outcome: Outcome) -> Iterator[str]:
    """Why a case failed, in lines: ends that were not expected, assertions that did not hold, errors logged."""
    yield from outcome.problems
    for judgement in outcome.judgements:
        if not judgement.held:
            yield from _failed(read, outcome, judgement)
    if outcome.errors:
        yield "the last errors of its log:"
        yield from (f"  {one_line(error, _LONG)}" for error in outcome.errors)


def _failed(read: Read, outcome: Outcome, judgement: Judgement) -> Iterator[str]:
    assertion = judgement.assertion
    yield f"{place_of(read, outcome, judgement)}  {said(judgement)}"
    if judgement.problem:
        yield f"  {one_line(judgement.problem, _LONG)}"
    else:
        if judgement.operator not in ("isNull", "isNotNull"):
            yield f"  expected  {shown(judgement.expected)}"
        yield f"  actual    {shown(judgement.actual)}"
    for text in filter(None, (assertion.error_message, assertion.description)):
        yield f"  {one_line(text, _LONG)}"


def place_of(read: Read, outcome: Outcome, judgement: Judgement) -> str:
    """`path:line:column` of an assertion."""
    assert read.suite is not None
    case = next(at for at, each in enumerate(read.suite.test_cases) if each.id == outcome.case.id)
    line, column = read.place("testCases", case, "assertions", judgement.index)
    return f"{read.path}:{line}:{column}"


def said(judgement: Judgement) -> str:
    """An assertion in words: `{{ outputs.sum.value }} equalTo`."""
    return f"{one_line(shown(judgement.assertion.value))} {judgement.operator}"


def shown(value: Any) -> str:
    """A value as people read it: text as it is, all else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return (
        one_line(text, _LONG) if "\n" not in text else one_line(json.dumps(text, ensure_ascii=False), _LONG)
    )


def _covered(coverage: Coverage) -> str:
    reached, tasks = len(coverage.reached), len(coverage.tasks)
    notes = [
        f"{coverage.namespace}.{coverage.id}  {reached} of {plural(tasks, 'task')} ({percent(coverage):.0f} %)"
    ]
    for word, names in (
        ("by fixtures only", [task for task in coverage.tasks if task in coverage.stood_in]),
        ("not reached", list(coverage.missed)),
    ):
        if names:
            notes.append(f"{word}: {', '.join(f'`{name}`' for name in names)}")
    return "; ".join(notes)


def percent(coverage: Coverage) -> float:
    """The share of tasks reached, 0 to 100."""
    return 100 * len(coverage.reached) / len(coverage.tasks) if coverage.tasks else 100.0


def summary(results: Results) -> str:
    """How many cases passed, failed and were left out."""
    outcomes = [outcome for suite in results.suites for outcome in suite.outcomes]
    passed = sum(outcome.passed for outcome in outcomes)
    skipped = sum(len(suite.skipped) for suite in results.suites)
    broken = sum(bool(suite.problems) for suite in results.suites)
    told = [f"{plural(len(outcomes) + skipped, 'case')}: {passed} passed"]
    if failed := len(outcomes) - passed:
        told.append(f"{failed} failed")
    if skipped:
        told.append(f"{skipped} disabled")
    if broken:
        told.append(f"{plural(broken, 'file')} could not be played")
    return f"{', '.join(told)} ({results.seconds:.2f} s)"
