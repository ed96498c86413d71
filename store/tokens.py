"""Attempt tokens: what a worker shows to the API. `<attempt id>.<HMAC-SHA256 of it>`, in URL-safe base64.

A token says only which attempt it is for; whether that attempt is current and its request not final is asked of the database.
"""

import base64
import hmac
from collections.abc import Sequence
from hashlib import sha256
from uuid import UUID


def sign(attempt: UUID, key: str) -> str:
    """The token of `attempt`."""
    return f"{attempt}.{_signature(attempt, key)}"


def verify(token: str, keys: Sequence[str]) -> UUID | None:
    """The attempt that `token` is for, or None. Any of `keys` will do, so that a key can be rotated."""
    name, _, signature = token.partition(".")
    try:
        attempt = UUID(name)
    except ValueError:
        return None
    expected = [_signature(attempt, key) for key in keys]
    return attempt if any(hmac.compare_digest(signature.encode(), one.encode()) for one in expected) else None


def _signature(attempt: UUID, key: str) -> str:
    return base64.urlsafe_b64encode(hmac.digest(key.encode(), b"attempt:" + attempt.bytes, sha256)).rstrip(b"=").decode()
