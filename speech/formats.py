"""Sound as the bytes of a file, while it is being made: nothing waits for the end, and no header is corrected afterwards."""

import struct
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from media import ffmpeg
from speech.engines.port import Samples

_UNKNOWN = 0xFFFF_FFFF
"""What stands for a length in a wav that is being streamed; readers take what comes until its end."""
_BLOCK = 1 << 16
_END_SECONDS = 30.0
"""For ffmpeg to write what is left when the sound has ended."""

Sink = Callable[[bytes], None]


class Encoder(Protocol):
    """Takes samples and hands bytes on. `close` always, `finish` before it when all samples were given."""

    def push(self, samples: Samples) -> None: ...

    def finish(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Format:
    """A kind of file that can be streamed."""

    content_type: str
    codec: tuple[str, ...]
    """ffmpeg's arguments; none: written here."""

    def encoder(self, rate: int, sink: Sink, stall_seconds: float) -> Encoder:
        """`sink` may be called from another thread. `stall_seconds`: how long the samples may keep ffmpeg waiting."""
        return _Ffmpeg(self.codec, rate, sink, stall_seconds) if self.codec else _Wav(rate, sink)


FORMATS = {
    "wav": Format("audio/wav", ()),
    "mp3": Format("audio/mpeg", ("-c:a", "libmp3lame", "-b:a", "96k", "-write_xing", "0", "-id3v2_version", "0", "-f", "mp3")),
    "ogg": Format("audio/ogg; codecs=opus", ("-c:a", "libopus", "-b:a", "48k", "-page_duration", "200000", "-f", "ogg")),
}


def wav_head(rate: int) -> bytes:
    """Header of a mono 16-bit wav of unknown length."""
    form = struct.pack("<HHIIHH", 1, 1, rate, 2 * rate, 2, 16)
    return (
        b"RIFF" + struct.pack("<I", _UNKNOWN) + b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", _UNKNOWN)
    )


def pcm(samples: Samples) -> bytes:
    """Signed 16 bit, little-endian."""
    return np.round(np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()


class _Wav:
    def __init__(self, rate: int, sink: Sink) -> None:
        self._head, self._sink = wav_head(rate), sink

    def push(self, samples: Samples) -> None:
        head, self._head = self._head, b""
        self._sink(head + pcm(samples))

    def finish(self) -> None:
        if self._head:
            self._sink(self._head)

    def close(self) -> None:
        """Nothing is open."""


class _Ffmpeg:
    def __init__(self, codec: tuple[str, ...], rate: int, sink: Sink, stall_seconds: float) -> None:
        arguments = [  # without so small a probe, ffmpeg listens to the first 5 s before it writes a byte
            "-loglevel", "error", "-protocol_whitelist", "pipe", "-probesize", "32",
            "-f", "s16le", "-ar", str(rate), "-ac", "1", "-i", "pipe:0",
            "-map_metadata", "-1", *codec, "-flush_packets", "1", "pipe:1",
        ]  # fmt: skip
        self._process = ffmpeg.Process(arguments, stdin=subprocess.PIPE)
        self._sink, self._stall_seconds = sink, stall_seconds
        self._stalled: ffmpeg.StalledError | None = None
        self._reader = threading.Thread(target=self._read, name="ffmpeg", daemon=True)
        self._reader.start()

    def push(self, samples: Samples) -> None:
        view = memoryview(pcm(samples))
        try:
            while view:
                view = view[self._process.stdin.write(view) :]
        except BrokenPipeError:
            self._process.finish(_END_SECONDS)
            raise

    def finish(self) -> None:
        self._process.stdin.close()
        self._reader.join(_END_SECONDS)
        if self._stalled:
            raise self._stalled
        self._process.finish(_END_SECONDS)

    def close(self) -> None:
        self._process.kill()
        self._reader.join()
        self._process.__exit__()

    def _read(self) -> None:
        try:
            for block in self._process.blocks(_BLOCK, self._stall_seconds):
                self._sink(block)
        except ffmpeg.StalledError as error:
            self._stalled = error
            self._process.kill()
