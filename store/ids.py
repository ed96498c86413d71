"""UUIDv7: identifiers that sort by the time of their making (RFC 9562, sections 5.7 and 6.2, method 3)."""

import secrets
import time
from uuid import UUID


def new() -> UUID:
    """A fresh UUIDv7: 48 bits of Unix milliseconds, 12 bits of their 4096ths, 62 random bits.

    Those of one process sort in the order of their making.
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    value = milliseconds << 80 | 0x7 << 76 | (rest * 4096 // 1_000_000) << 64 | 0b10 << 62 | secrets.randbits(62)
    return UUID(int=value)
