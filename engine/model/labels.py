"""Labels as flow files write them: a map, or a list of `{key, value}`; kept as a map of text.

`system.` belongs to the engine (dialect, section 1.2, rule 6); `system.readOnly` alone may be set by a flow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from engine.model.base import Text
from engine.model.types import problem_at

_SYSTEM = "system."
_ALLOWED = frozenset({"system.readOnly"})


def _as_map(value: Any) -> Any:
    if value is None:
        return {}
    if not isinstance(value, list | tuple):
        return value
    found: dict[Any, Any] = {}
    for place, item in enumerate(value):
        if not isinstance(item, Mapping) or set(item) != {"key", "value"}:
            raise problem_at((place,), "label", "a label is `{key, value}`", item)
        if not isinstance(item["key"], str):
            raise problem_at((place, "key"), "label", "the key of a label is text", item["key"])
        found[item["key"]] = item["value"]
    return found


def _no_system(labels: dict[str, str]) -> dict[str, str]:
    taken = [key for key in labels if key.startswith(_SYSTEM) and key not in _ALLOWED]
    if taken:
        message = "labels that start with `system.` belong to the engine; choose another key"
        raise problem_at((taken[0],), "system_label", message, taken[0])
    return labels


Labels = Annotated[dict[str, Text], BeforeValidator(_as_map), AfterValidator(_no_system)]
"""A map of text without the engine's own keys."""
