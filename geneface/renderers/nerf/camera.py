"""Rays of a weak-perspective camera: a pose is a similarity in pixels, so that all rays of a frame are parallel in the head's
own space. The head lies in a box, whose coordinates are 0 to 1.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from geneface.face.geometry import Pose


@dataclass(frozen=True)
class Rays:
    """R rays: position(t) = origin + t * direction, t in shares of the box's depth."""

    origin: Tensor
    """[R, 3] box coordinates."""
    direction: Tensor
    """[R, 3]."""
    near: Tensor
    """[R] where the ray enters the box."""
    far: Tensor
    """[R] where it leaves; not above `near` when it misses."""
    frame: Tensor
    """[R] which of the frames it belongs to."""

    def __getitem__(self, index: Tensor) -> Self:
        return type(self)(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    def __len__(self) -> int:
        return len(self.near)


@dataclass(frozen=True)
class Cameras:
    """The poses of B frames as tensors: rotation [B, 3, 3], translation [B, 3] and scale [B] in pixels."""

    rotation: Tensor
    translation: Tensor
    scale: Tensor

    @classmethod
    def of(cls, pose: Pose, device: torch.device) -> Self:
        """On this device."""
        return cls(*(torch.from_numpy(a).to(device) for a in (pose.rotation, pose.translation, pose.scale)))

    @property
    def view(self) -> Tensor:
        """Direction of sight in head space, unit [B, 3]: what the picture calls depth."""
        return self.rotation[:, 2]

    def rays(self, frame: Tensor, pixels: Tensor, box: Tensor) -> Rays:
        """Rays through picture points: frame [R], pixels [R, 2] (x, y); box [2, 3]: its low corner and its sides in face
        units.
        """
        point = torch.cat([pixels, pixels.new_zeros(len(pixels), 1)], 1) - self.translation[frame]
        turned = torch.einsum("rji,rj->ri", self.rotation[frame], point) / self.scale[frame][:, None]
        low, sides = box
        origin, direction = (turned - low) / sides, self.view[frame] * (sides[2] / sides)
        safe = torch.where(direction.abs() < 1e-6, torch.full_like(direction, 1e-6), direction)
        enter, leave = (-origin / safe), ((1 - origin) / safe)
        return Rays(
            origin, direction, torch.minimum(enter, leave).amax(1), torch.maximum(enter, leave).amin(1), frame
        )  # fmt: skip


def harmonics(direction: Tensor) -> Tensor:
    """Real spherical harmonics up to degree 3 of unit vectors [B, 3]: [B, 16]."""
    x, y, z = direction.unbind(-1)
    xx, yy, zz = x * x, y * y, z * z
    return torch.stack([
        torch.full_like(x, 0.28209479), -0.48860251 * y, 0.48860251 * z, -0.48860251 * x,
        1.09254843 * x * y, -1.09254843 * y * z, 0.31539157 * (3 * zz - 1), -1.09254843 * x * z, 0.54627422 * (xx - yy),
        -0.59004359 * y * (3 * xx - yy), 2.89061144 * x * y * z, -0.45704580 * y * (5 * zz - 1),
        0.37317633 * z * (5 * zz - 3), -0.45704580 * x * (5 * zz - 1), 1.44530572 * z * (xx - yy),
        -0.59004359 * x * (xx - 3 * yy),
    ], -1)  # fmt: skip
