"""`POST /hooks/{source}`: a forge says that something was pushed, and the source is looked at soon.

The order is what makes it safe: the source fixes forge and secrets, the signature is checked over the raw
bytes, only then is anything parsed. A delivery is a hint: it can make the daemon look, never tell it what
is there; so a replayed or repeated one is harmless. It must not know how a source is fetched.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine.clock import Clock
from engine.errors import NotFound, SettingsError, UnavailableError, UserError
from reconciler.forges import hook
from reconciler.forges.base import Delivery, ForgeEvent, Hook, Repository

Nudge = Callable[[str], Awaitable[None]]
"""(source) to "look at it soon". Returns as soon as that is certain to happen; many calls may become one look.
Raises UnavailableError when it cannot be taken on now."""

MAX_IN_FLIGHT = 100
"""Deliveries being handled at one time; a flood beyond it is told to come back."""

_log = logging.getLogger(__name__)


class WrongRepository(UserError):
    """A signed delivery speaks of a repository that is not the source's."""

    http_status = 403


class Ledger(Protocol):
    """Remembers which deliveries were done, so that a redelivery costs nothing."""

    async def seen(self, source: str, delivery_id: str) -> bool:
        """Whether this delivery was done."""
        ...

    async def done(self, source: str, delivery_id: str) -> None:
        """Remember it; called only after its work is certain to happen. Repeatable."""
        ...


class RecentDeliveries:
    """A ledger in memory of the last `size` deliveries; what a restart forgets is only looked at once more."""

    def __init__(self, size: int = 10_000) -> None:
        self._size = size
        self._done: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def seen(self, source: str, delivery_id: str) -> bool:
        """See `Ledger.seen`."""
        return (source, delivery_id) in self._done

    async def done(self, source: str, delivery_id: str) -> None:
        """See `Ledger.done`."""
        self._done[source, delivery_id] = None
        while len(self._done) > self._size:
            self._done.popitem(last=False)


class HookSource(msgspec.Struct, frozen=True):
    """What the operator set for a source's webhook.

    Args:
        name: the source, as in the hook's address.
        forge: a key of `reconciler.forges.FORGES`.
        secrets: one, or two while one replaces the other.
        ref: the full name of the ref that is followed.
        repository: the forge's id or full name of the only repository that is believed; empty for any that signs.

    Raises:
        SettingsError: no such forge, or a secret that could not verify anything.
    """

    name: str
    forge: str
    secrets: tuple[str, ...]
    ref: str = "refs/heads/main"
    repository: str = ""

    def __post_init__(self) -> None:
        if not self.ref.startswith("refs/"):
            raise SettingsError(
                f"source {self.name}: {self.ref!r} is not a full ref", hint="write refs/heads/<branch>"
            )
        try:
            hook(self.forge).check_secrets(self.secrets)
        except SettingsError as error:
            raise SettingsError(f"source {self.name}: {error.message}", hint=error.hint) from None

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"HookSource({self.name!r}, {self.forge!r}, ref={self.ref!r}, repository={self.repository!r})"


class HookReceiver:
    """Takes deliveries for a set of sources.

    Args:
        sources: with distinct names.
        nudge: see `Nudge`.
        ledger: see `Ledger`.
        clock: tells when a delivery came.

    Raises:
        SettingsError: two sources have one name.
    """

    def __init__(self, sources: Iterable[HookSource], nudge: Nudge, ledger: Ledger, clock: Clock) -> None:
        self._sources: dict[str, tuple[HookSource, Hook]] = {}
        for source in sources:
            if source.name in self._sources:
                raise SettingsError(f"two sources are named {source.name}", hint="rename one of them")
            self._sources[source.name] = (source, hook(source.forge))
        self._nudge = nudge
        self._ledger = ledger
        self._clock = clock
        self._in_flight = 0

    def routes(self) -> list[Route]:
        """The one route of all sources."""
        return [Route("/hooks/{source}", self._receive, methods=["POST"], name="hook")]

    async def _receive(self, request: Request) -> Response:
        name = request.path_params["source"]
        if name not in self._sources:
            raise NotFound(
                "there is no source of this name", hint="the address is /hooks/<name of the source>"
            )
        if self._in_flight >= MAX_IN_FLIGHT:
            raise UnavailableError(
                "too many deliveries at once", hint="redeliver later", reason="Busy", retry_after=5
            )
        self._in_flight += 1
        try:
            delivery = Delivery(_headers(request), await request.body(), self._clock.now())
            return await self._handle(*self._sources[name], delivery)
        finally:
            self._in_flight -= 1

    async def _handle(self, source: HookSource, forge: Hook, delivery: Delivery) -> Response:
        try:
            forge.verify(delivery, source.secrets)
            event = forge.parse(delivery)
            reason = _why_ignored(source, event)
        except UserError as error:
            _log.info("hook %s: delivery refused: %s", source.name, error.reason)
            raise
        if reason:
            return _answer(200, "ignored", reason)
        if event.delivery_id and await self._ledger.seen(source.name, event.delivery_id):
            return _answer(200, "ignored", "this delivery was handled before")
        await self._nudge(source.name)
        if event.delivery_id:
            await self._ledger.done(source.name, event.delivery_id)
        _log.info("hook %s: delivery %r accepted", source.name, event.delivery_id)
        return _answer(202, "accepted", f"{source.ref} will be looked at")


def _why_ignored(source: HookSource, event: ForgeEvent) -> str:
    """Why a believed event changes nothing; empty when it does. Raises WrongRepository."""
    if event.kind == "ping":
        return "the webhook works"
    if event.kind == "other":
        return "this event is not used; a push is"
    if source.repository and not _is_bound(source.repository, event.repository):
        raise WrongRepository(
            "the delivery is about another repository than this source's",
            hint="point the webhook of the source's own repository here",
        )
    if event.refs and all(change.ref != source.ref for change in event.refs):
        return f"only {source.ref} is followed"
    return ""


def _is_bound(binding: str, repository: Repository | None) -> bool:
    if repository is None:
        return False
    return binding == repository.id or binding.casefold() == repository.full_name.casefold()


def _headers(request: Request) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in request.headers.items():
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _answer(status: int, outcome: str, reason: str) -> Response:
    return JSONResponse({"status": outcome, "reason": reason}, status)
