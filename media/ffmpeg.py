"""The ffmpeg process: where it is, the flags that keep a stranger's file harmless, and how it is run.

ffmpeg stays in the caller's process group, so that whoever ends a step's group ends it too; it starts no children, so
killing it is enough. Whatever goes wrong here, no process is left behind.
"""

import io
import os
import re
import select
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from queue import Empty, Queue
from typing import IO

from media.errors import Interrupted
from media.limits import DEFAULT, Limits
from steps.errors import StoppedError
from steps.program import stop_requested

FORMATS = "mov,matroska,avi,mpegts,wav,w64,mp3,flac,ogg"
"""Demuxers a file may choose, whatever its name says. Playlists (hls, concat) are not among them: they can name other files."""

GLOBAL_FLAGS = ("-hide_banner", "-nostdin", "-max_alloc", str(512 << 20))

INPUT_FLAGS = ("-nostdin", "-protocol_whitelist", "file,pipe", "-format_whitelist", FORMATS)

THREADS = 2
"""Threads of each decoder and encoder: constant, because x264's output depends on their number."""

_PIPE_BYTES = 1 << 20
_TAIL_LINES = 12
_LINE_BYTES = 4096
_SIGNALLED = 255
_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_PREFIX = re.compile(r"^(\[[^\]]*\] )+")
_HOLLOW = re.compile(
    r"Task finished|Terminating thread|Nothing was written|Could not open encoder|Last message repeated"
    r"|Conversion failed|^Error opening"
)


class FfmpegError(RuntimeError):
    """ffmpeg ended with an error; `lines` are its last words."""

    def __init__(self, code: int, lines: Sequence[str]) -> None:
        self.code = code
        self.lines = tuple(lines)
        super().__init__(f"ffmpeg ended with {code}: " + " | ".join(self.lines))

    @property
    def reason(self) -> str:
        """The most telling line, for a sentence."""
        told = [_PREFIX.sub("", line) for line in self.lines if not _HOLLOW.search(line)]
        return told[-1] if told else f"ffmpeg ended with {self.code}"


class StalledError(RuntimeError):
    """ffmpeg produced nothing for too long and was killed."""

    @property
    def reason(self) -> str:
        """The same, for a sentence."""
        return str(self)


@dataclass(frozen=True)
class Output:
    """What a finished ffmpeg said."""

    code: int
    stdout: str
    stderr: str


@cache
def binary() -> str:
    """Path of the ffmpeg program: `GENEFACE_FFMPEG`, or the one inside the imageio-ffmpeg wheel."""
    own = os.environ.get("GENEFACE_FFMPEG")
    if own:
        return own
    import imageio_ffmpeg  # noqa: PLC0415 - not needed when the variable is set

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def source(path: Path, limits: Limits = DEFAULT, options: Sequence[str] = ()) -> list[str]:
    """Arguments that open `path` as an input, kept within `limits`; `options` go before `-i`."""
    bounds = ["-max_streams", str(limits.max_streams), "-max_pixels", str(limits.max_pixels), "-threads", str(THREADS)]
    return [*INPUT_FLAGS, *bounds, *options, "-i", f"file:{path}"]


