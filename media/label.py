"""The small visible label "AI-generated" in the lower right corner."""

import numpy as np
from numpy.typing import NDArray

from media import font

TEXT = "AI-generated"

_HEIGHT = 0.05
"""Height of the letters, ascender to descender, over the picture's shorter side."""

_MARGIN = 0.025
_PLATE = 0.42
_INK = 0.92
_DARK = 16.0
_LIGHT = 255.0


class Label:
    """The label for frames of one size; made once, drawn on each."""

    def __init__(self, width: int, height: int) -> None:
        side = min(width, height)
        letters = font.text(TEXT, max(9, round(_HEIGHT * side)))
        pad = max(2, round(0.35 * letters.shape[0]))
        plate_height, plate_width = letters.shape[0] + 2 * (pad // 2), letters.shape[1] + 2 * pad
        ink = np.zeros((plate_height, plate_width), np.float32)
        top, left = (plate_height - letters.shape[0]) // 2, (plate_width - letters.shape[1]) // 2
        ink[top : top + letters.shape[0], left : left + letters.shape[1]] = letters
        plate = _PLATE * _rounded(plate_height, plate_width)
        margin = round(_MARGIN * side)
        y, x = max(0, height - margin - plate_height), max(0, width - margin - plate_width)
        self._place = (slice(y, min(height, y + plate_height)), slice(x, min(width, x + plate_width)))
        rows, columns = self._place[0].stop - y, self._place[1].stop - x
        keep = (1.0 - plate) * (1.0 - _INK * ink)
        add = plate * _DARK * (1.0 - _INK * ink) + _INK * ink * _LIGHT
        self._keep, self._add = keep[:rows, :columns, None], add[:rows, :columns, None] + 0.5

    def drawn(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A copy of `frame`, uint8 [H, W, 3], with the label on it."""
        marked = frame.copy()
        marked[self._place] = (marked[self._place] * self._keep + self._add).astype(np.uint8)
        return marked


def _rounded(height: int, width: int) -> NDArray[np.float32]:
    """Coverage of a plate with round ends."""
    radius = height / 2
    x = np.abs(np.arange(width) + 0.5 - width / 2) - (width / 2 - radius)
    y = np.arange(height) + 0.5 - radius
    distance = np.hypot(np.maximum(x, 0.0)[None, :], y[:, None])
    return np.asarray(np.clip(radius - distance + 0.5, 0.0, 1.0), np.float32)
