"""`encrypt` and `decrypt`: AES-GCM with a base64 key, the random 12-byte nonce before the cipher text, all base64."""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import Any, Final

from engine.errors import ExpressionError
from engine.expressions.registry import function_named

_NONCE_BYTES: Final = 12


def _cipher(key: Any) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(base64.b64decode(str(key), validate=True))
    except (binascii.Error, ValueError):
        raise ExpressionError("The key must be 16, 24 or 32 bytes, written in base64") from None


@function_named("encrypt", takes=("key", "plaintext"), required=2)
def _encrypt(key: Any, plaintext: Any) -> str:
    if not isinstance(plaintext, str):
        raise ExpressionError("`encrypt` needs a string")
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return base64.b64encode(nonce + _cipher(key).encrypt(nonce, plaintext.encode(), None)).decode()


@function_named("decrypt", takes=("key", "encrypted"), required=2)
def _decrypt(key: Any, encrypted: Any) -> str:
    from cryptography.exceptions import InvalidTag

    cipher = _cipher(key)
    try:
        data = base64.b64decode(str(encrypted), validate=True)
        return str(cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], None).decode())
    except (binascii.Error, ValueError, InvalidTag):
        raise ExpressionError("The text cannot be decrypted with this key") from None
