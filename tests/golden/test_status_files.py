"""The status branch's exact bytes: a change to what a forge shows is a change to these files.

`python -m tests.golden.test_status_files` writes them anew, to be looked at before they are committed.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import immutables
import msgspec
import pytest

from engine.model.execution import Attempt, Cause, Execution, Moment, TaskRun
from engine.model.records import Summary
from engine.model.state import State
from reconciler.status.documents import execution_file, flow_files, source_file
from reconciler.status.facts import FlowFacts
from reconciler.status.readme import readme, row_of
from tests.support.status_values import a_status, refused, unreachable
from tests.support.store_values import NOON, an_execution, moment, task_run, trigger_state

FOLDER = Path(__file__).parent / "status"
HOSTILE = 'x | y `rm -rf` <script>alert(1)</script> ![i](http://evil.example/i.png) @everyone\n/close "q"'


def summary(number: int, state: State = State.SUCCESS, flow: str = "load") -> Summary:
    created = NOON + timedelta(minutes=number)
    ended = created + timedelta(seconds=12.4) if state.terminal else None
    return Summary(
        f"e{number}", "prod.etl", flow, 3, "c0ffee" * 6, state, created, ended, "hourly", {"a": "b"}
    )


def flow(name: str, *states: State, **more: object) -> FlowFacts:
    """A flow whose executions ended in these states, the newest last."""
    namespace, _, flow_id = name.partition("/")
    told = tuple(summary(number, state, flow_id) for number, state in enumerate(states))
    facts = FlowFacts(
        namespace, flow_id, 3, "77aa01c" + "0" * 33, f"flows/{flow_id}.yaml", executions=told[::-1]
    )
    return msgspec.structs.replace(facts, **more)


GOOD, BAD = State.SUCCESS, State.FAILED
FLOWS = [
    flow("prod.etl/load", GOOD, GOOD, BAD, GOOD, triggers=(trigger_state(minutes=75),)),
    flow("prod.etl/broken", GOOD, refused=refused("prod.etl/broken")),
    flow("prod.etl/failing", GOOD, State.WARNING, BAD, triggers=(trigger_state(minutes=0.25),)),
    flow("prod.etl/approval", GOOD, State.PAUSED),
    flow("prod.etl/stopped", GOOD, State.KILLED, State.SKIPPED, State.RETRIED),
    flow("prod.etl/off", disabled=True, triggers=(trigger_state(minutes=10),)),
    flow("prod.sales/never"),
    flow("prod.sales/held", triggers=(trigger_state(minutes=5, suspended=True),)),
]
HOSTILE_FLOWS = [
    flow(f"{HOSTILE}/{HOSTILE}", GOOD, refused=refused(f"{HOSTILE}/{HOSTILE}", HOSTILE)),
    flow("../../.git/..", BAD),
]
MANY = [flow(f"team{n % 30:02}/flow{n:04}", *([BAD] if n % 700 == 0 else [])) for n in range(1500)]


def looped() -> Execution:
    """An execution with a loop of two values, whose second needed two attempts and failed."""

    def ran(run: TaskRun, *states: State, start: float) -> TaskRun:
        history = tuple(moment(state, start + number) for number, state in enumerate(states))
        return msgspec.structs.replace(run, history=history)

    tries = (
        Attempt(1, (moment(State.RUNNING, 3), moment(State.FAILED, 3.5))),
        Attempt(2, (moment(State.RUNNING, 4), moment(State.FAILED, 4.25))),
    )
    each = ran(task_run("each", 0), State.CREATED, State.RUNNING, State.FAILED, start=1)
    first = ran(task_run("load:0", 1, value="a", outputs={"rows": 3}), State.RUNNING, GOOD, start=2)
    second = ran(task_run("load:1", 2, value="b", attempts=tries), State.RUNNING, BAD, start=3)
    inner = [
        msgspec.structs.replace(run, parent="each", path=(number,))
        for number, run in enumerate((first, second))
    ]
    execution = an_execution(
        "5kzLoop",
        states=(State.CREATED, State.RUNNING, BAD),
        inputs={"day": "2026-03-01", "token": "s3cr3t"},
        outputs={"text": f"token s3cr3t, {HOSTILE}"},
        variables={"limit": 2},
        labels={"team": "etl", "system.correlationId": "5kzLoop"},
        original_id="5kzLoop",
        runs=immutables.Map({run.key: run for run in (each, *inner)}),
    )
    cause = Cause("hourly", "core.trigger.Schedule", {"date": "2026-03-01T12:00:00Z"})
    end = Moment(BAD, NOON + timedelta(seconds=5, microseconds=123456))
    return msgspec.structs.replace(execution, cause=cause, history=(*execution.history[:2], end))


def mask(value: object) -> object:
    return json.loads(json.dumps(value).replace("s3cr3t", "********"))


def files() -> dict[str, bytes]:
    stalled = a_status(refused("prod.etl/broken"), refused("prod.etl/new", "id is missing", live=False))
    hostile = a_status(refused(f"{HOSTILE}/{HOSTILE}", HOSTILE), source=HOSTILE)
    made = {
        "README.md": readme(stalled, map(row_of, FLOWS), mask),
        "README-ready.md": readme(a_status(), map(row_of, FLOWS[:1]), mask),
        "README-empty.md": readme(unreachable(""), [], mask),
        "README-hostile.md": readme(hostile, map(row_of, HOSTILE_FLOWS), mask),
        "README-many.md": readme(a_status(), map(row_of, MANY), mask),
        "reconcile.json": source_file(stalled, mask),
        "execution.json": execution_file(looped(), mask),
    }
    for name, facts in (
        ("load", FLOWS[0]),
        ("broken", FLOWS[1]),
        ("approval", FLOWS[3]),
        ("never", FLOWS[6]),
    ):
        made[f"{name}.status.json"] = next(iter(flow_files(facts, mask).values()))
    return made


@pytest.mark.parametrize("name", files())
def test_file(name: str) -> None:
    assert files()[name].decode() == (FOLDER / name).read_text("utf-8")


def test_no_file_is_left_over() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(files())


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, data in files().items():
        (FOLDER / name).write_bytes(data)
