"""The pure parts of a round: what files want, what differs, what the breaker holds, what conditions follow."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.errors import (
    Bug,
    CredentialError,
    OperatorError,
    StoreConflict,
    UnavailableError,
    UserError,
)
from reconciler import conditions
from reconciler.conditions import Trouble
from reconciler.desired import (
    Dispute,
    disputed,
    is_flow_file,
    read_flow,
    resolve,
    touched,
    unreadable,
)
from reconciler.diff import FlowChange, applied, diff
from reconciler.inventory import FlowFile, Identity, Inventory, Live, Version
from reconciler.plan import Circumstances, digest, plan, vanished
from tests.support.reconciling import NOON, broken_text, flow_file, flow_text, real_check

A: Identity = ("ns", "a")
B: Identity = ("ns", "b")
OLD = Version("flows/a.yaml", "old")


def inventory(*files: FlowFile) -> Inventory:
    return Inventory().updated(files, ())


@pytest.mark.parametrize(
    ("files", "wanted", "reason"),
    [
        ([], None, None),
        ([flow_file("flows/a.yaml", A, "new")], Version("flows/a.yaml", "new"), None),
        ([flow_file("flows/x.yaml", A, "old")], Version("flows/x.yaml", "old"), None),
        ([flow_file("flows/a.yaml", A, "bad", refused=True)], OLD, None),
        ([flow_file("flows/a.yaml", None, "bad", refused=True)], OLD, None),
        ([flow_file("flows/x.yaml", A, "bad", refused=True)], OLD, None),
        ([flow_file("flows/x.yaml", None, "bad", refused=True)], None, None),
        ([flow_file("flows/a.yaml", B, "new")], None, None),
        ([flow_file("flows/a.yaml", A, "1"), flow_file("flows/b.yaml", A, "2")], OLD, "DuplicateIdentity"),
        (
            [flow_file("flows/a.yaml", A, "1", refused=True), flow_file("flows/b.yaml", A, "2")],
            Version("flows/b.yaml", "2"),
            None,
        ),
    ],
)
def test_what_files_want_of_a_live_flow(
    files: list[FlowFile], wanted: Version | None, reason: str | None
) -> None:
    found = resolve([A], inventory(*files), Live().updated({A: OLD}, ()), {})
    assert found.wanted.get(A) == wanted
    assert (found.disputes[A].reason if A in found.disputes else None) == reason


@pytest.mark.parametrize(
    ("files", "owners", "wanted", "reason"),
    [
        ([flow_file("flows/a.yaml", A)], {}, Version("flows/a.yaml", "b1"), None),
        ([flow_file("flows/a.yaml", A, refused=True)], {}, None, None),
        ([flow_file("flows/a.yaml", A)], {A: "other"}, None, "OwnedElsewhere"),
        ([flow_file("flows/a.yaml", A, refused=True)], {A: "other"}, None, None),
        ([flow_file("flows/a.yaml", A), flow_file("flows/b.yaml", A)], {}, None, "DuplicateIdentity"),
    ],
)
def test_what_files_want_of_a_flow_that_is_not_live(
    files: list[FlowFile], owners: dict[Identity, str], wanted: Version | None, reason: str | None
) -> None:
    found = resolve([A], inventory(*files), Live(), owners)
    assert found.wanted.get(A) == wanted
    assert (found.disputes[A].reason if A in found.disputes else None) == reason


def test_a_file_that_breaks_later_does_not_save_a_flow_whose_removal_is_held() -> None:
    live = Live().updated({A: OLD}, ())
    files = inventory(flow_file("flows/a.yaml", None, "bad", refused=True))
    assert resolve([A], files, live, {}, frozenset({A})).wanted == {}


def test_touched_are_whom_the_file_was_is_and_has_made_live() -> None:
    before = inventory(flow_file("flows/x.yaml", A), flow_file("flows/y.yaml", B))
    after = before.updated([flow_file("flows/x.yaml", ("ns", "new"))], ())
    live = Live().updated({("ns", "last-good"): Version("flows/x.yaml", "b0"), B: OLD}, ())
    assert touched(before, after, live, ["flows/x.yaml"]) == {A, ("ns", "new"), ("ns", "last-good")}


def test_a_dispute_names_the_other_files_and_the_line() -> None:
    files = inventory(flow_file("flows/a.yaml", A, line=4), flow_file("flows/b.yaml", A, line=0))
    told = disputed(A, Dispute("DuplicateIdentity", ("flows/a.yaml", "flows/b.yaml")), files)
    assert [(p.path, p.line, p.column, p.property) for p in told] == [
        ("flows/a.yaml", 4, 1, "id"),
        ("flows/b.yaml", 0, 0, "id"),
    ]
    assert "ns.a is also in `flows/b.yaml`" in told[0].message


@pytest.mark.parametrize(
    ("path", "kind", "expected"),
    [
        ("flows/a.yaml", "file", True),
        ("flows/a.yml", "file", True),
        ("flows/a.YAML", "file", False),
        ("flows/README.md", "file", False),
        ("flows/readme", "symlink", False),
        ("flows/a.yaml", "symlink", True),
        ("flows", "symlink", True),
        ("flows/vendor", "submodule", True),
        ("flows/deep", "overlong", True),
    ],
)
def test_which_entries_are_looked_at(path: str, kind: str, expected: bool) -> None:
    assert is_flow_file(path, kind, ("flows",)) is expected
    assert (unreadable(path, "b", kind) is None) is (kind == "file")


def test_a_file_is_read_with_its_claim_even_when_refused() -> None:
    good, deployment = read_flow("f.yaml", "b", flow_text("a").encode(), real_check())
    assert (good.identity, good.line, good.refused) == (("company.etl", "a"), 1, False)
    assert deployment is not None
    assert (deployment.flow.id, deployment.path, deployment.blob) == ("a", "f.yaml", "b")
    bad, none = read_flow("f.yaml", "b", b"# x\n" + broken_text("a").encode(), real_check())
    assert (bad.identity, bad.line, bad.refused, none) == (("company.etl", "a"), 2, True, None)
    assert bad.problems[0].line == 6
    odd, none = read_flow("f.yaml", "b", b"id: [a\n\xff", real_check())
    assert (odd.identity, odd.refused, none) == (None, True, None)


def test_a_check_that_falls_over_refuses_that_file_only(caplog: pytest.LogCaptureFixture) -> None:
    def check(content: bytes, path: str, defaults: str) -> Any:
        raise RecursionError

    file, deployment = read_flow("f.yaml", "b", b"id: a\n", check)
    assert (file.refused, deployment) == (True, None)
    assert "log" in file.problems[0].message
    assert "f.yaml" in caplog.text


def test_the_kinds_of_change() -> None:
    live = {
        A: OLD,
        B: Version("flows/b.yaml", "b"),
        ("ns", "c"): Version("c", "c"),
        ("ns", "d"): Version("d", "d"),
    }
    wanted = {
        A: Version("flows/a.yaml", "new"),
        B: Version("flows/moved.yaml", "b"),
        ("ns", "c"): Version("c", "c"),
        ("ns", "e"): Version("e", "e"),
    }
    changes = diff(live, wanted)
    assert [(change.kind, change.id, change.path, change.before) for change in changes] == [
        ("changed", "a", "flows/a.yaml", ""),
        ("moved", "b", "flows/moved.yaml", "flows/b.yaml"),
        ("removed", "d", "d", ""),
        ("added", "e", "e", ""),
    ]
    assert applied(live, changes) == wanted


def removals(count: int) -> tuple[FlowChange, ...]:
    return tuple(FlowChange("removed", "ns", f"f{n}", f"flows/f{n}.yaml", f"b{n}") for n in range(count))


ADDED = FlowChange("added", "ns", "x", "flows/x.yaml", "bx")


@pytest.mark.parametrize(
    ("count", "now", "why"),
    [
        (0, Circumstances(live=0, empty=True, unrelated=True), ""),
        (3, Circumstances(live=3), ""),
        (4, Circumstances(live=8), ""),
        (5, Circumstances(live=9), "share of 0.5"),
        (4, Circumstances(live=100, breaker=0.03), "share of 0.03"),
        (4, Circumstances(live=4, breaker=1), ""),
        (4, Circumstances(live=400, breaker=0), "share of 0"),
        (1, Circumstances(live=1, empty=True), "no flow file at all"),
        (1, Circumstances(live=9, vanished=("flows",)), "folder `flows`"),
        (1, Circumstances(live=9, unrelated=True), "nothing in common"),
        (1, Circumstances(live=9, held=[("ns", "f0")], held_why="as before"), "as before"),
        (1, Circumstances(live=9, held=[("ns", "f7")], held_why="as before"), ""),
    ],
)
def test_the_breaker(count: int, now: Circumstances, why: str) -> None:
    made = plan((ADDED, *removals(count)), now)
    assert made.deployed == (ADDED,), "additions are never held"
    if not why:
        assert made.held is None
        assert made.pruned == removals(count)
        return
    assert made.held is not None
    assert made.held.removals == removals(count)
    assert why in made.held.why
    assert made.pruned == ()
    confirmed = plan((ADDED, *removals(count)), _confirmed(now, made.held.digest))
    assert confirmed.held is None
    assert confirmed.pruned == removals(count)


def _confirmed(now: Circumstances, digest: str) -> Circumstances:
    return msgspec.structs.replace(now, confirmed=digest)


def test_a_digest_is_of_these_changes_and_contents_only() -> None:
    changes = removals(2)
    assert digest(changes) == digest(reversed(changes))
    assert digest(changes) != digest(removals(3))
    other = FlowChange("removed", "ns", "f0", "flows/f0.yaml", "other content")
    assert digest((other, changes[1])) != digest(changes)


def test_a_folder_has_vanished_when_nothing_of_it_is_left() -> None:
    files = inventory(flow_file("flows/x.yaml", A), flow_file("flowsbutnot/y.yaml", B))
    gone = [
        FlowChange("removed", "ns", "z", "_flows/z.yaml", "b"),
        FlowChange("removed", "ns", "y", "flows/y", "b"),
    ]
    assert vanished(("flows", "_flows", "never"), gone, files) == ("_flows",)
    assert vanished(("flows",), [], Inventory()) == ()


STALLED = Trouble("FlowInvalid", "bad")
WAITING = Trouble("SourceUnavailable", "gone", waiting=True)


@pytest.mark.parametrize(
    ("revision", "troubles", "expected", "reason"),
    [
        ("c1", [], (True, False, False), "Applied"),
        ("c1", [STALLED], (False, False, True), "FlowInvalid"),
        ("c1", [WAITING], (None, True, False), "SourceUnavailable"),
        ("c1", [WAITING, STALLED], (False, True, True), "SourceUnavailable"),
        ("", [WAITING], (False, True, False), "SourceUnavailable"),
    ],
)
def test_conditions_of_a_round(
    revision: str, troubles: list[Trouble], expected: tuple[bool | None, ...], reason: str
) -> None:
    found = conditions.of_round(revision, NOON, troubles, "")
    assert [each.type for each in found] == ["Ready", "Reconciling", "Stalled"]
    assert tuple(each.status for each in found) == expected
    assert found[0].reason == reason
    assert all(each.reason for each in found)


def test_a_condition_keeps_the_time_of_its_status() -> None:
    first = conditions.of_round("c1", NOON, [], "")
    later = NOON + timedelta(hours=1)
    second = conditions.of_round("c2", later, [STALLED], "", first)
    assert [each.since for each in second] == [later, NOON, later]
    progress = conditions.under_way("c2", "c3", later, second)
    assert [each.status for each in progress] == [None, True, True]


@pytest.mark.parametrize(
    ("error", "reason", "waiting"),
    [
        (UnavailableError("x", reason="SourceUnavailable"), "SourceUnavailable", True),
        (StoreConflict("x"), "StoreConflict", True),
        (UserError("x", reason="TreeTooLarge"), "TreeTooLarge", False),
        (OperatorError("x", reason="MirrorUnwritable"), "MirrorUnwritable", False),
        (CredentialError("x"), "CredentialError", False),
        (Bug("x"), "InternalError", False),
        (ValueError("x"), "InternalError", False),
    ],
)
def test_what_an_error_means(error: Exception, reason: str, waiting: bool) -> None:
    trouble = conditions.failed(error, "0123456789")
    assert (trouble.reason, trouble.waiting) == (reason, waiting)
    assert trouble.message.endswith("0123456 stays live")


def test_the_glossary_knows_every_reason() -> None:
    glossary = (Path(__file__).parents[2] / "docs/glossary.md").read_text()
    reasons = [value for name, value in vars(conditions).items() if name.isupper() and isinstance(value, str)]
    assert len(reasons) > 8
    assert [reason for reason in reasons if f"| `{reason}` |" not in glossary] == []
