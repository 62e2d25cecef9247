"""Flows repositories of a given size."""

from __future__ import annotations

from pathlib import Path

from tests.support.repositories import Author

FOLDERS = 100
SIZE = 850  # bytes of a flow file


def flow(index: int, message: str = "hello") -> str:
    """A flow file with a schedule, inputs and two tasks, filled up to `SIZE` bytes."""
    text = (
        f"id: flow{index}\n"
        f"namespace: company.team{index % FOLDERS}\n"
        "labels:\n  owner: data\n  tier: standard\n"
        "inputs:\n  - id: day\n    type: STRING\n    defaults: today\n"
        "variables:\n  table: events\n"
        "tasks:\n"
        f"  - id: say\n    type: core.log.Log\n    message: {message} about {{{{ inputs.day }}}}\n"
        "  - id: load\n    type: scripts.shell.Commands\n    commands:\n      - echo loading {{ vars.table }}\n"
        f"triggers:\n  - id: daily\n    type: core.trigger.Schedule\n    cron: {index % 60} {index // 60 % 24} * * *\n"
        "description: |\n"
    )
    rest = SIZE - len(text)
    return text + "".join(f"  {'x' * 70}\n" for _ in range(rest // 73)) + f"  {'y' * max(rest % 73 - 3, 1)}\n"


def path(index: int) -> str:
    """Where that flow's file is."""
    return f"flows/team{index % FOLDERS}/flow{index}.yaml"


def repository(place: Path, flows: int) -> Author:
    """A bare repository with so many flows, packed as a forge keeps it."""
    author = Author(place)
    author.commit({path(index): flow(index) for index in range(flows)}, "Add flows")
    author.pack()
    return author
