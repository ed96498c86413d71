"""How far sound and picture are apart: at which shift the sound tells most about the lips. Pure numpy.

Loudness and aperture alone agree too weakly on real speakers (r about .25). Here the clip's own mel bands learn, by ridge
regression with cross-validation, to say where and how fast its lips move, at every shift anew; they say it best where sound
and picture belong together.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from geneface.face.geometry import Array
from geneface.sound.features import BANDS, log_mel
from media import mouth
from media.clock import FPS, SAMPLES_PER_FRAME

REACH = 25
"""Frames to either side that are looked at."""
LONGEST = 180 * FPS
"""Frames that are looked at, at most, from the clip's middle."""
SHORTEST = 6 * FPS
LEAST, MOST = 2.0, 15.0
"""Frames: what is less stays as it is, what is more is refused."""
_GROUP = 4
_RIDGE = 30.0
_FOLDS = 5
_NEAR = 7
"""Frames around the peak that belong to it: mouths move slowly."""
SURE_HEIGHT, SURE_SIGMAS, SURE_RATIO = 0.65, 5.0, 1.6
"""From which on the peak is believed: its height, its distance from the mean of the shifts away from it in their deviations,
and over the highest of them.
"""


@dataclass(frozen=True)
class Offset:
    """`frames`: how much later the sound is than the lips (negative: earlier), to a fraction of a frame. `height`: the root of
    the summed squared correlations there; `floor` and `sigmas`: the highest of it far from there, and how many deviations
    the peak stands out. `sure`: whether to believe it."""

    frames: float
    height: float
    floor: float
    sigmas: float
    sure: bool


def measure(front: Array, sound: Array, good: NDArray[np.bool_]) -> Offset | None:
    """The offset of `sound` (16 kHz, from the first frame on) against the lips of the pose-free points [T, 478, 3].

    Only frames of `good` [T] count. None when there are fewer than 8 s of them.
    """
    count = min(len(front), len(sound) // SAMPLES_PER_FRAME)
    start = max(0, (count - LONGEST) // 2)
    part = slice(start, min(count, start + LONGEST))
    if int(good[part].sum()) < SHORTEST + 2 * REACH:
        return None
    lips = _standard(_lips(front[part]), good[part])
    heard = _standard(
        _heard(sound[part.start * SAMPLES_PER_FRAME : part.stop * SAMPLES_PER_FRAME]), np.ones(part.stop - part.start, bool)
    )
    heights = np.array([_agreement(lips, heard, good[part], shift) for shift in range(-REACH, REACH + 1)])
    return judged(heights)


def judged(heights: NDArray[np.floating]) -> Offset:
    """The offset told by the agreement at the shifts -25 to 25."""
    peak = int(heights.argmax())
    far = heights[np.abs(np.arange(len(heights)) - peak) > _NEAR]
    fraction = 0.0
    if 0 < peak < len(heights) - 1:
        left, top, right = heights[peak - 1 : peak + 2]
        fraction = float((left - right) / (2 * (left - 2 * top + right) or -1.0))
    height, floor = float(heights[peak]), float(far.max())
    sigmas = float((height - far.mean()) / max(float(far.std()), 1e-6))
    sure = height >= SURE_HEIGHT and sigmas >= SURE_SIGMAS and height >= SURE_RATIO * floor
    inside = abs(peak - REACH) < REACH
    return Offset(round(peak - REACH + fraction, 2), round(height, 3), round(floor, 3), round(sigmas, 2), sure and inside)


def to_remove(offset: Offset | None) -> int:
    """Frames by which the sound is to be taken earlier: 0 when the offset is small or not sure."""
    if offset is None or not offset.sure or abs(offset.frames) < LEAST:
        return 0
    return round(offset.frames)


def _lips(front: Array) -> Array:
    """Aperture, width and height of the mouth and their speeds, [T, 6]."""
    gap, wide = mouth.aperture(front), mouth.width(front)
    high = np.linalg.norm(front[:, 0] - front[:, 17], axis=-1)
    speed = np.gradient(gap)
    return np.stack([gap, wide, high, np.abs(speed), speed, np.gradient(wide)], 1)


def _heard(sound: Array) -> Array:
    """20 mel bands and their changes, [T, 40]."""
    bands = log_mel(sound)
    bands = bands.reshape(len(bands) // 2, 2, BANDS // _GROUP, _GROUP).mean((1, 3))
    bands = np.maximum(bands, np.percentile(bands, 98) - 12.0)
    return np.concatenate([bands, np.gradient(bands, axis=0)], 1)


def _standard(signal: Array, good: NDArray[np.bool_]) -> Array:
    """Without what changes over more than a second, of unit spread over the `good` frames."""
    window = np.hanning(2 * FPS + 3)[1:-1]
    padded = np.pad(signal, ((FPS, FPS), (0, 0)), mode="reflect")
    slow = np.stack([np.convolve(one, window / window.sum(), mode="valid") for one in padded.T], 1)
    quick = signal - slow
    return np.asarray((quick - quick[good].mean(0)) / np.maximum(quick[good].std(0), 1e-6), np.float64)


def _agreement(lips: Array, heard: Array, good: NDArray[np.bool_], shift: int) -> float:
    """How well sound that is `shift` frames late tells the lips: root of the sum of their squared (positive) correlations."""
    frames = np.arange(max(0, -shift), len(lips) - max(0, shift))
    frames = frames[good[frames]]
    known, wanted = heard[frames + shift], lips[frames]
    said = np.empty_like(wanted)
    edges = np.linspace(0, len(frames), _FOLDS + 1).astype(int)
    gram, cross = known.T @ known, known.T @ wanted
    ridge = _RIDGE * np.eye(known.shape[1])
    for first, last in pairwise(edges):
        held, told = known[first:last], wanted[first:last]
        weights = np.linalg.solve(gram - held.T @ held + ridge, cross - held.T @ told)
        said[first:last] = held @ weights
    said -= said.mean(0)
    wanted = wanted - wanted.mean(0)
    spread = np.sqrt((said**2).sum(0) * (wanted**2).sum(0))
    correlation = (said * wanted).sum(0) / np.maximum(spread, 1e-9)
    return float(np.sqrt(np.square(np.maximum(correlation, 0)).sum()))
