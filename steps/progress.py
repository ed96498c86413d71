"""Progress of a step: a live bar on a terminal, one JSON object a line elsewhere.

A line holds `time` (ISO 8601, UTC), `level`, and of `stage`, `done`, `total`, `eta_seconds`, `message` and metrics what is known.
The worker reads these lines from the step's stderr; people read the bar.
"""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TextIO, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")

INTERVAL = 1.0
"""Seconds between two progress lines of one stage; the first and the last are always written."""


class Reporter:
    """Writes what a step is doing to `stream` (stderr). A context manager: leaving it takes the bar off the screen."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self._console = Console(file=self.stream)
        self._bar: Progress | None = None
        if self.stream.isatty():
            self._bar = Progress(
                TextColumn("{task.description:<24}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
                TimeRemainingColumn(), TextColumn("{task.fields[metrics]}"), console=self._console,
                redirect_stdout=False, redirect_stderr=False,  # stdout is the result's
            )  # fmt: skip
        self._task: TaskID | None = None
        self._stage = ""
        self._started = 0.0
        self._written = 0.0

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()

    def progress(self, stage: str, done: float, total: float, **metrics: float | str) -> None:
        """Says that `done` of `total` units of `stage` are behind us; the rest of the stage's time is estimated from its pace."""
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._started, self._written = stage, now, 0.0
            if self._bar:
                self._task = self._bar.add_task(stage, total=total, metrics="")
        if self._bar and self._task is not None:
            shown = "  ".join(f"{name} {_short(value)}" for name, value in metrics.items())
            self._bar.update(self._task, completed=done, total=total, metrics=shown)
            return
        if done < total and now - self._written < INTERVAL:
            return
        self._written = now
        # The first line of a stage knows no pace yet, whatever is done already.
        eta = (now - self._started) / done * (total - done) if done and now > self._started else None
        self._line("info", stage=stage, done=done, total=total, eta_seconds=None if eta is None else round(eta, 1), **metrics)

    def track(self, items: Iterable[Item], stage: str, total: int) -> Iterator[Item]:
        """Hands out `items` and reports after each."""
        self.progress(stage, 0, total)
        for done, item in enumerate(items, 1):
            yield item
            self.progress(stage, done, total)

    def message(self, text: str, level: str = "info", **fields: Any) -> None:
        """One sentence for people, with `fields` for machines."""
        if self._bar:
            self._console.print(text, style="yellow" if level == "warning" else None, highlight=False, markup=False)
        else:
            self._line(level, message=text, **fields)

    def checkpoint(self, folder: str) -> None:
        """Says that `folder` now holds a whole checkpoint which may be carried away."""
        if not self._bar:
            self._line("info", checkpoint=folder)

    def sample(self, picture: str) -> None:
        """Says that `picture` (a PNG) now shows how far a training is."""
        if not self._bar:
            self._line("info", sample=picture)

    def failure(self, code: str, message: str) -> None:
        """The last words."""
        if self._bar:
            self._bar.stop()
            self._console.print(f"{message} [{code}]", style="red", highlight=False, markup=False)
        else:
            self._line("error", code=code, message=message)

    def _line(self, level: str, **fields: Any) -> None:
        known = {name: value for name, value in fields.items() if value is not None}
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "level": level, **known}
        print(json.dumps(line, ensure_ascii=False, default=float), file=self.stream, flush=True)


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
