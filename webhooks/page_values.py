"""What the pages show, as plain values for their templates: symbols with words, instants, lengths, trees.

Pure. Nothing is escaped here (the templates do that) and nothing is masked. It must not know HTTP or the store.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from engine.documents import date
from engine.model.execution import ROOT, Execution, Moment, TaskRun
from engine.model.problem import Problem
from engine.model.records import LogEntry, Summary
from engine.model.state import State
from reconciler.report import ReconcileStatus
from reconciler.status.documents import badge_state
from reconciler.status.facts import FlowFacts
from reconciler.status.symbols import SYMBOLS, length

Values = dict[str, Any]

RUNS = 500
"""Task runs on a page."""
_TEXT = 20_000  # characters of a value
_LINE = 10_000  # characters of a line of a log
_PROBLEMS = 50
_LAST_RUNS = 5
_DEEPEST = 40
_TONES = {
    State.SUCCESS: "good",
    State.WARNING: "warn",
    State.FAILED: "bad",
    State.KILLED: "bad",
    State.KILLING: "bad",
    State.CANCELLED: "bad",
    State.PAUSED: "calm",
    State.RUNNING: "calm",
    State.RETRYING: "warn",
    State.RESTARTED: "calm",
}
_BADGES = {
    "passing": ("✓", "good"),
    "failing": ("✗", "bad"),
    "paused": ("‖", "calm"),
    "stalled": ("⚠", "warn"),
    "suspended": ("⏸", "dim"),
    "unknown": ("◌", "dim"),
}
_STANDINGS = (("Stalled", "⚠", "warn"), ("Reconciling", "↻", "calm"), ("Ready", "●", "good"))


def state(shown: State) -> Values:
    """A state as symbol and word, never colour alone."""
    return {"symbol": SYMBOLS[shown], "word": str(shown).lower(), "tone": _TONES.get(shown, "dim")}


def when(at: datetime) -> Values:
    """An instant for a browser, and in UTC for when it has no script."""
    return {"iso": date(at), "utc": at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")}


def cut(text: str, most: int = _TEXT) -> str:
    """A text that does not swamp its page."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most} characters more)"


def flow_href(namespace: str, flow_id: str) -> str:
    """The address of a flow's page."""
    return f"/flows/{quote(namespace, safe='')}/{quote(flow_id, safe='')}"


def execution_href(execution_id: str) -> str:
    """The address of an execution's page."""
    return f"/executions/{quote(execution_id, safe='')}"


def problem(told: Problem) -> Values:
    """Place as `path:line:column`, and what is wrong there."""
    place = f"{told.path}:{told.line}:{told.column}" if told.line else told.path
    where = f"{told.property}: " if told.property else ""
    return {"place": place, "message": cut(where + told.message, 1000)}


def source(name: str, status: ReconcileStatus | None) -> Values:
    """How a source stands."""
    if status is None:
        waiting = {"symbol": "◌", "word": "not reconciled yet", "tone": "dim"}
        empty: Values = dict.fromkeys(("revision", "at", "held"))
        return {"name": name, "state": waiting, "live": 0, "stalled": 0, "conditions": [], "problems": [],
                "more_problems": 0, **empty}  # fmt: skip
    problems = status.all_problems
    held = status.held
    found = [
        (symbol, kind, tone, condition)
        for kind, symbol, tone in _STANDINGS
        for condition in status.conditions
        if condition.type == kind and condition.status
    ]
    symbol, word, tone, condition = found[0] if found else ("◌", "Not ready", "dim", None)
    return {
        "name": name,
        "state": {"symbol": symbol, "word": word, "tone": tone},
        "revision": status.revision,
        "at": when(condition.since) if condition else None,
        "live": status.counts.live,
        "stalled": status.counts.stalled,
        "conditions": [
            {
                "type": each.type,
                "status": "unknown" if each.status is None else str(each.status).lower(),
                "reason": each.reason,
                "message": cut(each.message, 1000),
            }
            for each in status.conditions
        ],
        "held": {"count": len(held.removals), "why": held.why, "digest": held.digest} if held else None,
        "problems": [problem(each) for each in problems[:_PROBLEMS]],
        "more_problems": max(len(problems) - _PROBLEMS, 0),
    }


def flow_state(facts: FlowFacts) -> Values:
    """What a flow's badge says."""
    word = badge_state(facts)
    symbol, tone = _BADGES.get(word, ("◌", "dim"))
    return {"symbol": symbol, "word": word, "tone": tone}


