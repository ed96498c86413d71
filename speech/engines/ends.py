"""Where speech begins and ends in the sound that an engine made."""

import numpy as np
from numpy.typing import NDArray

from speech.engines.port import Samples

HOP = 0.01
"""Seconds of a measured frame."""
QUIET = 10 ** (-45 / 20)
"""Frames under this share of the loudest one's RMS are silence (-45 dB)."""
MARGIN = 0.03
"""Seconds kept before the first and after the last frame that is heard: quiet consonants begin and end there."""


def heard(samples: Samples, rate: int) -> NDArray[np.bool_]:
    """Whether something is to be heard in each frame of 10 ms, [ceil(N / (rate / 100))]."""
    size = round(HOP * rate)
    frames = np.zeros((-(-len(samples) // size), size), np.float32)
    frames.flat[: len(samples)] = samples
    energy = np.square(frames).mean(axis=1)
    return np.asarray(energy > energy.max(initial=0.0) * QUIET**2)


def bounds(samples: Samples, rate: int) -> tuple[int, int]:
    """First sample of the speech, and the one after its last; (0, 0) when all is silent."""
    loud = np.flatnonzero(heard(samples, rate))
    if not len(loud):
        return 0, 0
    size, margin = round(HOP * rate), round(MARGIN * rate)
    return max(0, int(loud[0]) * size - margin), min(len(samples), (int(loud[-1]) + 1) * size + margin)
