"""Filters with regular expressions: Java's notation, run by the `regex` package under a time limit.

A pattern that backtracks without end is stopped after `limits.REGEX_SECONDS`. Java's `$1` and `${name}` in
replacements are understood; `\\1` is not a group there.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import regex

from engine.errors import ExpressionError
from engine.expressions import limits
from engine.expressions.filters.strings import each_text, text_of
from engine.expressions.registry import filter_named
from engine.expressions.values import java_text, to_text

_REFERENCE: Final = regex.compile(r"\\(.)|\$(?:(\d+)|\{([A-Za-z][A-Za-z0-9]*)\})|([^\\$]+)|(.)", regex.DOTALL)


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> Any:
    if len(pattern) > limits.REGEX_CHARS:
        raise ExpressionError(f"A regular expression is longer than {limits.REGEX_CHARS} characters")
    try:
        return regex.compile(pattern, regex.VERSION0, cache_pattern=False)
    except (regex.error, OverflowError, RecursionError) as error:
        raise ExpressionError(f"`{pattern[:100]}` is no regular expression: {error}") from None


def _pattern(value: Any) -> Any:
    return _compiled(to_text(value))


def _too_slow(pattern: Any) -> ExpressionError:
    return ExpressionError(
        f"The regular expression `{pattern.pattern[:100]}` took longer than {limits.REGEX_SECONDS:g} s",
        hint="avoid nested repetitions",
    )


def _pieces(replacement: str, groups: int) -> list[str | int]:
    """A Java replacement as text and group references. Raises ExpressionError."""
    pieces: list[str | int] = []
    for match in _REFERENCE.finditer(replacement):
        escaped, number, name, text, _ = match.groups()
        if number is not None:
            # as in Java, the longest number that names a group is meant, the rest is text
            digits = number
            while len(digits) > 1 and int(digits) > groups:
                digits = digits[:-1]
            if int(digits) > groups:
                raise ExpressionError(
                    f"The replacement `{replacement[:100]}` uses a group that does not exist"
                )
            pieces += [int(digits), number[len(digits) :]]
        elif escaped is not None or text is not None:
            pieces.append(text if escaped is None else escaped)
        else:
            raise ExpressionError(f"The replacement `{replacement[:100]}` is malformed at `{name or '$'}`")
    return pieces


def _substitute(pattern: Any, replacement: str, text: str) -> str:
    for name, index in pattern.groupindex.items():
        replacement = replacement.replace("${" + name + "}", f"${index}")
    pieces = _pieces(replacement, pattern.groups)
    size = 0

    def expand(match: Any) -> str:
        nonlocal size
        made = "".join(piece if isinstance(piece, str) else match.group(piece) or "" for piece in pieces)
        size += len(made)
        limits.check_text(size)
        return made

    try:
        return str(pattern.sub(expand, text, timeout=limits.REGEX_SECONDS))
    except TimeoutError:
        raise _too_slow(pattern) from None


@filter_named("regexMatch", takes=("regex",), required=1)
def _regex_match(value: Any, pattern: Any) -> Any:
    if value is None:
        return None
    compiled = _pattern(pattern)
    try:
        return compiled.search(to_text(value), timeout=limits.REGEX_SECONDS) is not None
    except TimeoutError:
        raise _too_slow(compiled) from None


@filter_named("regexReplace", takes=("regex", "replacement"), required=2)
def _regex_replace(value: Any, pattern: Any, replacement: Any) -> Any:
    return None if value is None else _substitute(_pattern(pattern), to_text(replacement), to_text(value))


@filter_named("regexExtract", takes=("regex", "group"), required=1)
def _regex_extract(value: Any, pattern: Any, group: Any = None) -> Any:
    if value is None:
        return None
    compiled, wanted = _pattern(pattern), int(group or 0)
    if not 0 <= wanted <= compiled.groups:
        raise ExpressionError(f"The regular expression has no group {wanted}")
    try:
        found = compiled.search(to_text(value), timeout=limits.REGEX_SECONDS)
    except TimeoutError:
        raise _too_slow(compiled) from None
    return None if found is None else found.group(wanted)


@filter_named("replace", takes=("replace_pairs", "regexp"), required=1)
def _replace(value: Any, pairs: Any, regexp: Any = None) -> Any:
    if value is None:
        return None
    if not isinstance(pairs, Mapping):
        raise ExpressionError("`replace` needs a map of what to replace by what")
    steps = [(java_text(old), java_text(new)) for old, new in pairs.items()]

    def change(text: str) -> str:
        for old, new in steps:
            if regexp:
                text = _substitute(_compiled(old), new, text)
            else:
                limits.check_text(len(text) + text.count(old) * max(0, len(new) - len(old)))
                text = text.replace(old, new)
        return text

    return each_text(value, change)


@filter_named("split", takes=("delimiter", "limit"), required=1)
def _split(value: Any, delimiter: Any, limit: Any = None) -> Any:
    if value is None:
        return None
    text, pattern = text_of(value, "split"), _pattern(delimiter)
    most = 0 if limit is None else int(limit)
    if not text:
        return [text]
    parts: list[str] = []
    start = 0
    try:
        for match in pattern.finditer(text, timeout=limits.REGEX_SECONDS):
            if most > 0 and len(parts) == most - 1:
                break
            if match.end() == 0 or (match.start() == match.end() == len(text)):
                continue
            parts.append(text[start : match.start()])
            start = match.end()
    except TimeoutError:
        raise _too_slow(pattern) from None
    parts.append(text[start:])
    # Java drops empty strings at the end unless told how many parts to make
    while most == 0 and len(parts) > 1 and not parts[-1]:
        parts.pop()
    limits.check_items(len(parts))
    return parts
