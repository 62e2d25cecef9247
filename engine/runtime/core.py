"""The engine's thread: it alone steps executions and writes the store.

The whole shell in one sentence: take what came in, step, commit events, snapshots and work in one transaction,
then let the outside happen; its results come in again. What waits in the inbox meanwhile shares the next
transaction: under load the commits group themselves. It must not know asyncio, runners or HTTP.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from engine.errors import Bug, HeadwaterError, StoreConflict, UnavailableError
from engine.model.commands import AnyCommand
from engine.model.events import AnyEvent, Quarantined
from engine.model.records import LogEntry
from engine.runtime.library import Library
from engine.runtime.live import Live
from engine.runtime.surroundings import Surroundings
from engine.runtime.turn import Asked, Outward, Turn

log = logging.getLogger(__name__)
T = TypeVar("T")

_EVENTS = 1024  # of one turn; more makes commits larger but no cheaper
_SECONDS = 0.025  # of one turn; what comes in meanwhile waits this long at the most
_RETRY_SECONDS = 1.0  # after a commit that the store could not do


class Outside(Protocol):
    """What happens after a commit; called in the engine's thread, must return at once."""

    def after_commit(self, turn: Turn, outward: Outward) -> None:
        """Hand out the work, the stops and the news of a turn that is durable now."""
        ...


@dataclass(slots=True)
class _Call:
    act: Callable[[Turn], Any]
    future: Future[Any]


@dataclass(slots=True)
class _Deliver:
    execution_id: str
    event: AnyEvent


@dataclass(slots=True)
class _Write:
    act: Callable[[Turn], None]
    durable: Future[None] | None = None


_Message = _Call | _Deliver | _Write


