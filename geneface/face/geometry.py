"""Head pose and pose-free shape: similarity transforms on the bones of the face. Pure numpy.

A *shape* is [points, 3] in face units (mesh points 234 and 454 are 256 apart in the person's median shape, centred on the
bones); a *pose* takes a shape into the picture: picture = scale * rotation @ shape + translation.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from media import mouth
from media.mouth import BONY, FACE_WIDTH

Array = NDArray[np.float32]

WIDTH_POINTS = (234, 454)
SMOOTHING = 7
"""Frames of the window (Savitzky-Golay, 2nd order) that steadies the pose; 0.28 s at 25 fps. Lips are never smoothed by it."""

ENOUGH = 1_000
"""Frames that tell a median shape: of a longer clip every second, third … one is taken."""


@dataclass(frozen=True)
class Pose:
    """Head poses of T frames: scale [T], rotation [T, 3, 3], translation [T, 3], in picture pixels."""

    scale: Array
    rotation: Array
    translation: Array

    def __len__(self) -> int:
        return len(self.scale)

    def __getitem__(self, index: slice | NDArray[np.int64]) -> Self:
        return type(self)(self.scale[index], self.rotation[index], self.translation[index])

    def project(self, shape: Array) -> Array:
        """Face units [T, N, 3] (or [N, 3], the same in every frame) to picture pixels [T, N, 3]."""
        turned = np.einsum("tij,nj->tni" if shape.ndim == 2 else "tij,tnj->tni", self.rotation, shape)
        return (self.scale[:, None, None] * turned + self.translation[:, None]).astype(np.float32)

    def remove(self, points: Array) -> Array:
        """Picture pixels [T, N, 3] to face units [T, N, 3]: the inverse of `project`."""
        centred = (points - self.translation[:, None]) / self.scale[:, None, None]
        return np.asarray(centred @ self.rotation, np.float32)

    def smoothed(self, window: int = SMOOTHING) -> Self:
        """The same path without the landmark detector's tremble."""
        if len(self) < window:
            return self
        u, _, vt = np.linalg.svd(smooth(self.rotation.reshape(-1, 9), window).reshape(-1, 3, 3))
        scale = np.exp(smooth(np.log(self.scale)[:, None], window)[:, 0])
        return type(self)(scale.astype(np.float32), (u @ vt).astype(np.float32), smooth(self.translation, window))


def smooth(signal: Array, window: int) -> Array:
    """[T, C] filtered over time by a 2nd-order Savitzky-Golay window (odd), ends reflected through their end point."""
    half = window // 2
    offsets = np.arange(-half, half + 1)
    weights = np.linalg.pinv(np.stack([np.ones(window), offsets, offsets**2], 1))[0]
    head = 2 * signal[:1] - signal[half:0:-1]
    tail = 2 * signal[-1:] - signal[-2 : -half - 2 : -1]
    padded = np.concatenate([head, signal, tail])
    return sum(w * padded[i : i + len(signal)] for i, w in enumerate(weights)).astype(np.float32)


def similarity(source: Array, target: Array) -> Pose:
    """The similarity of each frame that takes source [N, 3] onto target [T, N, 3] with the least squared error."""
    scale, rotation, shift = mouth.similarity(np.broadcast_to(source, target.shape), target)
    return Pose(scale.astype(np.float32), rotation.astype(np.float32), shift.astype(np.float32))


def median_shape(points: Array) -> Array:
    """The person's median shape [478, 3] in face units, in the clip's average attitude, from picture landmarks [T, 478, 3]."""
    bones = points[:, BONY]
    centred = points - bones.mean(1, keepdims=True)
    size = np.sqrt((centred[:, BONY] ** 2).sum((1, 2), keepdims=True))
    shape = np.median(centred / size, axis=0).astype(np.float32)
    for _ in range(2):
        shape = np.median(similarity(shape[BONY], bones).remove(points), axis=0).astype(np.float32)
    shape = shape - shape[BONY].mean(0)
    return (shape * (FACE_WIDTH / np.linalg.norm(shape[WIDTH_POINTS[0]] - shape[WIDTH_POINTS[1]]))).astype(np.float32)


def from_the_front(points: Array) -> Array:
    """The points of each frame in face units, free of the head's pose, [T, 478, 3], from picture landmarks [T, 478, 3]."""
    shape = median_shape(points[:: max(1, len(points) // ENOUGH)])
    return similarity(shape[BONY], points[:, BONY]).remove(points)
