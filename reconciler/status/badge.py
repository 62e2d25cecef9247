"""A flow's badge: one label, one state, as SVG and in the shields.io endpoint schema.

Pure: the same facts always give the same bytes, for the status branch and for HTTP alike. It must not know
how the state was found out.
"""

from __future__ import annotations

import json
import unicodedata
from typing import Literal, get_args

import msgspec

from templates import render

BadgeState = Literal["passing", "failing", "running", "paused", "stalled", "suspended", "unknown", "stale"]
"""`stalled`: an invalid version waits. `unknown`: never ran. `stale`: should have run and has not."""

STATES: tuple[BadgeState, ...] = get_args(BadgeState)

# white text on each has a contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3)
_COLORS: dict[BadgeState, str] = {
    "passing": "1b7f37",
    "failing": "b3261e",
    "running": "1565c0",
    "paused": "7a5c00",
    "stalled": "a84300",
    "suspended": "5f6368",
    "unknown": "5f6368",
    "stale": "8a4b08",
}
_ERRORS = ("failing", "stalled")
_LABEL_LENGTH = 60
_DETAIL_LENGTH = 40
_PADDING = 10


class Badge(msgspec.Struct, frozen=True):
    """What a badge says.

    Args:
        flow: what the left side names, see `label`.
        state: the right side's first word.
        detail: what follows it, such as `12 s`; may be empty.
    """

    flow: str
    state: BadgeState
    detail: str = ""


def label(namespace: str, flow: str) -> str:
    """How a badge names a flow: the last part of its namespace and its id, such as `etl.orders`."""
    return f"{namespace.rpartition('.')[2]}.{flow}"


def svg(badge: Badge) -> str:
    """The badge as an SVG document of 20 pixels' height; no text of it can become markup."""
    left, right = _label(badge), _message(badge)
    return render(
        "badge.svg.jinja",
        label=left,
        message=right,
        left=_width(left) + _PADDING,
        right=_width(right) + _PADDING,
        color=_COLORS[badge.state],
    )


def endpoint(badge: Badge) -> str:
    """The badge in the shields.io endpoint schema (shields.io/badges/endpoint-badge), one line of JSON."""
    document: dict[str, object] = {
        "schemaVersion": 1,
        "label": _label(badge),
        "message": _message(badge),
        "color": _COLORS[badge.state],
    }
    if badge.state in _ERRORS:
        document["isError"] = True
    return json.dumps(document, ensure_ascii=False) + "\n"


def _label(badge: Badge) -> str:
    return _clean(badge.flow, _LABEL_LENGTH) or "flow"


def _message(badge: Badge) -> str:
    return f"{badge.state} {_clean(badge.detail, _DETAIL_LENGTH)}".rstrip()


def _clean(text: str, length: int) -> str:
    """One line without controls, surrogates, non-characters and direction marks, which XML or people cannot read."""
    shown = "".join(char if unicodedata.category(char)[0] != "C" else " " for char in text[: 4 * length])
    shown = " ".join(shown.split())
    return shown if len(shown) <= length else shown[: length - 1] + "…"


def _width(text: str) -> int:
    """About as wide as Verdana at 11 pixels; `textLength` in the template makes it exact."""
    return round(sum(map(_advance, text)))


def _advance(char: str) -> float:
    if unicodedata.combining(char):
        return 0
    if unicodedata.east_asian_width(char) in ("W", "F"):
        return 11.5
    if char in "ijlI.,:;|!'`()[] ftr/":
        return 4.4
    if char in "mwMW@%":
        return 10.4
    return 7.6 if char.isupper() else 6.9
