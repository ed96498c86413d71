"""Trains the `plane` renderer on regions of interest that lie uncompressed in a memory-mapped file."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geneface.face.geometry import Array
from geneface.face.region import depth, grid, visible_mask
from geneface.renderers import Settings
from geneface.renderers.losses import picture_loss
from geneface.renderers.plane.heat import heat_maps
from geneface.renderers.plane.model import Plane, PlaneDims

MOTION_NOISE, POINT_NOISE = 0.05, 0.004
"""Deviation of the noise on normalised motion and on landmarks in region coordinates: predicted motion is not as clean as
true motion.
"""
MOUTH_WEIGHT = 3.0


@dataclass(frozen=True)
class PlaneSettings(Settings):
    """How the plane is trained."""

    widths: tuple[int, ...] = (32, 64, 96, 128)
    """Channels at 1/2, 1/4, 1/8, 1/16 of the size, which is a multiple of 16."""


@dataclass(frozen=True)
class Seen:
    """Training frames of one person: regions uint8 [N, 3, size, size] (memory-mapped), points [N, 68, 2] in region
    coordinates, motion [N, 111].
    """

    regions: np.ndarray
    points: Array
    motion: Array


class PlaneTrainer:
    """`loop.Trained` for the renderer."""

    name = "plane"

    def __init__(self, seen: Seen, dims: PlaneDims, settings: Settings, device: torch.device) -> None:
        self.seen, self.batch, self.device = seen, settings.batch, device
        (self.steps,), self.learning_rate = settings.steps, settings.learning_rate
        self.model = Plane(dims)
        self.model.mean_picture.copy_(
            torch.from_numpy(seen.regions[:: max(1, len(seen.regions) // 256)].mean(0)[None] / 255).float()
        )
        self.model = self.model.to(device, memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), settings.learning_rate, betas=(0.9, 0.99), weight_decay=1e-3)
        self.visible = visible_mask(dims.size).to(device)
        self.coordinates = grid(dims.size // 2).to(device)
        self.weight = pixel_weight(seen.points, dims.size).to(device)

    def loss(self, rng: np.random.Generator) -> Tensor:
        """picture_loss of a random batch, its motion slightly disturbed."""
        chosen = np.sort(rng.choice(len(self.seen.regions), self.batch, replace=len(self.seen.regions) < self.batch))
        truth = torch.from_numpy(self.seen.regions[chosen]).to(self.device).float() / 255
        points, motion = (torch.from_numpy(array[chosen]).to(self.device) for array in (self.seen.points, self.seen.motion))
        drawn = self.model(
            (truth - self.model.mean_picture) * self.visible,
            heat_maps(points + POINT_NOISE * torch.randn_like(points), self.coordinates),
            motion + MOTION_NOISE * torch.randn_like(motion),
        )
        return picture_loss(drawn, truth, self.weight)

    def conclude(self) -> dict[str, Any]:
        """What a report says about the renderer."""
        return {"size": self.model.dims.size, "frames": len(self.seen.regions)}


def pixel_weight(points: Array, size: int) -> Tensor:
    """[1, 1, size, size]: 0 where the source picture stays, 1 where it is drawn over, 4 where the lips come to be."""
    lips = points[:, 48:68].reshape(-1, 2)
    low, high = np.percentile(lips, [0.5, 99.5], axis=0) + np.float64([[-0.08, -0.08], [0.08, 0.08]])
    coordinates = grid(size)
    x, y = coordinates[..., 0], coordinates[..., 1]
    mouth = (x > low[0]) & (x < high[0]) & (y > low[1]) & (y < high[1])
    return ((depth(coordinates) > -0.06).float() * (1 + MOUTH_WEIGHT * mouth.float()))[None, None]
