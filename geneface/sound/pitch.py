"""Pitch by normalised autocorrelation (after Boersma 1993: the window's own autocorrelation is divided out). Pure numpy."""

import numpy as np

from geneface.face.geometry import Array
from media.clock import SAMPLE_RATE, frame_count

HOP = 320
WINDOW = 640
FFT = 2048
LOWEST, HIGHEST = 70.0, 400.0
"""Hz."""
UNSURE, SURE = 0.35, 0.65
"""Autocorrelation at the period below which a stretch counts as unvoiced, and from which on as voiced."""
BLOCK = 4096


def pitch(samples: Array) -> tuple[Array, Array]:
    """(pitch in Hz, how voiced 0-1), [2 * frame_count(N)] each, 50 a second; the pitch of unvoiced stretches means nothing."""
    count = 2 * frame_count(len(samples))
    padded = np.zeros(count * HOP + WINDOW, np.float32)
    start = (WINDOW - HOP) // 2
    padded[start : start + len(samples)] = samples[: count * HOP]
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:count]
    taper = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    own = _autocorrelation(taper[None])[0]
    shortest, longest = int(SAMPLE_RATE / HIGHEST), int(SAMPLE_RATE / LOWEST)
    hertz, voiced = np.zeros(count, np.float32), np.zeros(count, np.float32)
    for block in range(0, count, BLOCK):
        part = windows[block : block + BLOCK]
        found = _autocorrelation((part - part.mean(1, keepdims=True)) * taper)
        ratio = found[:, shortest : longest + 1] / np.maximum(found[:, :1], 1e-7) / (own[shortest : longest + 1] / own[0])
        best = (ratio - 0.0003 * np.arange(ratio.shape[1])).argmax(1)  # of equal peaks the shortest period
        hertz[block : block + len(part)] = SAMPLE_RATE / (shortest + best)
        peak = ratio[np.arange(len(part)), best]
        voiced[block : block + len(part)] = np.clip((peak - UNSURE) / (SURE - UNSURE), 0, 1)
    return hertz, voiced


def _autocorrelation(windows: Array) -> Array:
    """[T, WINDOW] to [T, WINDOW], lag 0 first."""
    return np.fft.irfft(np.abs(np.fft.rfft(windows, FFT)) ** 2, FFT)[:, :WINDOW].astype(np.float32)
