"""NIQE as its authors state it, block by block: what eval/niqe.py is measured against, in figures and in time."""

from pathlib import Path

import numpy as np
from scipy.ndimage import convolve
from scipy.special import gamma

MODEL = Path(__file__).parents[1] / "eval" / "niqe_pris_params.npz"
SHAPES = np.arange(0.2, 10.001, 0.001)
MOMENTS = gamma(2 / SHAPES) ** 2 / (gamma(1 / SHAPES) * gamma(3 / SHAPES))


def plain_niqe(frame: np.ndarray) -> float:
    """uint8 [H, W, 3] RGB."""
    with np.load(MODEL) as model:
        pristine_mean, pristine_covariance = model["mu_pris_param"].ravel(), model["cov_pris_param"]
        window = model["gaussian_window"]
    red, green, blue = (frame[..., channel] / 255 for channel in range(3))
    picture = np.round(16 + 65.481 * red + 128.553 * green + 24.966 * blue).astype(np.float32)
    rows, columns = picture.shape[0] // 96, picture.shape[1] // 96
    picture = picture[: rows * 96, : columns * 96]
    scales = []
    for block in (96, 48):
        mean = convolve(picture, window, mode="nearest")
        deviation = np.sqrt(np.abs(convolve(picture**2, window, mode="nearest") - mean**2))
        normal = (picture - mean) / (deviation + 1)
        blocks = [
            normal[row * block : (row + 1) * block, column * block : (column + 1) * block]
            for column in range(columns) for row in range(rows)
        ]  # fmt: skip
        scales.append([features(part) for part in blocks])
        picture = halved(picture / 255) * 255
    found = np.concatenate(scales, 1)
    whole = found[~np.isnan(found).any(1)]
    away = pristine_mean - np.nanmean(found, 0)
    return float(np.sqrt(away @ np.linalg.pinv((pristine_covariance + np.cov(whole, rowvar=False)) / 2) @ away))


def features(block: np.ndarray) -> list[float]:
    """18 numbers."""
    shape, left, right = fitted(block)
    found = [shape, (left + right) / 2]
    for shift in ([0, 1], [1, 0], [1, 1], [1, -1]):
        shape, left, right = fitted(block * np.roll(block, shift, (0, 1)))
        found += [shape, (right - left) * gamma(2 / shape) / gamma(1 / shape), left, right]
    return found


def fitted(values: np.ndarray) -> tuple[float, float, float]:
    """Shape and both scales of an asymmetric generalised Gaussian."""
    values = values.ravel()
    with np.errstate(all="ignore"):
        left = np.sqrt(np.sum(values[values < 0] ** 2) / np.sum(values < 0))
        right = np.sqrt(np.sum(values[values > 0] ** 2) / np.sum(values > 0))
        ratio = left / right
        wanted = np.mean(np.abs(values)) ** 2 / np.mean(values**2) * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shape = SHAPES[np.argmin((MOMENTS - wanted) ** 2)]
    scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return shape, left * scale, right * scale


def halved(picture: np.ndarray) -> np.ndarray:
    """MATLAB's imresize(picture, 0.5): bicubic, widened twice, the edges mirrored."""
    down, across = (weights(size) for size in picture.shape)
    return (down @ picture.astype(np.float64) @ across.T).astype(np.float32)


def weights(size: int) -> np.ndarray:
    """[size / 2, size]."""
    matrix = np.zeros((size // 2, size))
    for new in range(size // 2):
        centre = 2 * new + 0.5
        for old in range(int(centre) - 5, int(centre) + 7):
            x = abs(old - centre) / 2
            near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
            weight = near if x <= 1 else far if x <= 2 else 0
            mirrored = -old - 1 if old < 0 else 2 * size - old - 1 if old >= size else old
            matrix[new, min(max(mirrored, 0), size - 1)] += weight
    return matrix / matrix.sum(1, keepdims=True)
