"""Secrets from variables named `SECRET_<NAME>`, base64: the first secret provider (dialect, section 6.4).

Every namespace sees all of them. Knows a mapping of names to texts; it must not read the environment itself.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

PREFIX = "SECRET_"


class EnvironmentSecrets:
    """Secrets by name, whatever its case.

    Args:
        variables: names to values; those without the prefix are not looked at.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._values: dict[str, str] = {}
        self.undecodable: tuple[str, ...] = ()
        """Variables that are not base64 of UTF-8 text; there are no such secrets."""
        for variable, encoded in sorted(variables.items()):
            if not variable.startswith(PREFIX):
                continue
            try:
                text = base64.b64decode("".join(encoded.split()), validate=True).decode()
            except (binascii.Error, ValueError):
                self.undecodable += (variable,)
            else:
                self._values[variable.removeprefix(PREFIX).upper()] = text

    def __repr__(self) -> str:
        return f"EnvironmentSecrets({len(self._values)} secrets)"

    def values(self) -> tuple[str, ...]:
        """All of them, to be masked from the start."""
        return tuple(self._values.values())

    def get(self, namespace: str, name: str) -> str | None:
        """The value, or none when there is no such variable."""
        return self._values.get(name.upper())
