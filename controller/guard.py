"""The first process of a local container: runs a command, passes SIGTERM on to it, and leaves nothing of it behind.

    python -I -S guard.py COMMAND…     stdin: a pipe that the platform holds open

It does nothing before a byte arrives on stdin: by then the platform has recorded this process, so that a platform that is killed
between starting and recording it leaves nothing running. When the pipe closes afterwards, the platform is gone: the command gets
SIGTERM and, 2 s later, SIGKILL. When the command ends, whatever it left running is killed, as with a container's first process.
Exit code: the command's, or 128 + the signal that ended it. Standard library only; imports nothing of the platform.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from types import FrameType

GRACE = 2.0
"""Seconds; what a step saves now nobody collects."""
NICE = 5
"""Steps are background work: the API on the same machine stays quick."""
NOT_STARTED = 127
PARENT_DEATH_SIGNAL, CHILD_SUBREAPER = 1, 36  # prctl(2)


def main(command: list[str]) -> int:
    """Returns the exit code."""
    if os.read(0, 1) == b"":
        return NOT_STARTED
    _prctl(CHILD_SUBREAPER, 1)
    wake, signals = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(signals, False)
    signal.set_wakeup_fd(signals, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _wake_up)
    child = _start(command)
    code = _attend(child, wake)
    _kill_rest(child)
    return code


def _start(command: list[str]) -> int:
    """The command in a process group of its own; killed when this process is."""
    guard = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        os.setpgid(0, 0)
        os.nice(NICE)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        _prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() == guard:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.execvp(command[0], command)  # noqa: S606 - the manifest's command, without a shell
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        sys.stderr.flush()
    os._exit(NOT_STARTED)


def _attend(child: int, wake: int) -> int:
    """Passes signals on until the child has ended; its exit code."""
    platform, kill_at = [0], None
    while True:
        wait = None if kill_at is None else max(0.0, kill_at - time.monotonic())
        ready, _, _ = select.select([wake, *platform], [], [], wait)
        if wake in ready:
            caught = os.read(wake, 512)
            if signal.SIGTERM in caught or signal.SIGINT in caught:
                _signal(child, signal.SIGTERM)
        if 0 in ready and os.read(0, 512) == b"":
            platform, kill_at = [], time.monotonic() + GRACE
            _signal(child, signal.SIGTERM)
        if kill_at is not None and time.monotonic() >= kill_at:
            _signal(child, signal.SIGKILL)
        if (code := _reap(child)) is not None:
            return code


def _reap(child: int) -> int | None:
    """Collects what has ended; the child's exit code once it has."""
    code = None
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            if found[0] == child:
                ended = os.waitstatus_to_exitcode(found[1])
                code = ended if ended >= 0 else 128 - ended
    return code


def _kill_rest(child: int) -> None:
    """The child's group, then all orphans, which as a subreaper this process has inherited."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            for orphan in _children():
                _signal(orphan, signal.SIGKILL)
            os.waitpid(-1, 0)


def _children() -> list[int]:
    """This process's children, from /proc; none where there is no /proc."""
    mine, found = os.getpid(), []
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():  # noqa: PTH112, PTH208 - pathlib doubles the start-up
        with contextlib.suppress(OSError, ValueError):
            with open(f"/proc/{int(name)}/stat", encoding="utf-8", errors="replace") as stat:  # noqa: PTH123
                parent = int(stat.read().rpartition(")")[2].split()[1])
            if parent == mine:
                found.append(int(name))
    return found


def _signal(process: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


def _prctl(option: int, value: int) -> None:
    """On Linux; elsewhere the platform's own search for leftovers has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _wake_up(_signal: int, _frame: FrameType | None) -> None:
    """The wakeup descriptor carries the news."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
