"""How much motion to ask of a renderer for the mouth to move as much as is wanted.

A network that learned from noisy landmarks answers with less than it is asked, the more so the less it has seen of a person.
"""

from collections.abc import Iterator

import numpy as np

from geneface.avatar import Avatar
from geneface.motion import driving
from geneface.render import Scene, drawn
from geneface.renderers import KEPT, base_frames
from media import mouth
from media.mesh import landmarks
from steps.program import check_stop

CHOICES = (1.0, 1.05, 1.1, 1.15)
WORTH = 0.005
"""Share of the distance that another choice than 1 must save: less is the mesh's own noise."""
MOST, FEWEST = 48, 8
"""Frames that are looked at, and those without which nothing is said."""


def measured(loaded: Avatar) -> dict[float, float]:
    """LMD-motion, px at face width 256, of the frames kept from the training, driven by their own motion times each of CHOICES.
    Empty where there are too few of them, or no landmark library.

    Raises StoppedError after SIGTERM.
    """
    data = loaded.dataset
    usable = np.flatnonzero(data.trainable[: data.trained])
    numbers = usable[len(usable) - int(len(usable) * KEPT) :][:MOST]
    if len(numbers) < FEWEST:
        return {}
    motion = driving.truth(loaded)[numbers]
    try:
        points = landmarks(_stoppable(base_frames.read(data.frames, numbers))).points
    except ImportError:  # a machine that only trains need not have mediapipe
        return {}
    if not np.isfinite(points).all(axis=(1, 2)).any():
        return {}
    reference = mouth.reference_shape(points)
    true = mouth.pose_free(points, reference)
    found = {}
    for choice in CHOICES:
        scene = Scene(numbers, [choice * motion], dict)
        found[choice] = _distance(true, mouth.pose_free(landmarks(_stoppable(drawn(loaded, scene))).points, reference))
    return {choice: distance for choice, distance in found.items() if np.isfinite(distance)}


def best(found: dict[float, float]) -> float:
    """The choice of the smallest distance; 1 where nothing was measured, or nothing is gained."""
    choice = min(found, key=found.__getitem__, default=1.0)
    return choice if choice != 1.0 and found[choice] < (1 - WORTH) * found.get(1.0, np.inf) else 1.0


def _stoppable(frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    for frame in frames:
        check_stop()
        yield frame


def _distance(true: np.ndarray, other: np.ndarray) -> float:
    """Mean distance of the lips, each clip's own mean shape taken away; NaN without a face in common."""
    both = np.isfinite(true).all((1, 2)) & np.isfinite(other).all((1, 2))
    if not both.any():
        return float("nan")
    first, second = (points[both][:, mouth.LIPS, :2] for points in (true, other))
    return float(np.linalg.norm((first - first.mean(0)) - (second - second.mean(0)), axis=-1).mean())
