"""What a frame is worth beside the true one: PSNR, SSIM, sharpness. Pure functions of uint8 [H, W, 3] RGB frames."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from media.frames import Frame
from media.resize import Square

PEAK = 255.0
WINDOW = 11
"""Pixels of SSIM's Gaussian window."""
SIGMA = 1.5
C1 = (0.01 * PEAK) ** 2
C2 = (0.03 * PEAK) ** 2

_BORDER = WINDOW // 2
_STRIP = 64
"""Rows worked on at once: so that what lies between the steps stays in the processor's cache."""


def psnr(truth: Frame, other: Frame) -> float:
    """10·log10(255² / mean squared difference over all RGB values), in dB; infinite for identical frames."""
    difference = np.subtract(truth, other, dtype=np.int32)
    squares = int(np.einsum("hwc,hwc->", difference, difference, dtype=np.int64))
    return 10 * math.log10(PEAK**2 / (squares / truth.size)) if squares else math.inf


def ssim(truth: Frame, other: Frame) -> float | None:
    """Structural similarity (Wang et al. 2004): Gaussian window, population covariance, mean over channels and the pixels whose
    window lies inside the frame. None for a frame that is smaller than the window.

    Equals scikit-image's `structural_similarity(data_range=255, channel_axis=2, gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False)`.
    """
    if min(truth.shape[:2]) < WINDOW:
        return None
    rows = range(0, truth.shape[0] - WINDOW + 1, _STRIP)
    strips = (slice(row, row + _STRIP + WINDOW - 1) for row in rows)
    total = math.fsum(_similarity(truth[strip].astype(np.float64), other[strip].astype(np.float64)) for strip in strips)
    windows: int = (truth.shape[0] - WINDOW + 1) * (truth.shape[1] - WINDOW + 1) * truth.shape[2]
    return total / windows


def sharpness(frame: Frame) -> float:
    """Variance of the Laplacian of the frame in gray."""
    gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(gray, cv2.CV_64F).var())


def resized(frame: Frame, width: int, height: int) -> Frame:
    """The frame in another size: area means when shrinking, cubic when enlarging."""
    if frame.shape[:2] == (height, width):
        return frame
    shrinks = width * height < frame.shape[0] * frame.shape[1]
    result: Frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return result


def cut(frame: Frame, square: Square, pixels: int) -> Frame:
    """What a square of the frame shows (to whole pixels), [pixels, pixels, 3]; over the edge the frame's last pixels go on."""
    left, top, side = round(square[0]), round(square[1]), max(round(square[2]), 1)
    rows = np.clip(np.arange(top, top + side), 0, frame.shape[0] - 1)
    columns = np.clip(np.arange(left, left + side), 0, frame.shape[1] - 1)
    return resized(frame[rows[:, None], columns], pixels, pixels)


def _similarity(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Sum of SSIM over all whole windows and channels of [H, W, 3]."""
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    product, squares = mean_x * mean_y, mean_x**2 + mean_y**2
    covariance = _window_mean(x * y) - product
    variances = _window_mean(x * x + y * y) - squares
    return float(((2 * product + C1) * (2 * covariance + C2) / ((squares + C1) * (variances + C2))).sum())


def _gaussian() -> NDArray[np.float64]:
    weights = np.exp(-0.5 * (np.arange(-_BORDER, _BORDER + 1) / SIGMA) ** 2)
    normal: NDArray[np.float64] = weights / weights.sum()
    return normal


_KERNEL = _gaussian()


def _window_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """[H, W, 3] → [H - 10, W - 10, 3]: the weighted mean of each whole window."""
    mean: NDArray[np.float64] = cv2.sepFilter2D(values, -1, _KERNEL, _KERNEL)
    return mean[_BORDER:-_BORDER, _BORDER:-_BORDER]
