"""The lines on their way to the API, on disk: none is lost while the API is away, and memory stays small."""

import json
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from worker.lines import Line, parse

LINES_AT_ONCE = 1000
BYTES_AT_ONCE = 256 * 1024
"""Most that one report carries, so that the request stays well below any proxy's limit."""


@dataclass(frozen=True)
class Part:
    """Bytes `start` to `end` of the spool go with report `seq`. A repeated report carries the same part."""

    seq: int
    start: int
    end: int


class Spool:
    """A file that lines are added to and parts are cut from. A worker started again in the same pod goes on where it was."""

    def __init__(self, folder: Path, step: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{step}.jsonl"
        self._mark = folder / f"{step}.part.json"
        self._lock = threading.Lock()
        self._part = Part(0, 0, 0)
        if self._mark.exists():
            self._part = Part(**json.loads(self._mark.read_text()))
        self._acknowledged = self._part.seq == 0
        self._file = self._path.open("ab")
        self._size = self._path.stat().st_size
        if self._size and not self._path.read_bytes().endswith(b"\n"):
            self.add(b"\n")  # a line that a kill cut short: it is wrapped like any foreign one

    def add(self, line: bytes) -> None:
        """Adds one line, which ends with a line feed."""
        with self._lock:
            self._file.write(line)
            self._file.flush()
            self._size += len(line)

    @property
    def behind(self) -> int:
        """Bytes that no report has delivered yet."""
        return self._size - (self._part.end if self._acknowledged else self._part.start)

    def cut(self) -> tuple[int, list[Line]]:
        """The next part's number and lines; the same again until `delivered` says that it has arrived."""
        if self._acknowledged:
            start = self._part.end
            part = Part(self._part.seq + 1, start, start + len(self._read(start)))
            fresh = self._mark.with_suffix(".new")
            fresh.write_text(json.dumps(asdict(part)))
            fresh.replace(self._mark)
            self._part, self._acknowledged = part, False
        content = self._read(self._part.start)[: self._part.end - self._part.start]
        return self._part.seq, [line for raw in content.splitlines() for line in parse(raw)]

    def delivered(self) -> None:
        """Says that the last part cut has arrived."""
        self._acknowledged = True

    def close(self) -> None:
        """Closes the file; what it holds stays."""
        self._file.close()

    def _read(self, start: int) -> bytes:
        """Whole lines from `start` on, as many as one report carries and at least one, if there is one."""
        with self._path.open("rb") as file:
            file.seek(start, os.SEEK_SET)
            lines: list[bytes] = []
            size = 0
            while len(lines) < LINES_AT_ONCE and size < BYTES_AT_ONCE:
                line = file.readline()
                if not line.endswith(b"\n"):
                    break
                lines.append(line)
                size += len(line)
        return b"".join(lines)
