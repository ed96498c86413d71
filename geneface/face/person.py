"""What is known of one person's face: mean and spread of the landmarks, the directions in which the lower face moves, and
how far it goes.

*Motion* is [T, 68, 3], pose-free, in face units (geometry.py). The lower face (jaw and lips, 37 points) is what speech
moves; in normalised form ((x - mean) / std) it is written as *coefficients* [T, K] of the person's own principal directions.
"""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import torch

from geneface.face.geometry import Array, Pose, median_shape, similarity
from media.mesh import MESH_TO_68
from media.mouth import BONY

LOWER = (*range(17), *range(48, 68))
"""Of the 68 points: jaw and lips."""
COMPONENTS = 16
LIP_WEIGHT = 2.0
"""Lips count more than the jaw line when directions are chosen."""
QUANTILES = (3.0, 97.0)
BANK = 1_500
"""Frames of the person that the post-net compares with, at most."""
CLOSED_SHARE = 12.0
"""Per cent of the frames, those with the smallest aperture, whose mean is the closed mouth."""
INNER_PAIRS = ((62, 66), (61, 67), (63, 65))


def pose_free(points: Array, shape: Array) -> tuple[Pose, Array]:
    """Poses [T] and motion [T, 68, 3] of picture landmarks [T, 478, 3] of the person with this median shape [478, 3]."""
    pose = similarity(shape[BONY], points[:, BONY])
    return pose, pose.remove(points[:, MESH_TO_68])


def aperture(motion: Array) -> Array:
    """Mean inner-lip gap [T] of motion [T, 68, 3], in face units."""
    gaps = [np.linalg.norm(motion[:, upper] - motion[:, lower], axis=-1) for upper, lower in INNER_PAIRS]
    return np.mean(gaps, axis=0).astype(np.float32)


def mouth_width(motion: Array) -> Array:
    """Distance of the mouth's corners [T] of motion [T, 68, 3], in face units."""
    return np.linalg.norm(motion[:, 48] - motion[:, 54], axis=-1)


def lip_motion(motion: Array) -> Array:
    """Lip points [T, 20, 2] of motion [T, 68, 3] less their own mean: what LMD-motion compares."""
    lips = motion[:, 48:68, :2]
    return lips - lips.mean(0)


@dataclass(frozen=True)
class Person:
    """Statistics of the training part of one video; all arrays float32."""

    shape: Array
    """[478, 3] median shape."""
    mean: Array
    """[68, 3]."""
    std: Array
    """[68, 3]."""
    basis: Array
    """[111, K] from weighted normalised lower face to coefficients (orthonormal columns)."""
    scale: Array
    """[1] deviation of the first coefficient, by which all are divided."""
    low: Array
    """[111] 3 % quantile of the normalised lower face."""
    high: Array
    """[111] 97 % quantile."""
    bank: Array
    """[M, K] coefficients of real frames."""
    closed: Array
    """[K] coefficients of the closed mouth."""

    @classmethod
    def of(cls, points: Array) -> Self:
        """From picture landmarks [T, 478, 3]."""
        shape = median_shape(points)
        _, motion = pose_free(points, shape)
        mean, std = motion.mean(0), np.maximum(motion.std(0), 0.05)
        lower = ((motion - mean) / std)[:, LOWER].reshape(len(motion), -1)
        _, _, directions = np.linalg.svd((lower * lower_weights()).astype(np.float64), full_matrices=False)
        basis = directions[:COMPONENTS].T
        basis = basis * np.sign(basis[np.abs(basis).argmax(0), np.arange(basis.shape[1])])
        raw = lower * lower_weights() @ basis
        scale = raw[:, :1].std(0)
        gap = aperture(motion)
        closed = raw[gap <= np.percentile(gap, CLOSED_SHARE)].mean(0)
        low, high = np.percentile(lower, QUANTILES, axis=0)
        bank = raw[:: max(1, -(-len(raw) // BANK))]
        arrays = (shape, mean, std, basis, scale, low, high, bank / scale, closed / scale)
        return cls(*(np.ascontiguousarray(array, np.float32) for array in arrays))

    def lower(self, motion: Array) -> Array:
        """Motion [T, 68, 3] to the normalised lower face [T, 111]."""
        return ((motion - self.mean) / self.std)[:, LOWER].reshape(len(motion), -1).astype(np.float32)

    def coefficients(self, lower: Array) -> Array:
        """Normalised lower face [T, 111] to coefficients [T, K]."""
        return (lower * lower_weights() @ self.basis / self.scale).astype(np.float32)

    def lower_of(self, coefficients: Array) -> Array:
        """Coefficients [T, K] to the normalised lower face [T, 111]."""
        return (coefficients * self.scale @ self.basis.T / lower_weights()).astype(np.float32)

    def motion(self, lower: Array) -> Array:
        """Normalised lower face [T, 111] to motion [T, 68, 3]; eyes, brows and nose stay at their mean."""
        motion = np.repeat(self.mean[None], len(lower), 0)
        motion[:, LOWER] += lower.reshape(len(lower), -1, 3) * self.std[list(LOWER)]
        return motion

    def opening(self) -> Array:
        """[K, K] that coefficients are multiplied by from the right: left of them is how far the mouth is open, with all that
        usually goes with it.
        """
        gap = aperture(self.motion(self.lower_of(self.bank)))
        spread, gap = self.bank - self.bank.mean(0), gap - gap.mean()
        read = np.linalg.lstsq(spread, gap, rcond=1e-4)[0]
        lift = gap @ spread / max(float(gap @ spread @ read), 1e-9)
        return np.outer(read, lift).astype(np.float32)

    def tensors(self) -> dict[str, torch.Tensor]:
        """For a safetensors file."""
        return {field.name: torch.from_numpy(getattr(self, field.name).copy()) for field in fields(self)}

    @classmethod
    def from_tensors(cls, tensors: dict[str, torch.Tensor]) -> Self:
        """The inverse of `tensors`."""
        return cls(**{field.name: tensors[field.name].numpy() for field in fields(cls)})


def lower_weights() -> Array:
    """[111] how much each number of the lower face counts when directions are chosen."""
    return np.repeat(np.array([1.0 if point < 17 else LIP_WEIGHT for point in LOWER], np.float32), 3)
