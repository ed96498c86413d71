"""Cutting a (fractional) rectangle out of a picture and bringing it to a size, in numpy alone."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Square = tuple[float, float, float, float]
"""x, y, width, height of a rectangle; fractions of a pixel count."""


def resized(picture: NDArray[np.uint8], size: tuple[int, int], box: Square | None = None) -> NDArray[np.uint8]:
    """The part `box` of `picture` (uint8 [H, W, C]; default all of it) at `size` = (width, height), uint8.

    Linear interpolation when enlarging, a triangle filter as wide as the step when shrinking (no aliasing). Where the box
    sticks out, the picture's edge goes on.
    """
    x, y, width, height = box or (0.0, 0.0, float(picture.shape[1]), float(picture.shape[0]))
    left, across = _weights(x, width, size[0], picture.shape[1])
    top, down = _weights(y, height, size[1], picture.shape[0])
    part = picture[top : top + down.shape[1], left : left + across.shape[1]].astype(np.float32)
    narrow = np.einsum("ij,hjc->hic", across, part, optimize=True)
    small = np.einsum("kh,hic->kic", down, narrow, optimize=True)
    return np.asarray(np.clip(np.rint(small), 0, 255), np.uint8)


@lru_cache(maxsize=256)
def _weights(start: float, length: float, count: int, limit: int) -> tuple[int, NDArray[np.float32]]:
    """First source pixel and weights [count, n] of the source pixels from there on, for one axis."""
    step = length / count
    centres = start + (np.arange(count) + 0.5) * step - 0.5
    reach = max(step, 1.0)
    taps = np.arange(np.floor(centres[0] - reach), np.ceil(centres[-1] + reach) + 1)
    weights = np.maximum(0.0, 1.0 - np.abs(taps[None, :] - centres[:, None]) / reach)
    weights /= weights.sum(axis=1, keepdims=True)
    places = np.clip(taps, 0, limit - 1).astype(int)
    first, last = int(places.min()), int(places.max())
    folded = np.zeros((last - first + 1, count))
    np.add.at(folded, places - first, weights.T)
    return first, np.ascontiguousarray(folded.T, dtype=np.float32)
