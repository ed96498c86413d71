"""How fast writes go to the API server: a token bucket with a slow start."""

import threading
import time
from collections.abc import Callable

START = 10.0
"""Writes a second at first, and after the server has said that it is too much."""


class Bucket:
    """`rate` writes a second, `burst` at once after a pause.

    Slow start: the rate begins at `START` and doubles with every second's worth of writes that went well; a refusal (429, 5xx, no
    answer) takes it back there, so that a server in trouble is not run over by the whole backlog. Safe to share between threads.
    """

    def __init__(
        self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._rate, self._burst, self._clock, self._sleep = rate, burst, clock, sleep
        self._current = min(START, rate)
        self._tokens = min(self._current, float(burst))
        self._filled = clock()
        self._well = 0
        self._lock = threading.Lock()

    @property
    def rate(self) -> float:
        """Writes a second that are let through now."""
        return self._current

    def take(self) -> None:
        """Waits for its turn. Turns are given in the order of asking."""
        with self._lock:
            now = self._clock()
            self._tokens = min(self._tokens + (now - self._filled) * self._current, float(self._burst))
            self._filled = now
            self._tokens -= 1
            wait = -self._tokens / self._current
        if wait > 0:
            self._sleep(wait)

    def went_well(self) -> None:
        with self._lock:
            self._well += 1
            if self._well >= self._current and self._current < self._rate:
                self._current, self._well = min(2 * self._current, self._rate), 0

    def was_refused(self) -> None:
        with self._lock:
            self._current, self._well = min(START, self._rate), 0
            self._tokens = min(self._tokens, 0.0)