def run(arguments: Sequence[str], timeout: float = 120.0) -> Output:
    """Runs ffmpeg to its end and returns what it said, whatever its exit code.

    Raises:
        StalledError: it took longer than `timeout` seconds.
    """
    command = [binary(), *GLOBAL_FLAGS, *arguments]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, env=_environment(), timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise StalledError(f"ffmpeg took longer than {timeout:.0f} s") from None
    raise_if_interrupted(done.returncode)
    return Output(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


class Process:
    """A running ffmpeg with its last words at hand. A context manager: leaving it leaves no process behind."""

    def __init__(self, arguments: Sequence[str], stdin: int = subprocess.DEVNULL, stdout: int = subprocess.PIPE) -> None:
        command = [binary(), *GLOBAL_FLAGS, *arguments]
        self._process = subprocess.Popen(
            command, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, env=_environment(), bufsize=0
        )
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe:
                _close(pipe)

    @property
    def stdin(self) -> IO[bytes]:
        """The pipe into ffmpeg; only when started with stdin=PIPE."""
        assert self._process.stdin  # noqa: S101 - a slip of the caller
        return self._process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        """The pipe out of ffmpeg."""
        assert self._process.stdout  # noqa: S101 - a slip of the caller
        return self._process.stdout

    @property
    def tail(self) -> list[str]:
        """ffmpeg's last lines on stderr."""
        return list(self._tail)

    def blocks(self, size: int, stall_seconds: float) -> Iterator[bytes]:
        """What ffmpeg writes to stdout, as it comes.

        Raises:
            StalledError: nothing came for `stall_seconds`.
        """
        poller = select.poll()
        poller.register(self.stdout, select.POLLIN)
        while True:
            if not poller.poll(stall_seconds * 1000):
                raise StalledError(f"ffmpeg produced nothing for {stall_seconds:.0f} s")
            block = self.stdout.read(size)
            if not block:
                return
            yield block

    def kill(self) -> None:
        """Ends ffmpeg now, if it still runs."""
        self._process.kill()
        self._process.wait()
        self._listener.join()

    def finish(self, timeout: float) -> None:
        """Waits for ffmpeg to end by itself.

        Raises:
            FfmpegError: it failed.
            StalledError: it did not end within `timeout` seconds.
            StoppedError, Interrupted: a signal ended it.
        """
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise StalledError(f"ffmpeg did not end within {timeout:.0f} s") from None
        self._listener.join()
        raise_if_interrupted(code)
        if code:
            raise FfmpegError(code, self.tail)

    def _listen(self) -> None:
        assert self._process.stderr  # noqa: S101 - always a pipe
        words = io.BufferedReader(self._process.stderr)  # type: ignore[type-var]
        while line := words.readline(_LINE_BYTES):
            text = line.decode(errors="replace").strip()
            if text:
                self._tail.append(text)


def chunks(
    arguments: Sequence[str], size: int, ahead: int = 8, stall_seconds: float = DEFAULT.stall_seconds
) -> Iterator[bytearray]:
    """What ffmpeg writes to stdout, in pieces of `size` bytes (the last may be shorter), read `ahead` by a thread.

    Raises:
        FfmpegError, StalledError: after the pieces that came before the failure.
    """
    with Process(arguments) as process:
        _widen(process.stdout)
        queue: Queue[bytearray | None] = Queue(ahead)
        reader = threading.Thread(target=_read, args=(process.stdout, size, queue), daemon=True)
        reader.start()
        try:
            while (chunk := queue.get(timeout=stall_seconds)) is not None:
                yield chunk
            process.finish(stall_seconds)
        except Empty:
            raise StalledError(f"ffmpeg produced nothing for {stall_seconds:.0f} s") from None
        finally:
            process.kill()
            _drain(queue, reader)


def raise_if_interrupted(code: int) -> None:
    """Tells an ffmpeg that was ended from outside (nothing is wrong with its input) from one that failed or crashed."""
    if -code not in _OUTSIDE and code != _SIGNALLED:
        return
    if stop_requested():
        raise StoppedError("stopped")
    raise Interrupted


def _environment() -> dict[str, str]:
    """Without the machine's character set modules: a statically linked ffmpeg crashes when it loads them (any mpeg-ts file)."""
    return {**os.environ, "GCONV_PATH": os.devnull}


def _read(pipe: IO[bytes], size: int, queue: "Queue[bytearray | None]") -> None:
    while True:
        chunk = bytearray(size)
        view, filled = memoryview(chunk), 0
        while filled < size and (count := pipe.readinto(view[filled:])):  # type: ignore[attr-defined]
            filled += count
        view.release()
        if filled:
            queue.put(chunk if filled == size else chunk[:filled])
        if filled < size:
            queue.put(None)
            return


def _drain(queue: "Queue[bytearray | None]", reader: threading.Thread) -> None:
    while reader.is_alive():
        try:
            queue.get(timeout=0.02)
        except Empty:
            continue


def _widen(pipe: IO[bytes]) -> None:
    """A larger pipe saves switches between the two programs; where the system refuses, the small one does."""
    try:
        import fcntl  # noqa: PLC0415 - not on every system

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    except (ImportError, AttributeError, OSError):
        return


def _close(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except BrokenPipeError:
        return
