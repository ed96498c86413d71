"""What a step says, on its way to people: to this pod's stdout at once, to the API in batches.

The step is never held up: its lines go to a spool on disk, and one thread sends what is there, at most once an interval. A silent
step is reported on as well, since the answer may be `stop`.
"""

import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, BinaryIO

from worker.control import Control
from worker.door import Door
from worker.errors import OVER, InterruptedWaitError, RefusedError
from worker.lines import Line, dump, metrics, number, say
from worker.patience import Patience
from worker.progress import Progress
from worker.spool import Spool


class Reporting:
    """Reports one step. `labels` (request, attempt, kind, avatar, step) go with every line."""

    def __init__(
        self, door: Door, spool: Spool, labels: Mapping[str, Any], control: Control, patience: Patience, interval: float
    ) -> None:
        self._door = door
        self._spool = spool
        self._labels = dict(labels)
        self._control = control
        self._patience = patience
        self._interval = interval
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._news: dict[str, Any] = {"stage": None, "progress": None, "eta_seconds": None, "metrics": {}}
        self._closing = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="reporting", daemon=True)
        self._thread.start()

    def measure(self, progress: Progress) -> None:
        """From now on, the step's progress is counted by `progress`."""
        self._progress = progress

    def line(self, line: Line) -> None:
        """Passes a line on, and takes from it how far the step is."""
        with self._lock:
            content = echo(line, self._labels)
            if not self._closed:
                self._spool.add(content)
                self._note(line)

    def say(self, message: str, level: str = "info", **fields: Any) -> None:
        """A line of the worker's own."""
        self.line(say(message, level, **fields))

    def enter(self, part: str) -> None:
        """A part of the step begins."""
        with self._lock:
            if self._progress:
                self._progress.enter(part)
                self._news |= {"stage": part, "progress": self._progress.value, "metrics": {}}

    def close(self, patience: Patience, done: bool = False) -> None:
        """Sends all that is left and ends; later lines go to stdout alone.

        Raises AwayError, InterruptedWaitError, or what the door refuses the attempt with: it may be tried again then.
        """
        if self._closed:
            return
        with self._lock:
            if done and self._progress:
                self._progress.finish()
                self._news["progress"] = self._progress.value
        self._closing.set()
        self._thread.join()
        self._send(patience)
        while self._spool.behind:
            self._send(patience)
        with self._lock:
            self._closed = True
            self._spool.close()

    def _note(self, line: Line) -> None:
        stage, done, total = line.get("stage"), number(line.get("done")), number(line.get("total"))
        if not self._progress or not isinstance(stage, str):
            return
        if done is not None and total is not None:
            self._progress.advance(stage, done, total)
        eta = self._progress.eta_seconds(number(line.get("eta_seconds")))
        self._news = {
            "stage": stage,
            "progress": self._progress.value,
            "eta_seconds": None if eta is None else round(eta, 1),
            "metrics": metrics(line),
        }

    def _run(self) -> None:
        # An outage while the step works is waited for without end: the lines lie safe, and the step needs nobody.
        patience = Patience(float("inf"), self._patience.first, self._patience.most, self._closing)
        with suppress(InterruptedWaitError):
            while not self._closing.wait(self._interval):
                try:
                    self._send(patience)
                except OVER as error:
                    self._control.abandon(error)
                    return
                except RefusedError:
                    continue  # 401, while the API's keys are being changed: the same part is sent again
                except InterruptedWaitError:
                    raise
                except Exception as error:  # a full disk, say: a step that nobody hears of, and that hears no stop, must end
                    self._control.abandon(error)
                    return

    def _send(self, patience: Patience) -> None:
        seq, batch = self._spool.cut()
        with self._lock:
            news = dict(self._news)
        try:
            stop = self._door.report(patience, seq, news, batch)
        except RefusedError as error:
            if isinstance(error, OVER) or error.status == 401:
                raise
            # A report is not worth a step: what the API cannot take stays in this pod's own log.
            echo(say(f"the API refused report {seq}: {error}", "warning"), self._labels)
            stop = False
        self._spool.delivered()
        if stop:
            self._control.stop("stopped: the platform asked for it")


def echo(line: Line, labels: Mapping[str, Any], stream: BinaryIO | None = None) -> bytes:
    """Writes the line, with its labels, to this pod's stdout for the cluster's dashboards; returns what it wrote."""
    content = dump({**line, **labels})
    # Nobody may be reading any more; the API still is.
    with suppress(OSError, ValueError):
        (stream or sys.stdout.buffer).write(content)
        (stream or sys.stdout.buffer).flush()
    return content
