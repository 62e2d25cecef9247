"""Functions that make identifiers: `uuid`, `id`, `ksuid`, `nanoId`."""

from __future__ import annotations

import secrets
import string
import uuid
from typing import Any, Final

from engine.errors import ExpressionError
from engine.expressions.functions.calendar import present
from engine.expressions.registry import function_named
from engine.expressions.scope import Frame
from engine.ids import random_id

_BASE62: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_NANO_ALPHABET: Final = _BASE62 + "-_"
_KSUID_EPOCH: Final = 1_400_000_000
_KSUID_CHARS: Final = 27
_LONGEST: Final = 1_000


@function_named("uuid")
def _uuid() -> str:
    return str(uuid.uuid4())


@function_named("id")
def _id() -> str:
    return random_id()


@function_named("ksuid", context=True)
def _ksuid(frame: Frame) -> str:
    seconds = int(present(frame).timestamp()) - _KSUID_EPOCH
    number = int.from_bytes(seconds.to_bytes(4, "big") + secrets.token_bytes(16), "big")
    text = ""
    for _ in range(_KSUID_CHARS):
        number, rest = divmod(number, 62)
        text = _BASE62[rest] + text
    return text


@function_named("nanoId", takes=("length", "alphabet"))
def _nano_id(length: Any = None, alphabet: Any = None) -> str:
    size = 21 if length is None else int(length)
    letters = _NANO_ALPHABET if alphabet is None else str(alphabet)
    if not 0 < size <= _LONGEST or not letters:
        raise ExpressionError(
            f"`nanoId` needs a length from 1 to {_LONGEST} and an alphabet that is not empty"
        )
    return "".join(secrets.choice(letters) for _ in range(size))
