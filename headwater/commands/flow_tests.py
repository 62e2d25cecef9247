"""`headwater test`: the tests that lie beside the flows, played here and now, without a daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headwater.commands.run import Config


def play_tests(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH…]", help="Flows repositories, folders in them, or test files."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document instead of lines.")] = False,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write the results as JUnit XML, too.")
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", help="How long one case may take.", min=0.1)
    ] = 300.0,
    config: Config = None,
) -> int:
    """Run the tests of flows: fixtures stand in for tasks, assertions judge what comes out."""
    import asyncio

    from engine.errors import FlowInvalid, OperatorError
    from headwater.flow_tests.reports import document
    from headwater.flow_tests.reports import junit as junit_xml
    from headwater.flow_tests.session import Watcher, run_tests
    from headwater.flow_tests.show import Lines
    from headwater.settings import load
    from headwater.terminal import print_json, warn

    lines = None if json else Lines()
    settings = load(config)
    try:
        results = asyncio.run(run_tests(paths or [Path()], settings, lines or Watcher(), patience=timeout))
    except FlowInvalid as error:
        for problem in error.problems:
            warn(str(problem))
        return error.exit_code
    if junit is not None:
        try:
            junit.write_bytes(junit_xml(results))
        except OSError as error:
            raise OperatorError(
                f"cannot write `{junit}`: {error.strerror}", hint="name another file"
            ) from None
    if lines is not None:
        lines.end(results)
    else:
        print_json(document(results))
    return 0 if results.passed else 1
