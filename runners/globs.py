"""Which files of a working directory a task's `outputFiles` patterns name.

Patterns work as the dialect's (section 2.5; Java's glob syntax): `*` and `?` stay within one name, `**` crosses
folders (also none), `[…]` and `{a,b}` choose. Knows folders and patterns only. Matching goes name by name, so that no
pattern can make it slow.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from fnmatch import translate
from functools import lru_cache

import msgspec

from engine.errors import UserError
from engine.paths import relative_parts

_MAX_FILES = 100_000
_MAX_ALTERNATIVES = 64
_WILD = re.compile(r"[*?\[{]")
_BRACES = re.compile(r"\{([^{}]*)\}")


class Collected(msgspec.Struct, frozen=True):
    """The files found (local paths by relative path), patterns that matched nothing, links that lead outside."""

    files: dict[str, str]
    missing: tuple[str, ...]
    refused: tuple[str, ...]


def check_patterns(patterns: Sequence[str]) -> None:
    """Refuse patterns that are no relative paths.

    Raises:
        UserError: naming the pattern.
    """
    for pattern in patterns:
        relative_parts(pattern)
        _alternatives(pattern)


def collect(roots: Sequence[str], patterns: Sequence[str]) -> Collected:
    """Look for the regular files below `roots` that the patterns name; the first root that has a path wins.

    Symbolic links are followed only to files below the same root.
    """
    if not patterns:
        return Collected({}, (), ())
    files: dict[str, str] = {}
    refused: list[str] = []
    compiled = [(pattern, _alternatives(pattern)) for pattern in patterns]
    found: set[str] = set()
    for root in roots:
        real = os.path.realpath(root)
        for path, names in _candidates(real, patterns):
            hits = [
                pattern for pattern, choices in compiled if any(_matches(names, choice) for choice in choices)
            ]
            if not hits:
                continue
            target = os.path.realpath(path)
            relative = "/".join(names)
            if not target.startswith(real + os.sep):
                refused.append(relative)
            elif os.path.isfile(target):
                files.setdefault(relative, target)
                found.update(hits)
    missing = tuple(pattern for pattern in patterns if pattern not in found)
    return Collected(files, missing, tuple(refused))


def _candidates(root: str, patterns: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    if not any(_WILD.search(pattern) for pattern in patterns):
        for pattern in dict.fromkeys(patterns):
            names = relative_parts(pattern)
            path = os.path.join(root, *names)
            if os.path.lexists(path):
                yield path, names
        return
    count = 0
    for folder, _, names_here in os.walk(root):
        above = tuple(folder[len(root) :].split(os.sep)[1:])
        for name in sorted(names_here):
            yield os.path.join(folder, name), (*above, name)
            count += 1
            if count == _MAX_FILES:
                return


def _alternatives(pattern: str) -> list[tuple[str, ...]]:
    open_ones, done = [pattern], []
    while open_ones:
        text = open_ones.pop()
        braces = _BRACES.search(text)
        if braces is None:
            done.append(_segments(text))
        else:
            open_ones += [text[: braces.start()] + one + text[braces.end() :] for one in braces[1].split(",")]
        if len(open_ones) + len(done) > _MAX_ALTERNATIVES:
            raise UserError(
                f"pattern `{pattern[:200]}` has too many alternatives", hint="give several patterns"
            )
    return done


def _segments(pattern: str) -> tuple[str, ...]:
    segments: list[str] = []
    for part in relative_parts(pattern):
        if part != "**" and part.startswith("**"):  # `**.csv`: at any depth
            segments.append("**")
            part = part[1:]
        if part != "**" or segments[-1:] != ["**"]:
            segments.append(part)
    return tuple(segments)


def _matches(names: tuple[str, ...], segments: tuple[str, ...]) -> bool:
    # Which numbers of names the segments so far can have used up; at most one entry per name.
    reached = {0}
    for segment in segments:
        if segment == "**":
            reached = set(range(min(reached), len(names) + 1))
        else:
            fits = _compiled(segment)
            reached = {at + 1 for at in reached if at < len(names) and fits.match(names[at])}
        if not reached:
            return False
    return len(names) in reached


@lru_cache(maxsize=256)
def _compiled(segment: str) -> re.Pattern[str]:
    return re.compile(translate(segment.replace("[^", "[!")))
