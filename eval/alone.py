"""What a clip's mouth and eyes tell by themselves, with no true clip beside them. Pure.

Everything is brought to 25 frames a second first: a second difference, a blink and a silence are counted in frames.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.faces import AT_ONCE
from eval.motion import Motion, correlation, jitter, lag, shifted
from media import eyes, mouth
from media.audio import loudness
from media.clock import FPS
from media.silence import silences

CLOSED, CLOSED_QUANTILE, CLOSED_AT_MOST = 2.0, 5.0, 1.5
"""A mouth is closed up to this many px over its own closed state: a low quantile of its aperture, which is no more than the last
(lips that touch have a gap of 0.2 to 1.3 px in the mesh).
"""

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Speaker:
    """One clip at 25 frames a second; NaN where there is no face. `sound`: its samples at 16 kHz, None where it has none."""

    motion: Motion
    eyes: Floats
    """Lid gap over eye width of each eye, [T, 2]."""
    sound: Floats | None

    @classmethod
    def of(cls, motion: Motion, points: Floats, fps: float, sound: Floats | None) -> "Speaker":
        """From the motion and the meshes [T, 478, 3] at the clip's own rate."""
        at = _at_rate(len(points), fps)
        moved = Motion(motion.aperture[at], motion.width[at], motion.lips[at], motion.bones[at])
        return cls(moved, _lids(points, at) if motion.found.any() else np.full((len(at), 2), np.nan, np.float32), sound)


def _lids(points: Floats, at: NDArray[np.intp]) -> Floats:
    """Lid gap over eye width [T, 2] of the meshes `at`, seen from the front; NaN where there is no face."""
    reference = mouth.reference_shape(points)
    parts = (at[start : start + AT_ONCE] for start in range(0, len(at), AT_ONCE))
    return np.concatenate([eyes.aperture(mouth.pose_free(points[part], reference).astype(np.float32)) for part in parts])


def figures(speaker: Speaker) -> dict[str, tuple[float | int | None, str]]:
    """By name: the figure, and why there is none when it is None.

    `jitter`: mean second difference of bony points, px. `closed_in_silence`: share of the frames in silences of at least 0.6 s in
    which the mouth is closed. `loudness_r`, `loudness_lag`: of the lips' speed with the loudness, at the shift that suits best;
    positive when the lips are late.
    """
    if not speaker.motion.found.any():
        return dict.fromkeys(NAMES, (None, "no_face_in_this_video"))
    late, r = _loudness(speaker)
    unheard = "no_audio" if speaker.sound is None else "no_motion"
    return {
        "jitter": (jitter(speaker.motion.bones), "too_short"),
        "blinks_per_minute": (_blinks(speaker), "too_short"),
        "closed_in_silence": (_closed(speaker), "no_audio" if speaker.sound is None else "no_silence"),
        "loudness_r": (r, unheard),
        "loudness_lag": (late, unheard),
    }


NAMES = ("jitter", "blinks_per_minute", "closed_in_silence", "loudness_r", "loudness_lag")


def _at_rate(frames: int, fps: float) -> NDArray[np.intp]:
    """Which frame is on display at each 1/25 s."""
    times = np.arange(max(1, round(frames / fps * FPS))) / FPS
    return np.minimum((times * fps + 1e-6).astype(np.intp), frames - 1)


def _blinks(speaker: Speaker) -> float | None:
    if len(speaker.eyes) < eyes.WINDOW:
        return None
    return eyes.statistics(_bridged(speaker.eyes)).per_minute


def _bridged(values: Floats) -> NDArray[np.float32]:
    """[T, N] with straight lines over the frames without a face."""
    found = np.flatnonzero(np.isfinite(values).all(1))
    columns = [np.interp(np.arange(len(values)), found, values[found, column]) for column in range(values.shape[1])]
    return np.stack(columns, 1).astype(np.float32)


def _closed(speaker: Speaker) -> float | None:
    if speaker.sound is None:
        return None
    aperture = speaker.motion.aperture
    within = np.zeros(len(aperture), bool)
    for first, last in silences(speaker.sound, len(aperture)):
        within[first:last] = True
    within &= speaker.motion.found
    if not within.any():
        return None
    shut = min(float(np.nanpercentile(aperture, CLOSED_QUANTILE)), CLOSED_AT_MOST)
    return float((aperture[within] <= shut + CLOSED).mean())


def _loudness(speaker: Speaker) -> tuple[int | None, float | None]:
    if speaker.sound is None or len(speaker.motion.aperture) < 2:
        return None, None
    level = loudness(speaker.sound)
    speed = np.linalg.norm(np.gradient(speaker.motion.lips, axis=0), axis=2).mean(1)
    count = min(len(level), len(speed))
    level, speed = level[:count], speed[:count]
    late = lag(level, speed)
    return late, None if late is None else correlation(*shifted(level, speed, late))
