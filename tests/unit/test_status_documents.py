"""What the status branch says: the same from the same facts, bounded, masked, and shown as text whatever it holds."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import immutables
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.execution import Attempt, Execution
from engine.model.problem import Problem
from engine.model.records import Summary
from engine.model.state import State
from reconciler import conditions
from reconciler.report import FileStatus
from reconciler.status import documents
from reconciler.status.documents import (
    badge_state,
    encode,
    execution_file,
    execution_path,
    flow_files,
    flow_folder,
)
from reconciler.status.drafts import LISTED, drafts, told
from reconciler.status.facts import FlowFacts, refused_files
from reconciler.status.readme import NAMESPACES, ONE_TABLE, readme, row_of
from reconciler.status.symbols import SYMBOLS, length, minute
from reconciler.status.upkeep import inspect
from tests.support.status_values import REVISION, a_status, refused
from tests.support.store_values import NOON, an_execution, moment, task_run, values_of

Json = Any


def bare(value: Json) -> Json:
    return value


def an_end(number: int, state: State = State.SUCCESS, seconds: float = 2) -> Summary:
    created = NOON + timedelta(minutes=number)
    ended = created + timedelta(seconds=seconds) if state.terminal else None
    return Summary(f"e{number}", "prod.etl", "load", 1, "c0ffee", state, created, ended)


def facts(*states: State, **more: Any) -> FlowFacts:
    ends = tuple(an_end(number, state) for number, state in enumerate(states))
    return FlowFacts("prod.etl", "load", 1, "c0ffee", "flows/load.yaml", executions=ends[::-1], **more)


# The page


def hostile_page(namespace: str, flow_id: str, path: str, message: str, source: str) -> str:
    problem = Problem(path, 1, 2, message, message)
    stands = conditions.of_file(REVISION, NOON, conditions.FLOW_INVALID, message)
    file = FileStatus(path, namespace, flow_id, True, (problem,), stands)
    live = FlowFacts(namespace, flow_id, 1, message, path, refused=file)
    return readme(a_status(file, source=source), [row_of(live)], bare).decode()


ANY = st.text(max_size=30) | st.sampled_from(["a | b", "`", "<br>", "\n\n# x", "](x)", "\\", "\\|", "|"])


@given(ANY, ANY, ANY, ANY, ANY)
def test_no_text_breaks_the_page(namespace: str, flow_id: str, path: str, message: str, source: str) -> None:
    page = hostile_page(namespace, flow_id, path, message, source)
    lines = page.split("\n")
    plain = hostile_page("n", "f", "p", "m", "s").split("\n")
    assert len(page.splitlines()) == len(lines) - 1  # no other line separators either
    assert [_outline(line) for line in lines] == [_outline(line) for line in plain]
    tags = set(re.findall(r"<[^>]*>", page))
    assert tags <= {"<code>", "</code>", "<br>"}


def _outline(line: str) -> tuple[str, int]:
    """How a line begins, and how many cells it has where it is a table's."""
    cells = len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) if line.startswith("|") else 0
    return re.match(r"[#>|-]*", line).group(), cells  # type: ignore[union-attr]


@given(st.lists(values_of(Summary), max_size=3), st.permutations(range(4)))
def test_rows_in_any_order_make_one_page(ends: list[Summary], order: list[int]) -> None:
    flows = [FlowFacts("n", f"f{n}", 1, "c", "p", executions=tuple(ends[:n])) for n in range(4)]
    rows = [row_of(each) for each in flows]
    assert readme(a_status(), rows, bare) == readme(a_status(), [rows[n] for n in order], bare)


def test_the_page_stays_bounded() -> None:
    flows = [FlowFacts(f"team{n % 700:03}", f"flow{n:05}", 1, "c", "p") for n in range(20_000)]
    failing = msgspec.structs.replace(flows[19_999], executions=(an_end(1, State.FAILED),))
    page = readme(a_status(), map(row_of, [*flows[:-1], failing]), bare).decode()
    assert len(page) < 200_000
    assert "20000 flows live · **1 failing**" in page
    assert page.index(failing.id) < page.index("## Flows\n")  # what wants attention is never cut off
    assert f"… and {700 - NAMESPACES} more namespaces in [flows](flows)" in page


def test_a_few_more_flows_than_a_table_holds_are_all_accounted_for() -> None:
    rows = [row_of(FlowFacts(f"n{n % 3}", f"f{n:03}", 1, "c", "p")) for n in range(ONE_TABLE + 1)]
    page = readme(a_status(), rows, bare).decode()
    more = sum(int(count) for count in re.findall(r"… and (\d+) more in", page))
    assert len(re.findall(r"^\| \[n\d", page, re.MULTILINE)) + more == ONE_TABLE + 1


