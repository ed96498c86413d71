"""The square that a clip is cut to: once for the whole clip, so that the background stands still."""

import numpy as np

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
