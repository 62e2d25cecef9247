"""The page that says what of the dialect works: from the code, and from the hand-kept table of known differences.

Everything the code has is on it. What the table says must be true of the code: `wrong` tells where it is not.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import engine.expressions.template  # noqa: F401 - fills the tables
from engine.expressions.registry import FILTERS, FUNCTIONS, TESTS
from engine.model.flow import Flow
from engine.model.input_types import OLD_TYPES, TYPES
from engine.model.input_values import Input
from engine.model.task import Task
from engine.model.trigger import Trigger
from engine.plugins import registry
from engine.runtime.functions import Functions
from engine.runtime.surroundings import Surroundings
from engine.spec.annotations import names
from engine.spec.docstrings import about, summary

TABLE = Path(__file__).parents[1] / "dialect-differences.toml"
_TITLES = {
    "flow": "Properties of a flow",
    "input": "Properties of every input",
    "inputs": "Types of inputs and outputs",
    "task": "Properties of every task",
    "tasks": "Types of tasks",
    "trigger": "Properties of every trigger",
    "triggers": "Types of triggers",
    "conditions": "Types of conditions",
    "filters": "Filters",
    "functions": "Functions",
    "tests": "Tests, behind `is`",
}
_INTRODUCTION = (
    "What of Kestra's dialect, 1.x and 2.0, Headwater reads and does. *Works* means: as documented there. Types",
    "are given in their short form; `io.kestra.plugin.` before it, and the older names, mean the same. What",
    "properties each type has is in [tasks](reference/tasks.md) and [triggers](reference/triggers.md). A type of a",
    "plugin that is not installed is refused by `headwater validate`, with the nearest name that is known.",
)
_PLUGINS = ("tasks", "triggers", "conditions")


def known() -> dict[str, dict[str, str]]:
    """What the code has, by section of the page: names, and a few words on each."""
    types = registry()
    found: dict[str, dict[str, str]] = {
        "flow": _properties(Flow),
        "input": _properties(Input),
        "inputs": {name: _first(summary(model)) for name, model in TYPES.items()},
        "task": _properties(Task),
        "trigger": _properties(Trigger),
        "filters": {name: _signature(each.parameters) for name, each in FILTERS.items()},
        "functions": {name: _signature(each.parameters) for name, each in FUNCTIONS.items()},
        "tests": dict.fromkeys(TESTS, ""),
    }
    for name in _host_functions():
        found["functions"].setdefault(name, "")
    for old, new in OLD_TYPES.items():
        found["inputs"][old] = f"Older name of `{new}`."
    for group in _PLUGINS:
        found[group] = {name: _first(summary(types.load(group, name))) for name in types.names(group)}
    return found


def table() -> Mapping[str, Any]:
    """The hand-kept table."""
    return tomllib.loads(TABLE.read_text())


def wrong() -> list[str]:
    """Where the table does not fit the code: differences of what is not there, and missing things that are."""
    found = []
    have, listed = known(), table()
    for section in (name for name in listed if name != "better"):
        if section not in have:
            found.append(f"there is no section {section}")
            continue
        for name in listed[section].get("differs", {}):
            if name not in have[section]:
                found.append(f"{section}.differs: the code has no `{name}`")
        for name in listed[section].get("missing", {}):
            if name in have[section]:
                found.append(f"{section}.missing: the code has `{name}`; take the line out")
    return found


def page() -> Iterator[str]:
    """The page, in lines."""
    yield from _INTRODUCTION
    have, listed = known(), table()
    yield "\n| | works | differs | not yet |"
    yield "|---|---|---|---|"
    for section, title in _TITLES.items():
        counts = [state for _, state, _ in _rows(have[section], listed.get(section, {}))]
        cells = " | ".join(str(counts.count(state)) for state in ("works", "differs", "not yet"))
        yield f"| [{title}](#{_anchor(title)}) | {cells} |"
    for section, title in _TITLES.items():
        yield f"\n## {title}\n"
        yield "| | state | |"
        yield "|---|---|---|"
        for name, state, note in _rows(have[section], listed.get(section, {})):
            yield f"| `{name}` | {state} | {note} |"
    yield "\n## Differences that are meant\n"
    yield "Known defects are not repeated:\n"
    yield "| | there | here |"
    yield "|---|---|---|"
    for each in listed["better"]:
        yield f"| {each['what']} | {each['there']} | {each['here']} |"


def _rows(have: Mapping[str, str], listed: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Name, state and note of everything in a section, by name."""
    differs, missing = listed.get("differs", {}), listed.get("missing", {})
    for name in sorted({*have, *missing}, key=lambda each: (each.lower(), each)):
        if name in missing:
            yield name, "not yet", missing[name]
        elif name not in differs:
            yield name, "works", have[name]
        elif differs[name].startswith("not yet"):
            yield name, "not yet", differs[name].removeprefix("not yet: ")
        else:
            yield name, "differs", differs[name]


def _properties(model: Any) -> dict[str, str]:
    words = about(model)
    found = {}
    for field, info in model.model_fields.items():
        first, *older = names(field, info)
        also = f" Also written {', '.join(f'`{each}`' for each in older)}." if older else ""
        found[first] = (words.get(field, "") + also).strip().replace("|", "\\|")
    return found


def _host_functions() -> Iterable[str]:
    """The functions that the engine brings along; their table needs an engine, but not its parts."""
    around = Surroundings(store=cast(Any, None), files=cast(Any, None))
    return Functions(around, cast(Any, None), cast(Any, None), None).table()


def _signature(parameters: tuple[str, ...]) -> str:
    return f"takes {', '.join(f'`{each}`' for each in parameters)}" if parameters else ""


def _first(text: str) -> str:
    return text.split("\n\n")[0].replace("\n", " ").replace("|", "\\|")


def _anchor(title: str) -> str:
    return "".join(each for each in title.lower().replace(" ", "-") if each.isalnum() or each == "-")
