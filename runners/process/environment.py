"""What a process gets to see: its command and its variables.

Never the daemon's own environment: what is not given here is not there. Pure; knows no folder but those it is given.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from engine.errors import UserError
from engine.model.run import RunRequest

MARK = "OUTPUT_DIR"
"""The variable, unique to each run and not to be overridden, by which a run's processes are known in /proc."""

FALLBACK_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MAX_BYTES = 16 << 20


def check(request: RunRequest) -> None:
    """Refuse a command or variables that no process can be started with.

    Raises:
        UserError: naming the argument or variable.
    """
    if not request.command or not request.command[0]:
        raise UserError("the command is empty", hint="give the program to run")
    total = sum(_size(text, f"argument {index}") for index, text in enumerate(request.command))
    for name, value in request.env.items():
        if not name or "=" in name:
            raise UserError(f"`{name[:100]}` is not a name that an environment variable can have")
        total += _size(name, "the name of an environment variable") + _size(
            value, f"environment variable `{name}`"
        )
    if total > _MAX_BYTES:
        raise too_large()


def too_large() -> UserError:
    """Arguments and variables together are more than the kernel takes."""
    return UserError(
        "the command and its environment are too large for a process",
        hint="hand large values on as inputFiles",
    )


def variables(
    given: Mapping[str, str], *, work: str, outputs: str, temporary: str, path: str, cache: str
) -> dict[str, str]:
    """The whole environment: defaults, over them what is `given`, over that where the run's folders are.

    Args:
        cache: a folder that outlasts the run, for what it would otherwise make again.
    """
    return {
        "PATH": path,
        # The account's own home would hand its credentials to every task.
        "HOME": work,
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TMPDIR": temporary,
        # Lines are to show while the task runs; into a file Python would hold them back.
        "PYTHONUNBUFFERED": "1",
        "HEADWATER_CACHE": cache,
        **given,
        "WORKING_DIR": work,
        MARK: outputs,
    }


def _size(text: str, what: str) -> int:
    try:
        size = len(os.fsencode(text))
    except UnicodeEncodeError:
        raise UserError(f"{what} holds characters that cannot be handed to a process") from None
    if "\0" in text:
        raise UserError(f"{what} holds a NUL character, which cannot be handed to a process")
    return size
