"""Filters that change notation: JSON, Ion, base64, URLs, hashes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from engine.errors import ExpressionError
from engine.expressions.filters.strings import text_of
from engine.expressions.registry import filter_named
from engine.expressions.values import is_list, to_json, to_text


@filter_named("toJson", "json", "jsonEncode")
def _to_json(value: Any) -> str:
    return to_json(value)


@filter_named("toIon")
def _to_ion(value: Any) -> str:
    # the import takes longer than most renderings, and hardly any template needs it
    from amazon.ion import simpleion

    text = str(simpleion.dumps(_plain_data(value), binary=False, omit_version_marker=True))
    return text.removeprefix("$ion_1_0").strip()


def _plain_data(value: Any) -> Any:
    """Dicts and lists all the way down, as the Ion writer wants them."""
    if isinstance(value, Mapping):
        return {to_text(key): _plain_data(item) for key, item in value.items()}
    if is_list(value):
        return [_plain_data(item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    return float(value) if isinstance(value, float) else to_text(value)


@filter_named("base64encode")
def _base64encode(value: Any) -> Any:
    return None if value is None else base64.b64encode(text_of(value, "base64encode").encode()).decode()


@filter_named("base64decode")
def _base64decode(value: Any) -> Any:
    if value is None:
        return None
    text = text_of(value, "base64decode")
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode("utf-8", "replace")


@filter_named("urlencode")
def _urlencode(value: Any) -> Any:
    # as Java's URLEncoder: `*` stays, `~` does not
    return None if value is None else quote_plus(text_of(value, "urlencode"), safe="*").replace("~", "%7E")


@filter_named("urldecode")
def _urldecode(value: Any) -> Any:
    return None if value is None else unquote_plus(text_of(value, "urldecode"))


def _hash(name: str) -> None:
    @filter_named(name)
    def apply(value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, str):
            raise ExpressionError("Need a string to hash")
        # md5 and sha1 are offered for checksums of foreign systems, nothing of ours trusts them
        return hashlib.new(name, value.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


for _name in ("md5", "sha1", "sha256", "sha512"):
    _hash(_name)
