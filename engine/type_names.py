"""The many spellings of a plugin's type, and the one short form that the registry knows.

The full name, our short form without its prefix, and the packages and classes as they were called before the
renaming of 2024 all mean the same (dialect, section 1.2, rule 16, and section 2). A table and a pure function.
"""

from __future__ import annotations

from typing import NamedTuple

PREFIX = "io.kestra.plugin."

OLD_PACKAGES = {
    "io.kestra.core.tasks.debugs.": "core.debug.",
    "io.kestra.core.tasks.executions.": "core.execution.",
    "io.kestra.core.tasks.flows.": "core.flow.",
    "io.kestra.core.tasks.log.": "core.log.",
    "io.kestra.core.tasks.states.": "core.state.",
    "io.kestra.core.tasks.storages.": "core.storage.",
    "io.kestra.core.tasks.templating.": "core.templating.",
    "io.kestra.core.tasks.trigger.": "core.trigger.",
    "io.kestra.core.models.triggers.types.": "core.trigger.",
    "io.kestra.core.models.conditions.types.": "core.condition.",
    "io.kestra.core.models.tasks.runners.types.": "core.runner.",
    "fs.http.": "core.http.",
}

OLD_CLASSES = {
    "core.condition.FlowCondition": "core.condition.ExecutionFlow",
    "core.condition.FlowNamespaceCondition": "core.condition.ExecutionNamespace",
    "core.condition.Flow": "core.condition.ExecutionFlow",
    "core.condition.FlowNamespace": "core.condition.ExecutionNamespace",
    "core.condition.VariableCondition": "core.condition.Expression",
    "core.execution.Counts": "core.execution.Count",
    "core.flow.Flow": "core.flow.Subflow",
    "core.flow.WaitFor": "core.flow.LoopUntil",
    "core.flow.Worker": "core.flow.WorkingDirectory",
    "core.runner.ProcessTaskRunner": "core.runner.Process",
    "core.storage.PurgeExecution": "core.storage.PurgeCurrentExecutionFiles",
    "core.storage.Purge": "core.execution.PurgeExecutions",
    "scripts.runner.docker.DockerTaskRunner": "scripts.runner.docker.Docker",
}


GONE = {
    "core.flow.Template": "templates are gone; make its tasks a flow of its own and call that with `core.flow.Subflow`",
}
"""Types of the dialect that nobody will have, by short form, and what to do instead."""


class Name(NamedTuple):
    """A type's short form, and whether it was written in an outdated way."""

    short: str
    outdated: bool


def canonical(written: str) -> Name:
    """The short form of a type as somebody wrote it; a name nobody knows is given back without the prefix."""
    short = written.removeprefix(PREFIX)
    outdated = False
    for old, new in OLD_PACKAGES.items():
        if short.startswith(old):
            short, outdated = new + short[len(old) :], True
            break
    renamed = OLD_CLASSES.get(short)
    if renamed is not None:
        return Name(renamed, True)
    if (
        short.startswith("core.condition.")
        and short.endswith("Condition")
        and short != "core.condition.MultipleCondition"
    ):
        return Name(short.removesuffix("Condition"), True)
    return Name(short, outdated)


def spellings(short: str) -> tuple[str, ...]:
    """Every way to write the type of a short form: the present ones first, then the outdated ones, by name."""
    classes = [short, *(old for old, new in OLD_CLASSES.items() if new == short)]
    if short.startswith("core.condition."):
        classes.append(short + "Condition")
    packages = [
        old + name.removeprefix(new)
        for name in classes
        for old, new in OLD_PACKAGES.items()
        if name.startswith(new)
    ]
    written = {form for name in (*classes, *packages) for form in (name, PREFIX + name)}
    meant = [form for form in written if canonical(form).short == short]
    return tuple(sorted(meant, key=lambda form: (canonical(form).outdated, form)))
