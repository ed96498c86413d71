"""How long something that is away is waited for."""

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from worker.errors import AwayError, InterruptedWaitError


@dataclass(frozen=True)
class Patience:
    """Pauses of `first` seconds, doubled up to `most`, for `seconds` from the first silence on; `wake` ends every wait."""

    seconds: float
    first: float
    most: float
    wake: threading.Event

    def check(self) -> None:
        """Raises InterruptedWaitError when `wake` is set."""
        if self.wake.is_set():
            raise InterruptedWaitError

    def outage(self) -> "Outage":
        """A fresh count for one thing that may be away."""
        return Outage(self)


class Outage:
    """One stretch without an answer."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._next = patience.first
        self._since: float | None = None

    def pause(self, cause: str, asked: float | None = None) -> None:
        """Waits before the next try, at least the `asked` seconds.

        Raises AwayError once the deadline has passed and InterruptedWaitError when woken.
        """
        self._patience.check()
        now = time.monotonic()
        if self._since is None:
            self._since = now
        left = self._since + self._patience.seconds - now
        if left <= 0:
            raise AwayError(cause)
        if self._patience.wake.wait(min(max(self._next, asked or 0.0), left)):
            raise InterruptedWaitError
        self._next = min(self._next * 2, self._patience.most)


def is_away(response: httpx.Response) -> bool:
    """Whether the answer says no more than `not now`."""
    return response.status_code in (408, 429) or response.status_code >= 500


def retry_after(response: httpx.Response) -> float | None:
    """Seconds that the answer asks to wait (RFC 9110 10.2.3: a number or a date), None when it does not say."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
