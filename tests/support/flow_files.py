"""Flow files for tests: the smallest that compiles, and what is said of one."""

from __future__ import annotations

from textwrap import dedent

from engine.model.flow import Flow
from engine.plugins import registry
from engine.spec.compile import check_flow, compile_flow

PATH = "flows/a.yaml"
HEAD = "id: a\nnamespace: n\n"
TASK = "tasks:\n  - id: t\n    type: core.log.Log\n    message: hi\n"


def flow(text: str) -> Flow:
    """Compile a whole file."""
    return compile_flow(dedent(text).encode(), PATH, registry())


def said(text: str | bytes) -> list[str]:
    """Every problem of a whole file as `line:column property: message`, warnings marked."""
    content = text if isinstance(text, bytes) else dedent(text).encode()
    return [
        f"{'warning ' if each.severity == 'warning' else ''}"
        f"{each.line}:{each.column}{' ' + each.property if each.property else ''}: {each.message}"
        for each in check_flow(content, PATH, registry()).problems
    ]
