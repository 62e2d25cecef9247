"""Identifiers: random for what people start, derived for what follows from it. Knows no clock and no store.

Derived identifiers make repeats harmless: the same cause always names the same effect.
"""

from __future__ import annotations

import hashlib
import secrets

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LENGTH = 22  # 62**22 > 2**128


def _base62(number: int) -> str:
    digits = []
    for _ in range(_LENGTH):
        number, rest = divmod(number, 62)
        digits.append(_ALPHABET[rest])
    return "".join(reversed(digits))


def is_id(text: str) -> bool:
    """Whether a text has the form of our identifiers."""
    return len(text) == _LENGTH and text.isascii() and text.isalnum()


def random_id() -> str:
    """A fresh identifier: 128 random bits as 22 base62 digits."""
    return _base62(secrets.randbits(128))


def derived_id(*parts: str) -> str:
    """The identifier that follows from `parts`: always the same for the same parts, 22 base62 digits."""
    digest = hashlib.blake2b("\x00".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return _base62(int.from_bytes(digest, "big"))


def chance() -> float:
    """A random number in [0, 1), to be kept with an event so that what follows from it can be told again."""
    return secrets.randbits(53) / (1 << 53)
