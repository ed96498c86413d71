"""Predicted motion made this person's own: the guards of GeneFace's post-net without its adversary (research 6.2 D). Pure numpy.

In order: amplitude brought into the person's range, locally linear embedding mixed in, clamped to what the person does,
mouth closed in silences.
"""

from typing import Any

import numpy as np

from geneface.face.geometry import Array
from geneface.face.person import Person, aperture
from media.silence import silences

SPREAD_RANGE = (0.8, 1.25)
"""The aperture's deviation while speaking, as a share of the person's own, that is left alone."""
PATIENCE = 50
"""Frames of speech after which half of what seems to be missing is added."""
NEIGHBOURS, MIX = 10, 0.2
"""Locally linear embedding as in GeneFace++: real frames that a frame is rebuilt from, and the share of the rebuilt."""
CLOSING, OPENING = 2, 9
"""Frames in which the mouth closes after the sound, and opens before it: people breathe in first."""
RESTING = 1.25
"""Aperture over the closed mouth's, in face units, at which lips in a silence rest: to the eye they touch, and what the
prediction does below it stays (closing wholly costs r .017).
"""


class Guard:
    """Keeps a recording's predicted motion, window by window, inside what the person does."""

    def __init__(self, person: Person, samples: Array, frames: int) -> None:
        self.person, self.shut = person, closed_share(samples, frames)
        self.closed = clamp(person.lower_of(person.closed[None]), person)
        self.gap = float(aperture(person.motion(self.closed))[0])
        self.amplitude = Amplitude(person)
        self.done = 0

    def __call__(self, coefficients: Array) -> Array:
        """The next frames' predicted coefficients [T, K] to their normalised lower face [T, 111]."""
        shut = self.shut[self.done : self.done + len(coefficients)]
        self.done += len(coefficients)
        scaled = self.amplitude(coefficients, shut < 0.5)
        mixed = scaled + MIX * (embed(scaled, self.person.bank) - scaled)
        lower = clamp(self.person.lower_of(mixed), self.person)
        over = np.maximum(aperture(self.person.motion(lower)) - self.gap, 1e-6)
        share = shut * np.clip(1 - RESTING / over, 0, 1)
        return lower + share[:, None] * (self.closed - lower)

    def report(self) -> dict[str, Any]:
        """What was done."""
        silent_frames = int((self.shut[: self.done] >= 0.5).sum())
        return {"amplitude_gain": round(self.amplitude.gain, 3), "silent_frames": silent_frames, "frames": self.done}


class Amplitude:
    """Scales motion about its mean so that the aperture's deviation while speaking comes into SPREAD_RANGE of the person's own:
    too little of it is mended in the opening of the mouth alone, too much in all that moves.

    The deviation is that of all speech so far; little speech says little, and the gain moves smoothly from window to window.
    """

    def __init__(self, person: Person) -> None:
        self.person, self.gain, self.opening = person, 1.0, person.opening()
        self.own = float(aperture(person.motion(person.lower_of(person.bank))).std())
        self.count, self.sums, self.gaps = 0, np.zeros(person.bank.shape[1]), np.zeros(2)
        self.mean = np.zeros(person.bank.shape[1], np.float32)

    def __call__(self, coefficients: Array, speaking: np.ndarray) -> Array:
        """[T, K] to the same; speaking: bool [T]."""
        before = (self.mean, self.gain) if self.count else None
        self._hear(coefficients[speaking])
        mean, gain = before or (self.mean, self.gain)
        share = np.linspace(0, 1, len(coefficients), dtype=np.float32)[:, None]
        about = mean + share * (self.mean - mean)
        spread = coefficients - about
        more = gain - 1 + share * (self.gain - gain)
        return coefficients + np.maximum(more, 0) * (spread @ self.opening) + np.minimum(more, 0) * spread

    def _hear(self, spoken: Array) -> None:
        if not len(spoken):
            return
        gap = aperture(self.person.motion(self.person.lower_of(spoken))).astype(np.float64)
        self.count += len(spoken)
        self.sums += spoken.sum(0)
        self.gaps += gap.sum(), np.square(gap).sum()
        level, square = self.gaps / self.count
        share = float(np.sqrt(max(square - level**2, 0.0))) / max(self.own, 1e-6)
        wanted = np.clip(np.clip(share, *SPREAD_RANGE) / max(share, 1e-3), 0.5, 2.5)
        self.gain = float(wanted ** (self.count / (self.count + PATIENCE)))
        self.mean = (self.sums / self.count).astype(np.float32)


def guard(coefficients: Array, person: Person, samples: Array) -> Array:
    """Predicted coefficients [T, K] with the sound they belong to (16 kHz), to the normalised lower face [T, 111], at once."""
    return Guard(person, samples, len(coefficients))(coefficients)


def embed(coefficients: Array, bank: Array) -> Array:
    """Each frame [T, K] rebuilt from its 10 nearest real frames [M, K] with weights that sum to 1 (Roweis & Saul 2000)."""
    count = min(NEIGHBOURS, len(bank))
    rebuilt = np.empty_like(coefficients)
    for block in range(0, len(coefficients), 512):
        query = coefficients[block : block + 512]
        distances = (query**2).sum(1)[:, None] - 2 * query @ bank.T + (bank**2).sum(1)
        near = bank[np.argpartition(distances, count - 1, axis=1)[:, :count]]
        offset = near - query[:, None]
        gram = offset @ offset.transpose(0, 2, 1)
        trace = np.trace(gram, axis1=1, axis2=2)[:, None, None]
        weights = np.linalg.solve(gram + np.eye(count) * (1e-2 * trace / count + 1e-8), np.ones((len(query), count, 1)))
        rebuilt[block : block + 512] = ((weights / weights.sum(1, keepdims=True)) * near).sum(1)
    return rebuilt


def clamp(lower: Array, person: Person) -> Array:
    """Keeps the normalised lower face [T, 111] softly within the person's 3-97 % quantiles: beyond them it slows down."""
    inside = np.clip(lower, person.low, person.high)
    margin = 0.25 * (person.high - person.low)
    beyond = lower - inside
    return (inside + margin * np.tanh(beyond / (3 * margin))).astype(np.float32)


def closed_share(samples: Array, frames: int) -> Array:
    """How far the mouth is to be closed, [frames], 0-1: 1 inside silences of at least 0.6 s, eased at both ends."""
    share = np.zeros(frames, np.float32)
    for start, end in silences(samples, frames):
        position = np.arange(start, end)
        after = (position - start + 1) / CLOSING if start else np.ones(len(position))
        before = (end - position) / OPENING if end < frames else np.ones(len(position))
        ramp = np.clip(np.minimum(after, before), 0, 1)
        share[start:end] = 0.5 - 0.5 * np.cos(np.pi * ramp)
    return share
