"""A step's command as a process that is never left behind.

The command runs in the process group of a small guard, a shell that waits at a pipe whose other end this process holds: however
this process ends, SIGKILL included, the pipe closes and the guard kills the whole group, the command's own children with it.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO

from worker.control import Control
from worker.lines import LONGEST, Line, parse, say

GUARD = ("/bin/sh", "-c", "trap '' TERM INT HUP; read -r _; kill -KILL 0")
DRAIN = 5.0
"""Seconds for the last lines, once the group is gone; only a process that left the group could still hold the pipe."""


@dataclass(frozen=True)
class Ending:
    """How a command ended. `code`: as Popen.returncode, negative for a signal."""

    code: int
    result: Line | None
    """The JSON object on its stdout."""
    words: Mapping[str, str] | None
    """`code` and `message` of its last error line."""
    last_line: str
    """The last text of its stderr that was no line of ours, or the last message."""


class _Listener:
    """Reads the command's two streams to their ends, so that it never waits for a reader."""

    def __init__(self, on_line: Callable[[Line], None], control: Control) -> None:
        self._on_line = on_line
        self._control = control
        self.result: Line | None = None
        self.words: Mapping[str, str] | None = None
        self.last_line = ""

    def stderr(self, stream: IO[bytes]) -> None:
        for line in self._lines(stream):
            message = line.get("message")
            if line.get("level") == "error" and isinstance(line.get("code"), str):
                self.words = {"code": line["code"], "message": str(message)}
            if isinstance(message, str) and message:
                self.last_line = message
            self._pass(line)

    def stdout(self, stream: IO[bytes]) -> None:
        for raw in iter(stream.readline, b""):
            try:
                found = json.loads(raw)
            except (ValueError, RecursionError):
                found = None
            if isinstance(found, dict):
                self.result = found
            else:
                for line in parse(raw):
                    self._pass(line)

    def _lines(self, stream: IO[bytes]) -> Iterator[Line]:
        while raw := stream.readline(LONGEST):
            yield from parse(raw)

    def _pass(self, line: Line) -> None:
        try:
            self._on_line(line)
        except Exception as error:  # the disk is full, say: the step must end, and until then its pipe be read
            self._control.abandon(error)


def run(argv: Sequence[str], env: Mapping[str, str], on_line: Callable[[Line], None], control: Control) -> Ending:
    """Runs `python ARGV` until it ends. A stop goes on to it as SIGTERM, and as SIGKILL once two thirds of the grace are over."""
    listener = _Listener(on_line, control)
    killed = threading.Event()
    with _guard() as group:
        process = subprocess.Popen(
            [sys.executable, *argv], env=dict(env), process_group=group,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        readers = [
            threading.Thread(target=target, args=(stream,), daemon=True)
            for target, stream in ((listener.stderr, process.stderr), (listener.stdout, process.stdout))
        ]
        for reader in readers:
            reader.start()

        def kill() -> None:
            killed.set()
            process.kill()

        def stop() -> None:
            process.terminate()
            timer = threading.Timer(control.grace * 2 / 3 if not control.abandoned.is_set() else DRAIN, kill)
            timer.daemon = True
            timer.start()

        with control.on_end(stop):
            code = process.wait()
    for reader in readers:
        reader.join(DRAIN)
    if killed.is_set():
        on_line(say("the step did not end in time after SIGTERM and was killed", "warning"))
    return Ending(code, listener.result, listener.words, listener.last_line)


@contextmanager
def _guard() -> Iterator[int]:
    """A process group that ends with the block, or with this process. Yields its id."""
    guard = subprocess.Popen(GUARD, process_group=0, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield guard.pid
    finally:
        with suppress(ProcessLookupError):
            os.killpg(guard.pid, signal.SIGKILL)
        guard.wait()
        if guard.stdin:
            guard.stdin.close()
