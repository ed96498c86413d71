"""The real frames under the drawn mouths: which ones, and reading them in that order without holding them all."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from media import video

BACKWARD_CHUNK = 50
"""Frames decoded at once when the video runs backwards (39 MB at 512 x 512)."""


def mirrored(total: int, start: int, count: int) -> np.ndarray:
    """`count` frame numbers from `start` on, forth and back between the first and the last of `total`, [count]."""
    if total < 2:
        return np.zeros(count, np.int64)
    phase = (start + np.arange(count)) % (2 * total - 2)
    return np.where(phase < total, phase, 2 * total - 2 - phase)


def read(path: Path, numbers: np.ndarray) -> Iterator[np.ndarray]:
    """The frames of these numbers (runs of steps +1 or -1), uint8 [H, W, 3], streaming."""
    for run in _runs(numbers):
        if len(run) == 1 or run[1] > run[0]:
            yield from _forward(path, run)
            continue
        for chunk in (run[i : i + BACKWARD_CHUNK] for i in range(0, len(run), BACKWARD_CHUNK)):
            yield from reversed(list(_forward(path, chunk[::-1])))


def _forward(path: Path, run: np.ndarray) -> Iterator[np.ndarray]:
    return video.frames(path, start=run[0] / video.FPS, seconds=len(run) / video.FPS)


def _runs(numbers: np.ndarray) -> list[np.ndarray]:
    steps = np.diff(numbers)
    cuts = [0]
    for i in range(1, len(steps)):
        if steps[i] != steps[i - 1] and i > cuts[-1]:
            cuts.append(i + 1)
    return [part for part in np.split(numbers, cuts[1:]) if len(part)]
