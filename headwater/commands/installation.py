"""`headwater plugins` and `headwater doctor`: what this installation has, and what keeps it from working."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headwater.commands.run import Config
from headwater.terminal import print_json, say, table, warn


def plugins_list(
    group: Annotated[
        str | None, typer.Argument(metavar="[GROUP]", help="tasks, triggers, runners, forges …")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")] = False,
) -> int:
    """List what is installed; say which of it cannot be used and why."""
    from engine.errors import NotFound
    from engine.model.text import nearest
    from engine.plugins import GROUPS, registry

    if group is not None and group not in GROUPS:
        near = nearest(group, GROUPS)
        raise NotFound(
            f"there is no group `{group}`",
            hint=f"did you mean `{near}`?" if near else f"use one of {', '.join(GROUPS)}",
        )
    known = registry()
    names = {each: known.names(each) for each in ([group] if group else GROUPS)}
    problems = [str(problem) for problem in known.problems()]
    if json:
        print_json({"plugins": {each: list(found) for each, found in names.items()}, "problems": problems})
    else:
        table([(each, name) for each, found in names.items() for name in found])
        for problem in problems:
            warn(problem)
    return 1 if problems else 0


def doctor(config: Config = None) -> int:
    """Check this installation: one line a check, with the next step where something is wrong."""
    from headwater.doctor import examine

    worst = 0
    for check in examine(Path(config) if config else None):
        say(f"{check.symbol} {check.name:12} {check.said}" + (f"; {check.hint}" if check.hint else ""))
        worst = max(worst, check.symbol == "✗")
    return int(worst)
