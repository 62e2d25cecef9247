"""The rules that look across a whole flow file (dialect, section 1.2), on plain data.

They run beside the validation of the parts, not after it, so that all problems of a file come at once. What is
not of the right shape is passed over here: the validation of the parts says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from engine.model.input_types import OLD_TYPES
from engine.spec.marks import Path
from engine.type_names import GONE, PREFIX, canonical

_RESERVED = frozenset(
    {
        "pause",
        "resume",
        "force-run",
        "change-status",
        "kill",
        "executions",
        "search",
        "source",
        "disable",
        "enable",
    }
)
_BRANCHES = frozenset({"tasks", "errors", "finally", "then", "else", "defaults", "afterExecution"})
_OLD_PROPERTIES = {"taskDefaults": "pluginDefaults", "listeners": "afterExecution"}
_NARROWING = ("conditions", "preconditions", "dependsOn", "when")


class Finding(NamedTuple):
    """Something a rule has to say about the value (or the key) at `path`; `earlier` is where the other stands."""

    path: Path
    message: str
    earlier: Path | None = None
    key: bool = False


def errors(data: Mapping[str, Any]) -> Iterator[Finding]:
    """Everything that the rules refuse."""
    tasks = list(_tasks(data, ()))
    yield from _unique("task", tasks)
    yield from _unique("trigger", _items(data, "triggers"))
    yield from _unique("output", _items(data, "outputs"))
    inputs = list(_inputs(_items(data, "inputs")))
    yield from _unique("input", inputs)
    yield from _dependencies(inputs)
    for path, task in tasks:
        itself = task.get("flowId") == data.get("id") and task.get("namespace") == data.get("namespace")
        if itself and _is(task, "core.flow.Subflow"):
            yield Finding((*path, "flowId"), "a flow cannot call itself; call another flow")


def warnings(data: Mapping[str, Any]) -> Iterator[Finding]:
    """Everything that is accepted, but outdated or hardly meant."""
    if isinstance(data.get("id"), str) and data["id"] in _RESERVED:
        yield Finding(("id",), f"`{data['id']}` is a word of the REST API; choose another id")
    for old, new in _OLD_PROPERTIES.items():
        if old in data:
            yield Finding((old,), f"`{old}` is outdated; use `{new}`", key=True)
    yield from _outdated(data, ())
    for path, each in _inputs(_items(data, "inputs")):
        if "name" in each and "id" not in each:
            yield Finding((*path, "name"), "`name` is outdated; use `id`", key=True)
        if isinstance(each.get("type"), str) and each["type"] in OLD_TYPES:
            yield Finding((*path, "type"), f"`{each['type']}` is outdated; use `{OLD_TYPES[each['type']]}`")
    for path, trigger in _items(data, "triggers"):
        if _is(trigger, "core.trigger.Flow") and not any(trigger.get(key) for key in _NARROWING):
            yield Finding(path, "this trigger fires after every execution of every flow; add `preconditions`")


Item = tuple[Path, Mapping[str, Any]]


def _items(data: Mapping[Any, Any], key: Any, path: Path = ()) -> Iterator[Item]:
    value = data.get(key)
    for place, item in enumerate(value if isinstance(value, list) else ()):
        if isinstance(item, Mapping):
            yield (*path, key, place), item


def _inputs(items: Iterable[Item]) -> Iterator[Item]:
    for path, item in items:
        if item.get("type") == "FORM":
            yield from _inputs(_items(item, "inputs", path))
        else:
            yield path, item


def _tasks(data: Mapping[str, Any], path: Path) -> Iterator[Item]:
    for key, value in data.items():
        if key in _BRANCHES and isinstance(value, list):
            yield from _row(value, (*path, key))
        elif key == "cases" and isinstance(value, Mapping):
            for name, row in value.items():
                yield from _row(row, (*path, key, name))
        elif key == "onPause" and isinstance(value, Mapping):
            yield from _tree(value, (*path, key))
        elif key == "listeners" and not path:
            for place, listener in _items(data, key):
                yield from _tasks(listener, place)


def _row(row: Any, path: Path) -> Iterator[Item]:
    for place, item in enumerate(row if isinstance(row, list) else ()):
        if isinstance(item, Mapping):
            inner = item.get("task")
            if isinstance(inner, Mapping):
                yield from _tree(inner, (*path, place, "task"))
            else:
                yield from _tree(item, (*path, place))


def _tree(task: Mapping[str, Any], path: Path) -> Iterator[Item]:
    yield path, task
    yield from _tasks(task, path)


def _is(item: Mapping[str, Any], short: str) -> bool:
    return isinstance(item.get("type"), str) and canonical(item["type"]).short == short


def _name(item: Mapping[str, Any]) -> tuple[str, str] | None:
    for key in ("id", "name"):
        if isinstance(item.get(key), str | int):
            return key, str(item[key])
    return None


def _unique(word: str, items: Iterable[Item]) -> Iterator[Finding]:
    seen: dict[str, Path] = {}
    for path, item in items:
        name = _name(item)
        if name is None:
            continue
        here = (*path, name[0])
        if name[1] in seen:
            yield Finding(here, f"duplicate {word} id `{name[1]}`; rename one of them", seen[name[1]])
        else:
            seen[name[1]] = here


def _dependencies(inputs: list[Item]) -> Iterator[Finding]:
    needs: dict[str, list[str]] = {}
    for _, item in inputs:
        name, depends = _name(item), item.get("dependsOn")
        listed = depends.get("inputs") if isinstance(depends, Mapping) else None
        if name is not None:
            needs[name[1]] = [str(each) for each in listed] if isinstance(listed, list) else []
    known = {name[1] for _, item in inputs if (name := _name(item)) is not None}
    for path, item in inputs:
        name = _name(item)
        for place, other in enumerate(needs.get(name[1], ()) if name else ()):
            here = (*path, "dependsOn", "inputs", place)
            if name and other == name[1]:
                yield Finding(here, f"input `{other}` cannot depend on itself")
            elif other not in known:
                yield Finding(here, f"there is no input `{other}`")
            elif name and _reaches(other, name[1], needs):
                yield Finding(here, f"inputs `{name[1]}` and `{other}` depend on each other; break the cycle")


def _reaches(start: str, goal: str, needs: Mapping[str, list[str]]) -> bool:
    waiting, seen = [start], {start}
    while waiting:
        for other in needs.get(waiting.pop(), ()):
            if other == goal:
                return True
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    return False


def _outdated(value: Any, path: Path) -> Iterator[Finding]:
    if isinstance(value, list):
        for place, item in enumerate(value):
            yield from _outdated(item, (*path, place))
    elif isinstance(value, Mapping):
        written = value.get("type")
        if isinstance(written, str) and "." in written:
            name = canonical(written)
            if name.outdated and name.short not in GONE:
                yield Finding(
                    (*path, "type"), f"`{written}` is the old name of `{PREFIX}{name.short}`; use that"
                )
        for key, item in value.items():
            if isinstance(item, list | Mapping):
                yield from _outdated(item, (*path, key))
