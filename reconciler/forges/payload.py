"""Reading the JSON of a verified delivery without trusting it.

The body is decoded straight into the few typed fields that are used: everything else is skipped without
being built, so that neither depth nor size of the rest costs memory. Of a key that occurs twice the last
one counts; there is one reader, so nothing can be said to one and meant for another. It must not know any
forge.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from reconciler.forges.base import Delivery, Malformed, RefChange, Repository

MAX_REFS = 10_000  # GitHub stops at 5 000 branches in a push (webhook limits); more is not a push
MAX_TEXT = 1_000

T = TypeVar("T")


def decode(body: bytes, shape: type[T]) -> T:
    """Decode JSON into `shape`.

    Raises:
        Malformed: not strict UTF-8 JSON without a byte order mark, too deep, or a field of another type.
    """
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        # msgspec names the place by path and byte, never by value, so nothing of the body is repeated here
        detail = "nested too deeply" if isinstance(error, RecursionError) else _place(error)
        raise Malformed(
            f"the signed body is not the JSON this event has: {detail}",
            hint="compare the webhook's settings at the forge with docs/howto/connect-a-forge.md",
            reason="PayloadInvalid",
        ) from None


def event_name(delivery: Delivery, header: str) -> str:
    """The event's name from a header, with what a message must not carry cut off."""
    return bounded(delivery.headers.get(header, ""), header)


def bounded(text: str, what: str) -> str:
    """`text` itself, when it is short enough to keep and has no control characters.

    Raises:
        Malformed: it has.
    """
    if len(text) > MAX_TEXT or not text.isprintable():
        raise Malformed(
            f"{what} is longer than {MAX_TEXT} characters or is not printable", reason="PayloadInvalid"
        )
    return text


def repository(identifier: int | str, full_name: str, url: str) -> Repository:
    """A repository with bounded texts. Raises Malformed."""
    return Repository(
        id=bounded(str(identifier), "the repository's id"),
        full_name=bounded(full_name, "the repository's name"),
        url=bounded(url, "the repository's address"),
    )


def change(ref: str, before: str | None, after: str | None) -> RefChange:
    """A ref change with bounded texts, where forty or sixty-four zeros mean that there was no commit."""
    return RefChange(bounded(ref, "the ref"), _commit(before), _commit(after))


def _commit(text: str | None) -> str | None:
    if text is None or not text.strip("0"):
        return None
    return bounded(text, "the commit id")


def _place(error: Exception) -> str:
    return "invalid UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)[:200]
