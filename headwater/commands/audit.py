"""`headwater audit`: who changed a flow when, and what ran from which revision; answered from Git alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headwater.terminal import day_and_minute, one_line, plural, print_json, table, warn

if TYPE_CHECKING:
    from headwater.auditing import Audit, Change

_SINGLE = 12  # runs; more of them are only counted


def audit(
    flow: Annotated[str, typer.Argument(metavar="FLOW", help="namespace.id or namespace/id")],
    repo: Annotated[
        Path, typer.Option("--repo", metavar="PATH", help="A work tree or a bare repository.")
    ] = Path(),
    rev: Annotated[str, typer.Option("--rev", metavar="REV", help="The history up to this commit.")] = "HEAD",
    signers: Annotated[
        Path | None,
        typer.Option(
            "--allowed-signers", metavar="PATH", help="Check signatures against this file (ssh-keygen)."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")] = False,
) -> int:
    """Tell who changed a flow when, and which executions ran from which revision, from Git alone."""
    from headwater.auditing import audit_flow

    found = audit_flow(flow, repo, rev, signers)
    if not found.status_ref:
        branch = found.status_branch
        warn(
            f"this repository does not have the branch {branch}, so executions are not known; next: "
            f"git fetch origin {branch}:refs/remotes/origin/{branch}"
        )
    if json:
        print_json(_document(found))
        return 0
    table([_row(change) for change in found.changes])
    if found.elsewhere:
        print(f"and {plural(len(found.elsewhere), 'run')} from commits that are not in this history")
    return 0


def _row(change: Change) -> tuple[str, ...]:
    from reconciler.status.symbols import SYMBOLS

    commit = change.commit
    notes = [] if change.kind == "changed" else [f"{change.kind}: {change.path}"]
    if change.signature != "unsigned":
        signer = f" by {change.signer}" if change.signer else ""
        notes.append(
            {"good": f"signed{signer}", "bad": "BAD SIGNATURE"}.get(change.signature, change.signature)
        )
    subject = one_line(commit.subject, 70) + (f" ({', '.join(notes)})" if notes else "")
    runs = plural(len(change.executions), "run")
    states = [execution.state for execution in reversed(change.executions)]
    marks = {state.value: symbol for state, symbol in SYMBOLS.items()}
    if len(states) <= _SINGLE:
        told = "".join(marks.get(state, "?") for state in states)
    else:
        told = "  ".join(f"{marks.get(state, '?')} {states.count(state)}" for state in dict.fromkeys(states))
    when = day_and_minute(commit.authored)
    return commit.id[:7], when, one_line(commit.author_name, 30), subject, f"{runs:>8}", told


def _document(found: Audit) -> dict[str, Any]:
    return {
        "namespace": found.namespace,
        "id": found.id,
        "changes": [
            {
                "commit": change.commit.id,
                "date": change.commit.authored.isoformat(),
                "author": {"name": change.commit.author_name, "email": change.commit.author_email},
                "subject": change.commit.subject,
                "kind": change.kind,
                "path": change.path,
                "signature": change.signature,
                "signer": change.signer,
                "executions": [_execution(each) for each in change.executions],
            }
            for change in found.changes
        ],
        "elsewhere": [_execution(each) for each in found.elsewhere],
    }


def _execution(record: Any) -> dict[str, Any]:
    return {
        "id": record.id,
        "commit": record.revision,
        "state": record.state,
        "startDate": record.started,
        "endDate": record.ended,
        "trigger": record.trigger,
        "actor": record.actor,
    }
