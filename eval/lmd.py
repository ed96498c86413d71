"""LMD: how far the mouth's landmarks are from the true ones, in px, as SyncTalk and TalkingGaussian take it from dlib.

Needs dlib and its 68-point predictor, whose training data forbid commercial use; neither is installed by default.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.weights import LANDMARKS, UnmeasuredError, Weights
from media.frames import Frame

MOUTH = range(48, 68)
UPSAMPLED = 1
"""Times that the picture is doubled before faces are sought in it."""


class MouthLandmarks:
    """dlib's detector and its 68 points."""

    def __init__(self, file: Path) -> None:
        """Raises UnmeasuredError `dlib_missing`, `weights_unreadable`."""
        try:
            dlib: Any = import_module("dlib")
        except ImportError:
            raise UnmeasuredError("dlib_missing") from None
        self._detector = dlib.get_frontal_face_detector()
        try:
            self._predictor = dlib.shape_predictor(str(file))
        except RuntimeError as error:
            raise UnmeasuredError("weights_unreadable") from error

    def __call__(self, frame: Frame) -> NDArray[np.float64] | None:
        """Points 48-67 of the first face in a frame, [20, 2]; None without one."""
        faces = self._detector(frame, UPSAMPLED)
        if not faces:
            return None
        shape = self._predictor(frame, faces[0])
        return np.array([(shape.part(number).x, shape.part(number).y) for number in MOUTH], np.float64)


class Lmd:
    """The distance over pairs of frames. `without_face` counts the pairs in which one has no face: they are left out."""

    def __init__(self, landmarks: MouthLandmarks) -> None:
        self._landmarks = landmarks
        self.distances: list[float] = []
        self.without_face = 0

    @classmethod
    def of(cls, weights: Weights) -> "Lmd":
        """Raises UnmeasuredError `weights_missing`, `dlib_missing`, `weights_unreadable`."""
        file = weights.path(LANDMARKS)
        if file is None:
            raise UnmeasuredError("weights_missing")
        return cls(MouthLandmarks(file))

    def __call__(self, truth: Frame, other: Frame) -> None:
        """Takes a pair of frames of one size in."""
        pair = self._landmarks(truth), self._landmarks(other)
        if pair[0] is None or pair[1] is None:
            self.without_face += 1
            return
        self.distances.append(between(pair[0], pair[1]))


def between(truth: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Mean distance of points [P, 2] after each set's own mean is taken away."""
    return float(np.linalg.norm((truth - truth.mean(0)) - (other - other.mean(0)), axis=1).mean())
