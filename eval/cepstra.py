"""Mel-frequency cepstral coefficients of 16 kHz sound as python_speech_features 0.6 computes them by default: SyncNet's ear.

Windows of 25 ms every 10 ms, 26 mel bands up to 8 kHz, 13 coefficients, of which the first gives way to the log energy.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

RATE, WINDOW, STEP, TRANSFORM = 16_000, 400, 160, 512
BANDS, COEFFICIENTS = 26, 13
PRE_EMPHASIS, LIFTER = 0.97, 22
_BLOCK = 4_096
"""Windows worked on at once."""

Doubles = NDArray[np.float64]


def cepstra(samples: NDArray[np.int16]) -> Doubles:
    """Whole 16-bit numbers [N], not scaled to 1, to coefficients [T, 13]; the last window is filled up with zeros."""
    emphasised = np.append(samples[:1], samples[1:] - PRE_EMPHASIS * samples[:-1]).astype(np.float64)
    count = 1 + max(0, -(-(len(samples) - WINDOW) // STEP))
    emphasised = np.pad(emphasised, (0, max(0, (count - 1) * STEP + WINDOW - len(emphasised))))
    windows = np.lib.stride_tricks.sliding_window_view(emphasised, WINDOW)[::STEP][:count]
    return np.concatenate(list(_blocks(windows)))


def _blocks(windows: Doubles) -> Iterator[Doubles]:
    for first in range(0, len(windows), _BLOCK):
        yield _coefficients(windows[first : first + _BLOCK])


def _coefficients(windows: Doubles) -> Doubles:
    power = np.square(np.abs(np.fft.rfft(windows, TRANSFORM))) / TRANSFORM
    bands = np.log(_positive(power @ _filters().T))
    found = dct(bands, type=2, axis=1, norm="ortho")[:, :COEFFICIENTS]
    found *= 1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER)
    found[:, 0] = np.log(_positive(power.sum(1)))
    return np.asarray(found, np.float64)


def _positive(values: Doubles) -> Doubles:
    return np.where(values == 0, np.finfo(np.float64).eps, values)


@cache
def _filters() -> Doubles:
    """Triangles [26, 257] between corners at whole bins of the transform, even on the mel scale."""
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    corners = np.floor((TRANSFORM + 1) * 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1) / RATE)
    bins = np.arange(TRANSFORM // 2 + 1)
    filters = np.zeros((BANDS, len(bins)))
    for band, (low, peak, high) in enumerate(zip(corners, corners[1:], corners[2:], strict=False)):
        rising, falling = (bins >= low) & (bins < peak), (bins >= peak) & (bins < high)
        filters[band, rising] = (bins[rising] - low) / (peak - low)
        filters[band, falling] = (high - bins[falling]) / (high - peak)
    return filters
