"""Mouth: phone times become eight smooth controls of the lips and the jaw.

Coarticulation by dominance functions after Cohen & Massaro, "Modeling coarticulation in synthetic visual speech" (1993):
each phone pulls every control towards its target with a strength that fades before and after it, so that neighbours blend
and round vowels begin early.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samples.talker.speech import FPS, Phone

CONTROLS = ("jaw", "wide", "round", "upper", "lower", "tuck", "press", "tongue")
LEAD = 0.03  # lips move ahead of the sound
FINE = 200  # samples a second on which the controls are blended before each frame takes its own

# Targets in the order of CONTROLS, 0 = rest and 1 = as far as the face goes (wide: -1..1), then the phone's pull.
VISEMES: dict[str, tuple[tuple[float, ...], float]] = {
    "rest": ((0.05, 0.00, 0.00, 0.00, 0.00, 0.0, 0.0, 0.0), 1.0),
    "p": ((0.12, 0.00, 0.05, 0.00, 0.00, 0.0, 1.0, 0.0), 1.5),
    "f": ((0.14, 0.10, 0.00, 0.20, 0.00, 1.0, 0.0, 0.0), 1.4),
    "th": ((0.26, 0.15, 0.00, 0.18, 0.18, 0.0, 0.0, 1.0), 1.0),
    "t": ((0.20, 0.20, 0.00, 0.15, 0.22, 0.0, 0.0, 0.7), 0.8),
    "k": ((0.30, 0.10, 0.00, 0.10, 0.15, 0.0, 0.0, 0.1), 0.5),
    "ch": ((0.18, -0.20, 0.60, 0.35, 0.40, 0.0, 0.0, 0.3), 1.3),
    "s": ((0.10, 0.40, 0.00, 0.25, 0.42, 0.0, 0.0, 0.4), 1.1),
    "l": ((0.34, 0.15, 0.00, 0.12, 0.12, 0.0, 0.0, 0.9), 0.7),
    "r": ((0.20, -0.20, 0.55, 0.15, 0.20, 0.0, 0.0, 0.2), 1.0),
    "w": ((0.12, -0.50, 1.00, 0.00, 0.05, 0.0, 0.0, 0.0), 1.5),
    "h": ((0.34, 0.00, 0.00, 0.05, 0.05, 0.0, 0.0, 0.0), 0.3),
    "aa": ((0.92, 0.05, 0.00, 0.12, 0.20, 0.0, 0.0, 0.0), 1.2),
    "ae": ((0.78, 0.45, 0.00, 0.20, 0.25, 0.0, 0.0, 0.0), 1.1),
    "ah": ((0.58, 0.05, 0.00, 0.10, 0.10, 0.0, 0.0, 0.0), 0.9),
    "ax": ((0.34, 0.05, 0.00, 0.08, 0.08, 0.0, 0.0, 0.0), 0.5),
    "ao": ((0.66, -0.35, 0.65, 0.05, 0.10, 0.0, 0.0, 0.0), 1.2),
    "eh": ((0.56, 0.35, 0.00, 0.15, 0.18, 0.0, 0.0, 0.0), 1.0),
    "er": ((0.34, -0.10, 0.45, 0.10, 0.20, 0.0, 0.0, 0.1), 1.0),
    "ih": ((0.34, 0.40, 0.00, 0.12, 0.15, 0.0, 0.0, 0.1), 0.8),
    "iy": ((0.22, 0.85, 0.00, 0.20, 0.25, 0.0, 0.0, 0.2), 1.1),
    "ow": ((0.50, -0.35, 0.75, 0.00, 0.05, 0.0, 0.0, 0.0), 1.2),
    "uw": ((0.18, -0.55, 1.00, 0.00, 0.05, 0.0, 0.0, 0.0), 1.4),
    "uh": ((0.32, -0.25, 0.55, 0.05, 0.10, 0.0, 0.0, 0.0), 0.9),
    "closed": ((0.05, 0.05, 0.00, 0.00, 0.00, 0.0, 1.0, 0.0), 1.4),
    "parted": ((0.34, 0.02, 0.00, 0.12, 0.12, 0.0, 0.0, 0.0), 1.0),
    "breath": ((0.56, 0.05, 0.05, 0.15, 0.15, 0.0, 0.0, 0.0), 1.0),
}

SPELLING = {
    "b": "p", "m": "p", "v": "f", "dh": "th", "d": "t", "n": "t", "g": "k", "ng": "k", "jh": "ch", "sh": "ch", "zh": "ch",
    "z": "s", "y": "iy", "hh": "h", "axr": "er",
}  # fmt: skip
GLIDES = {"ay": ("aa", "ih"), "aw": ("aa", "uw"), "oy": ("ao", "ih"), "ey": ("eh", "iy"), "ow": ("ow", "uw")}
VOWELS = {"aa", "ae", "ah", "ao", "aw", "ax", "ay", "eh", "er", "ey", "ih", "iy", "ow", "oy", "uh", "uw"}


@dataclass(frozen=True)
class Gesture:
    """One pull on the mouth: a viseme held from `start` to `end` seconds, its strength, and its size (1 = as listed)."""

    viseme: str
    start: float
    end: float
    size: float = 1.0


def _pause(phone: Phone) -> list[Gesture]:
    """The mouth's waiting between two lines; a breath is closed first and opens ahead of the next words."""
    if phone.end - phone.start < 0.25:
        return [Gesture("rest", phone.start, phone.end)]
    start, end = phone.start + 0.10, phone.end - 0.08
    if phone.wait == "breath":
        half = start + 0.5 * (end - start)
        return [Gesture("closed", start, half), Gesture("breath", half + 0.10, end)]
    return [Gesture(phone.wait or "rest", start, end)]


