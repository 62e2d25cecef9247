"""One turn of the engine: events stepped, commands inside the engine carried out, all into one batch.

A turn changes nothing outside itself: the engine's thread commits its batch and only then lets `outward` happen.
If the commit fails, the turn is thrown away and taken again.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engine.errors import NotFound
from engine.machine.step import Transition, step
from engine.model.commands import (
    AnyCommand,
    Call,
    Ended,
    Evaluate,
    Run,
    Say,
    StartAgain,
    Stop,
    StopChild,
    Tidy,
    Wake,
)
from engine.model.events import (
    AnyEvent,
    AttemptEnded,
    Begun,
    KillAsked,
    Quarantined,
    Queued,
    Refused,
    SlaBroken,
    TimeCame,
)
from engine.model.execution import ROOT, Cause, Execution, FlowRef, Moment
from engine.model.flow import Concurrency
from engine.model.records import FlowVersion, LogEntry, Work
from engine.model.state import State
from engine.model.task import Level
from engine.ports import Batch
from engine.runtime import births, checks, endings, inside, promises
from engine.runtime.library import Library
from engine.runtime.live import Live
from engine.runtime.surroundings import Surroundings

log = logging.getLogger(__name__)

Asked = tuple[str, AnyCommand]  # a command and the execution it came from


@dataclass(slots=True)
class Outward:
    """What is to happen outside once the turn is durable."""

    work: list[Work] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)
    ended: list[Execution] = field(default_factory=list)


class Turn:
    """A batch in the making.

    Args:
        live: executions that have not ended, as they were committed last.
        queue: commands left over from the turn before.
    """

    def __init__(
        self, around: Surroundings, library: Library, live: Live, queue: Iterable[Asked], at: datetime
    ) -> None:
        self.around = around
        self.library = library
        self.live = live
        self.at = at
        self.batch = Batch()
        self.outward = Outward()
        self.queue: deque[Asked] = deque(queue)
        self.ends: deque[Asked] = deque()

    # Executions

    def get(self, execution_id: str) -> Execution | None:
        """An execution as this turn has it."""
        return (
            self.batch.executions.get(execution_id)
            or self.live.executions.get(execution_id)
            or self.around.store.execution(execution_id)
        )

    def document(self, space: str, key: str) -> Any | None:
        """A JSON value of the store as this turn has it."""
        if (space, key) in self.batch.documents:
            return self.batch.documents[space, key]
        return self.around.store.get(space, key)

    def suspended(self, namespace: str, flow_id: str, trigger_id: str) -> bool:
        """Whether a trigger was stopped, by a person or by its own `stopAfter`."""
        for stored in self.around.store.triggers(namespace, flow_id):
            if stored.trigger_id == trigger_id:
                state = self.batch.triggers.get((namespace, flow_id, trigger_id), stored)
                return state is None or state.suspended
        return False

    def submit(self, wish: births.Submission) -> Execution:
        """Create the execution that is wished for, and begin it as far as its concurrency limit lets it.

        Raises:
            NotFound: there is no such flow.
            NotPermitted: it is disabled.
            InputInvalid: the inputs do not fit.
        """
        if wish.id and (known := self.get(wish.id)) is not None:
            return known
        version, graph = self.library.live(wish.namespace, wish.flow_id, wish.revision)
        execution = births.born(self.around, version, graph, wish, self.at)
        found = checks.failed(self.around, graph, execution)
        checks.refuse(found)
        limit = graph.flow.concurrency if wish.revision is None else self.limit(execution.flow)
        for each in found:
            self.log(execution.id, "WARN", f"check: {each.message}")
        return self.admit(execution, limit, checks.fails(found))

    def admit(self, execution: Execution, limit: Concurrency | None, refused: str = "") -> Execution:
        """Take in a new execution: it begins, waits for a slot, or is refused (dialect, section 4.9).

        Args:
            refused: why it fails at once; empty when it does not.
        """
        self.batch.executions[execution.id] = execution
        self.batch.bases[execution.id] = 0
        self.batch.touched[execution.id] = set(execution.runs)
        self.batch.valued[execution.id] = set(execution.values)
        self.batch.reports.add(("execution", execution.id))
        promises.watch(self, execution)
        event = Refused(self.at, State.FAILED, refused) if refused else self.slot(execution, limit)
        self.deliver(execution.id, event)
        return self.batch.executions[execution.id]

    def limit(self, flow: FlowRef) -> Concurrency | None:
        """How many executions of a flow may run at once: as its live version says, whatever they are pinned to."""
        try:
            return self.library.live(flow.namespace, flow.id)[1].flow.concurrency
        except NotFound:
            return self.library.graph(flow).flow.concurrency

    def slot(self, execution: Execution, limit: Concurrency | None) -> AnyEvent:
        """What an execution that wants to run is told: to begin, to wait, or that there is no room."""
        name = execution.flow.name
        others = self.live.running(name, self.batch.executions, but=execution.id) if limit else 0
        if limit is None or others < limit.limit:
            return Begun(self.at)
        full = f"flow {name} already runs {limit.limit} executions, its concurrency limit"
        match limit.behavior:
            case "QUEUE":
                return Queued(self.at)
            case "CANCEL":
                return Refused(self.at, State.CANCELLED, full)
            case "FAIL":
                return Refused(self.at, State.FAILED, full)

    def refuse(
        self, version: FlowVersion, cause: Cause, identity: str, why: str, correlation: str | None = None
    ) -> Execution:
        """A FAILED execution, so that a trigger that could not start one is seen (dialect, 3.2 and 3.4)."""
        if (known := self.get(identity)) is not None:
            return known
        self.batch.executions[identity] = Execution(
            id=identity,
            flow=births.ref_of(self.around.store, version),
            history=(Moment(State.CREATED, self.at),),
            cause=cause,
            labels={births.CORRELATION: correlation or identity},
            original_id=identity,
        )
        self.batch.bases[identity] = 0
        self.batch.reports.add(("execution", identity))
        self.deliver(identity, Refused(self.at, State.FAILED, self.around.masker.text(why)))
        return self.batch.executions[identity]

    def deliver(self, execution_id: str, event: AnyEvent) -> None:
        """Step an execution over an event and take up what follows."""
        match event:
            case AttemptEnded(key=key, attempt=attempt):
                self.batch.work[work_id(execution_id, key, attempt)] = None
            case TimeCame(key=key, attempt=attempt):
                self.batch.work[timer_id(execution_id, key, attempt)] = None
            case SlaBroken(sla=sla):
                self.batch.work[promises.timer_id(execution_id, sla)] = None
            case _:
                pass
        execution = self.get(execution_id)
        if execution is None:
            log.warning("event for an unknown execution", extra={"execution_id": execution_id})
            return
        event, transition = self._step(execution, event)
        if transition.execution is not execution:
            self._record(execution, event, transition)
            promises.ask(self, transition.execution)

    def _step(self, execution: Execution, event: AnyEvent) -> tuple[AnyEvent, Transition]:
        graph = self.library.graph(execution.flow)
        try:
            return event, step(graph, execution, event)
        except Exception:
            log.exception("execution quarantined", extra={"execution_id": execution.id})
            quarantine = Quarantined(event.at, "Headwater made a mistake here: the execution was stopped")
            return quarantine, step(graph, execution, quarantine)

    def _record(self, before: Execution, event: AnyEvent, transition: Transition) -> None:
        after = transition.execution
        batch = self.batch
        batch.bases.setdefault(after.id, before.version)
        batch.executions[after.id] = after
        batch.events.append((after.id, after.version, event))
        batch.touched.setdefault(after.id, set()).update(transition.touched)
        if transition.valued:
            batch.valued.setdefault(after.id, set()).update(transition.valued)
        if after.state is not before.state:
            batch.reports.add(("execution", after.id))
        for command in transition.commands:
            # What an end sets off is nowhere else to be found once the end is durable: it never waits for another turn.
            place = self.ends if isinstance(command, Ended) else self.queue
            place.append((after.id, command))

    # Commands

    def perform(self, execution_id: str, command: AnyCommand) -> None:
        """Carry out a command, or put it into the batch for after the commit."""
        match command:
            case Evaluate():
                inside.evaluate(self, execution_id, command)
            case Run():
                inside.run(self, execution_id, command)
            case Call():
                inside.call(self, execution_id, command)
            case Stop(key=key, attempt=attempt):
                self.outward.stops.append(work_id(execution_id, key, attempt))
            case StopChild(execution_id=child):
                if self.get(child) is not None:  # it may never have begun
                    self.deliver(child, KillAsked(self.at))
            case Tidy(key=key):
                self.put_work(Work(f"{execution_id}/{key}/tidy", execution_id, command=command))
            case Wake(key=key, attempt=attempt, at=at):
                event = TimeCame(at, key, attempt)
                self.put_work(Work(timer_id(execution_id, key, attempt), execution_id, event=event, due=at))
            case StartAgain(at=at):
                self.put_work(Work(f"{execution_id}/again", execution_id, command=command, due=at))
            case Say(key=key, level=level, message=message):
                self.log(execution_id, level, message, key)
            case Ended(state=state):
                endings.ended(self, execution_id, state)

    def put_work(self, work: Work) -> None:
        """Keep work until it is done, and hand it out after the commit."""
        self.batch.work[work.id] = work
        self.outward.work.append(work)

    def log(self, execution_id: str, level: Level, message: str, key: str = ROOT) -> None:
        """Write a line to an execution's log, masked."""
        execution = self.get(execution_id)
        run = execution.runs.get(key) if execution and key != ROOT else None
        self.batch.logs.append(
            LogEntry(
                execution_id=execution_id,
                at=self.at,
                level=level,
                message=self.around.masker.text(message),
                key=key,
                task_id=run.task_id if run else "",
                task_run_id=run.id if run else "",
                attempt=len(run.attempts) if run else 0,
            )
        )

    def start_again(self, execution_id: str) -> None:
        """The time has come for the next try of a whole flow."""
        self.batch.work[f"{execution_id}/again"] = None
        execution = self.get(execution_id)
        if execution is not None:
            follower = births.again(execution, self.at)
            if self.get(follower.id) is None:
                self.admit(follower, self.limit(follower.flow))


def work_id(execution_id: str, key: str, attempt: int) -> str:
    """The name of an attempt handed to a runner."""
    return f"{execution_id}/{key}/{attempt}"


def timer_id(execution_id: str, key: str, attempt: int) -> str:
    """The name of a timer."""
    return f"{execution_id}/{key}/{attempt}/timer"
