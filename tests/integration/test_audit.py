"""The audit answers from Git alone: who changed a flow, signed by whom, and what ran from which revision."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.errors import NotFound, SettingsError
from reconciler.audit import FlowChange, executions, flow_history, verified
from reconciler.status.branch import Draft, StatusBranch
from tests.support.repositories import Author, run_git

ORDERS = ("shop", "orders")


def identify(data: bytes) -> tuple[str, str] | None:
    """Enough of a reader of flow files: two plain lines, or none."""
    lines = dict(line.split(": ", 1) for line in data.decode().splitlines() if ": " in line)
    return (lines["namespace"], lines["id"]) if {"namespace", "id"} <= lines.keys() else None


def flow(name: str = "orders", body: str = "") -> str:
    return f"id: {name}\nnamespace: shop\n{body}\n"


@pytest.fixture
def author(tmp_path: Path) -> Author:
    return Author(tmp_path / "flows.git")


def history(author: Author, revision: str = "main") -> list[tuple[str, str, str]]:
    found = flow_history(author.path, revision, ORDERS, identify)
    return [(change.commit.subject, change.kind, change.path) for change in found]


def test_a_flow_is_followed_by_its_identity(author: Author) -> None:
    author.commit({"README.md": "x"}, "start")
    author.commit({"flows/a.yaml": flow(), "flows/b.yaml": flow("bills")}, "add")
    author.commit({"flows/b.yaml": flow("bills", "x: 1")}, "another flow")
    author.commit({"flows/a.yaml": flow(body="x: 1")}, "edit")
    author.commit({"flows/a.yaml": None, "_flows/deep/er.yml": flow(body="x: 2")}, "move and edit")
    author.commit({"flows/a.yaml": flow("third")}, "the old path gets a new tenant")
    author.commit({"_flows/deep/er.yml": "not: a flow"}, "break")
    author.commit({"_flows/deep/er.yml": "not: a flow yet"}, "still broken")
    author.commit({"_flows/deep/er.yml": flow(body="x: 3")}, "mend")
    author.commit({"elsewhere/a.yaml": flow(body="x: 3")}, "outside of the flows")
    author.commit({"_flows/deep/er.yml": None}, "remove")
    assert history(author) == [
        ("remove", "removed", "_flows/deep/er.yml"),
        ("mend", "changed", "_flows/deep/er.yml"),
        ("still broken", "changed", "_flows/deep/er.yml"),
        ("break", "changed", "_flows/deep/er.yml"),
        ("move and edit", "moved", "_flows/deep/er.yml"),
        ("edit", "changed", "flows/a.yaml"),
        ("add", "added", "flows/a.yaml"),
    ]


def test_a_merge_counts_only_when_it_differs_from_all_parents(author: Author) -> None:
    base = author.commit({"flows/a.yaml": flow()}, "add")
    left = author.commit({"flows/a.yaml": flow(body="left: 1")}, "left")
    right = author.commit({"other": "1"}, "right", parents=[base])
    author.commit({}, "clean merge", parents=[left, right])
    assert [subject for subject, _, _ in history(author)] == ["left", "add"]
    rival = author.commit({"flows/a.yaml": flow(body="rival: 1")}, "rival", parents=[base])
    author.commit({"flows/a.yaml": flow(body="both: 1")}, "conflict solved", parents=[left, rival])
    assert {subject for subject, _, _ in history(author)} == {"conflict solved", "rival", "left", "add"}


def test_unknown_things(author: Author, tmp_path: Path) -> None:
    author.commit({"a": "1"})
    assert history(author) == []
    with pytest.raises(NotFound):
        history(author, "nowhere")
    with pytest.raises(NotFound):
        list(executions(author.path, "refs/heads/none", *ORDERS))


def _sign(repository: Path, key: Path, message: str) -> str:
    configured = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "gpg.format=ssh"]
    tree = run_git("mktree", cwd=repository, data=_listing(repository, message)).strip()
    parent = run_git("rev-parse", "main", cwd=repository).strip()
    commit = run_git(
        *configured,
        "-c",
        f"user.signingkey={key}",
        "commit-tree",
        "-S",
        tree,
        "-p",
        parent,
        "-m",
        message,
        cwd=repository,
    ).strip()
    run_git("update-ref", "refs/heads/main", commit, cwd=repository)
    return commit


def _listing(repository: Path, body: str) -> bytes:
    blob = run_git(
        "hash-object", "-w", "--stdin", cwd=repository, data=flow(body=f"x: {body}").encode()
    ).strip()
    folder = run_git("mktree", cwd=repository, data=f"100644 blob {blob}\ta.yaml\n".encode()).strip()
    return f"040000 tree {folder}\tflows\n".encode()


async def test_signatures_fail_closed(author: Author, tmp_path: Path) -> None:
    for name in ("known", "stranger"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True
        )
    signers = tmp_path / "allowed"
    signers.write_text(f"ada@example.org {(tmp_path / 'known.pub').read_text()}")
    author.commit({"flows/a.yaml": flow()}, "unsigned")
    good = _sign(author.path, tmp_path / "known", "good")
    _sign(author.path, tmp_path / "stranger", "stranger")
    raw = run_git("cat-file", "commit", good, cwd=author.path).replace("\n\ngood", "\n\nforged")
    parent = run_git("rev-parse", "main", cwd=author.path).strip()
    raw = "\n".join(f"parent {parent}" if line.startswith("parent ") else line for line in raw.split("\n"))
    forged = run_git(
        "hash-object", "-t", "commit", "-w", "--stdin", cwd=author.path, data=raw.encode()
    ).strip()
    run_git("update-ref", "refs/heads/main", forged, cwd=author.path)

    changes = list(flow_history(author.path, "main", ORDERS, identify))

    def states(found: list[FlowChange]) -> dict[str, tuple[str, str]]:
        return {change.commit.subject: (change.signature, change.signer) for change in found}

    unchecked = ("signed (not verified)", "")
    assert states(changes) == {
        "forged": unchecked, "stranger": unchecked, "good": unchecked, "unsigned": ("unsigned", "")
    }  # fmt: skip
    assert states(await verified(author.path, changes, str(signers))) == {
        "forged": ("bad", ""),
        "stranger": ("bad", ""),
        "good": ("good", "ada@example.org"),
        "unsigned": ("unsigned", ""),
    }
    with pytest.raises(SettingsError):
        await verified(author.path, changes, str(tmp_path / "none"))


def document(execution: str, state: str, flow_id: str = "orders") -> bytes:
    return json.dumps(
        {
            "id": execution,
            "namespace": "shop",
            "flowId": flow_id,
            "commit": "c" * 40,
            "state": {
                "current": state,
                "startDate": "2026-01-02T03:04:05Z",
                "endDate": None,
                "histories": [],
            },
            "trigger": {"id": "daily", "type": "core.trigger.Schedule"},
        }
    ).encode()


def trailers(execution: str, flow_name: str = "shop/orders") -> tuple[tuple[str, str], ...]:
    return (
        ("Headwater-Execution", execution),
        ("Headwater-Flow", flow_name),
        ("Headwater-Revision", "a" * 40),
        ("Headwater-Trigger", "nightly"),
        ("Headwater-Actor", "ada"),
    )


async def test_executions_of_a_flow(author: Author, tmp_path: Path) -> None:
    status = StatusBranch(tmp_path / "s.git", author.url)
    when = datetime(2026, 1, 2, tzinfo=UTC)
    day = "executions/2026/01/02"
    await status.publish_all(
        [
            Draft({f"{day}/x1.json": document("x1", "RUNNING")}, "x1 runs", trailers("x1"), when),
            Draft(
                {f"{day}/b1.json": document("b1", "SUCCESS", "bills")},
                "b1",
                trailers("b1", "shop/bills"),
                when,
            ),
            Draft(
                {f"{day}/x1.json": document("x1", "SUCCESS"), f"{day}/x2.json": document("x2", "FAILED")},
                "two at once",
                trailers("x1") + trailers("x2", "shop.orders") + trailers("b2", "shop/bills"),
                when,
            ),
            Draft({f"{day}/x3.json": b"{ not json"}, "garbled", trailers("x3"), when),
            Draft({f"{day}/x2.json": None, "README.md": b"x"}, "Retention", (), when),
        ]
    )
    found = list(executions(status.mirror.path, status.mirror.ref, *ORDERS))
    assert [(record.id, record.state, record.actor) for record in found] == [
        ("x3", "", "ada"),
        ("x1", "SUCCESS", "ada"),
        ("x2", "FAILED", "ada"),
    ]
    assert {record.revision for record in found} == {"a" * 40}
    assert found[1].started == "2026-01-02T03:04:05Z"
    assert (found[1].ended, found[1].trigger) == ("", "nightly")
    assert list(executions(author.path, "refs/heads/headwater/status", *ORDERS)) == found
