"""NIQE: how unnatural a single picture's statistics are (Mittal, Soundararajan & Bovik 2013); lower is better.

Follows the authors' MATLAB release and BasicSR 1.4.2, its port: the pristine model is theirs, so are the float32 roundings that
decide what flat blocks are worth. Pure functions of uint8 [H, W, 3] RGB frames.
"""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import gamma

from media.frames import Frame

BLOCK = 96
"""Side of the blocks at full size; half of it at half size."""
FEWEST_BLOCKS = 2
"""Blocks without which there is no covariance."""
MODEL = Path(__file__).parent / "niqe_pris_params.npz"
"""Mean [36] and covariance [36, 36] of pristine pictures' features, and the 7x7 window; from BasicSR 1.4.2 (Apache-2.0)."""

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Neighbours whose products are looked at: along the row, the column and both diagonals."""


def niqe(frame: Frame) -> float | None:
    """Distance of the frame's statistics from those of pristine pictures; None where fewer than two blocks say something."""
    rows, columns = frame.shape[0] // BLOCK, frame.shape[1] // BLOCK
    if rows * columns < FEWEST_BLOCKS:
        return None
    picture = luma(frame[: rows * BLOCK, : columns * BLOCK])
    halved = half(picture / np.float32(255)) * np.float32(255)
    features = np.concatenate([_features(picture, BLOCK), _features(halved, BLOCK // 2)], 1)
    whole = features[np.isfinite(features).all(1)]
    if len(whole) < FEWEST_BLOCKS:
        return None
    mean, covariance, _ = _pristine()
    away = mean - np.nanmean(features, 0)
    spread = np.linalg.pinv((covariance + np.cov(whole, rowvar=False)) / 2)
    return float(np.sqrt(max(away @ spread @ away, 0.0)))


def luma(frame: Frame) -> Floats:
    """BT.601 studio luma [H, W] (16-235), rounded to whole levels."""
    weighted = frame @ np.array([65.481, 128.553, 24.966])
    return np.asarray(np.round(16 + weighted / 255), np.float32)


def half(picture: Floats) -> Floats:
    """[H, W], both even, to [H/2, W/2]: MATLAB's imresize(…, 0.5), the bicubic kernel (a = -0.5) widened for antialiasing,
    the picture mirrored at its edges.
    """
    taps = _half_taps()
    reach = len(taps) // 2 - 1
    padded = cv2.copyMakeBorder(picture, reach, reach, reach, reach, cv2.BORDER_REFLECT)
    rows = sum(tap * padded[at : at + picture.shape[0] : 2] for at, tap in enumerate(taps))
    both = sum(tap * rows[:, at : at + picture.shape[1] : 2] for at, tap in enumerate(taps))
    return np.asarray(both, np.float32)


def _half_taps() -> Floats:
    """Weights of the 8 neighbours, at distances 3.5, 2.5, … from the new pixel's centre."""
    distance = np.abs(np.arange(8) - 3.5) / 2
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    taps = np.where(distance <= 1, near, np.where(distance <= 2, far, 0.0))
    return np.asarray(taps / taps.sum(), np.float32)


def _features(picture: Floats, block: int) -> Doubles:
    """18 numbers of each block [B, 18]: the shape of its contrast-normalised pixels and of four products of neighbours."""
    rows, columns = picture.shape[0] // block, picture.shape[1] // block
    normal = _normalised(picture).reshape(rows, block, columns, block).swapaxes(1, 2).reshape(-1, block, block)
    shape, left, right = _asymmetric_gaussian(normal)
    found = [shape, (left + right) / 2]
    for shift in _SHIFTS:
        shape, left, right = _asymmetric_gaussian(normal * np.roll(normal, shift, (1, 2)))
        found += [shape, (right - left) * (gamma(2 / shape) / gamma(1 / shape)), left, right]
    return np.stack(found, 1)


def _normalised(picture: Floats) -> Floats:
    """Each pixel less its neighbourhood's mean, over its deviation plus 1."""
    window = _pristine()[2]
    mean = _windowed(picture, window)
    deviation = np.sqrt(np.abs(_windowed(picture * picture, window) - mean * mean))
    return np.asarray((picture - mean) / (deviation + 1), np.float32)


def _windowed(picture: Floats, window: Doubles) -> Floats:
    filtered = cv2.filter2D(picture.astype(np.float64), -1, window, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(filtered, np.float32)


def _asymmetric_gaussian(blocks: Floats) -> tuple[Doubles, Doubles, Doubles]:
    """Shape and the scales of both sides of the asymmetric generalised Gaussian fitted to each block [B, n, n] by moments
    (Lasmar, Stitou & Berthoumieu 2009); a block without values on both sides of 0 has NaN scales.
    """
    values = blocks.reshape(len(blocks), -1)
    below, above = np.minimum(values, 0), np.maximum(values, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.sqrt(_squares(below) / np.count_nonzero(below, 1))
        right = np.sqrt(_squares(above) / np.count_nonzero(above, 1))
        ratio = left / right
        absolute = (above.sum(1, dtype=np.float64) - below.sum(1, dtype=np.float64)) / values.shape[1]
        peaked = absolute**2 / ((_squares(below) + _squares(above)) / values.shape[1])
        wanted = peaked * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shapes, moments, sides = _shapes()
    after = np.clip(np.searchsorted(moments, wanted), 1, len(moments) - 1)
    nearest = np.where(wanted - moments[after - 1] <= moments[after] - wanted, after - 1, after)
    nearest = np.where(np.isnan(wanted), 0, nearest)
    return shapes[nearest], left * sides[nearest], right * sides[nearest]


def _squares(values: Floats) -> Doubles:
    return np.asarray(np.einsum("bn,bn->b", values, values, dtype=np.float64))


@cache
def _shapes() -> tuple[Doubles, Doubles, Doubles]:
    """The shapes that are tried, the moment ratio of each (rising) and its scale for a deviation of 1."""
    shapes = np.arange(0.2, 10.001, 0.001)
    moments = gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes))
    return shapes, moments, np.sqrt(gamma(1 / shapes) / gamma(3 / shapes))


@cache
def _pristine() -> tuple[Doubles, Doubles, Doubles]:
    with np.load(MODEL) as model:
        keys = ("mu_pris_param", "cov_pris_param", "gaussian_window")
        mean, covariance, window = (model[key].astype(np.float64) for key in keys)
    return mean.ravel(), covariance, window
