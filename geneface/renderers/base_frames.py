"""The real frames under the drawn mouths: which ones, and reading them in that order without holding them all."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from media import video
from media.mesh import runs

BLOCK = 50
"""Frames decoded at once when the video runs backwards or to and fro (39 MB at 512 x 512; two or three are held)."""
LONG_SILENCE, STILL = 50, 12
"""Frames of silence after which the head holds still, and how many frames it then moves to either side."""


def good_stretch(good: np.ndarray) -> tuple[int, int]:
    """First and one-past-last of the longest run of frames [T] that may be shown: in the others a hand, another shot's light or
    a turned head would lie under the mouth.
    """
    return max(runs(good), key=lambda stretch: stretch[1] - stretch[0], default=(0, len(good)))


def schedule(total: int, start: int, silent: np.ndarray) -> np.ndarray:
    """Frame numbers [T] from `start` on, forth and back between the first and the last of `total`: one step each time, so that
    the head never jumps. In long silences (silent: bool [T]) only a few frames forth and back: who says nothing holds still.
    """
    calm = _long(silent)
    numbers = np.empty(len(silent), np.int64)
    place, step, low, high = min(start, total - 1), 1, 0, total - 1
    for t in range(len(silent)):
        numbers[t] = place
        if total < 2:
            continue
        if calm[t] and not calm[t - 1]:
            low, high = max(0, place - STILL), min(total - 1, place + STILL)
        elif not calm[t]:
            low, high = 0, total - 1
        step = step if low <= place + step <= high else -step
        place += step
    return numbers


def _long(silent: np.ndarray) -> np.ndarray:
    """Where a silence has gone on for LONG_SILENCE frames, bool [T]."""
    since = np.arange(len(silent)) - np.maximum.accumulate(np.where(silent, 0, np.arange(len(silent)) + 1))
    return silent & (since >= LONG_SILENCE)


def read(path: Path, numbers: np.ndarray) -> Iterator[np.ndarray]:
    """The frames of these numbers (steps of +1 or -1), uint8 [H, W, 3], streaming."""
    blocks: dict[int, list[np.ndarray]] = {}
    for run in _runs(numbers):
        if len(run) > BLOCK and run[1] > run[0]:
            yield from _forward(path, run)
            continue
        for number in run:
            block = int(number) // BLOCK
            if block not in blocks:
                for far in [b for b in blocks if abs(b - block) > 1]:
                    del blocks[far]
                blocks[block] = list(_forward(path, np.arange(block * BLOCK, (block + 1) * BLOCK)))
            yield blocks[block][int(number) % BLOCK]


def _forward(path: Path, run: np.ndarray) -> Iterator[np.ndarray]:
    return video.frames(path, start=run[0] / video.FPS, seconds=len(run) / video.FPS)


def _runs(numbers: np.ndarray) -> list[np.ndarray]:
    steps = np.diff(numbers)
    cuts = [0]
    for i in range(1, len(steps)):
        if steps[i] != steps[i - 1] and i > cuts[-1]:
            cuts.append(i + 1)
    return [part for part in np.split(numbers, cuts[1:]) if len(part)]
