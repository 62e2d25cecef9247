"""Functions that read JSON, Ion and YAML from text."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from engine.errors import ExpressionError
from engine.expressions import limits
from engine.expressions.registry import function_named
from engine.expressions.values import kind

_MOST_NESTED: Final = 500
_OPENING: Final = re.compile(r"[\[{]")
_ALIAS: Final = re.compile(r"(?:^|[\s\[{,:-])[&*][^\s,\[\]{}]", re.MULTILINE)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise ExpressionError(f"`{name}` needs a string, but got {kind(value)}")
    limits.check_text(len(value))
    return value


@function_named("fromJson", "json", "jsonDecode", takes=("json",), required=1)
def _from_json(value: Any) -> Any:
    if value is None:
        return None
    try:
        return json.loads(_text(value, "fromJson"))
    except (ValueError, RecursionError) as error:
        raise ExpressionError(f"Invalid json: {error}") from None


@function_named("yaml", takes=("yaml",), required=1)
def _yaml(value: Any) -> Any:
    if value is None:
        return None
    text = _text(value, "yaml")
    if _ALIAS.search(text):
        return _yaml_with_aliases(text)
    from yaml12 import parse_yaml

    if len(_OPENING.findall(text)) > _MOST_NESTED and _nesting(text) > _MOST_NESTED:
        raise ExpressionError("Invalid yaml: nested too deeply")
    try:
        return _untagged(parse_yaml(text))
    except (ValueError, RecursionError) as error:
        raise ExpressionError(f"Invalid yaml: {error}") from None


def _yaml_with_aliases(text: str) -> Any:
    """Aliases share one value in this parser; the fast one copies, and a few lines could fill the memory."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if len(text) > limits.ITEMS:
        raise ExpressionError("A yaml text with aliases is too long")
    try:
        value = YAML(typ="safe", pure=True).load(text)
        limits.check_items(_expanded(value, {}))
        return value
    except (YAMLError, ValueError, RecursionError) as error:
        raise ExpressionError(f"Invalid yaml: {' '.join(str(error).split())[:300]}") from None


def _expanded(value: Any, known: dict[int, int]) -> int:
    """How many values there are when every alias is followed; a list that holds itself has too many."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = limits.ITEMS + 1
        inner = [*value, *value.values()] if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_expanded(item, known) for item in inner)
    return known[id(value)]


def _nesting(text: str) -> int:
    deepest = depth = 0
    for char in text:
        depth += (char in "[{") - (char in "]}")
        deepest = max(deepest, depth)
    return deepest


def _untagged(value: Any) -> Any:
    """Tags mean nothing here: the value below a tag is taken."""
    if isinstance(value, dict):
        return {_key(key): _untagged(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_untagged(item) for item in value]
    return _untagged(value.value) if type(value).__name__ == "Yaml" else value


def _key(key: Any) -> Any:
    inner = _untagged(key)
    return inner if isinstance(inner, str | int | float | bool) else str(inner)


@function_named("fromIon", "ionDecode", takes=("ion", "allRows"), required=1)
def _from_ion(value: Any, all_rows: Any = None) -> Any:
    if value is None:
        return None
    # the import takes longer than most renderings, and hardly any template needs it
    from amazon.ion import simpleion
    from amazon.ion.exceptions import IonException

    try:
        rows = [_ion_value(row) for row in simpleion.loads(_text(value, "fromIon"), single_value=False)]
    except (IonException, ValueError, RecursionError) as error:
        raise ExpressionError(f"Invalid ion: {str(error)[:200]}") from None
    return rows if all_rows else rows[0] if rows else None


def _ion_value(value: Any) -> Any:
    """Plain data of what the Ion reader gives, whose values carry annotations."""
    if isinstance(value, dict) or hasattr(value, "keys"):
        return {str(key): _ion_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_ion_value(item) for item in value]
    if value is None or type(value).__name__ == "IonPyNull":
        return None
    if type(value).__name__ == "IonPyBool":
        return bool(value)
    if isinstance(value, bool | str):
        return value if isinstance(value, bool) else str(value)
    if isinstance(value, int):
        return int(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return bytes(value).decode("utf-8", "replace") if isinstance(value, bytes) else float(value)
