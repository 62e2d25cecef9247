"""`headwater serve` and `headwater demo`: what stays up until it is stopped."""

from __future__ import annotations

from typing import Annotated

import typer

from headwater.commands.run import Config


def serve(config: Config = None) -> int:
    """Follow flows repositories, run what they want, report back to Git."""
    from headwater.settings import load

    settings = load(config)
    from headwater.daemon import serve as serve_until_stopped

    return serve_until_stopped(settings)


def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the story instead of staying up.")] = False,
) -> int:
    """Play the main job live: push, run, break, fix, look at the results."""
    from headwater.demo import demo as play

    return play(once)
