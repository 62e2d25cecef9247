"""`headwater validate`: every problem of every flow file, with its place. Needs no daemon and no Git."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headwater.terminal import plural, print_json, say

if TYPE_CHECKING:
    from engine.model.problem import Problem
    from headwater.checking import Report


def validate(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH…", help="Flow files, folders or flows repositories.")
    ],
    json: Annotated[bool, typer.Option("--json", help="One JSON document instead of lines.")] = False,
) -> int:
    """Check flow files; say every problem with its line and column."""
    from headwater.checking import check

    began = time.monotonic()
    report = check(paths)
    if json:
        print_json(_document(report))
    else:
        for line in _lines(report, time.monotonic() - began):
            say(line)
    return 1 if report.errors else 0


def _lines(report: Report, seconds: float) -> Iterator[str]:
    for problem in report.problems:
        yield problem_line(problem)
    valid = sum(flow.valid for flow in report.flows)
    said = [plural(len(report.flows), "flow"), f"{valid:,} valid"]
    warnings = len(report.problems) - report.errors
    if report.errors:
        files = len({problem.path for problem in report.problems if problem.severity == "error"})
        said.append(f"{plural(report.errors, 'problem')} in {plural(files, 'file')}")
    if warnings:
        said.append(plural(warnings, "warning"))
    yield f"{', '.join(said)} ({seconds:.2f} s)"


def problem_line(problem: Problem) -> str:
    """`path:line:column  property: message`."""
    place = f"{problem.path}:{problem.line}:{problem.column}" if problem.line else problem.path
    warning = "warning: " if problem.severity == "warning" else ""
    where = f"{problem.property}: " if problem.property else ""
    return f"{place}  {warning}{where}{problem.message}"


def _document(report: Report) -> dict[str, Any]:
    return {
        "files": report.files,
        "flows": [
            {"path": flow.path, "namespace": flow.namespace, "id": flow.id, "valid": flow.valid}
            for flow in report.flows
        ],
        "problems": [
            {
                "path": problem.path,
                "line": problem.line,
                "column": problem.column,
                "property": problem.property,
                "severity": problem.severity,
                "message": problem.message,
            }
            for problem in report.problems
        ],
    }
