"""Secrets are tracked by value: whatever was read as a secret is masked wherever text leaves the process.

Knows values, not where they came from. Beside the value itself its usual disguises are masked too: JSON-escaped,
URL-encoded, base64 (at each of the three offsets it can have inside a longer text), and its single lines.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "********"
_SHORTEST = 3  # shorter values would blank half of every log and protect nothing


def _disguises(value: str) -> Iterator[str]:
    yield value
    stripped = value.strip()
    yield stripped
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield quote(value, safe="")
    yield quote_plus(value)
    raw = value.encode("utf-8", "surrogatepass")
    for offset in range(3):
        encoded = base64.b64encode(b"\x00" * offset + raw).decode()
        # The ends depend on the neighbours; what lies between them is the secret's alone.
        core = encoded[(0, 2, 3)[offset] : len(encoded.rstrip("=")) - (1 if (len(raw) + offset) % 3 else 0)]
        if len(core) >= 8:
            yield core
            yield core.replace("+", "-").replace("/", "_")
    if "\n" in stripped:
        yield from (line.strip() for line in stripped.splitlines() if len(line.strip()) >= 8)


class Masker:
    """The secret values this process has read; may be used from any thread."""

    def __init__(self) -> None:
        self._words: set[str] = set()
        self._compiled: tuple[int, re.Pattern[str]] | None = None

    def add(self, value: str) -> None:
        """Track a secret value from now on."""
        self._words.update(word for word in _disguises(value) if len(word) >= _SHORTEST)

    def _pattern(self) -> re.Pattern[str] | None:
        """What matches every tracked value, longest first; made anew when there are more of them than it knows."""
        compiled = self._compiled
        if compiled is None or compiled[0] != len(self._words):
            words = sorted(list(self._words), key=len, reverse=True)  # noqa: C414 - a copy: others may add meanwhile
            if not words:
                return None
            compiled = self._compiled = len(words), re.compile("|".join(map(re.escape, words)))
        return compiled[1]

    def text(self, text: str) -> str:
        """`text` with every tracked value replaced."""
        pattern = self._pattern()
        return pattern.sub(MASK, text) if pattern is not None else text

    def value(self, value: Any) -> Any:
        """A JSON value with every tracked value replaced in its strings and keys."""
        if not self._words:
            return value
        match value:
            case str():
                return self.text(value)
            case dict():
                return {self.text(str(key)): self.value(item) for key, item in value.items()}
            case list() | tuple():
                return [self.value(item) for item in value]
            case _:
                return value
