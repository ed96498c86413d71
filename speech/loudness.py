"""Loudness of speech by ITU-R BS.1770-4 (EBU R 128), and how it is brought to one level while it streams."""

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from speech.engines.port import Samples

TARGET = -19.0
"""LUFS of the speech: mono at this level sounds as loud as stereo at -16, the podcasts' level."""
CEILING = 10 ** (-1.5 / 20)
"""Largest absolute value between samples, too: 16 bit and a later codec keep it under -1 dB."""
LOUDEST_GAIN = 10 ** (24 / 20)

_BLOCK, _STEP = 0.4, 0.1
"""Seconds of a block, and between two."""
_ABSOLUTE, _RELATIVE = -70.0, -10.0
"""Blocks under this many LUFS do not count, nor those this much under the mean of the others."""
_OFFSET = -0.691
_AHEAD = 0.005
"""Seconds before a peak in which the limiter goes down, and after it in which it comes up."""
_OVERSAMPLING = 4
_BETWEEN = 0.5
"""Between two samples the sound rises over their largest by less than this share allows (6 dB)."""
_RINGING = 4_096


class Leveller:
    """Brings the clauses of one speaker to TARGET one by one: each gets the gain that all up to it need together, so that a
    clause's own emphasis stays. Peaks over CEILING are pressed down, not cut.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._blocks = np.empty(0)

    def levelled(self, samples: Samples) -> Samples:
        """The next clause at the speaker's level."""
        self._blocks = np.concatenate([self._blocks, blocks(samples, self._rate)])
        loudness = integrated(self._blocks)
        if loudness is None:
            return samples
        gain = min(10 ** ((TARGET - loudness) / 20), LOUDEST_GAIN)
        return limited(samples * np.float32(gain), self._rate)


def blocks(samples: Samples, rate: int) -> NDArray[np.float64]:
    """Mean squares of K-weighted blocks of 400 ms, each 100 ms after the last, [B]; of shorter sound, one of the whole."""
    if not len(samples):
        return np.empty(0)
    padded = _padded(len(samples))
    weighted = np.fft.irfft(np.fft.rfft(samples, padded) * _weighting(padded, rate), padded)[: len(samples)]
    energy = np.concatenate([[0.0], np.cumsum(np.square(weighted))])
    size = min(round(_BLOCK * rate), len(samples))
    starts = np.arange(0, len(samples) - size + 1, round(_STEP * rate))
    found: NDArray[np.float64] = (energy[starts + size] - energy[starts]) / size
    return found


def integrated(mean_squares: NDArray[np.float64]) -> float | None:
    """LUFS of mono blocks; None when all are silent."""
    heard = mean_squares[_lufs(mean_squares) > _ABSOLUTE]
    if not len(heard):
        return None
    return float(_lufs(heard[_lufs(heard) > _lufs(heard.mean()) + _RELATIVE].mean()))


def limited(samples: Samples, rate: int) -> Samples:
    """The sound with what is over CEILING, between samples too, brought under it by a gain that moves within 5 ms."""
    if np.abs(samples).max(initial=0.0) < CEILING * _BETWEEN:
        return samples
    needed = np.minimum(1.0, CEILING / np.maximum(_peaks(samples), CEILING))
    if needed.min(initial=1.0) == 1.0:
        return samples
    reach = round(_AHEAD * rate)
    held = sliding_window_view(np.pad(needed, 2 * reach, constant_values=1.0), 2 * reach + 1).min(axis=1)
    window = np.hanning(2 * reach + 3)[1:-1]
    gain = np.convolve(held, window / window.sum(), "valid")
    return (samples * gain).astype(np.float32)


def _peaks(samples: Samples) -> NDArray[np.float64]:
    """The largest absolute value from half a sample before each sample to half a sample after it, [N]."""
    padded, count = _padded(len(samples)), len(samples)
    spectrum = np.zeros(padded * _OVERSAMPLING // 2 + 1, np.complex64)
    spectrum[: padded // 2 + 1] = np.fft.rfft(samples, padded)
    dense = np.abs(np.fft.irfft(spectrum)[: count * _OVERSAMPLING]) * _OVERSAMPLING
    around = np.pad(dense, (_OVERSAMPLING // 2, 0))[: len(dense)].reshape(count, _OVERSAMPLING)
    return np.asarray(around.max(axis=1), np.float64)


def _padded(count: int) -> int:
    """A power of two, at which transforms are fast, with room for what the filters ring on."""
    return 1 << (count + _RINGING).bit_length()


def _lufs(mean_square: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(_OFFSET + 10 * np.log10(np.maximum(mean_square, 1e-12)))


@lru_cache(maxsize=8)
def _weighting(count: int, rate: int) -> NDArray[np.float64]:
    """|H| of BS.1770's two filters, published for 48 kHz, at the frequencies of a real FFT of `count` samples at `rate`."""
    z = np.exp(-2j * np.pi * np.fft.rfftfreq(count, 1 / rate) / 48_000)
    shelf = (1.53512485958697 - 2.69169618940638 * z + 1.19839281085285 * z**2) / (
        1 - 1.69065929318241 * z + 0.73248077421585 * z**2
    )
    high_pass = (1 - 2 * z + z**2) / (1 - 1.99004745483398 * z + 0.99007225036621 * z**2)
    return np.asarray(np.abs(shelf * high_pass))
