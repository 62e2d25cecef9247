"""Key-value pairs as the store keeps them: their spaces, their entries, when they are over (dialect, section 6.3).

A space is `kv/<namespace>`, an entry a JSON map `{value, type, expires, description, by}`; `by` is the attempt
that wrote it, so that an attempt taken up again after a crash knows its own work. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, TypeGuard

from engine.errors import UserError

SPACES = "kv/"
_KEY = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]*")
_LONGEST_KEY = 256


def space(namespace: str) -> str:
    """The store's space with the pairs of a namespace."""
    return SPACES + namespace


def upwards(namespace: str) -> Iterator[str]:
    """The namespace, then each above it: reads are inherited."""
    while namespace:
        yield namespace
        namespace = namespace.rpartition(".")[0]


def alive(stored: Any, now: datetime) -> TypeGuard[Mapping[str, Any]]:
    """Whether there is an entry that has not expired."""
    if not isinstance(stored, Mapping):
        return False
    expires = stored.get("expires")
    return expires is None or datetime.fromisoformat(str(expires)) > now


def checked_key(key: str) -> str:
    """The key. Raises UserError when it cannot be one."""
    if len(key) > _LONGEST_KEY or not _KEY.fullmatch(key):
        raise UserError(
            f"`{key[:80]}` cannot be a key",
            hint="use letters, digits, `.`, `_` and `-`, a letter or digit first",
        )
    return key
