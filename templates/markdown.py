"""Hostile text inside Markdown: shown as it is, never formatted, linked, mentioned or executed.

Source: CommonMark 0.31 (backslash escapes), the GFM specification (tables, extended autolinks), and the
forges' own references (`@name`, `#1`, `!1`, `~label`) and quick actions (`/close` at the start of a line).
Forges look for references in the rendered text, where escapes are gone, so those signs are parted from what
follows by a zero-width space. Imports nothing of ours.
"""

from __future__ import annotations

import re
import unicodedata

_BREAK = "\u200b"
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_SPECIAL = re.compile(r"[\\`*_{}\[\]()#|~!$]")
_REFERENCE = re.compile(r"(@|#|!|\$|%|~|&amp;)(?=\S)")
_SCHEME = re.compile(r":(?=//)")
_WWW = re.compile(r"(?i)\bwww(?=\.)")
_EMOJI = re.compile(r":(?=[\w+-]+:)")
_LINE_START = re.compile(r"^(?:[-+=/:]|\d+(?=[.)]))")


def escape(value: object) -> str:
    """One line of text that Markdown shows as `value`'s own characters, wherever it stands, in tables too."""
    text = " ".join("".join(map(_visible, str(value))).split())
    text = "".join(_ENTITIES.get(char, char) for char in text)
    text = _SPECIAL.sub(r"\\\g<0>", text)
    text = _REFERENCE.sub(rf"\1{_BREAK}", text)
    text = _SCHEME.sub(f":{_BREAK}", text)
    text = _WWW.sub(rf"\g<0>{_BREAK}", text)
    text = _EMOJI.sub(f":{_BREAK}", text)
    return _LINE_START.sub(_guard, text)


def _visible(char: str) -> str:
    """The character, or a space for controls, line separators and marks that reorder text."""
    return " " if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") else char


def _guard(found: re.Match[str]) -> str:
    start = found.group()
    return start + _BREAK if start.isdigit() else "\\" + start
