"""`headwater run`: one flow of a repository, here and now, without a daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def pairs(texts: list[str] | None, option: str) -> dict[str, str]:
    """`key=value` arguments as a map. Raises typer.BadParameter."""
    found: dict[str, str] = {}
    for text in texts or ():
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise typer.BadParameter(f"`{text}` is not of the form key=value", param_hint=option)
        if key in found:
            raise typer.BadParameter(f"`{key}` is given twice", param_hint=option)
        found[key] = value
    return found


Inputs = Annotated[
    list[str] | None,
    typer.Option("-i", "--input", metavar="KEY=VALUE", help="An input; key=@path hands over a file."),
]
Labels = Annotated[list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="A label.")]
Config = Annotated[
    Path | None, typer.Option("--config", metavar="PATH", help="The settings file, else HEADWATER_CONFIG.")
]


def run(
    flow: Annotated[str, typer.Argument(metavar="FLOW", help="namespace.id or namespace/id")],
    repo: Annotated[
        Path, typer.Option("--repo", metavar="PATH", help="A work tree or a bare repository.")
    ] = Path(),
    rev: Annotated[
        str | None, typer.Option("--rev", metavar="REV", help="A commit, instead of the files as they lie.")
    ] = None,
    inputs: Inputs = None,
    label: Labels = None,
    json: Annotated[bool, typer.Option("--json", help="Only the execution's document on stdout.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="With --json: all executions it led to, and the logs.")
    ] = False,
    config: Config = None,
) -> int:
    """Run a flow of a repository here and now, without a daemon."""
    if full and not json:
        raise typer.BadParameter("it goes with --json", param_hint="--full")
    given, labels = pairs(inputs, "-i"), pairs(label, "--label")
    from headwater.running import Wanted, run_here

    return run_here(Wanted(flow, repo, rev, given, labels, config), json=json, full=full)
