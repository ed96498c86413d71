"""Trains the `plane` renderer on regions of interest that lie uncompressed in a memory-mapped file."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geneface.devices import autocast, compiled
from geneface.face.geometry import Array
from geneface.face.region import depth, grid, pasted_share, visible_mask
from geneface.loop import Trained
from geneface.renderers import KEPT, MOTION_NOISE, Settings
from geneface.renderers.losses import picture_loss
from geneface.renderers.plane.maps import motion_maps
from geneface.renderers.plane.model import Plane, PlaneDims

POINT_NOISE = 0.004
"""Deviation of the noise on landmarks in region coordinates while training."""
SHIFT = 0.03
"""Largest shift of a region while training, in its sides: a short clip shows its face in few places of it."""
MOUTH_WEIGHT = 3.0
VALIDATED = 48
"""How many of the frames kept from the training are looked at."""


@dataclass(frozen=True)
class PlaneSettings(Settings):
    """How the plane is trained."""

    widths: tuple[int, ...] = (32, 64, 96, 128)
    """Channels at 1/2, 1/4, 1/8, 1/16 of the size, which is a multiple of 16."""


@dataclass(frozen=True)
class Seen:
    """Frames of one person's training part: regions uint8 [N, 3, size, size] (memory-mapped), points [N, 68, 2] in region
    coordinates, motion [N, 111].
    """

    regions: np.ndarray
    points: Array
    motion: Array
    usable: np.ndarray
    """Numbers of the frames to learn from."""


class PlaneTrainer(Trained):
    """`loop.Trained` for the renderer."""

    name = "plane"

    def __init__(self, seen: Seen, dims: PlaneDims, settings: Settings, device: torch.device) -> None:
        self.seen, self.batch, self.device = seen, settings.batch, device
        (self.steps,), self.learning_rate = settings.steps, settings.learning_rate
        kept = int(len(seen.usable) * KEPT)
        self.known, self.kept = seen.usable[: len(seen.usable) - kept], seen.usable[len(seen.usable) - kept :]
        self.model = Plane(dims)
        sample = seen.regions[self.known[:: max(1, len(self.known) // 256)]]
        self.model.begin_with(
            torch.from_numpy(sample.mean(0)[None] / 255).float(), torch.from_numpy(seen.points[self.known].mean(0))
        )
        self.model = self.model.on(device)
        self.network = compiled(self.model, device)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), settings.learning_rate, betas=(0.9, 0.99), weight_decay=1e-3)
        self.visible = visible_mask(dims.size).to(device)
        self.coordinates = grid(dims.size // 2).to(device)
        self.weight = pixel_weight(seen.points, dims.size).to(device)

    def loss(self, rng: np.random.Generator) -> Tensor:
        """picture_loss of a random batch, its motion slightly disturbed, its faces a little off their places."""
        chosen = np.sort(rng.choice(self.known, self.batch, replace=len(self.known) < self.batch))
        return self._loss(chosen, learning=True)

    def validate(self) -> float | None:
        """picture_loss of frames spread over the end of the training part."""
        if len(self.kept) < self.batch:
            return None
        chosen = self.kept[np.linspace(0, len(self.kept) - 1, min(len(self.kept), VALIDATED)).astype(int)]
        parts = np.array_split(chosen, -(-len(chosen) // self.batch))
        return float(np.mean([float(self._loss(part, learning=False)) for part in parts]))

    def sample(self) -> NDArray[np.uint8] | None:
        """Six kept regions, and under them what is drawn of them."""
        if not len(self.kept):
            return None
        chosen = self.kept[np.linspace(0, len(self.kept) - 1, 6).astype(int)]
        truth, drawn = self._drawn(chosen, learning=False)
        pasted = truth + pasted_share(truth.shape[-1]).to(self.device) * (drawn.float().clamp(0, 1) - truth)
        rows = [torch.cat(list(part), 2).permute(1, 2, 0) for part in (truth, pasted)]
        return torch.cat(rows).mul(255).round().byte().cpu().numpy()

    def conclude(self) -> dict[str, Any]:
        """What a report says about the renderer."""
        return {"size": self.model.dims.size, "frames": len(self.known), "frames_kept_to_validate": len(self.kept)}

    def _loss(self, chosen: np.ndarray, learning: bool) -> Tensor:
        truth, drawn = self._drawn(chosen, learning)
        return picture_loss(drawn.float(), truth, self.weight)

    def _drawn(self, chosen: np.ndarray, learning: bool) -> tuple[Tensor, Tensor]:
        """The true and the drawn regions [B, 3, size, size] of these frames, 0-1."""
        regions, points, motion = (
            torch.from_numpy(array[chosen]).to(self.device) for array in (self.seen.regions, self.seen.points, self.seen.motion)
        )
        if learning:
            most = round(SHIFT * regions.shape[-1])
            regions, points = shifted(regions, points, torch.randint(-most, most + 1, (len(chosen), 2)).to(self.device))
            points = points + POINT_NOISE * torch.randn_like(points)
            motion = motion + MOTION_NOISE * torch.randn_like(motion)
        truth = regions.float() / 255
        with autocast(self.device):
            drawn = self.network(
                (truth - self.model.mean_picture) * self.visible,
                motion_maps(points, self.model.rest, self.coordinates),
                motion,
            )
        return truth, drawn


def shifted(regions: Tensor, points: Tensor, by: Tensor) -> tuple[Tensor, Tensor]:
    """Regions [B, 3, size, size] moved `by` whole pixels, [B, 2] right and down, their edges repeated; points [B, 68, 2], in
    region coordinates, move along.
    """
    size = regions.shape[-1]
    axis = torch.arange(size, device=by.device)
    columns, rows = ((axis - by[:, side, None]).clamp(0, size - 1) for side in (0, 1))
    number = torch.arange(len(by), device=by.device)[:, None, None]
    moved = regions.permute(0, 2, 3, 1)[number, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2), points + 2 * by[:, None] / size


def pixel_weight(points: Array, size: int) -> Tensor:
    """[1, 1, size, size]: 0 where the source picture stays, 1 where it is drawn over, 4 where the lips come to be."""
    lips = points[:, 48:68].reshape(-1, 2)
    low, high = np.percentile(lips, [0.5, 99.5], axis=0) + np.array([[-0.08, -0.08], [0.08, 0.08]], np.float64)
    coordinates = grid(size)
    x, y = coordinates[..., 0], coordinates[..., 1]
    mouth = (x > low[0]) & (x < high[0]) & (y > low[1]) & (y < high[1])
    return ((depth(coordinates) > -0.06).float() * (1 + MOUTH_WEIGHT * mouth.float()))[None, None]
