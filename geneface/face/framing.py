"""The square that a clip is cut to: one for the whole clip, so that the background stands still, unless the speaker wanders."""

import numpy as np

from geneface.face.geometry import Array
from media.clock import FPS
from media.faces import Survey, face_crop
from media.frames import Box

SIDE = 512
"""Pixels of the packed frames."""
WHOLE = 0.8
"""From this share of the picture's shorter side on, the crop is the whole shorter side: a clip that is framed already stays
as it is.
"""
SMALLEST_FACE = 80.0
"""Pixels of the face's width in the source below which a mouth has too few of them."""

WANDERING = 1.1
"""Face widths between the outermost places of the face's box, beyond its own width, from which on the crop follows: a fixed one
would be half as large again.
"""
FOLLOWED_SIDE = 2.4
"""Face widths of the square that follows."""
STEADINESS = 1.0
"""Seconds (deviation of a Gaussian) over which the followed path is smoothed."""


def face_width(survey: Survey) -> float:
    """Median width of the speaker's face in pixels of the source."""
    return float(np.median(survey.boxes[:, 2]))


def crop_of(survey: Survey, width: int, height: int) -> Box:
    """x, y, width, height of the square around the speaker's face, all even, inside the picture of this size."""
    x, y, side, _ = face_crop(survey.boxes, width, height)
    whole = min(width, height) // 2 * 2
    if side < WHOLE * whole:
        return x, y, side, side
    x = int(np.clip(x + side / 2 - whole / 2, 0, width - whole)) // 2 * 2
    y = int(np.clip(y + side / 2 - whole / 2, 0, height - whole)) // 2 * 2
    return x, y, whole, whole


def wanders(survey: Survey) -> bool:
    """Whether the face moves so far over the picture that one crop for all of it would leave the face small."""
    left, top = np.percentile(survey.boxes[:, :2], 2, axis=0)
    right, bottom = np.percentile(survey.boxes[:, :2] + survey.boxes[:, 2:], 98, axis=0)
    width, height = np.median(survey.boxes[:, 2:], axis=0)
    return bool(max(right - left - width, bottom - top - height) > WANDERING * width)


def followed(survey: Survey, frames: int, width: int, height: int) -> Array:
    """The square of each of `frames` frames, float32 [T, 3] (x, y, side in pixels of the source), that keeps the face in its
    middle and of one size; inside the picture. The survey has to have looked often.
    """
    now = np.arange(frames) / FPS
    centre = survey.boxes[:, :2] + survey.boxes[:, 2:] / 2
    tracks = np.stack([np.interp(now, survey.times, one) for one in (*centre.T, survey.boxes[:, 2])], 1)
    x, y, wide = _blurred(tracks, STEADINESS * FPS).T
    side = np.minimum(FOLLOWED_SIDE * wide, min(width, height))
    left, top = np.clip(x - side / 2, 0, width - side), np.clip(y - side / 2, 0, height - side)
    return np.stack([left, top, side], 1).astype(np.float32)


def _blurred(tracks: np.ndarray, deviation: float) -> np.ndarray:
    """Tracks [T, C] smoothed over time by a Gaussian; their ends stand still."""
    reach = int(3 * deviation)
    weights = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / deviation))
    padded = np.pad(tracks, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(one, weights / weights.sum(), mode="valid") for one in padded.T], 1)