def gestures(phones: tuple[Phone, ...], seed: int) -> list[Gesture]:
    """Phones to pulls. Short vowels fall short of their target; every word-sized stretch has its own liveliness."""
    random = np.random.default_rng(seed)
    length = phones[-1].end
    knots = np.arange(0, length + 1.5, 0.7)
    liveliness = np.clip(random.normal(1.0, 0.16, len(knots)), 0.68, 1.32)
    pulls: list[Gesture] = []
    for phone in phones:
        if phone.name == "pau":
            pulls += _pause(phone)
            continue
        seconds = phone.end - phone.start
        size = 1.0
        if phone.name in VOWELS:
            size = float(np.interp(phone.start, knots, liveliness)) * float(np.clip(0.62 + 3.4 * seconds, 0.72, 1.12))
        if phone.name in GLIDES:
            first, second = GLIDES[phone.name]
            middle = phone.start + 0.55 * seconds
            pulls += [Gesture(first, phone.start, middle, size), Gesture(second, middle, phone.end, size)]
        else:
            pulls.append(Gesture(SPELLING.get(phone.name, phone.name), phone.start, phone.end, size))
    return pulls


def _dominance(time: NDArray[np.float64], pull: Gesture, strength: float) -> NDArray[np.float64]:
    """Full inside the gesture's middle, fading as exp(-theta * seconds) outside; onset a little slower than release."""
    middle, half = (pull.start + pull.end) / 2 - LEAD, (pull.end - pull.start) / 2 * 0.55
    away = np.maximum(np.abs(time - middle) - half, 0)
    theta = np.where(time < middle, 21.0, 25.0)
    return np.asarray(strength * np.exp(-theta * away), np.float64)


def curves(phones: tuple[Phone, ...], frames: int, seed: int = 7) -> NDArray[np.float64]:
    """The controls at every frame's middle: [frames, 8] in the order of CONTROLS."""
    time = np.arange(int(frames / FPS * FINE)) / FINE
    above, below = np.zeros((len(time), len(CONTROLS))), np.full((len(time), 1), 1e-6)
    closure = np.zeros(len(time))
    tuck = np.zeros(len(time))
    for pull in gestures(phones, seed):
        target, strength = VISEMES[pull.viseme]
        goal = np.array(target) * pull.size
        near = slice(*np.searchsorted(time, [pull.start - 0.5, pull.end + 0.5]))
        pulling = _dominance(time[near], pull, strength)
        above[near] += pulling[:, None] * goal
        below[near, 0] += pulling
        closure[near] = np.maximum(closure[near], target[6] * _hold(time[near], pull))
        tuck[near] = np.maximum(tuck[near], target[5] * _hold(time[near], pull))
    controls = above / below
    controls[:, CONTROLS.index("press")] = closure
    controls[:, CONTROLS.index("tuck")] = tuck
    return _framewise(controls, frames)


def _hold(time: NDArray[np.float64], pull: Gesture) -> NDArray[np.float64]:
    """Lips that must touch do touch: full for at least 80 ms whatever the neighbours want, with 60 ms slopes."""
    middle, half = (pull.start + pull.end) / 2 - LEAD, max((pull.end - pull.start) / 2, 0.04)
    away = np.clip((np.abs(time - middle) - half) / 0.06, 0, 1)
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * away), np.float64)


def _framewise(controls: NDArray[np.float64], frames: int) -> NDArray[np.float64]:
    """Smooths over 25 ms (lips have mass) and takes the value at every frame's middle."""
    reach = int(0.03 * FINE)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (0.012 * FINE)) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(controls, ((reach, reach), (0, 0)), mode="edge")
    smooth = np.stack([np.convolve(column, kernel, "valid") for column in padded.T], axis=1)
    middles = ((np.arange(frames) + 0.5) * FINE / FPS).astype(int)
    return np.asarray(smooth[np.minimum(middles, len(smooth) - 1)])
