"""The videos that are compared: every frame in presentation order, and which frame of one belongs to which of the other."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eval.quality import resized
from media import audio, ffmpeg
from media.errors import MediaError, UnsupportedMedia, VideoMissing
from media.frames import Frame
from media.limits import DEFAULT, Limits
from media.probe import VideoStream, probe

SAME_RATE = 0.01
"""Frames a second by which two rates may differ and still be paired by index."""

DECODER = "ffmpeg, every frame in presentation order, BT.601 whatever the file says"
"""OpenCV reads so, and with it the published metric scripts; both files are read alike."""

_RATES = (24000 / 1001, 30000 / 1001, 60000 / 1001, *range(1, 121))
_STAMP = 0.001
"""Seconds: the coarsest time stamps in use (Matroska)."""
_EXACT = 1e-4
_EPSILON = 1e-6


@dataclass(frozen=True)
class Clip:
    """A video file that can be read."""

    path: Path
    video: VideoStream
    sound: int | None = None
    """Number of its sound's stream in the file."""
    pasted_back: bool = False
    """Its own tags say that a rendered face was pasted on true frames."""

    @classmethod
    def open(cls, path: Path) -> "Clip":
        """Raises MediaError: what `probe` raises, and `video_missing`."""
        info = probe(path)
        if info.video is None:
            raise VideoMissing(path.name)
        sound = info.audio.index if info.audio else None
        return cls(path, info.video, sound, info.tags.get("pasted_back") == "true")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frames."""
        return self.video.width, self.video.height

    @property
    def fps(self) -> float:
        """Frames a second; the usual rate where the time stamps are too coarse to tell it from the one measured."""
        nearest = self._usual()
        return nearest if abs(nearest - self.video.fps) <= self._stamp_error() else self.video.fps

    @property
    def unsure(self) -> float:
        """By how much `fps` may be wrong for want of fine time stamps; 0 where these give a usual rate exactly."""
        return 0.0 if abs(self._usual() - self.video.fps) < _EXACT else self._stamp_error()

    def samples(self) -> NDArray[np.float32] | None:
        """Its sound, 16 kHz mono [N]; None where it has none that can be read."""
        try:
            return audio.read(self.path) if self.sound is not None else None
        except MediaError:
            return None

    def _usual(self) -> float:
        return float(min(_RATES, key=lambda rate: abs(rate - self.video.fps)))

    def _stamp_error(self) -> float:
        return self.video.fps**2 * _STAMP / max(self.video.frames - 1, 1)

    def frames(self, limits: Limits = DEFAULT) -> Generator[Frame, None, None]:
        """All frames, uint8 [H, W, 3] RGB. Raises MediaError `unsupported_media` when none can be decoded, or ffmpeg gives up."""
        width, height = self.size
        chain = f"scale={width}:{height}:flags=bicubic:in_color_matrix=bt601,format=rgb24"
        options = ["-loglevel", "error", "-map", f"0:{self.video.index}", "-fps_mode", "passthrough", "-vf", chain]
        arguments = [*ffmpeg.source(self.path, limits), *options, "-f", "rawvideo", "-"]
        done = 0
        try:
            for chunk in ffmpeg.chunks(arguments, width * height * 3, stall_seconds=limits.stall_seconds):
                yield np.frombuffer(chunk, np.uint8).reshape(height, width, 3)
                done += 1
        except (ffmpeg.FfmpegError, ffmpeg.StalledError) as error:
            raise UnsupportedMedia(self.path.name, reason=error.reason) from None
        if not done:
            raise UnsupportedMedia(self.path.name, reason="not one frame could be decoded")


class Pairing:
    """Which true frame belongs to which frame of another clip.

    By index when the rates are the same; otherwise the true frame on display when the other frame appears.
    """

    def __init__(self, truth: Clip, other: Clip) -> None:
        self.by_time = abs(other.fps - truth.fps) > max(SAME_RATE, truth.unsure + other.unsure)
        self._ratio = truth.fps / other.fps if self.by_time else 1.0

    def index(self, number: int) -> int:
        """Index of the true frame for frame `number` of the other clip."""
        return int(number * self._ratio + _EPSILON)


def pairs(
    truth: Clip, other: Clip, see_truth: Callable[[Frame], None] | None = None, see_other: Callable[[Frame], None] | None = None
) -> Iterator[tuple[int, Frame, Frame]]:
    """(index of the true frame, true frame, other frame in the true frame's size), until one of the two ends.

    `see_truth` and `see_other` are shown every frame of their clip as it is, also those that are left when the other has ended.
    """
    with closing(truth.frames()) as true_frames, closing(other.frames()) as other_frames:
        shown, others = _shown(true_frames, see_truth), _shown(other_frames, see_other)
        yield from _paired(Pairing(truth, other), truth.size, shown, others)
        for see, rest in ((see_truth, shown), (see_other, others)):
            if see:
                deque(rest, maxlen=0)


def _paired(
    pairing: Pairing, size: tuple[int, int], true_frames: Iterator[Frame], other_frames: Iterator[Frame]
) -> Iterator[tuple[int, Frame, Frame]]:
    at, true_frame = 0, next(true_frames)
    for number, frame in enumerate(other_frames):
        while at < pairing.index(number):
            following = next(true_frames, None)
            if following is None:
                return
            at, true_frame = at + 1, following
        yield at, true_frame, resized(frame, *size)


def _shown(frames: Iterator[Frame], see: Callable[[Frame], None] | None) -> Iterator[Frame]:
    for frame in frames:
        if see:
            see(frame)
        yield frame
