"""A forge's webhook: a delivery that comes in, an event that goes on, and the pure port between them.

The forge of a source is fixed by the operator's settings, never guessed from a header, so one endpoint can
only ever be opened by one kind of signature. Everything here is pure: bytes and a time go in, values come
out. It must not know HTTP, sources, stores or the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol

import msgspec

from engine.errors import UserError


class Refused(UserError):
    """The delivery does not prove that it comes from the forge. Says nothing about how close it came."""

    http_status = 401


class Malformed(UserError):
    """The delivery is signed, but is not what its forge documents."""

    http_status = 400


class Delivery(msgspec.Struct, frozen=True):
    """One webhook call, as it arrived.

    Args:
        headers: by lower-case name; a name that was sent twice holds both values joined by `, `.
        body: the raw bytes, not decompressed, not decoded.
        received_at: when the last byte arrived, aware; what a signed timestamp is compared with.
    """

    headers: Mapping[str, str]
    body: bytes
    received_at: datetime


class Repository(msgspec.Struct, frozen=True):
    """The repository that an event names.

    Args:
        id: the forge's own identifier, which survives renames; empty when the forge sends none.
        full_name: owner or group path and name, such as `acme/flows`.
        url: where a person finds it; empty when unknown.
    """

    id: str
    full_name: str
    url: str = ""


class RefChange(msgspec.Struct, frozen=True):
    """One ref that moved.

    Args:
        ref: the full name, such as `refs/heads/main`; a tag and a branch of one name stay apart.
        before, after: commit ids; none where the ref did not exist. Only hints: the fetched ref is the truth.
    """

    ref: str
    before: str | None = None
    after: str | None = None


class ForgeEvent(msgspec.Struct, frozen=True):
    """What a delivery says.

    Args:
        kind: `push`, the forge's `ping`, or any `other` event, which is acknowledged and ignored.
        name: the forge's own word for the event, for messages; hostile text.
        delivery_id: the same for redeliveries of one event; empty when the sender gave none.
        repository: none where the event names none or was not read.
        refs: what moved; empty in a push means that the sender did not say.
    """

    kind: Literal["push", "ping", "other"]
    name: str
    delivery_id: str = ""
    repository: Repository | None = None
    refs: tuple[RefChange, ...] = ()


class Hook(Protocol):
    """The pure half of a forge driver: who sent it, and what it says. Holds no state."""

    def check_secrets(self, secrets: Sequence[str]) -> None:
        """Refuse a configuration that could never verify anything, when the daemon starts.

        Raises:
            SettingsError: there is no secret, one is empty, or one is not of this forge's form.
        """
        ...

    def verify(self, delivery: Delivery, secrets: Sequence[str]) -> None:
        """Check the signature over the raw bytes; any of `secrets` may have made it, for rotation.

        Never parses the body, and takes the same time for every wrong signature.

        Raises:
            Refused: no secret made this signature.
        """
        ...

    def parse(self, delivery: Delivery) -> ForgeEvent:
        """Read a delivery that was verified. An event that is not used is `other`, and its body stays unread.

        Raises:
            Malformed: the body is not what this forge sends with such an event.
        """
        ...
