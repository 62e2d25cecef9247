"""Results of tests for machines: one JSON document, and the JUnit XML that forges and CI servers read. Pure."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as Xml

from engine.model.problem import Problem
from headwater.flow_tests.play import Outcome
from headwater.flow_tests.session import Results, SuiteResult
from headwater.flow_tests.show import failures, percent, place_of
from headwater.terminal import printable


def document(results: Results) -> dict[str, Any]:
    """All results as JSON values."""
    return {
        "passed": results.passed,
        "duration": round(results.seconds, 3),
        "suites": [_suite(each) for each in results.suites],
        "coverage": [
            {
                "namespace": each.namespace,
                "flowId": each.id,
                "percent": round(percent(each), 1),
                "tasks": len(each.tasks),
                "reached": [task for task in each.tasks if task in each.reached],
                "fixturesOnly": [task for task in each.tasks if task in each.stood_in],
                "missed": list(each.missed),
            }
            for each in results.coverage
        ],
    }


def _suite(result: SuiteResult) -> dict[str, Any]:
    suite = result.read.suite
    return {
        "path": result.read.path,
        "id": suite.id if suite else None,
        "namespace": suite.namespace if suite else None,
        "flowId": suite.flow_id if suite else None,
        "passed": result.passed,
        "problems": [_problem(each) for each in result.problems],
        "cases": [
            *(_case(result, outcome) for outcome in result.outcomes),
            *({"id": name, "result": "skipped"} for name in result.skipped),
        ],
    }


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "path": problem.path,
        "line": problem.line,
        "column": problem.column,
        "property": problem.property,
        "message": problem.message,
    }


def _case(result: SuiteResult, outcome: Outcome) -> dict[str, Any]:
    return {
        "id": outcome.case.id,
        "result": "passed" if outcome.passed else "failed",
        "state": outcome.state,
        "duration": round(outcome.seconds, 3),
        "problems": list(outcome.problems),
        "errors": list(outcome.errors),
        "unusedFixtures": list(outcome.unused),
        "assertions": [
            {
                "place": place_of(result.read, outcome, each),
                "value": each.assertion.value,
                "taskId": each.assertion.task_id,
                "description": each.assertion.description,
                "errorMessage": None if each.held else each.assertion.error_message,
                "operator": each.operator,
                "expected": each.expected,
                "actual": each.actual,
                "passed": each.held,
                "problem": each.problem or None,
            }
            for each in outcome.judgements
        ],
    }


def junit(results: Results) -> bytes:
    """The JUnit XML of all results, a `testsuite` a file."""
    root = Xml.Element("testsuites", name="headwater", time=f"{results.seconds:.3f}")
    sums = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for result in results.suites:
        element, counts = _junit_suite(result)
        root.append(element)
        for name, count in counts.items():
            sums[name] += count
    for name, count in sums.items():
        root.set(name, str(count))
    Xml.indent(root)
    text: bytes = Xml.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _junit_suite(result: SuiteResult) -> tuple[Xml.Element, dict[str, int]]:
    suite = result.read.suite
    element = Xml.Element("testsuite", name=printable(suite.id if suite else result.read.path))
    element.set("time", f"{sum(outcome.seconds for outcome in result.outcomes):.3f}")
    flow = f"{suite.namespace}.{suite.flow_id}" if suite else result.read.path
    for outcome in result.outcomes:
        case = _junit_case(element, result, flow, outcome.case.id, outcome.seconds)
        if not outcome.passed:
            lines = [printable(line) for line in failures(result.read, outcome)]
            Xml.SubElement(case, "failure", message=lines[0]).text = "\n".join(lines)
    for name in result.skipped:
        Xml.SubElement(_junit_case(element, result, flow, name, 0.0), "skipped", message="disabled")
    if result.problems:
        lines = [printable(str(problem)) for problem in result.problems]
        case = _junit_case(element, result, flow, "the test file", 0.0)
        Xml.SubElement(case, "error", message=lines[0]).text = "\n".join(lines)
    counts = {
        "tests": len(element),
        "failures": sum(not outcome.passed for outcome in result.outcomes),
        "errors": int(bool(result.problems)),
        "skipped": len(result.skipped),
    }
    for name, count in counts.items():
        element.set(name, str(count))
    return element, counts


def _junit_case(suite: Xml.Element, result: SuiteResult, flow: str, name: str, seconds: float) -> Xml.Element:
    return Xml.SubElement(
        suite,
        "testcase",
        classname=printable(flow),
        name=printable(name),
        file=printable(result.read.path),
        time=f"{seconds:.3f}",
    )
