"""How two mouths move beside each other. Pure functions; a frame without a face is NaN and counts nowhere.

Words and units are those of the yardstick: lengths in px of a face whose points 234 and 454 are 256 apart in the true clip.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

REACH = 10
"""Frames to either side in which the lag is sought."""
FEWEST = 3
"""Frames without which a correlation says nothing."""
_STILL = 1e-6
"""Spread in px below which a mouth does not move."""


@dataclass(frozen=True)
class Motion:
    """A clip's face: `aperture`, `width`: [T] and `lips`: [T, L, 2], all pose-free; `bones`: [T, B, 2], as on the picture."""

    aperture: Floats
    width: Floats
    lips: Floats
    bones: Floats

    @property
    def found(self) -> NDArray[np.bool_]:
        """[T]: where there is a face."""
        return np.isfinite(self.aperture)


def correlation(truth: Floats, other: Floats) -> float | None:
    """Pearson's r over the frames that both have; None when there are fewer than three or one of them does not move."""
    truth, other = _common(truth, other)
    if len(truth) < FEWEST or min(truth.std(), other.std()) < _STILL:
        return None
    return float(np.corrcoef(truth, other)[0, 1])


def amplitude(truth: Floats, other: Floats) -> float | None:
    """Spread of `other` over that of `truth` (standard deviations); None when the truth does not move."""
    truth, other = _common(truth, other)
    if len(truth) < FEWEST or truth.std() < _STILL:
        return None
    return float(other.std() / truth.std())


def lag(truth: Floats, other: Floats) -> int | None:
    """Frames by which `other` comes late (negative: early): the shift of best r that leaves at least half of the frames."""
    reach = min(REACH, len(truth) // 2)
    moved = {shift: correlation(*shifted(truth, other, shift)) for shift in range(-reach, reach + 1)}
    known = {shift: r for shift, r in moved.items() if r is not None}
    return max(known, key=lambda shift: (known[shift], -abs(shift))) if known else None


def lmd(truth: Floats, other: Floats) -> float | None:
    """LMD-motion: mean distance of lip points [T, L, 2], each clip's own mean lip shape removed; None without common frames."""
    both = np.isfinite(truth).all((1, 2)) & np.isfinite(other).all((1, 2))
    if not both.any():
        return None
    return float(np.linalg.norm(_moved(truth[both]) - _moved(other[both]), axis=2).mean())


def frozen_lmd(truth: Floats) -> float | None:
    """The LMD-motion that a mouth gets which does not move at all."""
    return lmd(truth, np.where(np.isfinite(truth), 0.0, np.nan))


def jitter_ratio(truth: Floats, other: Floats) -> float | None:
    """Jitter of `other` over that of the truth; None when the truth does not tremble at all."""
    true, own = jitter(truth), jitter(other)
    return own / true if true and own is not None else None


def jitter(points: Floats) -> float | None:
    """Mean length of the second difference of points [T, B, 2] over time; None without three frames in a row."""
    seconds = np.linalg.norm(np.diff(points, n=2, axis=0), axis=2)
    return float(np.nanmean(seconds)) if np.isfinite(seconds).any() else None


def _moved(lips: Floats) -> Floats:
    moved: Floats = lips - lips.mean(0)
    return moved


def shifted(truth: Floats, other: Floats, shift: int) -> tuple[Floats, Floats]:
    """The common part of both when `other` is `shift` frames late."""
    if shift >= 0:
        return truth[: len(truth) - shift], other[shift:]
    return truth[-shift:], other[:shift]


def _common(truth: Floats, other: Floats) -> tuple[Floats, Floats]:
    both = np.isfinite(truth) & np.isfinite(other)
    return truth[both], other[both]


FIGURES: dict[str, Callable[[Motion, Motion], float | None]] = {
    "aperture_r": lambda truth, other: correlation(truth.aperture, other.aperture),
    "aperture_amplitude": lambda truth, other: amplitude(truth.aperture, other.aperture),
    "aperture_lag": lambda truth, other: lag(truth.aperture, other.aperture),
    "width_r": lambda truth, other: correlation(truth.width, other.width),
    "lmd_motion": lambda truth, other: lmd(truth.lips, other.lips),
    "frozen_lmd": lambda truth, _: frozen_lmd(truth.lips),
    "jitter_ratio": lambda truth, other: jitter_ratio(truth.bones, other.bones),
}
"""The mouth's figures that come from motion, by their names in the JSON; each takes the truth and what is beside it."""
