"""The files of the status branch, all but its README: from facts to bytes, by path.

Pure and deterministic: the same facts give the same bytes, with sorted keys and nothing that depends on when they
are written. Every text passes `mask` before it becomes bytes. It must not know the store or Git.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec

from engine.documents import date, execution_document, summary_document
from engine.ids import derived_id
from engine.model.execution import Execution
from engine.model.problem import Problem
from engine.model.records import Summary, TriggerState
from engine.model.state import State
from reconciler.conditions import APPLIED, Condition
from reconciler.report import FileStatus, ReconcileStatus
from reconciler.status.badge import Badge, BadgeState, endpoint, label, svg
from reconciler.status.facts import FlowFacts
from reconciler.status.symbols import length

Mask = Callable[[Any], Any]
"""Takes a JSON value and gives it back with every known secret blanked out."""

README = "README.md"
RECONCILE = "reconcile.json"
DOCUMENT_LIMIT = 1024 * 1024
"""Bytes; a longer execution document is shortened, see `execution_file`."""
_RUNS_LEFT = 500
_SHORTENED = "shortened"
_PART_LENGTH = 200  # characters; a file system takes 255 bytes


def execution_path(execution_id: str, created: datetime) -> str:
    """Where the document of an execution lies: by the day it was created, UTC, which never changes."""
    return f"executions/{created.astimezone(UTC):%Y/%m/%d}/{_part(execution_id)}.json"


def flow_folder(namespace: str, flow_id: str) -> str:
    """Where the files of a flow lie."""
    return f"flows/{_part(namespace)}/{_part(flow_id)}"


def flow_paths(namespace: str, flow_id: str) -> tuple[str, str, str]:
    """The paths of a flow's files."""
    folder = flow_folder(namespace, flow_id)
    return f"{folder}/status.json", f"{folder}/badge.svg", f"{folder}/badge.json"


def execution_file(execution: Execution, mask: Mask) -> bytes:
    """The execution document, masked.

    When it is longer than `DOCUMENT_LIMIT`, the outputs of task runs are left out, then all other values, then the
    middle of the list of task runs; `shortened` names what is missing.
    """
    document = mask(execution_document(execution))
    data = encode(document)
    for shorten in (_without_run_outputs, _without_values, _without_middle):
        if len(data) <= DOCUMENT_LIMIT:
            break
        document = shorten(document)
        data = encode(document)
    return data


def flow_files(facts: FlowFacts, mask: Mask) -> dict[str, bytes]:
    """`status.json` and both badges of a flow, by path."""
    status, image, shield = flow_paths(facts.namespace, facts.id)
    badge = flow_badge(facts, mask)
    return {
        status: encode(mask(_status(facts, badge))),
        image: svg(badge).encode(),
        shield: endpoint(badge).encode(),
    }


def source_file(status: ReconcileStatus, mask: Mask) -> bytes:
    """`reconcile.json`: how the source stands."""
    return encode(mask(source_document(status)))


def source_document(status: ReconcileStatus) -> dict[str, Any]:
    """How a source stands, without when that was found and how long it took. Nothing is masked."""
    document = {
        "source": status.source,
        "revision": status.revision,
        "counts": msgspec.structs.asdict(status.counts),
        "conditions": [_condition(each) for each in status.conditions],
        "problems": [_problem(each) for each in status.problems],
        "files": [_file(each) for each in status.files],
    }
    if status.held is not None:
        names = [".".join(removal.identity) for removal in status.held.removals]
        document["held"] = {"digest": status.held.digest, "why": status.held.why, "removals": names}
    return document


def badge_state(facts: FlowFacts) -> BadgeState:
    """What a flow's badge says first."""
    if facts.refused:
        return "stalled"
    if facts.disabled:
        return "suspended"
    last = facts.decisive
    if last is None:
        return "unknown"
    if last.state is State.PAUSED:
        return "paused"
    return "passing" if last.state.good else "failing"


def encode(document: Mapping[str, Any]) -> bytes:
    """JSON as the branch has it: sorted, indented by two, UTF-8, a line break at the end."""
    text = json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True)
    # a lone surrogate, which UTF-8 cannot say, becomes the escape that JSON has for it
    return text.encode("utf-8", "backslashreplace") + b"\n"


