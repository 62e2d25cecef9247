"""The registry of plugins: what task types, triggers, conditions, runners … this installation has.

Plugins are entry points, ours among them; a name's module is imported when the name is first used. A plugin
that cannot be loaded, or whose name two distributions claim, stops only those who use that name. This module
knows no plugin by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from typing import Any, NamedTuple

from pydantic import BaseModel

from engine.errors import NotFound, PluginError
from engine.model.text import nearest
from engine.type_names import PREFIX, canonical

GROUPS = ("tasks", "triggers", "conditions", "runners", "forges", "secrets", "stores")
_ENTRY_POINTS = "headwater."


class Claim(NamedTuple):
    """One entry point: a distribution's claim that it has what `name` means."""

    group: str
    name: str
    point: metadata.EntryPoint
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version} (entry point `{self.point.value}`)"


class Registry:
    """What is installed, by group (`tasks`, `runners` …) and short name (`core.log.Log`, `process`).

    Args:
        claims: every entry point of our groups.
    """

    def __init__(self, claims: Iterable[Claim]) -> None:
        self._claims: dict[str, dict[str, list[Claim]]] = {group: {} for group in GROUPS}
        self._loaded: dict[tuple[str, str], Any] = {}
        for claim in claims:
            self._claims.setdefault(claim.group, {}).setdefault(claim.name, []).append(claim)

    def names(self, group: str) -> tuple[str, ...]:
        """Every short name of a group, sorted."""
        return tuple(sorted(self._claims.get(group, ())))

    def find(self, group: str, name: str) -> type[BaseModel] | None:
        """The class a flow file means by a type name, in any of its spellings; none when nobody has it.

        Raises:
            PluginError: it is broken, or claimed twice.
        """
        known = self._loaded.get((group, name))
        if known is None:
            short = canonical(name).short
            if short not in self._claims.get(group, ()):
                return None
            known = self.load(group, short)
            self._loaded[group, name] = known
        found: type[BaseModel] = known
        return found

    def load(self, group: str, name: str) -> Any:
        """The object behind a short name.

        Raises:
            NotFound: nobody has it.
            PluginError: it is broken, or claimed twice.
        """
        key = (group, name)
        if key not in self._loaded:
            self._loaded[key] = _load(self._only(group, name))
        return self._loaded[key]

    def suggest(self, group: str, name: str) -> str:
        """The known name nearest to an unknown one, spelled as the unknown one is (long or short); or empty."""
        short = canonical(name).short
        ends: dict[str, list[str]] = {}
        for known in self.names(group):
            ends.setdefault(known.rsplit(".", 1)[-1], []).append(known)
        end = nearest(short.rsplit(".", 1)[-1], ends)
        near = (nearest(short, ends[end]) or ends[end][0]) if end else ""
        return PREFIX + near if near and name.startswith(PREFIX) else near

    def problems(self) -> tuple[PluginError, ...]:
        """Everything that is wrong with the plugins of this installation; loads all of them."""
        found = []
        for group, names in self._claims.items():
            for name in names:
                try:
                    self.load(group, name)
                except PluginError as error:
                    found.append(error)
        return tuple(found)

    def _only(self, group: str, name: str) -> Claim:
        claims = self._claims.get(group, {}).get(name, [])
        if not claims:
            near = self.suggest(group, name)
            hint = (
                f"did you mean `{near}`?"
                if near
                else f"install a plugin that has it, or use one of {self.names(group)}"
            )
            raise NotFound(f"there is no `{name}` among the {group}", hint=hint)
        if len(claims) > 1:
            raise PluginError(
                f"`{name}` ({group}) is claimed by {' and by '.join(str(claim) for claim in claims)}",
                hint="uninstall one of them",
            )
        return claims[0]


def _load(claim: Claim) -> Any:
    try:
        return claim.point.load()
    except Exception as error:  # whatever a foreign module does on import is that plugin's problem alone
        raise PluginError(
            f"plugin `{claim.name}` of {claim} cannot be loaded: {type(error).__name__}: {error}",
            hint="update or uninstall it",
        ) from error


def installed() -> Iterator[Claim]:
    """Every entry point of our groups in this installation; takes about 4 ms for 70 distributions.

    Of a distribution found twice on the path, the first counts, as it does for imports.
    """
    seen: set[str] = set()
    for distribution in metadata.distributions():
        points = [point for point in distribution.entry_points if point.group.startswith(_ENTRY_POINTS)]
        if not points:
            continue
        name, version = distribution.name, distribution.version  # costly: each parses the metadata anew
        if name not in seen:
            seen.add(name)
            for point in points:
                yield Claim(point.group.removeprefix(_ENTRY_POINTS), point.name, point, name, version)


@cache
def registry() -> Registry:
    """The registry of this process, scanned once."""
    return Registry(installed())
