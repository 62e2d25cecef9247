"""Signatures as the forges make them: HMAC-SHA256 in constant time, with several live secrets.

Everything is compared as bytes, because `hmac.compare_digest` raises on text that is not ASCII. It must not
know any forge's header names.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence

from engine.errors import SettingsError
from reconciler.forges.base import Refused


def check_secrets(secrets: Sequence[str]) -> None:
    """Refuse an empty list and empty secrets: an empty signature would match them.

    Raises:
        SettingsError: as said.
    """
    if not secrets:
        raise SettingsError("a webhook source has no secret", hint="set at least one secret for it")
    if any(not secret.strip() for secret in secrets):
        raise SettingsError("a webhook secret is empty", hint="set a long random secret, or remove the entry")


def keys(secrets: Iterable[str]) -> list[bytes]:
    """The secrets as HMAC keys, in UTF-8; empty ones never make a key."""
    return [secret.encode("utf-8", "surrogatepass") for secret in secrets if secret]


def any_equal(expected: Iterable[bytes], given: Iterable[str]) -> bool:
    """Whether one of `given` is one of `expected`, byte for byte; looks at every pair whatever it finds."""
    candidates = [text.encode("utf-8", "surrogatepass") for text in given]
    found = False
    for digest in expected:
        for candidate in candidates:
            found |= bool(candidate) and hmac.compare_digest(digest, candidate)
    return found


def require_hex(
    signature: str, body: bytes, secrets: Sequence[str], *, header: str, prefix: str = ""
) -> None:
    """Check a lower-case hexadecimal HMAC-SHA256 of `body`.

    Args:
        signature: the header's value; empty when it was absent.
        body: the exact bytes that were signed.
        secrets: any of them may be the key.
        header: its name, for the message.
        prefix: what stands before the digits, such as `sha256=`.

    Raises:
        Refused: it is absent, of another form, or not made by any of the secrets.
    """
    if not signature:
        raise Refused(
            f"the delivery has no {header} header",
            hint="set the same secret at the forge's webhook and at this source",
            reason="SignatureMissing",
        )
    expected = (prefix.encode() + _hex(key, body) for key in keys(secrets))
    if not any_equal(expected, (signature,)):
        raise mismatch(header)


def mismatch(header: str) -> Refused:
    """The refusal of a signature that no secret made."""
    return Refused(
        f"the {header} header does not match any secret of this source",
        hint="compare the webhook's secret at the forge with this source's secrets",
        reason="SignatureMismatch",
    )


def _hex(key: bytes, body: bytes) -> bytes:
    return hmac.new(key, body, hashlib.sha256).hexdigest().encode("ascii")
