"""Whether the step goes on, shared by the worker's threads.

Three things end a step early: SIGTERM, the API's `stop`, and a refusal that says that the attempt is over. After a stop the
checkpoint is still carried away, for as long as the grace lasts; after a refusal nothing is.
"""

import queue
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from steps.errors import StoppedError


class Control:
    """`stopping`: the step has to end. `abandoned`: nothing may be waited for or carried any more."""

    def __init__(self, grace: float) -> None:
        self.grace = grace
        self.stopping = threading.Event()
        self.abandoned = threading.Event()
        self.cause: Exception | None = None
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    def stop(self, message: str) -> None:
        """Asks for the end; what was done so far is still saved until the grace is over."""
        if self._end(StoppedError(message)):
            timer = threading.Timer(self.grace, self.abandoned.set)
            timer.daemon = True
            timer.start()

    def abandon(self, cause: Exception) -> None:
        """Ends everything: the attempt is over, or a part of the worker broke."""
        self._end(cause, abandon=True)

    def raise_if_over(self) -> None:
        """Raises what ended the step, if anything did."""
        if self.cause is not None:
            raise self.cause

    @contextmanager
    def on_end(self, callback: Callable[[], None]) -> Iterator[None]:
        """Calls `callback` once, from another thread, when the end is asked for within the block; at once if it already was."""
        with self._lock:
            over = self.stopping.is_set()
            self._callbacks.append(callback)
        if over:
            callback()
        try:
            yield
        finally:
            with self._lock:
                self._callbacks.remove(callback)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """SIGTERM and SIGINT become `stop` within the block."""
        # A handler may interrupt the main thread inside a lock; SimpleQueue.put alone is safe there.
        arrived: queue.SimpleQueue[int | None] = queue.SimpleQueue()

        def handler(number: int, _frame: FrameType | None) -> None:
            arrived.put(number)

        def listen() -> None:
            while (number := arrived.get()) is not None:
                self.stop(f"stopped by {signal.Signals(number).name}")

        old = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
        listener = threading.Thread(target=listen, name="signals", daemon=True)
        listener.start()
        try:
            yield
        finally:
            arrived.put(None)
            listener.join()
            for number, former in old.items():
                signal.signal(number, former)

    def _end(self, cause: Exception, abandon: bool = False) -> bool:
        with self._lock:
            first = self.cause is None
            if first:
                self.cause = cause
            if abandon:
                self.abandoned.set()
            self.stopping.set()
            callbacks = list(self._callbacks) if first else []
        for callback in callbacks:
            callback()
        return first
