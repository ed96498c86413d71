"""Where texts wait for their turn to be spoken: a bounded queue in front of few workers, each a thread with its own engine."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

from speech.clause import Clause
from speech.engines.port import Engine, Voice
from speech.errors import NotReady, QueueFull
from speech.formats import Format
from speech.synthesis import pieces

_JOIN_SECONDS = 5.0
_REMEMBERED = 8
"""Texts from whose times the next free place is foretold."""


@dataclass(frozen=True)
class Order:
    """One text. `sink` gets the bytes of its sound as they are made, and then None or what went wrong, from other threads."""

    clauses: Sequence[Clause]
    speaker: str | Path
    speed: float
    form: Format
    sink: Callable[[bytes | BaseException | None], None]
    seconds: float
    """For all of it."""
    cancelled: threading.Event = field(default_factory=threading.Event)
    """Set by whoever no longer wants it: the clause that is being spoken is the last."""


@dataclass(frozen=True)
class Staff:
    """Who speaks."""

    engine: Engine
    voices: tuple[Voice, ...]


class Desk:
    """Speaks what is ordered, in order. `start`, and `close` at the end."""

    def __init__(self, load: Callable[[], Engine], workers: int, queue: int, failed: Callable[[], None]) -> None:
        """`failed` is called when `load` failed; `failure` then says why."""
        self.failure: BaseException | None = None
        self.queue = queue
        self.speaking = self.admitted = self.spoken = 0
        """Texts that are being spoken; that were let in and are not delivered yet (waiting, spoken, on their way); that were
        spoken to their end since the start."""
        self._load, self._failed = load, failed
        self._orders: SimpleQueue[Order | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._staff: list[Staff] = []
        self._times: deque[float] = deque([5.0], maxlen=_REMEMBERED)
        self._workers = [threading.Thread(target=self._work, name=f"voice-{n}", daemon=True) for n in range(workers)]

    def start(self) -> None:
        for worker in self._workers:
            worker.start()

    def close(self) -> None:
        """Ends the workers when they have spoken what is ordered; one that does not come to an end is left behind."""
        for _ in self._workers:
            self._orders.put(None)
        for worker in self._workers:
            worker.join(_JOIN_SECONDS)

    @property
    def staff(self) -> Staff | None:
        """Who speaks; None while a model is still being loaded."""
        return self._staff[0] if len(self._staff) == len(self._workers) else None

    @contextmanager
    def place(self) -> Iterator[Staff]:
        """One of the places, those of workers and queue together. Raises NotReady, QueueFull."""
        staff = self.staff
        if staff is None:
            raise NotReady
        with self._lock:
            if self.admitted >= len(self._workers) + self.queue:
                raise QueueFull(self.queue, self.patience)
            self.admitted += 1
        try:
            yield staff
        finally:
            with self._lock:
                self.admitted -= 1

    @property
    def patience(self) -> int:
        """Seconds until a place will be free, as far as the last texts tell: 1 to 60."""
        mean = sum(self._times) / len(self._times)
        return min(60, max(1, round(mean / len(self._workers))))

    def speak(self, order: Order) -> None:
        """Puts it at the end of the queue."""
        self._orders.put(order)

    def _work(self) -> None:
        try:
            engine = self._load()
            staff = Staff(engine, tuple(engine.voices()))
        except BaseException as error:  # the service ends with it
            self.failure = error
            self._failed()
            return
        with self._lock:
            self._staff.append(staff)
        while (order := self._orders.get()) is not None:
            if order.cancelled.is_set():
                continue
            with self._counted():
                order.sink(_outcome(order, engine))

    @contextmanager
    def _counted(self) -> Iterator[None]:
        started = time.monotonic()
        with self._lock:
            self.speaking += 1
        try:
            yield
        finally:
            with self._lock:
                self.speaking -= 1
                self.spoken += 1
                self._times.append(time.monotonic() - started)


def _outcome(order: Order, engine: Engine) -> Exception | None:
    """Speaks it; what went wrong is told to whoever ordered."""
    try:
        with closing(order.form.encoder(engine.rate, order.sink, order.seconds)) as encoder:
            for piece in pieces(order.clauses, engine, order.speaker, order.speed):
                if order.cancelled.is_set():
                    return None
                encoder.push(piece.samples)
            encoder.finish()
    except Exception as error:
        return error
    return None
