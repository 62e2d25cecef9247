"""`headwater demo`: the main job, live, on a repository of its own in a temporary folder that goes away with it.

Puts the story's parts together and cleans up behind them, whatever happens. It must not know the steps.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from headwater.demo.checks import StepFailed
from headwater.demo.daemon import SOURCE, Daemon
from headwater.demo.person import Person
from headwater.demo.stage import Stage
from headwater.demo.story import CHANGED, HOOK_KEY, HOOKED, STATUS, Story
from headwater.settings import own_environment

_LOOK = 0.5  # seconds between two looks whether the daemon is still there


def demo(once: bool) -> int:
    """Play the story; returns the exit code, 1 when a step of it did not happen.

    Args:
        once: end after it instead of staying up until Ctrl-C.
    """
    stage = Stage()
    stage.headline("Headwater: a commit becomes running flows, and what happened comes back to Git.")
    with _ending_by_signals(), _folder() as folder:
        environment = {"HOME": str(folder), **own_environment()}
        person, daemon = Person(folder, environment), Daemon(folder, environment)
        played = False
        try:
            Story(person, daemon, stage).play()
            stage.say(f"All of it happened: {stage.steps} steps in {stage.seconds:.1f} s.", "")
            played = True
            if not once:
                with suppress(KeyboardInterrupt):
                    _stay(stage, person, daemon)
                stage.say("", "Stopping.")
            return 0
        except StepFailed as error:
            what = str(error) if played else f"Step {stage.steps} did not happen"
            _tell_failure(stage, daemon, what)
            (folder / _KEEP).touch()
            return 1
        finally:
            with _undisturbed():
                daemon.stop()


def _stay(stage: Stage, person: Person, daemon: Daemon) -> NoReturn:
    """Say what there is to look at, and stay up until Ctrl-C. Raises StepFailed when the daemon ends by itself."""
    path = HOOKED.replace(".", "/")
    pages = [("page", "/")] if daemon.answers("/") else []
    looks = [*pages, ("API", "/api/v1/main/executions/search"), ("badge", f"/badges/{path}.svg")]
    hooks = [
        ("push", f"/hooks/{SOURCE}"),
        ("webhook", f"/api/v1/main/executions/webhook/{path}/{HOOK_KEY}"),
    ]
    stage.say_pairs("To look at", [(name, daemon.url + path) for name, path in looks])
    stage.say_pairs("Hooks, which take a POST", [(name, daemon.url + path) for name, path in hooks])
    stage.say_pairs(
        "To try in another terminal",
        [
            ("", f"cd {person.origin.parent}"),
            ("", f"git clone {person.origin.name} mine   # change a flow, push: live within two seconds"),
            ("", f"git -C {person.origin.name} log {STATUS}"),
            ("", f"{_command()} audit {CHANGED} --repo {person.origin.name}"),
            ("", f"{_command()} executions --server {daemon.url}"),
        ],
    )
    stage.say("The daemon stays up until Ctrl-C; then the folder above is removed.")
    while True:
        daemon.alive()
        time.sleep(_LOOK)


def _command() -> str:
    """How `headwater` is called from anywhere."""
    return "headwater" if shutil.which("headwater") else str(Path(sys.argv[0]).absolute())


def _tell_failure(stage: Stage, daemon: Daemon, what: str) -> None:
    """A step has said itself what it expected and what it saw."""
    stage.say(f"{what}; what led to it is kept in {daemon.log.parent}.")
    if words := list(daemon.last_words()):
        stage.say(f"The daemon's log is {daemon.log.name} there; it ends:", *(f"  {line}" for line in words))


# The surroundings

_KEEP = ".keep"  # in a folder that is to stay


@contextmanager
def _folder() -> Iterator[Path]:
    """A temporary folder that goes away, unless it is wanted for looking at what failed."""
    folder = Path(tempfile.mkdtemp(prefix="headwater-demo-")).resolve()
    try:
        yield folder
    finally:
        if not (folder / _KEEP).exists():
            with _undisturbed():
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _ending_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the demo as cleanly as Ctrl-C does."""

    def leave(number: int, _: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Nobody interrupts the cleaning up."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