def flow_row(facts: FlowFacts) -> Values:
    """A flow in a list."""
    last = facts.executions[0] if facts.executions else None
    refused = facts.refused
    return {
        "name": facts.name,
        "href": flow_href(facts.namespace, facts.id),
        "commit": facts.commit,
        "kept": problem(refused.problems[0]) if refused else None,
        "state": flow_state(facts),
        "runs": [
            {**state(each.state), "href": execution_href(each.id)}
            for each in reversed(facts.executions[:_LAST_RUNS])
        ],
        "last": {"took": took(last), "at": when(last.ended or last.created)} if last else None,
        "next": when(facts.next_due) if facts.next_due else None,
    }


def took(summary: Summary) -> str:
    """How long an execution took; empty while it runs."""
    return length(summary.seconds) if summary.seconds is not None else ""


def execution_row(summary: Summary) -> Values:
    """An execution in a list."""
    name = f"{summary.namespace}.{summary.flow_id}"
    return {
        "id": summary.id,
        "href": execution_href(summary.id),
        "flow": {"name": name, "href": flow_href(summary.namespace, summary.flow_id)},
        "state": state(summary.state),
        "started": when(summary.created),
        "took": took(summary),
        "trigger": summary.trigger_id or "",
        "commit": summary.commit,
    }


def execution(shown: Execution) -> Values:
    """An execution with its task runs as a tree."""
    runs = shown.task_runs()
    cause = shown.cause
    parts = (
        ("Inputs", shown.inputs),
        ("Outputs", shown.outputs),
        ("Variables", shown.variables),
        ("Trigger", cause.variables if cause else {}),
    )
    return {
        "id": shown.id,
        "flow": {"name": shown.flow.name, "href": flow_href(shown.flow.namespace, shown.flow.id)},
        "state": state(shown.state),
        "took": _took(shown.history),
        "started": when(shown.created),
        "ended": when(shown.ended) if shown.ended else None,
        "revision": shown.flow.revision,
        "commit": shown.flow.commit,
        "trigger": {"id": cause.id, "type": cause.type} if cause else None,
        "error": cut(shown.error, 2000),
        "labels": [(key, cut(value, 200)) for key, value in shown.labels.items()],
        "runs": _tree(runs[:RUNS]),
        "more_runs": max(len(runs) - RUNS, 0),
        "values": [(title, readable(value)) for title, value in parts if value],
    }


def readable(value: Any) -> str:
    """A JSON value for a person."""
    return cut(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def line(entry: LogEntry) -> Values:
    """A line of a log."""
    return {
        "at": when(entry.at),
        "level": entry.level,
        "task": entry.task_id,
        "message": cut(entry.message, _LINE),
    }


def pages(number: int, size: int, total: int, query: Mapping[str, str]) -> Values:
    """The links to the pages before and after; `query` is what else the address says."""
    last = max(1, -(-total // size))

    def to(page: int) -> str | None:
        if not 1 <= page <= last or page == number:
            return None
        pairs = {**query, "page": str(page)}
        return "?" + "&".join(
            f"{quote(name, safe='')}={quote(text, safe='')}" for name, text in pairs.items()
        )

    return {"before": to(min(number - 1, last)), "after": to(number + 1), "told": f"page {number} of {last}"}


def _took(history: Sequence[Moment]) -> str:
    first, last = history[0], history[-1]
    return length((last.at - first.at).total_seconds()) if last.state.terminal else ""


def _tree(runs: Iterable[TaskRun]) -> list[Values]:
    """Runs under the run of the flowable that owns them; what is nested too deep hangs where the depth ends."""
    tops: list[Values] = []
    known: dict[str, tuple[Values, int]] = {}
    for run in runs:
        shown = _run(run)
        parent, depth = known.get(run.parent, (None, 0)) if run.parent != ROOT else (None, 0)
        children = tops if parent is None else parent["children"]
        children.append(shown)
        known[run.key] = (shown, depth + 1) if depth < _DEEPEST or parent is None else (parent, depth)
    return tops


def _run(run: TaskRun) -> Values:
    value = run.value if run.value is not None else ""
    return {
        "task": run.task_id,
        "value": cut(value, 100),
        "state": state(run.state),
        "took": _took(run.history),
        "attempts": len(run.attempts),
        "error": cut(run.error, 2000),
        "outputs": readable(run.outputs) if run.outputs else "",
        "children": [],
    }
