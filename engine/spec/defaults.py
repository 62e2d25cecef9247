"""Plugin defaults: properties given once for every plugin of a type, by a flow or by its repository.

Source: dialect, section 6.6. Rules of a repository travel as text (canonical JSON, empty for none), so that a version
of a flow can be kept with those it was made with. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from engine.model.flow import PluginDefault
from engine.type_names import PREFIX, canonical

KEYS = ("pluginDefaults", "taskDefaults")
_TEMPLATED = PREFIX + "core.templating.TemplatedTask"
_Rule = tuple[str, Mapping[str, Any], bool]


def with_defaults(data: Mapping[str, Any], wider: str = "") -> Mapping[str, Any]:
    """The flow with plugin defaults merged in; itself when there are none that make sense.

    A plugin's own value wins over a default, a default of the flow over one of the repository, the first over the
    next. A `forced` default wins over the value, and there the repository's wins over the flow's.

    Args:
        wider: the repository's, as `kept` gives them.
    """
    rules = [rule for key in KEYS for rule in _rules(data.get(key))]
    rules.extend(_read(wider))
    if not rules:
        return data
    return {key: value if key in KEYS else _merged(value, rules) for key, value in data.items()}


def kept(rules: Iterable[PluginDefault]) -> str:
    """The text of a repository's defaults; the same rules give the same text."""
    return _text([rule.model_dump(mode="json") for rule in rules])


def concerning(data: Mapping[str, Any], wider: str) -> str:
    """Those of a repository's defaults that have something to say to a flow; a change of others is none of it.

    To a flow with a templated task all of them have, for its type is known only when it runs.
    """
    if not wider:
        return ""
    here = {_full(name) for key, value in data.items() if key not in KEYS for name in _types(value)}
    if _TEMPLATED in here:
        return wider
    return _text(
        [rule for rule in json.loads(wider) if any(name.startswith(_full(rule["type"])) for name in here)]
    )


def _text(rules: list[Any]) -> str:
    return json.dumps(rules, ensure_ascii=False, sort_keys=True) if rules else ""


@lru_cache(maxsize=64)
def _read(wider: str) -> tuple[_Rule, ...]:
    return tuple(_rules(json.loads(wider))) if wider else ()


def _types(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _types(item)
    elif isinstance(value, Mapping):
        if _is_plugin(value):
            yield value["type"]
        for item in value.values():
            yield from _types(item)


def _is_plugin(value: Mapping[Any, Any]) -> bool:
    """Whether `type` names a plugin: those of inputs and retries are plain words."""
    return isinstance(value.get("type"), str) and "." in value["type"]


def _rules(value: Any) -> list[_Rule]:
    found: list[_Rule] = []
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


def _merged(value: Any, rules: list[_Rule]) -> Any:
    if isinstance(value, list):
        return [_merged(item, rules) for item in value]
    if not isinstance(value, Mapping):
        return value
    result: dict[Any, Any] = {key: _merged(item, rules) for key, item in value.items()}
    if _is_plugin(value):
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
