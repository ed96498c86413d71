"""Behaviour: head, gaze, blinks and brows. Nothing here listens to the sound."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from samples.talker.speech import FPS

Curve = NDArray[np.float64]


@dataclass(frozen=True)
class Behaviour:
    """Per frame: head turn [T, 3] (pitch, yaw, roll) in radians, shift [T, 3] in cm, gaze [T, 2] (up, side) in radians,
    blink [T] (1 = shut), brow [T] (1 = raised), smile [T] and breath [T], both about -1..1."""

    turn: Curve
    shift: Curve
    gaze: Curve
    blink: Curve
    brow: Curve
    smile: Curve
    breath: Curve


def _wander(random: np.random.Generator, frames: int, seconds: float) -> Curve:
    """Smooth noise of unit spread whose bends are about `seconds` long."""
    margin = int(4 * seconds * FPS)
    noise = gaussian_filter1d(random.normal(size=frames + 2 * margin), seconds * FPS, mode="wrap")
    noise = noise[margin : margin + frames]
    return np.asarray((noise - noise.mean()) / noise.std())


def _blinks(random: np.random.Generator, frames: int) -> Curve:
    """A blink every 2 to 6 seconds, some doubled; shuts in 3 frames, opens in 5."""
    shape = np.array([0.35, 0.92, 1.0, 0.78, 0.45, 0.20, 0.06])
    blink = np.zeros(frames)
    at = int(random.uniform(1.0, 2.0) * FPS)
    while at < frames - len(shape):
        blink[at : at + len(shape)] = np.maximum(blink[at : at + len(shape)], shape)
        pause = 0.4 if random.random() < 0.12 else random.uniform(1.8, 5.6)
        at += int(pause * FPS)
    return blink


def _gaze(random: np.random.Generator, frames: int) -> Curve:
    """Small jumps around the camera, each held for about a second."""
    gaze = np.zeros((frames, 2))
    at = 0
    while at < frames:
        held = int(random.uniform(0.5, 2.2) * FPS)
        gaze[at : at + held] = random.normal(0, (0.018, 0.035))
        at += held
    return np.asarray(gaussian_filter1d(gaze, 0.6, axis=0))


def behave(frames: int, seed: int = 11) -> Behaviour:
    """The whole behaviour of a clip from one seed."""
    random = np.random.default_rng(seed)

    def drift(seconds: float, *spreads: float) -> Curve:
        return np.stack([_wander(random, frames, seconds) * spread for spread in spreads], axis=1)

    turn = drift(0.9, 0.032, 0.070, 0.026) + drift(0.28, 0.010, 0.012, 0.006)
    shift = drift(1.3, 0.22, 0.14, 0.25)
    brow = np.clip(_wander(random, frames, 0.45) * 0.45, -0.5, 1.0)
    smile = _wander(random, frames, 1.6)
    breath = np.sin(2 * np.pi * np.arange(frames) / FPS / 3.7)
    return Behaviour(turn, shift, _gaze(random, frames), _blinks(random, frames), brow, smile, breath)
