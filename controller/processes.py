"""Processes of local containers: started behind a guard, recorded before they work, found and ended after a crash.

A run is known by a mark in its environment, which every descendant inherits, and by its guard's pid and start time. A pid alone
proves nothing: after a crash it may be somebody else's.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import psutil

MARK = "GENEFACE_LOCAL_RUN"
GUARD = Path(__file__).with_name("guard.py")
STOP_SECONDS = 3.0
"""What leftovers get between SIGTERM and SIGKILL: a guard kills its command 2 s after the platform's end."""
KILL_SECONDS = 3.0
POLL = 0.05


@dataclass(frozen=True)
class Record:
    """A guard that was started. `started`: boot and start time, compared as a whole."""

    run: str
    pid: int
    started: str


class Records:
    """One small file a run, on disk before the run does anything."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, record: Record) -> None:
        """Durable when it returns: written, synced, renamed, and the rename synced."""
        path = self._folder / f"{record.run}.json"
        part = path.with_suffix(".part")
        with part.open("w", encoding="utf-8") as file:
            json.dump(asdict(record), file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self, run: str) -> None:
        (self._folder / f"{run}.json").unlink(missing_ok=True)

    def all(self) -> list[Record]:
        """A file that is only half there was never renamed: its guard got no byte and has ended."""
        return [Record(**json.loads(path.read_text("utf-8"))) for path in sorted(self._folder.glob("*.json"))]


def start(
    run: str, command: Sequence[str], env: Mapping[str, str], cwd: Path, log: BinaryIO, records: Records
) -> subprocess.Popen[bytes]:
    """Starts `command` as `run`. Its stdout and stderr go to `log`. Raises OSError; then nothing runs."""
    guard = subprocess.Popen(
        [sys.executable, "-I", "-S", str(GUARD), *command],
        env={**env, MARK: run}, cwd=cwd, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    assert guard.stdin is not None  # noqa: S101 - asked for above
    try:
        records.add(Record(run, guard.pid, identity(guard.pid) or ""))
        guard.stdin.write(b"!")
        guard.stdin.flush()
    except OSError:
        guard.stdin.close()
        guard.wait()
        raise
    return guard


def identity(pid: int) -> str | None:
    """What tells this process from any other that had or will have its pid; None: there is no such process."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    try:
        if boot.exists():  # the clock of /proc counts from the boot and is never set
            stat = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
            return f"{boot.read_text('ascii').strip()}:{stat.rpartition(')')[2].split()[19]}"
        return str(psutil.Process(pid).create_time())
    except (OSError, psutil.Error):
        return None


def find(records: Sequence[Record]) -> list[psutil.Process]:
    """All living processes of these runs: marked, recorded, or descended from such."""
    runs = {record.run for record in records}
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) in runs and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = process
    for record in records:
        with suppress(psutil.Error):
            if record.pid not in found and identity(record.pid) == record.started:
                found[record.pid] = psutil.Process(record.pid)
    for process in list(found.values()):
        with suppress(psutil.Error):
            found.update({child.pid: child for child in process.children(recursive=True)})
    return [process for process in found.values() if _alive(process)]


def end(records: Sequence[Record], grace: float = STOP_SECONDS) -> int:
    """Ends all that is left of these runs: SIGTERM, after `grace` seconds SIGKILL; says how many processes there were.

    Raises TimeoutError for a process that outlives SIGKILL (one that hangs in the kernel).
    """
    left = find(records)
    count = len(left)
    if grace > 0:
        _send(left, signal.SIGTERM)
        left = _wait(records, left, grace)
    patience = time.monotonic() + KILL_SECONDS
    while left:
        _send(left, signal.SIGKILL)
        left = _wait(records, left, POLL)
        if left and time.monotonic() > patience:
            raise TimeoutError(f"processes {sorted(process.pid for process in left)} outlive SIGKILL")
    return count


def _wait(records: Sequence[Record], left: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """What is left after at most `seconds`, children that were born meanwhile included."""
    until = time.monotonic() + seconds
    while left and time.monotonic() < until:
        _, left = psutil.wait_procs(left, timeout=min(POLL, max(0.0, until - time.monotonic())))
        left = [process for process in left if _alive(process)]
    return find(records)


def _send(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
