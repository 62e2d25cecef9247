"""Forge drivers, one file each, by the name that the settings give them. Knows no source and no HTTP."""

from __future__ import annotations

from importlib import import_module

from engine.errors import SettingsError
from reconciler.forges.base import Hook

FORGES = {
    "bitbucket": "reconciler.forges.bitbucket:Bitbucket",
    "forgejo": "reconciler.forges.gitea:Gitea",
    "generic": "reconciler.forges.generic:Generic",
    "gitea": "reconciler.forges.gitea:Gitea",
    "github": "reconciler.forges.github:GitHub",
    "gitlab": "reconciler.forges.gitlab:GitLab",
}
"""Where each driver is; loaded when a source names it."""


def hook(forge: str) -> Hook:
    """The webhook driver of a forge.

    Raises:
        SettingsError: there is no such forge.
    """
    target = FORGES.get(forge)
    if target is None:
        known = ", ".join(sorted(FORGES))
        raise SettingsError(f"there is no forge {forge!r}", hint=f"use one of {known}")
    module, name = target.split(":")
    driver: Hook = getattr(import_module(module), name)()
    return driver