class Core:
    """The thread and its inbox.

    Args:
        around: what executions find around them; its store is written by this thread only.
        library: compiled flows.
    """

    def __init__(self, around: Surroundings, library: Library) -> None:
        self.around = around
        self.library = library
        self.live = Live()
        self.outside: Outside | None = None
        self._inbox: queue.SimpleQueue[_Message | None] = queue.SimpleQueue()
        self._left: deque[Asked] = deque()
        self._later: deque[_Message] = deque()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="headwater-engine", daemon=True)

    # From any thread

    def start(self) -> None:
        """Begin to take what comes in."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the turn at hand and end the thread; what is durable stays for the next start."""
        self._closing.set()
        self._inbox.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def deliver(self, execution_id: str, event: AnyEvent) -> None:
        """Step an execution over an event, soon."""
        self._inbox.put(_Deliver(execution_id, event))

    def write(self, act: Callable[[Turn], None]) -> None:
        """Let `act` add to a turn, soon; repeated until it is durable."""
        self._inbox.put(_Write(act))

    def make_durable(self, act: Callable[[Turn], None]) -> Future[None]:
        """As `write`; the future is done once it is durable, and fails when it never will be by this daemon."""
        message = _Write(act, Future())
        self._inbox.put(message)
        assert message.durable is not None
        return message.durable

    def log(self, entries: list[LogEntry]) -> None:
        """Write log lines, soon."""
        self.write(lambda turn: turn.batch.logs.extend(entries))

    def call(self, act: Callable[[Turn], T]) -> Future[T]:
        """Let `act` change things in a turn; the future has its answer once the turn is durable."""
        future: Future[T] = Future()
        if self._closing.is_set():
            future.set_exception(UnavailableError("the engine is stopping"))
        else:
            self._inbox.put(_Call(act, future))
        return future

    def leave_over(self, execution_id: str, command: AnyCommand) -> None:
        """Begin with a command; only before the thread starts."""
        self._left.append((execution_id, command))

    # In the engine's thread

    def _run(self) -> None:
        messages: list[_Message] = []
        while not self._closing.is_set():
            messages = self._gather()
            while messages or self._left:
                messages = self._attempt(messages)
                if self._closing.is_set():
                    break
        self._refuse_rest(messages)

    def _gather(self) -> list[_Message]:
        first = self._inbox.get()
        messages = [first] if first is not None else []
        return self._drain(messages)

    def _drain(self, messages: list[_Message]) -> list[_Message]:
        if self._later:  # a message that has to be taken alone
            return messages if messages else [*messages, self._later.popleft()]
        while len(messages) < _EVENTS:
            try:
                message = self._inbox.get_nowait()
            except queue.Empty:
                break
            if message is not None:
                messages.append(message)
        return messages

    def _attempt(self, messages: list[_Message]) -> list[_Message]:
        """Take one turn over `messages`; returns what to take next."""
        turn = Turn(self.around, self.library, self.live, self._left, self.around.clock.now())
        answers = self._take(turn, messages)
        try:
            if not turn.batch.empty():
                self.around.store.commit(turn.batch)
        except HeadwaterError as error:
            return self._again(turn, messages, error)
        self._left = turn.queue
        self.live.update(turn.batch.executions)
        if self.outside is not None:
            self.outside.after_commit(turn, turn.outward)
        for future, answer in answers:
            if not future.done():  # nobody waits any more when it was cancelled
                future.set_result(answer)
        return self._drain([])

    def _take(self, turn: Turn, messages: list[_Message]) -> list[tuple[Future[Any], Any]]:
        answers: list[tuple[Future[Any], Any]] = []
        until = time.monotonic() + _SECONDS
        for message in messages:
            match message:
                case _Deliver(execution_id, event):
                    _guarded(partial(turn.deliver, execution_id, event))
                case _Write(act, durable):
                    _guarded(partial(act, turn))
                    if durable and (durable.running() or durable.set_running_or_notify_cancel()):
                        answers.append((durable, None))
                case _Call(act, future):
                    if not future.running() and not future.set_running_or_notify_cancel():
                        continue
                    try:
                        answers.append((future, act(turn)))
                    except Exception as error:
                        _fail(future, error)
            self._work_off(turn, until)
        self._work_off(turn, until)
        return answers

    def _work_off(self, turn: Turn, until: float) -> None:
        while turn.ends or (turn.queue and len(turn.batch.events) < _EVENTS and time.monotonic() < until):
            execution_id, command = (turn.ends or turn.queue).popleft()
            _guarded(partial(turn.perform, execution_id, command))

    def _again(self, turn: Turn, messages: list[_Message], error: HeadwaterError) -> list[_Message]:
        """The store could not commit: callers are told, all else is taken again.

        What no store will ever take (a bug) is looked for by taking one message at a time, and then let go.
        """
        log.error("the store could not commit: %s", error)
        if isinstance(error, StoreConflict):
            self._reload(turn)
        if isinstance(error, Bug) and len(messages) > 1:
            for message in messages[1:]:
                self._later.append(message)
            return messages[:1]
        kept: list[_Message] = []
        for message in messages:
            if isinstance(message, _Call) or isinstance(error, Bug):
                _refuse(message, error)
            else:
                kept.append(message)
        if isinstance(error, Bug):
            self._quarantine(turn)
        else:
            self._closing.wait(_RETRY_SECONDS)
        return kept

    def _reload(self, turn: Turn) -> None:
        """Somebody else wrote first: what this turn changed is taken from the store again."""
        for execution_id in turn.batch.executions:
            fresh = self.around.store.execution(execution_id)
            if fresh is not None:
                self.live.update({execution_id: fresh})

    def _quarantine(self, turn: Turn) -> None:
        """End the executions that this turn could not make durable; what they asked for is dropped."""
        why = "Headwater made a mistake here: what this execution did cannot be stored"
        self._left.clear()
        for execution_id, base in turn.batch.bases.items():
            if base:
                self._later.append(_Deliver(execution_id, Quarantined(turn.at, why)))

    def _refuse_rest(self, messages: list[_Message]) -> None:
        for message in [*messages, *self._drain([])]:
            _refuse(message, UnavailableError("the engine is stopping"))


def _refuse(message: _Message, error: Exception) -> None:
    match message:
        case _Call(future=future):
            _fail(future, error)
        case _Write(durable=future) if future is not None:
            _fail(future, error)
        case _:
            pass


def _fail(future: Future[Any], error: Exception) -> None:
    if not future.done():
        if not isinstance(error, HeadwaterError):
            log.error("a request failed in an unforeseen way", exc_info=error)
            error = Bug(f"Headwater made a mistake here: {type(error).__name__}: {error}")
        future.set_exception(error)


def _guarded(act: Callable[[], None]) -> None:
    """One execution's trouble must not stop the thread that serves them all."""
    try:
        act()
    except Exception:
        log.exception("a step of one execution failed in an unforeseen way")