def test_secrets_do_not_hide_behind_escapes() -> None:
    file = refused(message="token a_b*c is wrong")
    page = readme(a_status(file), [row_of(facts(refused=file))], lambda value: _masked(value, "a_b*c"))
    assert b"a_b" not in page
    assert rb"a\_b" not in page


def _masked(value: Json, secret: str) -> Json:
    return json.loads(json.dumps(value).replace(secret, "********"))


# Files


@given(values_of(Execution))
def test_every_execution_has_a_file(execution: Execution) -> None:
    data = execution_file(execution, bare)
    assert execution_file(execution, bare) == data
    assert json.loads(data).get("id", "") == execution.id
    assert data.endswith(b"}\n")


@given(st.permutations(range(6)))
def test_task_runs_in_any_order_make_one_file(order: list[int]) -> None:
    runs = [task_run(f"t{n}", n) for n in range(6)]
    one = an_execution(runs=immutables.Map({run.key: run for run in runs}))
    other = an_execution(runs=immutables.Map({runs[n].key: runs[n] for n in order}))
    assert execution_file(one, bare) == execution_file(other, bare)


def test_keys_are_sorted_and_lone_surrogates_stay_json() -> None:
    data = encode({"b": "\ud800 é", "a": {"d": 1, "c": 2}})
    assert data.decode().index('"a"') < data.decode().index('"b"')
    assert json.loads(data) == {"b": "\ud800 é", "a": {"d": 1, "c": 2}}


def test_a_document_that_is_too_long_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = {
        f"t{n}": task_run(f"t{n}", n, outputs={"x": "y" * 50}, attempts=(Attempt(1, (moment(),)),))
        for n in range(9)
    }
    execution = an_execution(runs=immutables.Map(runs), inputs={"i": "z" * 300})
    whole = json.loads(execution_file(execution, bare))
    assert "shortened" not in whole
    monkeypatch.setattr(documents, "DOCUMENT_LIMIT", len(encode(whole)) - 1)
    shorter = json.loads(execution_file(execution, bare))
    assert shorter["shortened"] == ["taskRunList.outputs"]
    assert shorter["inputs"] == whole["inputs"]
    assert [run["id"] for run in shorter["taskRunList"]] == [run["id"] for run in whole["taskRunList"]]
    monkeypatch.setattr(documents, "DOCUMENT_LIMIT", 10)
    monkeypatch.setattr(documents, "_RUNS_LEFT", 4)
    shortest = json.loads(execution_file(execution, bare))
    assert shortest["shortened"] == [
        "taskRunList.outputs", "inputs", "taskRunList.attempts", "taskRunList of 9",
    ]  # fmt: skip
    assert [run["taskId"] for run in shortest["taskRunList"]] == ["t0", "t1", "t7", "t8"]
    assert shortest["state"] == whole["state"]


@pytest.mark.parametrize(
    "name", ["..", ".", ".git", "", "a/b", "a\0b", "x" * 300, "é" * 200, "\ud800", "con\nrol"]
)
def test_paths_stay_in_their_folder(name: str) -> None:
    for path in (flow_folder(name, name) + "/status.json", execution_path(name, NOON)):
        parts = path.split("/")
        assert len(parts) == (4 if path.startswith("flows") else 5)
        assert all(part not in ("", ".", "..") and part.lower() != ".git" for part in parts)
        assert all(len(part.encode()) <= 255 and part.isprintable() for part in parts)


def test_names_as_the_dialect_has_them_stay_readable() -> None:
    assert flow_folder("company.team-a.x_1", "Load_2-b") == "flows/company.team-a.x_1/Load_2-b"
    assert execution_path("5kz", NOON) == "executions/2026/03/01/5kz.json"


@pytest.mark.parametrize(
    ("flow", "state"),
    [
        (facts(), "unknown"),
        (facts(State.FAILED, State.SUCCESS), "passing"),
        (facts(State.WARNING), "passing"),
        (facts(State.SUCCESS, State.FAILED), "failing"),
        (facts(State.FAILED, State.KILLED), "failing"),
        (facts(State.SUCCESS, State.CANCELLED, State.SKIPPED, State.RETRIED), "passing"),
        (facts(State.KILLED), "unknown"),
        (facts(State.SUCCESS, State.PAUSED), "paused"),
        (facts(State.SUCCESS, disabled=True), "suspended"),
        (facts(State.SUCCESS, refused=refused()), "stalled"),
    ],
)
def test_badges_say_the_truth(flow: FlowFacts, state: str) -> None:
    assert badge_state(flow) == state
    files = flow_files(flow, bare)
    status, image, shield = files.values()
    assert json.loads(status)["state"] == state
    assert json.loads(shield)["message"].startswith(state)
    assert state.encode() in image


