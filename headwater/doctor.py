"""The checks of `headwater doctor`: is everything there that a daemon with these settings needs?

Leaves nothing behind. It must not know how an answer is shown.
"""

from __future__ import annotations

import asyncio
import platform
import re
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from engine.errors import HeadwaterError
from engine.plugins import registry
from headwater.settings import Settings, load, remote_of
from headwater.terminal import plural
from reconciler.git import git
from reconciler.repository import Mirror

_PATIENCE = 20.0  # seconds for one source
_OLDEST_GIT = (2, 30)


class Check(NamedTuple):
    """What one check found: `✓`, `⚠` or `✗`."""

    symbol: str
    name: str
    said: str
    hint: str = ""


def examine(config: Path | None) -> Iterator[Check]:
    """All checks, one after the other."""
    yield Check(
        "✓", "python", f"{platform.python_version()} at {sys.executable}, SQLite {sqlite3.sqlite_version}"
    )
    yield asyncio.run(_git())
    yield from _plugins()
    try:
        settings = load(config)
    except HeadwaterError as error:
        yield Check("✗", "settings", error.message, error.hint)
        return
    yield Check("✓", "settings", f"listen on {settings.listen}, {plural(len(settings.sources), 'source')}")
    yield _data(settings)
    for variable in settings.secrets.undecodable:
        yield Check("⚠", "secrets", f"{variable} is not base64 and is not used", "encode it: base64 -w0")
    if not settings.sources:
        yield Check(
            "⚠", "sources", "none is set, so `headwater serve` has nothing to follow", "add [[sources]]"
        )
    yield from asyncio.run(_sources(settings))


async def _git() -> Check:
    try:
        result = await git("version", cwd="/")
    except HeadwaterError as error:
        return Check("✗", "git", error.message, error.hint or "install git")
    said = result.stdout.decode("utf-8", "replace").strip()
    found = re.search(r"(\d+)\.(\d+)", said)
    if found and (int(found[1]), int(found[2])) < _OLDEST_GIT:
        return Check("✗", "git", f"{said} is too old", f"install {'.'.join(map(str, _OLDEST_GIT))} or newer")
    return Check("✓", "git", said)


def _plugins() -> Iterator[Check]:
    problems = registry().problems()
    for problem in problems:
        yield Check("✗", "plugins", problem.message, problem.hint)
    if not problems:
        yield Check(
            "✓", "plugins", f"{plural(len(registry().names('tasks')), 'task type')}, all can be loaded"
        )


def _data(settings: Settings) -> Check:
    folder = settings.data
    present = next(each for each in (folder, *folder.parents) if each.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=present, prefix=".headwater-") as probe:
            probe.write(b"x" * 4096)
    except OSError as error:
        return Check(
            "✗", "data", f"{present} cannot be written: {error.strerror}", "set `data` to another folder"
        )
    said = "can be written" if present == folder else f"can be made in {present}"
    return Check("✓", "data", f"{folder} {said}")


async def _sources(settings: Settings) -> list[Check]:
    checks = []
    for source in settings.sources:
        remote = remote_of(source, inherited=settings.inherited)
        name = f"source {source.name}"
        with tempfile.TemporaryDirectory() as folder:
            mirror = Mirror(Path(folder, "mirror"), remote, source.branch, timeout=_PATIENCE)
            try:
                revision = await mirror.remote_revision()
            except HeadwaterError as error:
                checks.append(Check("✗", name, error.message, error.hint))
                continue
        if revision is None:
            hint = "push it, or set `branch`"
            checks.append(Check("✗", name, f"{remote.display} has no branch {source.branch}", hint))
        else:
            checks.append(Check("✓", name, f"{remote.display} {source.branch} is at {revision[:7]}"))
    return checks
