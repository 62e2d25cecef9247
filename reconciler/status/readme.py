"""The page that a forge shows for the status branch: which flows there are, how they last ended, what comes next.

Pure: rows and a source's status in, Markdown out. It stays bounded however many flows there are: beyond a page of
them those that want attention come first, and each namespace shows a few and says how many more it has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any
from urllib.parse import quote

import msgspec

from engine.model.problem import Problem
from engine.model.records import Summary
from reconciler.conditions import short
from reconciler.report import ReconcileStatus
from reconciler.status.documents import Mask, badge_state, flow_folder
from reconciler.status.facts import FlowFacts, Name
from reconciler.status.symbols import SYMBOLS, length, minute
from templates import render

ONE_TABLE = 100
"""Up to so many flows stand in one table, with their badges; more are told by namespace."""
ATTENTION = 50
ROWS_PER_NAMESPACE = 20
ROWS = 400
NAMESPACES = 200
_LAST_RUNS = 5
_PROBLEMS = 50
_TEXT = 300
_ATTENTION = {"stalled": 0, "failing": 1, "paused": 2}
_CALM = 9
_GAPS = re.compile(r"\n{3,}")


class Row(msgspec.Struct, frozen=True):
    """What the page and the writer keep of a flow.

    Args:
        attention: the less, the more the flow wants it.
        kept: path, place and message of the problem for which the last good version is kept; empty when there is none.
        runs: symbols of the last executions, oldest first.
        shown: the executions that were told of, with their states.
    """

    namespace: str
    id: str
    state: str
    attention: int
    commit: str
    kept: tuple[str, str, str] | None
    runs: str
    last: str
    next: str
    shown: dict[str, str]

    @property
    def key(self) -> Name:
        """Namespace and id."""
        return self.namespace, self.id


def row_of(facts: FlowFacts) -> Row:
    """The row of a flow."""
    state = badge_state(facts)
    due = facts.next_due
    return Row(
        namespace=facts.namespace,
        id=facts.id,
        state=state,
        attention=_ATTENTION.get(state, _CALM),
        commit=facts.commit,
        kept=_told(facts.refused.problems[0]) if facts.refused else None,
        runs="".join(SYMBOLS[each.state] for each in reversed(facts.executions[:_LAST_RUNS])),
        last=_last(facts.executions[0]) if facts.executions else "",
        next="⏸ suspended" if facts.disabled else minute(due) if due else "",
        shown={each.id: str(each.state) for each in facts.executions},
    )


def readme(status: ReconcileStatus, rows: Iterable[Row], mask: Mask) -> bytes:
    """The page.

    Args:
        rows: of all live flows, in any order.
    """
    ordered = sorted(rows, key=lambda row: row.key)
    problems = status.all_problems
    small = len(ordered) <= ONE_TABLE
    values: dict[str, Any] = {
        "title": status.source,
        "revision": short(status.revision),
        "headline": _headline(status),
        "live": len(ordered),
        "counts": _counts(status, ordered),
        "rows": [_shown(row, badge=True) for row in ordered] if small else [],
        "attention": [] if small else _attention(ordered),
        "sections": [] if small else _sections(ordered),
        "more_namespaces": 0 if small else max(len({row.namespace for row in ordered}) - NAMESPACES, 0),
        "problems": [_told(each) for each in problems[:_PROBLEMS]],
        "more_problems": max(len(problems) - _PROBLEMS, 0),
    }
    page = render("status_readme.md.jinja", **mask(values))
    return _GAPS.sub("\n\n", page).encode("utf-8", "replace")


def _headline(status: ReconcileStatus) -> dict[str, str]:
    """Ready, or what keeps it from being so."""
    for kind, symbol in (("Stalled", "⚠"), ("Reconciling", "↻"), ("Ready", "●")):
        found = next((each for each in status.conditions if each.type == kind and each.status), None)
        if found is not None:
            said = "" if kind == "Ready" else f"{found.reason}: {found.message}"
            return {"symbol": symbol, "word": kind, "since": minute(_whole(found.since)), "said": _cut(said)}
    return {"symbol": "◌", "word": "Not reconciled yet", "since": "", "said": ""}


def _counts(status: ReconcileStatus, rows: Sequence[Row]) -> list[str]:
    counts = [(status.counts.stalled, "stalled")]
    counts += [(sum(row.state == state for row in rows), state) for state in ("failing", "paused")]
    return [f"{count} {word}" for count, word in counts if count]


def _attention(ordered: Sequence[Row]) -> list[dict[str, Any]]:
    wanting = sorted(
        (row for row in ordered if row.attention < _CALM), key=lambda row: (row.attention, row.key)
    )
    return [_shown(row, badge=True) for row in wanting[:ATTENTION]]


def _sections(ordered: Sequence[Row]) -> list[dict[str, Any]]:
    """A section a namespace, each within its bound and all within theirs."""
    left = ROWS
    sections: list[dict[str, Any]] = []
    for namespace, group in groupby(ordered, key=lambda row: row.namespace):
        rows = list(group)
        if len(sections) == NAMESPACES:
            break
        first = rows[: min(ROWS_PER_NAMESPACE, left)]
        left -= len(first)
        sections.append(
            {
                "namespace": namespace,
                "folder": quote(flow_folder(namespace, "").rpartition("/")[0]),
                "live": len(rows),
                "rows": [_shown(row, badge=False) for row in first],
                "more": len(rows) - len(first),
            }
        )
    return sections


def _shown(row: Row, *, badge: bool) -> dict[str, Any]:
    folder = quote(flow_folder(row.namespace, row.id))
    return {
        "name": f"{row.namespace}.{row.id}",
        "folder": folder,
        "badge": badge,
        "commit": short(row.commit),
        "kept": row.kept,
        "runs": row.runs,
        "last": row.last,
        "next": row.next,
    }


def _last(summary: Summary) -> str:
    took = f" {length(summary.seconds)}," if summary.seconds is not None else ""
    return f"{SYMBOLS[summary.state]}{took} {minute(_whole(summary.ended or summary.created))}"


def _whole(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def _told(problem: Problem) -> tuple[str, str, str]:
    """Path, `:line:column`, message."""
    place = f":{problem.line}:{problem.column}" if problem.line else ""
    where = f"{problem.property}: " if problem.property else ""
    return _cut(problem.path), place, _cut(where + problem.message)


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"
