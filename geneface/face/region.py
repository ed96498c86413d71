"""The lower-face region of interest: where it lies in each picture, how it is taken out, hidden and pasted back.

The region hangs on the pose of the head's bones alone, and what is hidden in it is a fixed shape: neither follows the lips
or the jaw of the picture they are laid over, so that nothing of its own speech reaches the renderer (yardstick, "How figures
lie").
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from geneface.face.geometry import Array, Pose

CENTRE_POINTS = (2, 152)
"""Mesh points under the nose and of the chin: the region is centred between them, a little lower."""
HALF_SIDE = 92.0
"""Face units from the region's centre to its edge."""
HIDDEN_CENTRE, HIDDEN_AXES = (0.0, 0.08), (0.90, 0.89)
"""The hidden superellipse in region coordinates (-1 to 1 across): from above the upper lip to under the chin of an open mouth,
also when the head nods. A chin that stays outside shows as a second one.
"""
HIDDEN_POWER = 2.6
FEATHER = 0.14
"""Width of the soft edge, in region coordinates, inside the hidden shape: there the drawn and the real picture are mixed."""


@dataclass(frozen=True)
class Placement:
    """Where the region lies in T pictures: centre [T, 2] and half side [T] in pixels, roll [T] in radians."""

    centre: Array
    half: Array
    roll: Array

    def __len__(self) -> int:
        return len(self.half)

    def __getitem__(self, index: slice | np.ndarray) -> Self:
        return type(self)(self.centre[index], self.half[index], self.roll[index])

    def to_region(self, points: Array) -> Array:
        """Picture pixels [T, N, 2] to region coordinates [T, N, 2], -1 to 1 across."""
        dx, dy = np.moveaxis(points - self.centre[:, None], -1, 0)
        cos, sin = np.cos(self.roll)[:, None], np.sin(self.roll)[:, None]
        turned = np.stack([cos * dx + sin * dy, -sin * dx + cos * dy], -1)
        return (turned / self.half[:, None, None]).astype(np.float32)

    def to_picture(self, points: Array) -> Array:
        """Region coordinates [T, N, 2] to picture pixels [T, N, 2]."""
        x, y = np.moveaxis(points * self.half[:, None, None], -1, 0)
        cos, sin = np.cos(self.roll)[:, None], np.sin(self.roll)[:, None]
        return (np.stack([cos * x - sin * y, sin * x + cos * y], -1) + self.centre[:, None]).astype(np.float32)


def anchor(shape: Array) -> Array:
    """The region's centre [3] in face units for a person of this median shape [478, 3]."""
    above, chin = (shape[i] for i in CENTRE_POINTS)
    return (above + (chin - above) * 0.60).astype(np.float32)


def place(pose: Pose, centre: Array) -> Placement:
    """Lays the region over the pictures of these poses; `centre` [3] in face units."""
    roll = np.arctan2(pose.rotation[:, 1, 0], pose.rotation[:, 0, 0])
    return Placement(pose.project(centre[None])[:, 0, :2], (pose.scale * HALF_SIDE).astype(np.float32), roll.astype(np.float32))


def depth(coordinates: Tensor) -> Tensor:
    """How far inside the hidden shape region coordinates [..., 2] lie: 0 on its edge, growing inwards, in region coordinates
    (about).
    """
    centre = coordinates.new_tensor(HIDDEN_CENTRE)
    axes = coordinates.new_tensor(HIDDEN_AXES)
    radius = ((coordinates - centre).abs() / axes).pow(HIDDEN_POWER).sum(-1).pow(1 / HIDDEN_POWER)
    return (1 - radius) * axes.min()


def grid(size: int) -> Tensor:
    """Region coordinates [size, size, 2] (x, y) of the region's pixel centres."""
    line = (torch.arange(size) + 0.5) * (2 / size) - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y], -1)


def visible_mask(size: int) -> Tensor:
    """[1, 1, size, size]: 1 where the renderer may see the source picture, 0 where it is hidden."""
    return (depth(grid(size)) <= 0).float()[None, None]


def share_at(coordinates: Tensor, margin: float) -> Tensor:
    """How far what is drawn covers the source picture at region coordinates [..., 2], 0-1: from `margin` inside the hidden
    shape on.
    """
    share = ((depth(coordinates) - margin) / FEATHER).clamp(0, 1)
    return share * share * (3 - 2 * share)


def pasted_share(size: int) -> Tensor:
    """[1, 1, size, size]: how far a drawn region covers the source picture, 0-1; 0 from one pixel inside the hidden shape on,
    so that nothing spills when it is enlarged.
    """
    return share_at(grid(size), 2 / size)[None, None]


def extract(frames: Tensor, placement: Placement, size: int) -> Tensor:
    """Takes the regions [T, 3, size, size] (float, 0-255) out of frames [T, H, W, 3] uint8, averaging where the picture is
    finer than the region; each frame by itself, whatever frames are beside it.
    """
    finer = np.clip(np.ceil(2 * placement.half / size - 0.3), 1, 8).astype(int)
    if (finer == finer[0]).all():  # nearly always: no copies
        return _taken(frames, placement, size, int(finer[0]))
    regions = torch.empty(len(placement), 3, size, size)
    for times in np.unique(finer):
        alike = np.flatnonzero(finer == times)
        regions[alike] = _taken(frames[alike], placement[alike], size, int(times))
    return regions


def _taken(frames: Tensor, placement: Placement, size: int, finer: int) -> Tensor:
    """`extract` at `finer` samples to the pixel's side."""
    height, width = frames.shape[1:3]
    points = placement.to_picture(
        np.broadcast_to(grid(size * finer).numpy().reshape(1, -1, 2), (len(placement), (size * finer) ** 2, 2))
    )
    where = torch.from_numpy((points + 0.5) * np.array([2 / width, 2 / height], np.float32) - 1)
    pictures = frames.permute(0, 3, 1, 2).float()
    taken = functional.grid_sample(
        pictures, where.view(-1, size * finer, size * finer, 2), mode="bicubic", padding_mode="border", align_corners=False
    )
    return functional.avg_pool2d(taken.clamp(0, 255), finer)
