"""Frames with known contents, and how they become videos."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from media import ffmpeg

Frame = NDArray[np.uint8]
Frames = Sequence[Frame]
WriteVideo = Callable[..., Path]

TALKER = Path(__file__).parents[2] / "samples/talker.mp4"
REFERENCE = Path(sys.prefix) / "reference"
"""Other people's code that ours is compared with; `make test` lays it there (requirements/reference.txt)."""

LOSSLESS = ("-c:v", "libx264rgb", "-qp", "0")

_FACE = (slice(30, 230), slice(125, 325))
_MOUTH = (197.0, 238.0)
"""Middle of the astronaut's mouth in `_FACE`, enlarged to 400 px: x, y."""


def write(path: Path, frames: Frames, fps: float = 25, options: Sequence[str] = LOSSLESS) -> Path:
    """Encodes the frames; by default without loss, in RGB."""
    height, width = frames[0].shape[:2]
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps), "-i", "-"]
    command = [ffmpeg.binary(), "-y", "-loglevel", "error", *raw, *options, str(path)]
    subprocess.run(command, input=b"".join(np.ascontiguousarray(frame).tobytes() for frame in frames), check=True)
    return path


def noise(count: int = 12, height: int = 72, width: int = 96) -> Frames:
    """Blocks and grain, no two frames alike."""
    random = np.random.default_rng(3)
    blocks = random.integers(40, 200, (count, -(-height // 8), -(-width // 8), 3)).repeat(8, 1).repeat(8, 2)[:, :height, :width]
    return list((blocks + random.integers(-20, 20, blocks.shape)).astype(np.uint8))


def worsened(frames: Frames, spread: int = 12) -> Frames:
    """The frames with noise that grows over the clip."""
    random = np.random.default_rng(5)
    more = [random.integers(-spread, spread + 1, frame.shape) * (number + 1) // 4 for number, frame in enumerate(frames)]
    return [np.clip(frame.astype(int) + added, 0, 255).astype(np.uint8) for frame, added in zip(frames, more, strict=True)]


def opening(count: int, seed: int = 1) -> NDArray[np.float64]:
    """How far a mouth opens, 0–1, in `count` frames."""
    steps = np.random.default_rng(seed).normal(size=count + 8)
    curve = np.convolve(steps, np.hanning(6), "same")[4:-4]
    return (curve - curve.min()) / np.ptp(curve)


def talking(openness: NDArray[np.float64]) -> Frames:
    """A face, 400×400, that nods a little and opens its mouth by `openness`."""
    face = cv2.resize(data.astronaut()[_FACE], (400, 400), interpolation=cv2.INTER_CUBIC)
    return [_posed(face, number, float(wide)) for number, wide in enumerate(openness)]


def _posed(face: Frame, number: int, wide: float) -> Frame:
    y, x = np.mgrid[0:400, 0:400].astype(np.float32)
    x, y = x - 4 * np.sin(number / 7), y - 3 * np.cos(number / 5)
    across, down = (x - _MOUTH[0]) / 45, (y - _MOUTH[1]) / 40
    near = np.clip(1 - across**2, 0, 1) * np.exp(-(down**2))
    stretch = (y - _MOUTH[1]) * near * 0.8 * wide
    x, y = x.astype(np.float32), (y - stretch).astype(np.float32)
    posed: Frame = cv2.remap(face, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return posed
