"""Which requests to look at, and when: a deduplicating queue with delays, safe to share between threads."""

import heapq
import threading
import time
from uuid import UUID


class WorkQueue:
    """An id stands in it once, at the earliest time asked for; whoever takes it out may put it in again."""

    def __init__(self) -> None:
        self._due: dict[UUID, float] = {}
        self._heap: list[tuple[float, UUID]] = []
        self._changed = threading.Condition()

    def add(self, request: UUID, seconds: float = 0.0) -> None:
        """Look at the request in `seconds`, or earlier if that is planned already."""
        due = time.monotonic() + seconds
        with self._changed:
            if due < self._due.get(request, float("inf")):
                self._due[request] = due
                heapq.heappush(self._heap, (due, request))
                self._changed.notify()

    def take(self, most: int, timeout: float) -> list[UUID]:
        """Requests that are due, the longest due first; none when `timeout` seconds passed without one."""
        until = time.monotonic() + timeout
        with self._changed:
            while True:
                now = time.monotonic()
                taken: list[UUID] = []
                while self._heap and len(taken) < most and (self._outdated() or self._heap[0][0] <= now):
                    if self._outdated():
                        heapq.heappop(self._heap)
                    else:
                        _, request = heapq.heappop(self._heap)
                        del self._due[request]
                        taken.append(request)
                if taken or now >= until:
                    return taken
                self._changed.wait(min(until, self._heap[0][0] if self._heap else until) - now)

    def _outdated(self) -> bool:
        """Whether the first entry was taken since, or its request is due earlier."""
        due, request = self._heap[0]
        return self._due.get(request) != due

    def __len__(self) -> int:
        with self._changed:
            return len(self._due)


class Backoff:
    """Pauses after failures in a row: `first` seconds, doubling up to `longest`; one count a request."""

    def __init__(self, first: float = 0.5, longest: float = 30.0) -> None:
        self._first = first
        self._longest = longest
        self._failures: dict[UUID, int] = {}

    def failed(self, request: UUID) -> float:
        """Seconds to wait before the next look."""
        count = self._failures[request] = self._failures.get(request, 0) + 1
        return min(self._first * (1 << min(count - 1, 20)), self._longest)

    def succeeded(self, request: UUID) -> None:
        self._failures.pop(request, None)
