"""What every driver of the `Store` port has to do. A driver's tests inherit `StoreSuite` and say how it is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import immutables
import msgspec
import pytest

from engine.clock import ManualClock
from engine.errors import Bug, NotFound, StoreConflict
from engine.model.commands import Ended, Run, Wake
from engine.model.events import AttemptEnded, AttemptStarted, Begun
from engine.model.execution import Execution, Scope
from engine.model.records import Fire, LogEntry, LogQuery, Query, Report, Work
from engine.model.run import RunHandle
from engine.model.shape import Each
from engine.model.state import State
from engine.model.task import TaskResult
from engine.ports import Batch, Store
from tests.support.store_values import (
    NOON,
    an_execution,
    commit_of,
    flow_version,
    line,
    task_run,
    trigger_state,
)


class StoreSuite:
    """The behaviour of the port."""

    def open(self, folder: Path, clock: ManualClock) -> Store:
        """A store in `folder`; a fresh one when the folder is empty."""
        raise NotImplementedError

    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock(NOON)

    @pytest.fixture
    def store(self, tmp_path: Path, clock: ManualClock) -> Iterator[Store]:
        store = self.open(tmp_path, clock)
        yield store
        store.close()

    # Executions

    def test_an_unknown_execution_is_none_and_has_no_events(self, store: Store) -> None:
        assert store.execution("nobody") is None
        assert store.events("nobody") == []
        assert store.logs("nobody") == []

    def test_a_snapshot_comes_back_with_its_runs_and_values(self, store: Store) -> None:
        runs = immutables.Map(
            {"each": task_run("each", 0, scope=Scope(Each(()), count=2)), "a:0": task_run("a:0", 1)}
        )
        execution = an_execution(
            runs=runs, values=immutables.Map({"each": ({"n": 1}, [2], None)}), inputs={"x": [1]}
        )
        batch = commit_of(execution)
        store.commit(batch)
        assert store.execution("e1") == batch.executions["e1"]

    def test_only_touched_runs_are_written_and_vanished_ones_removed(self, store: Store) -> None:
        first = an_execution(
            runs=immutables.Map({"a": task_run("a"), "b": task_run("b", 1), "c": task_run("c", 2)})
        )
        store.commit(commit_of(first))
        changed = task_run("a", 0, State.SUCCESS, outputs={"rows": 3})
        runs = immutables.Map({"a": changed, "c": task_run("c", 2, State.FAILED), "d": task_run("d", 3)})
        batch = commit_of(msgspec.structs.replace(first, runs=runs), base=1, version=2)
        batch.touched["e1"] = {"a", "b", "d"}
        store.commit(batch)
        found = store.execution("e1")
        assert found is not None
        assert dict(found.runs) == {"a": changed, "c": task_run("c", 2), "d": task_run("d", 3)}

    def test_only_valued_loops_are_written_and_vanished_ones_removed(self, store: Store) -> None:
        first = an_execution(values=immutables.Map({"a": (1,), "b": (2,), "c": (3,)}))
        store.commit(commit_of(first))
        values = immutables.Map({"a": (1, 1), "b": (9,)})
        batch = commit_of(msgspec.structs.replace(first, values=values), base=1, version=2)
        batch.valued["e1"] = {"a", "c"}
        store.commit(batch)
        found = store.execution("e1")
        assert found is not None
        assert dict(found.values) == {"a": (1, 1), "b": (2,)}

    def test_events_come_back_in_order(self, store: Store) -> None:
        events = [
            Begun(NOON),
            AttemptStarted(NOON, "a", 1),
            AttemptEnded(NOON, "a", 1, TaskResult(outputs={"x": 1})),
        ]
        batch = commit_of(an_execution(), version=2)
        batch.events = [("e1", number, event) for number, event in enumerate(events[:2], 1)]
        store.commit(batch)
        later = commit_of(an_execution(), base=2, version=3)
        later.events = [("e1", 3, events[2])]
        store.commit(later)
        assert store.events("e1") == events

    # Conflicts

    @pytest.mark.parametrize(("base", "stored"), [(0, 1), (1, 2), (3, 2)])
    def test_another_version_than_the_base_is_a_conflict(self, store: Store, base: int, stored: int) -> None:
        execution = an_execution()
        store.commit(commit_of(execution, version=stored))
        with pytest.raises(StoreConflict):
            store.commit(
                commit_of(msgspec.structs.replace(execution, error="late"), base=base, version=base + 1)
            )
        found = store.execution("e1")
        assert found is not None
        assert (found.version, found.error) == (stored, "")

    def test_a_base_that_is_not_there_is_a_conflict(self, store: Store) -> None:
        with pytest.raises(StoreConflict):
            store.commit(commit_of(an_execution(), base=4, version=5))
        assert store.execution("e1") is None

    def test_an_event_of_a_version_that_has_one_is_a_conflict(self, store: Store) -> None:
        store.commit(Batch(events=[("e1", 1, Begun(NOON))]))
        with pytest.raises(StoreConflict):
            store.commit(Batch(events=[("e1", 1, AttemptStarted(NOON, "a", 1))]))
        assert store.events("e1") == [Begun(NOON)]

    def test_a_due_time_fires_once(self, store: Store) -> None:
        fire = Fire("prod", "load", "hourly", NOON, "e1")
        store.commit(Batch(fires=[fire]))
        with pytest.raises(StoreConflict):
            store.commit(Batch(fires=[msgspec.structs.replace(fire, execution_id="e2")]))
        store.commit(Batch(fires=[msgspec.structs.replace(fire, due=NOON + timedelta(microseconds=1))]))

    @pytest.mark.parametrize("failing", ["fire", "snapshot", "event", "value"])
    def test_a_batch_that_fails_leaves_nothing_behind(self, store: Store, failing: str) -> None:
        fire = Fire("prod", "load", "hourly", NOON, "e0")
        known = commit_of(an_execution("known"))
        known.fires = [fire]
        known.events = [("known", 1, Begun(NOON))]
        store.commit(known)
        batch = full_batch()
        if failing == "fire":
            batch.fires.append(fire)
        elif failing == "snapshot":
            batch.executions["known"] = an_execution("known")
        elif failing == "event":
            batch.events.append(("known", 1, Begun(NOON)))
        else:
            batch.work["bad"] = Work(
                "bad", "e1", event=AttemptEnded(NOON, "a", 1, TaskResult(outputs={"x": object()}))
            )
        with pytest.raises(Bug if failing == "value" else StoreConflict):
            store.commit(batch)
        assert store.execution("e1") is None
        assert store.events("e1") == []
        assert store.work() == []
        assert store.logs("e1") == []
        assert store.triggers() == []
        assert store.reports() == []
        assert not store.delivered("prod", "d1")
        store.commit(full_batch())  # its fires were not kept either
        assert store.delivered("prod", "d1")

    # Lists

    def test_executions_are_listed_newest_first_with_what_a_list_tells(self, store: Store) -> None:
        ended = an_execution(
            "b",
            states=(State.CREATED, State.RUNNING, State.SUCCESS),
            seconds=5,
            trigger="hourly",
            labels={"team": "a"},
        )
        for execution in (
            an_execution("a"),
            ended,
            an_execution("same-time", seconds=5),
            an_execution("old", seconds=-1),
        ):
            store.commit(commit_of(execution))
        found = store.executions(Query())
        assert [item.id for item in found] == ["same-time", "b", "a", "old"]
        summary = found[1]
        assert (summary.namespace, summary.flow_id, summary.revision, summary.commit) == (
            "prod.etl",
            "load",
            3,
            "c0ffee",
        )
        assert (summary.state, summary.created, summary.ended) == (State.SUCCESS, ended.created, ended.ended)
        assert (summary.seconds, summary.trigger_id, summary.labels) == (2.0, "hourly", {"team": "a"})
        assert found[0].ended is None

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            (Query(namespace="prod"), "3 1 0"),
            (Query(namespace="prod", flow_id="a"), "1 0"),
            (Query(flow_id="a"), "2 1 0"),
            (Query(states=(State.RUNNING,)), "3 1"),
            (Query(states=(State.RUNNING, State.FAILED)), "3 2 1"),
            (Query(states=(State.RUNNING, State.FAILED, State.RUNNING), limit=2), "3 2"),
            (Query(states=(State.RUNNING, State.FAILED), limit=2, offset=1), "2 1"),
            (Query(namespace="prod", flow_id="a", states=(State.CREATED, State.RUNNING)), "1 0"),
            (Query(trigger_id="hourly"), "1"),
            (Query(since=NOON + timedelta(seconds=2)), "3 2"),
            (Query(labels={"team": "x"}), "3 2"),
            (Query(labels={"team": "x", 'it\'s "odd"': "✓"}), "2"),
            (Query(labels={"team": "' OR 1=1 --"}), ""),
            (Query(limit=2), "3 2"),
            (Query(limit=2, offset=3), "0"),
            (Query(limit=0), ""),
        ],
    )
    def test_a_query_narrows_the_list(self, store: Store, query: Query, expected: str) -> None:
        rows: list[tuple[str, State, dict[str, Any]]] = [
            ("prod/a", State.CREATED, {}),
            ("prod/a", State.RUNNING, {"trigger": "hourly"}),
            ("test/a", State.FAILED, {"labels": {"team": "x", 'it\'s "odd"': "✓"}}),
            ("prod/b", State.RUNNING, {"labels": {"team": "x"}}),
        ]
        for number, (flow, state, more) in enumerate(rows):
            store.commit(
                commit_of(an_execution(str(number), flow=flow, states=(state,), seconds=number, **more))
            )
        assert " ".join(item.id for item in store.executions(query)) == expected
        every = msgspec.structs.replace(query, limit=100, offset=0)
        assert store.matching(query) == len(store.executions(every))
        assert store.matching(query, most=1) == min(len(store.executions(every)), 1)

    def test_lists_and_counts_follow_the_state(self, store: Store) -> None:
        execution = an_execution(states=(State.RUNNING,))
        store.commit(commit_of(execution))
        active = (State.RUNNING, State.PAUSED)
        assert store.count("prod.etl", "load", active) == 1
        assert store.count("prod.etl", "load", ()) == 0
        assert store.count("prod.etl", "other", active) == 0
        done = an_execution(states=(State.RUNNING, State.SUCCESS), labels={"late": "yes"})
        store.commit(commit_of(done, 1, 2))
        assert store.count("prod.etl", "load", active) == 0
        again = an_execution(
            states=(State.RUNNING, State.SUCCESS, State.RESTARTED, State.SUCCESS), labels={"late": "yes"}
        )
        store.commit(commit_of(again, 2, 4))
        (summary,) = store.executions(Query(states=(State.SUCCESS,)))
        assert (summary.ended, summary.labels) == (again.ended, {"late": "yes"})

    # Work

    def test_work_is_kept_in_order_until_it_is_done(self, store: Store) -> None:
        items = [
            Work("w3", "e1", Run("a", 1)),
            Work("w1", "e1", Wake("b", 1, NOON), due=NOON),
            Work("w2", "e2", event=AttemptEnded(NOON, "a", 1, TaskResult())),
        ]
        store.commit(Batch(work={item.id: item for item in items}))
        handled = msgspec.structs.replace(items[0], handle=RunHandle("process", "k", {"pid": 7}))
        added = Work("w0", "e3", Ended(State.SUCCESS))
        store.commit(Batch(work={"w0": added, "w3": handled, "w1": None, "unknown": None}))
        assert store.work() == [handled, items[2], added]

    # Logs

    def test_log_lines_come_in_order_and_from_a_serial_on(self, store: Store) -> None:
        entries = [
            line(message=str(number), key="a" if number % 2 else "", attempt=number) for number in range(6)
        ]
        store.commit(Batch(logs=[*entries[:3], line("other"), *entries[3:]]))
        found = store.logs("e1")
        assert [entry for _, entry in found] == entries
        serials = [serial for serial, _ in found]
        assert serials == sorted(set(serials))
        assert min(serials) > 0
        assert store.logs("e1", after=serials[3]) == found[4:]
        assert store.logs("e1", after=serials[0], limit=2) == found[1:3]
        assert [entry for _, entry in store.logs("e1", key="a")] == entries[1::2]
        assert [entry for _, entry in store.logs("e1", key="")] == entries[0::2]
        assert store.logs("e1", after=serials[-1]) == []

    def test_a_log_line_keeps_all_it_says(self, store: Store) -> None:
        entry = LogEntry("e1", NOON, "ERROR", "nul \0 and ✓\nnext", "load:3", "load", "run", 2)
        store.commit(Batch(logs=[entry]))
        assert [found for _, found in store.logs("e1")] == [entry]

    def test_text_that_is_no_unicode_does_not_stop_a_batch(self, store: Store) -> None:
        execution = an_execution(outputs={"x\udc80": ["\ud800", 1]}, labels={"a": "\udfff"})
        batch = commit_of(execution)
        batch.logs = [line(message="broken \udc80 ✓ 😀")]
        store.commit(batch)
        found = store.execution("e1")
        assert found is not None
        assert found.outputs == {"x\ufffd": ["\ufffd", 1]}
        assert store.logs("e1")[0][1].message == "broken \ufffd ✓ 😀"

    # Flows

    def test_the_live_version_is_the_last_one_put(self, store: Store) -> None:
        one, two = (
            flow_version(revision=1),
            flow_version(revision=2, content=b"\xff\0", disabled=True, triggers=("t",)),
        )
        store.put_flows([one], (), {})
        assert store.flow("prod.etl", "load") == one
        store.put_flows([two], (), {})
        assert store.flow("prod.etl", "load") == two
        assert store.flow("prod.etl", "load", 1) == one
        assert store.flow("prod.etl", "load", 3) is None
        assert list(store.flows()) == [two]

    def test_a_retired_flow_is_not_live_but_its_versions_and_revisions_stay(self, store: Store) -> None:
        store.put_flows([flow_version(revision=4)], (), {("prod.etl", "load", "hourly"): trigger_state()})
        store.put_flows((), [("prod.etl", "load"), ("never", "was")], {})
        assert store.flow("prod.etl", "load") is None
        assert list(store.flows()) == []
        assert store.triggers() == []
        assert store.next_due() is None
        assert store.flow("prod.etl", "load", 4) == flow_version(revision=4)
        assert store.last_revision("prod.etl", "load") == 4

    def test_last_revision_is_the_highest_ever(self, store: Store) -> None:
        assert store.last_revision("prod.etl", "load") == 0
        store.put_flows([flow_version(revision=9), flow_version("prod.etl/other", 12)], (), {})
        store.put_flows([flow_version(revision=2)], (), {})
        assert store.last_revision("prod.etl", "load") == 9

    def test_flows_are_listed_by_name_and_source(self, store: Store) -> None:
        versions = [
            flow_version("b/z"),
            flow_version("a/z", source="other"),
            flow_version("b/a"),
            flow_version("a/y"),
        ]
        store.put_flows(versions, (), {})
        assert [f"{flow.namespace}/{flow.id}" for flow in store.flows()] == ["a/y", "a/z", "b/a", "b/z"]
        assert [f"{flow.namespace}/{flow.id}" for flow in store.flows("other")] == ["a/z"]
        store.put_flows([flow_version("a/z", 2, source="prod")], (), {})
        assert list(store.flows("other")) == []

    def test_a_kept_revision_never_changes_its_content(self, store: Store) -> None:
        store.put_flows([flow_version()], (), {})
        moved = flow_version(path="flows/moved.yaml", commit="later")
        store.put_flows([moved], (), {})
        assert store.flow("prod.etl", "load", 1) == moved
        with pytest.raises(StoreConflict):
            store.put_flows([flow_version("x/new"), flow_version(content=b"other")], (), {})
        assert list(store.flows()) == [moved]

    # Triggers

    def test_trigger_states_are_set_and_removed_by_apply_and_commit(self, store: Store) -> None:
        state = trigger_state(last_due=NOON, execution_id="e1", spec="s")
        key = ("prod.etl", "load", "hourly")
        store.put_flows([flow_version()], (), {key: state, ("prod.etl", "load", "gone"): None})
        assert store.triggers() == [state]
        fired = msgspec.structs.replace(state, next_due=NOON + timedelta(hours=1), suspended=True)
        store.commit(Batch(triggers={key: fired}))
        assert store.triggers("prod.etl", "load") == [fired]
        assert store.triggers("prod.etl") == [fired]
        assert store.triggers("prod", "load") == []
        store.commit(Batch(triggers={key: None}))
        assert store.triggers() == []

    def test_due_triggers_come_earliest_first(self, store: Store) -> None:
        states = [
            trigger_state("a/b/late", 2),
            trigger_state("a/b/first", -3),
            trigger_state("a/b/now", 0),
            trigger_state("a/b/stopped", -9, suspended=True),
            trigger_state("a/b/never", None),
        ]
        assert store.next_due() is None
        store.commit(
            Batch(triggers={(item.namespace, item.flow_id, item.trigger_id): item for item in states})
        )
        assert [item.trigger_id for item in store.due_triggers(NOON)] == ["first", "now"]
        assert [item.trigger_id for item in store.due_triggers(NOON, limit=1)] == ["first"]
        assert store.next_due() == NOON - timedelta(minutes=3)
        assert [item.trigger_id for item in store.triggers()] == ["first", "late", "never", "now", "stopped"]

    # Reports

    def test_a_report_that_changed_while_it_was_told_stays(self, store: Store) -> None:
        store.commit(Batch(reports={("execution", "e1"), ("flow", "a/b")}))
        told = store.reports()
        assert [(item.topic, item.key) for item in told] == [("execution", "e1"), ("flow", "a/b")]
        store.commit(Batch(reports={("execution", "e1")}))
        store.reported(told)
        (left,) = store.reports()
        assert (left.topic, left.key) == ("execution", "e1")
        assert left.serial > told[0].serial
        store.reported([left])
        assert store.reports() == []

    def test_a_report_told_by_a_slow_teller_does_not_take_a_newer_one_away(self, store: Store) -> None:
        store.commit(Batch(reports={("flow", "a/b")}))
        old = store.reports()
        store.reported(old)
        store.commit(Batch(reports={("flow", "a/b")}))
        store.reported(old)
        assert len(store.reports()) == 1

    def test_reports_are_coalesced_and_keep_their_place(self, store: Store) -> None:
        for number in range(3):
            store.commit(Batch(reports={("execution", f"e{number}")}))
        store.commit(Batch(reports={("execution", "e0")}))
        assert [item.key for item in store.reports()] == ["e0", "e1", "e2"]
        assert [item.key for item in store.reports(limit=2)] == ["e0", "e1"]
        store.reported([Report("execution", "nobody", 99)])
        assert len(store.reports()) == 3

    # Documents and deliveries

    def test_documents_are_kept_by_space_and_key(self, store: Store) -> None:
        store.put("kv/a", {"x": {"n": [1, None, 2.5, "✓"]}, "y": 2**70, "gone": 1})
        store.put("kv/b", {"x": False})
        assert store.get("kv/a", "x") == {"n": [1, None, 2.5, "✓"]}
        assert store.get("kv/a", "nothing") is None
        store.put("kv/a", {"x": "new"}, remove=["gone", "never"])
        assert store.items("kv/a") == {"x": "new", "y": 2**70}
        assert store.items("kv/b") == {"x": False}
        assert store.items("kv") == {}

    def test_documents_of_a_batch_are_set_and_removed_with_it(self, store: Store) -> None:
        store.put("s", {"gone": 1, "kept": 1})
        store.commit(Batch(documents={("s", "gone"): None, ("s", "new"): {"a": 1}, ("other", "x"): [1]}))
        assert store.items("s") == {"kept": 1, "new": {"a": 1}}
        assert store.get("other", "x") == [1]

    def test_a_document_that_is_no_json_changes_nothing(self, store: Store) -> None:
        store.put("s", {"a": 1})
        with pytest.raises(Bug):
            store.put("s", {"b": 2, "c": object()}, remove=["a"])
        assert store.items("s") == {"a": 1}

    def test_deliveries_are_known_for_a_month(self, store: Store, clock: ManualClock) -> None:
        store.commit(Batch(deliveries={("prod", "d1")}))
        store.commit(Batch(deliveries={("prod", "d1")}))
        assert store.delivered("prod", "d1")
        assert not store.delivered("other", "d1")
        clock.advance(timedelta(days=31))
        store.commit(Batch(deliveries={("prod", "d2")}))
        assert store.delivered("prod", "d1")
        clock.advance(timedelta(days=31))
        store.commit(Batch(deliveries={("prod", "d3")}))
        assert not store.delivered("prod", "d1")
        assert store.delivered("prod", "d3")

    def test_what_can_be_no_name_and_no_number_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFound):
            store.execution("\ud800")
        with pytest.raises(NotFound):
            store.logs("e1", after=2**64)

    def test_what_can_be_no_name_and_no_number_is_not_written(self, store: Store) -> None:
        for entry in (line("\ud800"), line(attempt=2**64)):
            with pytest.raises(Bug):
                store.commit(Batch(logs=[line(), entry]))
        assert store.logs("e1") == []

    def test_an_empty_batch_is_nothing(self, store: Store) -> None:
        store.commit(Batch())

    def test_closing_is_repeatable(self, store: Store) -> None:
        store.close()
        store.close()


class LastingStoreSuite(StoreSuite):
    """What a store that outlives its process has to do besides."""

    def test_all_is_there_after_reopening(self, tmp_path: Path, clock: ManualClock) -> None:
        first = self.open(tmp_path, clock)
        first.commit(full_batch())
        first.put_flows([flow_version()], (), {})
        first.put("space", {"a": 1}, ())
        views: list[Callable[[Store], Any]] = [
            lambda store: store.execution("e1"),
            lambda store: store.events("e1"),
            lambda store: store.work(),
            lambda store: store.logs("e1"),
            lambda store: store.triggers(),
            lambda store: store.reports(),
            lambda store: store.delivered("prod", "d1"),
            lambda store: list(store.flows()),
            lambda store: store.items("space"),
            lambda store: store.executions(Query()),
        ]
        before = [view(first) for view in views]
        assert all(before)
        first.close()
        again = self.open(tmp_path, clock)
        assert [view(again) for view in views] == before
        again.close()

    # Upkeep

    def test_queries_reach_below_a_namespace_and_up_to_a_time(self, store: Store) -> None:
        flows = ("prod/a", "prod.etl/b", "prod.etl/b", "prod-x/c", "product/d")
        for number, flow in enumerate(flows):
            store.commit(commit_of(an_execution(f"e{number}", flow=flow, seconds=number)))
        below = Query(namespace="prod", below=True)
        assert {each.id for each in store.executions(below)} == {"e0", "e1", "e2"}
        assert store.counts(below) == {("prod", "a"): 1, ("prod.etl", "b"): 2}
        until = Query(until=NOON + timedelta(seconds=2), states=(State.CREATED,))
        assert [each.id for each in store.executions(until)] == ["e1", "e0"]
        assert store.counts(until) == {("prod", "a"): 1, ("prod.etl", "b"): 1}
        assert store.counts(Query(states=(State.FAILED,))) == {}

    def test_what_has_ended_and_is_told_is_forgotten_whole(self, store: Store) -> None:
        ended = (State.CREATED, State.RUNNING, State.SUCCESS)
        for key, states in (("old", ended), ("untold", ended), ("running", ended[:2])):
            batch = commit_of(an_execution(key, states=states, runs=immutables.Map(a=task_run("a"))))
            batch.events.append((key, 1, Begun(NOON)))
            batch.logs.extend([line(key), line(key)])
            batch.reports = {("execution", "untold")} if key == "untold" else set()
            store.commit(batch)
        assert store.forget(["old", "untold", "running", "nobody"]) == (1, 2)
        assert store.execution("old") is None
        assert (store.events("old"), store.logs("old")) == ([], [])
        for key in ("untold", "running"):
            assert store.execution(key) is not None
            assert len(store.logs(key)) == 2

    def test_old_lines_are_found_and_forgotten(self, store: Store) -> None:
        batch = commit_of(an_execution("e1", flow="prod.etl/load"))
        at = [NOON + timedelta(minutes=number) for number in range(4)]
        batch.logs.extend(LogEntry("e1", each, "INFO" if each == at[0] else "ERROR", "x") for each in at)
        batch.logs.append(LogEntry("e2", at[0], "INFO", "of an execution that is gone"))
        store.commit(batch)
        assert len(store.old_logs(LogQuery(until=at[2]))) == 3
        assert len(store.old_logs(LogQuery(until=at[2]), limit=1)) == 1
        assert len(store.old_logs(LogQuery(until=at[3], since=at[1], levels=("ERROR",)))) == 2
        assert len(store.old_logs(LogQuery(until=at[3], execution_id="e2"))) == 1
        assert store.old_logs(LogQuery(until=at[3], namespace="prod")) == []
        found = store.old_logs(LogQuery(until=at[3], namespace="prod", below=True, flow_id="load"))
        assert (len(found), store.forget_logs(found)) == (3, 3)
        assert [entry.at for _, entry in store.logs("e1")] == at[3:]

    def test_spaces_are_found_by_how_they_begin(self, store: Store) -> None:
        for space in ("kv/b", "kv/a", "kv_/c", "state/a"):
            store.put(space, {"k": 1})
        assert store.spaces("kv/") == ["kv/a", "kv/b"]
        store.put("kv/a", {}, ["k"])
        assert store.spaces("kv/") == ["kv/b"]


def full_batch(execution: Execution | None = None) -> Batch:
    """A batch with something of everything."""
    batch = commit_of(execution or an_execution(runs=immutables.Map({"a": task_run("a")})))
    batch.events = [("e1", 1, Begun(NOON))]
    batch.work = {"w1": Work("w1", "e1", Run("a", 1))}
    batch.logs = [line()]
    batch.triggers = {("prod.etl", "load", "hourly"): trigger_state()}
    batch.fires = [Fire("prod.etl", "load", "hourly", NOON, "e1")]
    batch.reports = {("execution", "e1")}
    batch.deliveries = {("prod", "d1")}
    return batch
