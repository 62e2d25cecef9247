"""Plugin defaults: properties that a flow gives once for every plugin of a type (dialect, section 6.6). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.type_names import PREFIX, canonical

KEYS = ("pluginDefaults", "taskDefaults")


def with_defaults(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The flow with its own plugin defaults merged in; itself when it has none that make sense.

    A plugin's own value wins over a default, the first default over the next; a `forced` default wins over all.
    """
    rules = [rule for key in KEYS for rule in _rules(data.get(key))]
    if not rules:
        return data
    return {key: value if key in KEYS else _merged(value, rules) for key, value in data.items()}


def _rules(value: Any) -> list[tuple[str, Mapping[str, Any], bool]]:
    found = []
    for rule in value if isinstance(value, list) else []:
        if (
            isinstance(rule, Mapping)
            and isinstance(rule.get("type"), str)
            and isinstance(rule.get("values"), Mapping)
        ):
            found.append((_full(rule["type"]), rule["values"], rule.get("forced") is True))
    return found


def _full(written: str) -> str:
    name = canonical(written)
    if not name.outdated and (written.startswith(PREFIX) or PREFIX.startswith(written)):
        return written
    return PREFIX + name.short


def _merged(value: Any, rules: list[tuple[str, Mapping[str, Any], bool]]) -> Any:
    if isinstance(value, list):
        return [_merged(item, rules) for item in value]
    if not isinstance(value, Mapping):
        return value
    result: dict[Any, Any] = {key: _merged(item, rules) for key, item in value.items()}
    if isinstance(value.get("type"), str):
        name = _full(value["type"])
        for prefix, values, forced in rules:
            if name.startswith(prefix):
                result = _deep(result, values) if forced else _deep(values, result)
    return result


def _deep(under: Mapping[Any, Any], over: Mapping[Any, Any]) -> dict[Any, Any]:
    result = dict(under)
    for key, value in over.items():
        mine = result.get(key)
        result[key] = (
            _deep(mine, value) if isinstance(mine, Mapping) and isinstance(value, Mapping) else value
        )
    return result
