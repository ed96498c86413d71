"""Frames into a file: H.264 and AAC in an mp4 that any player takes, whole or not at all."""

import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from media import captions, ffmpeg, provenance
from media.audio import on_clock
from media.clock import FPS
from media.errors import AudioMissing, DiskFull
from media.files import written
from media.frames import Frame
from media.label import Label
from media.probe import AudioStream, probe

_RGB_TO_BT709 = "scale=flags=bicubic+accurate_rnd+full_chroma_int:out_color_matrix=bt709:out_range="
_TAGGED = "setparams=color_primaries=bt709:color_trc=bt709"
_SOUND_RATE = 48_000
_FINISH_SECONDS = 600.0


@dataclass(frozen=True)
class Quality:
    """How pictures are coded."""

    crf: int
    preset: str
    pixel_format: str
    profile: str
    full_range: bool
    keyframe_every: int


SHOWN = Quality(18, "faster", "yuv420p", "high", False, 2 * FPS)
"""For people: plays in browsers."""

PACKED = Quality(8, "fast", "yuv444p", "high444", True, FPS)
"""For datasets: near-lossless, no chroma subsampling, a keyframe every second; only ffmpeg need read it."""


class Writer:
    """Writes an mp4 of `fps` frames a second; a context manager. Nothing appears at `path` before all of it is there.

    With `audio`, frames must cover the sound to one frame (`media.video.frame_count` says how many): nothing is padded or
    trimmed here. `generated=True` marks the file as AI-generated, in its metadata (`media.provenance`); `label=True` also
    draws the small visible label; `subtitles`, an SRT file, is drawn too. Colours are bt709 and tagged so; an odd size is
    refused (H.264 4:2:0 has none).

    Raises (from the constructor, `write` or the end of the block):
        MediaError: the sound is unreadable, `audio_missing`, `audio_empty`; what `captions.burning` raises.
        DiskFull: no room for the file.
        FfmpegError: ffmpeg failed; its last lines are in the message.
        ValueError: a wrong frame shape, an odd size, or frames and sound of different lengths.
    """

    def __init__(
        self,
        path: Path,
        width: int,
        height: int,
        fps: int = FPS,
        audio: Path | None = None,
        crf: int | None = None,
        label: bool = False,
        generated: bool = True,
        tags: dict[str, str] | None = None,
        quality: Quality = SHOWN,
        subtitles: Path | None = None,
    ) -> None:
        if quality.pixel_format == "yuv420p" and (width % 2 or height % 2):
            raise ValueError(f"{width}×{height}: H.264 needs even sides")
        self.path, self.width, self.height, self.fps = Path(path), width, height, fps
        self.frames = 0
        self._sound = None if audio is None else Path(audio)
        self._track = None if self._sound is None else _sound_track(self._sound)
        self._label = Label(width, height) if label else None
        self._generated = generated
        self._tags = {**(provenance.tags() if generated else {}), **(tags or {})}
        self._quality = quality
        self._subtitles = subtitles
        self._crf = quality.crf if crf is None else crf
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._partial = stack.enter_context(written(self.path))
            drawn = [stack.enter_context(captions.burning(self._subtitles))] if self._subtitles else []
            self._process = stack.enter_context(ffmpeg.Process(self._arguments(drawn), subprocess.PIPE, subprocess.DEVNULL))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            self._finish()

    def write(self, frame: Frame) -> None:
        """Appends one frame, uint8 [height, width, 3], RGB."""
        if frame.shape != (self.height, self.width, 3) or frame.dtype != np.uint8:
            raise ValueError(f"frame is {frame.dtype} {frame.shape}, not uint8 {(self.height, self.width, 3)}")
        shown = self._label.drawn(frame) if self._label else np.ascontiguousarray(frame)
        data = shown.reshape(-1).data
        try:
            while data:
                data = data[self._process.stdin.write(data) :]
        except BrokenPipeError:
            self._wait()
            raise
        self.frames += 1

    def _finish(self) -> None:
        self._check_length()
        self._process.stdin.close()
        self._wait()
        if self._generated:
            provenance.append_xmp(self._partial)

    def _wait(self) -> None:
        try:
            self._process.finish(_FINISH_SECONDS)
        except ffmpeg.FfmpegError as error:
            if any("No space left on device" in line for line in error.lines):
                raise DiskFull(self.path.name) from error
            raise

    def _check_length(self) -> None:
        if not self.frames:
            raise ValueError(f"{self.path.name}: no frame was written")
        if self._track is None:
            return
        seconds = self.frames / self.fps
        if abs(seconds - self._track.seconds) > 1.001 / self.fps:
            raise ValueError(f"{self.path.name}: {seconds:.2f} s of frames for {self._track.seconds:.2f} s of sound")

    def _arguments(self, filters: list[str]) -> list[str]:
        quality = self._quality
        span = "pc" if quality.full_range else "tv"
        arguments = [
            "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{self.width}x{self.height}",
            "-r", str(self.fps), "-i", "pipe:0",
        ]  # fmt: skip
        if self._sound and self._track:
            clock = f"{on_clock(_SOUND_RATE)},atrim=end={self._track.seconds:.6f}"
            arguments += [*ffmpeg.source(self._sound), "-map", "0:v", "-map", f"1:{self._track.index}"]
            arguments += ["-af", clock, "-c:a", "aac", "-b:a", "128k"]
        arguments += [
            "-vf", ",".join([*filters, f"{_RGB_TO_BT709}{span}", f"format={quality.pixel_format}", _TAGGED]),
            "-c:v", "libx264", "-profile:v", quality.profile, "-preset", quality.preset, "-crf", str(self._crf),
            "-g", str(quality.keyframe_every), "-threads", str(ffmpeg.THREADS),
            "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", span,
            "-movflags", "+faststart+use_metadata_tags",
        ]  # fmt: skip
        for key, value in self._tags.items():
            arguments += ["-metadata", f"{key}={value}"]
        return [*arguments, "-f", "mp4", f"file:{self._partial}"]


def pack(path: Path, width: int, height: int, fps: int = FPS, tags: dict[str, str] | None = None) -> Writer:
    """A writer of near-lossless frames without sound, for datasets: not for browsers, not marked as generated."""
    return Writer(path, width, height, fps, generated=False, tags=tags, quality=PACKED)


def _sound_track(path: Path) -> AudioStream:
    info = probe(path)
    if info.audio is None:
        raise AudioMissing(path.name)
    return info.audio
