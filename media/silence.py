"""Silences of a recording, on the clock of its video. Pure numpy."""

import numpy as np
from numpy.typing import NDArray

from media.audio import loudness
from media.clock import FPS

SHORTEST = round(0.6 * FPS)
"""Frames of the shortest silence in which a viewer expects a closed mouth. In shorter ones people keep it as it is (closing there
costs r .05).
"""
_QUIET_DB, _FLOOR_DB, _SURE_DB = 30.0, 6.0, 20.0
"""A frame is silent this far under the speech's level; or less than this over the recording's own floor, if that is also at
least the last under the speech.
"""
_DEAF_DB = -60.0


def silent(samples: NDArray[np.floating], frames: int) -> NDArray[np.bool_]:
    """Whether each of `frames` video frames is silent, [frames]: by the level of the samples (16 kHz) alone; single frames
    either way are ignored.
    """
    level = np.full(frames, -120.0, np.float32)
    heard = loudness(samples)[:frames]
    level[: len(heard)] = heard
    speech, floor = np.percentile(level, 95), np.percentile(level, 5)
    threshold = max(speech - _QUIET_DB, min(floor + _FLOOR_DB, speech - _SURE_DB), np.float32(_DEAF_DB))
    quiet = level < threshold
    padded = np.pad(quiet, 1, mode="edge").astype(int)
    majority: NDArray[np.bool_] = (padded[:-2] + padded[1:-1] + padded[2:]) >= 2
    return majority


def silences(samples: NDArray[np.floating], frames: int) -> list[tuple[int, int]]:
    """Silences of at least SHORTEST, each as its first frame and the one after its last."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], silent(samples, frames), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= SHORTEST]