def flow_badge(facts: FlowFacts, mask: Mask) -> Badge:
    """What a flow's badge says, from what the store knows of it."""
    state, last = badge_state(facts), facts.decisive
    timed = state == "passing" and last is not None and last.seconds is not None
    detail = length(last.seconds or 0) if last is not None and timed else ""
    return Badge(mask(label(facts.namespace, facts.id)), state, detail)


def _status(facts: FlowFacts, badge: Badge) -> dict[str, Any]:
    due = facts.next_due
    return _filled(
        namespace=facts.namespace,
        id=facts.id,
        revision=facts.revision,
        commit=facts.commit,
        path=facts.path,
        disabled=facts.disabled or None,
        state=badge.state,
        nextDate=date(due) if due else None,
        problems=[_problem(each) for each in facts.refused.problems] if facts.refused else [],
    ) | {
        "triggers": [_trigger(each) for each in facts.triggers],
        "executions": [_execution(each) for each in facts.executions],
        "conditions": _conditions(facts),
    }


def _trigger(state: TriggerState) -> dict[str, Any]:
    return _filled(
        id=state.trigger_id,
        type=state.type,
        nextDate=date(state.upcoming) if state.upcoming and not state.suspended else None,
        suspended=state.suspended or None,
    )


def _execution(summary: Summary) -> dict[str, Any]:
    document = summary_document(summary)
    if summary.state.terminal:
        document["document"] = execution_path(summary.id, summary.created)
    return document


def _conditions(facts: FlowFacts) -> list[dict[str, Any]]:
    if facts.refused is None:
        return [{"type": "Ready", "status": "True", "reason": APPLIED}]
    return [_condition(each) for each in facts.refused.conditions]


def _condition(condition: Condition) -> dict[str, Any]:
    """A condition in Kubernetes' form (api-conventions, "Typical status properties")."""
    return _filled(
        type=condition.type,
        status="Unknown" if condition.status is None else str(condition.status),
        reason=condition.reason,
        message=condition.message,
        revision=condition.revision,
        lastTransitionTime=date(condition.since),
    )


def _file(file: FileStatus) -> dict[str, Any]:
    problems = [_problem(each) for each in file.problems]
    named = _filled(namespace=file.namespace, id=file.id)
    return {"path": file.path, **named, "live": file.live, "problems": problems}


def _problem(problem: Problem) -> dict[str, Any]:
    """Line and column are counted from 1, and 0 when the whole file is meant."""
    return msgspec.structs.asdict(problem)


def _without_run_outputs(document: dict[str, Any]) -> dict[str, Any]:
    runs = [{key: value for key, value in run.items() if key != "outputs"} for run in document["taskRunList"]]
    return {**document, "taskRunList": runs, _SHORTENED: ["taskRunList.outputs"]}


def _without_values(document: dict[str, Any]) -> dict[str, Any]:
    gone = [name for name in ("inputs", "outputs", "trigger", "variables", "labels") if name in document]
    rest = {key: value for key, value in document.items() if key not in gone}
    runs = [_cut(run) for run in document["taskRunList"]]
    return {**rest, "taskRunList": runs, _SHORTENED: [*document[_SHORTENED], *gone, "taskRunList.attempts"]}


def _cut(run: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in run.items() if key != "attempts"}


def _without_middle(document: dict[str, Any]) -> dict[str, Any]:
    runs: Sequence[Any] = document["taskRunList"]
    if len(runs) <= _RUNS_LEFT:
        return document
    kept = [*runs[: _RUNS_LEFT // 2], *runs[-_RUNS_LEFT // 2 :]]
    return {
        **document,
        "taskRunList": kept,
        _SHORTENED: [*document[_SHORTENED], f"taskRunList of {len(runs)}"],
    }


def _filled(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None and value not in ("", [])}


def _part(name: str) -> str:
    """One part of a path, whatever the name; names as the dialect has them stay as they are."""
    safe = quote(name, safe="", errors="surrogatepass") or "_"
    if len(safe) > _PART_LENGTH:
        safe = f"{safe[:_PART_LENGTH]}~{derived_id(name)}"
    return f"_{safe}" if safe.startswith(".") else safe