def test_only_live_versions_are_stalled() -> None:
    waiting = refused("prod.etl/new", live=False)
    warned = msgspec.structs.replace(refused("prod.etl/fine"), conditions=())
    twice = msgspec.structs.replace(refused(message="again"), path="flows/z.yaml")
    assert refused_files(a_status(refused(), waiting, warned, twice)) == {("prod.etl", "load"): refused()}


# Commits


def results(count: int) -> list[Any]:
    states = (State.CREATED, State.SUCCESS)
    executions = [an_execution(f"e{n:03}", states=states, seconds=n, trigger="hourly") for n in range(count)]
    return [told(each, bare) for each in executions]


def test_an_execution_is_told_with_its_trailers() -> None:
    execution = an_execution(
        "e1", states=(State.CREATED, State.FAILED), trigger="hourly", labels={"system.username": "s3cr3t ada"}
    )
    each = told(execution, lambda value: _masked(value, "s3cr3t"))
    assert each.subject == "prod.etl.load ✗ FAILED in 1.0 s"
    assert each.trailers == (
        ("Headwater-Execution", "e1"),
        ("Headwater-Flow", "prod.etl.load"),
        ("Headwater-Revision", "c0ffee"),
        ("Headwater-Trigger", "hourly"),
        ("Headwater-Actor", "******** ada"),
    )
    assert [key for key, _ in told(an_execution(), bare).trailers] == [
        "Headwater-Execution", "Headwater-Flow", "Headwater-Revision",
    ]  # fmt: skip


def test_few_executions_get_a_commit_each_and_many_share() -> None:
    made = drafts(results(LISTED + 8), {}, {"README.md": b"x"}, single=5, when=NOON)
    *singles, shared, last, remainder = made
    assert [draft.trailers[0][1] for draft in singles] == [f"e{n:03}" for n in range(5)]
    assert shared.retold is not None
    message, trailers = shared.retold({each.path: each.data for each in results(LISTED + 8)})
    assert message == f"{LISTED} executions ended"
    assert [key for key, _ in trailers].count("Headwater-Execution") == LISTED
    assert last.retold is not None
    message, trailers = last.retold({results(LISTED + 8)[-1].path: b"the others are on the tip already"})
    assert message == results(LISTED + 8)[-1].subject
    assert [key for key, _ in trailers].count("Headwater-Execution") == 1
    assert remainder.trailers == ()
    assert remainder.changes == {"README.md": b"x"}
    assert drafts([], {}, {}, single=5, when=NOON) == []


# Repair


def test_a_trusted_tip_gets_what_is_missing_and_loses_what_expired() -> None:
    kept = [an_end(3, State.RUNNING), an_end(2), an_end(1)]
    paths = [execution_path(each.id, each.created) for each in kept]
    present = {
        "README.md",
        "reconcile.json",
        "flows/n/a/status.json",
        "flows/n/a/badge.svg",
        paths[0],
        paths[2],
    }
    present |= {"executions/2020/01/01/old.json", "flows/n/gone/status.json", ".github/workflows/x.yaml"}
    repair = inspect(present, [("n", "a"), ("n", "b")], kept, trusted=True)
    assert repair.remove == (
        ".github/workflows/x.yaml", "executions/2020/01/01/old.json", "flows/n/gone/status.json",
    )  # fmt: skip
    assert repair.flows == (("n", "a"), ("n", "b"))
    assert repair.executions == ("e2",)
    foreign = inspect(present, [("n", "a"), ("n", "b")], kept, trusted=False)
    assert foreign.executions == ("e1", "e2")


def test_nothing_to_repair() -> None:
    flow = [f"flows/n/a/{name}" for name in ("status.json", "badge.svg", "badge.json")]
    repair = inspect({"README.md", *flow}, [("n", "a")], [], trusted=True)
    assert (repair.remove, repair.flows, repair.executions) == ((), (), ())


# Words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "40 ms"),
        (12.44, "12.4 s"),
        (59.96, "1 min 0 s"),
        (192, "3 min 12 s"),
        (3900, "1 h 5 min"),
        (183_600, "2 d 3 h"),
        (-1, "0 ms"),
    ],
)
def test_lengths(seconds: float, text: str) -> None:
    assert length(seconds) == text


def test_instants_and_symbols() -> None:
    assert minute(NOON) == "2026-03-01 12:00"
    assert minute(NOON + timedelta(seconds=15)) == "2026-03-01 12:00:15"
    assert set(SYMBOLS) == set(State)
    assert all(len(symbol) == 1 for symbol in SYMBOLS.values())
