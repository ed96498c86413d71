"""The person as Gaussians: most hang on the triangles of the face's mesh, hair and ears on the head's pose, neck and
torso on the picture.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from geneface.renderers.gs.blend import Splats
from geneface.renderers.whole import EYES_SCALE

CODE, OWN, EYES, POSE = 32, 8, 2, 6
"""Numbers of the motion's code, of each Gaussian's own features, of the eyes, of a head pose (whole.pose_vector)."""
FREE = 6.0
"""Face units that the network may add to a Gaussian's place, about."""
HARMONIC = 0.48860251


@dataclass(frozen=True)
class GsDims:
    """What the shapes depend on; kept in the checkpoint."""

    size: int
    """Side of the pictures that are drawn, in pixels."""
    side: int
    """Side of the frames that they are laid over."""
    face: int
    """Gaussians on the mesh."""
    hair: int
    """Gaussians on the head's pose."""
    torso: int
    """Gaussians on the picture."""
    points: int = 478
    motion: int = 111

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """From JSON."""
        return cls(**values)

    @property
    def head(self) -> int:
        """Gaussians that go with the head."""
        return self.face + self.hair

    @property
    def count(self) -> int:
        """All Gaussians."""
        return self.head + self.torso


@dataclass(frozen=True)
class Sight:
    """What B frames are to show: the head's pose in the frame's pixels, as tensors, and what moves the face."""

    rotation: Tensor
    """[B, 3, 3]."""
    translation: Tensor
    """[B, 3]."""
    scale: Tensor
    """[B]."""
    pose: Tensor
    """[B, 6]: whole.pose_vector."""
    lower: Tensor
    """[B, motion]."""
    eyes: Tensor
    """[B, 2]."""

    def __len__(self) -> int:
        return len(self.scale)


class Gaussians(nn.Module):
    """All that is learned, and the mesh that it hangs on."""

    shape: Tensor
    response: Tensor
    corners: Tensor
    weights: Tensor
    usual_eyes: Tensor
    usual_pose: Tensor

    def __init__(self, dims: GsDims) -> None:
        super().__init__()
        self.dims = dims
        self.register_buffer("shape", torch.zeros(dims.points, 3))
        self.register_buffer("response", torch.zeros(dims.motion + EYES, dims.points * 3))
        self.register_buffer("corners", torch.zeros(dims.face, 3, dtype=torch.long))
        self.register_buffer("weights", torch.zeros(dims.face, 3))
        self.register_buffer("usual_eyes", torch.full((1, EYES), 0.3))
        self.register_buffer("usual_pose", torch.zeros(1, POSE))
        count = dims.count
        self.offset = nn.Parameter(torch.zeros(dims.head, 3))
        """Face units from the mesh (or, for the hair, from the head's middle)."""
        self.spot = nn.Parameter(torch.zeros(dims.torso, 2))
        """Pixels of the frame, for the torso."""
        self.sway = nn.Parameter(torch.zeros(dims.torso, POSE, 2))
        """Pixels by which a Gaussian of the torso moves for each unit of the head's pose."""
        self.log_scale = nn.Parameter(torch.zeros(count, 3))
        """Logarithm of the deviations, in face units; in pixels of the frame for the torso (two of them)."""
        self.turn = nn.Parameter(torch.tensor([1.0, 0, 0, 0]).repeat(count, 1))
        """Quaternions."""
        self.opacity = nn.Parameter(torch.zeros(count))
        self.colour = nn.Parameter(torch.zeros(count, 3))
        self.glance = nn.Parameter(torch.zeros(dims.head, 3, 3))
        """Degree 1 of the head's colours: how they change with the direction of sight."""
        self.own = nn.Parameter(0.1 * torch.randn(dims.head, OWN))
        self.encode = nn.Sequential(nn.Linear(dims.motion + EYES, 64), nn.SiLU(), nn.Linear(64, CODE))
        self.change = nn.Sequential(nn.Linear(OWN + CODE, 64), nn.ReLU(), nn.Linear(64, 7))
        nn.init.zeros_(self.change[-1].get_parameter("weight"))
        nn.init.zeros_(self.change[-1].get_parameter("bias"))

    def forward(self, sight: Sight) -> list[Splats]:
        """The Gaussians of each frame, projected, in pixels of the pictures that are drawn."""
        motion = self.motion(sight.lower, sight.eyes)
        added = self.changes(self.encode(motion))
        shares = self.dims.size / self.dims.side
        place, covariance = self._head(sight, motion, added[..., :3])
        spot = self.spot + torch.einsum("bp,gpd->bgd", sight.pose - self.usual_pose, self.sway)
        flat = covariances(self.log_scale[self.dims.head :], self.turn[self.dims.head :])[:, :2, :2]
        view = HARMONIC * torch.einsum("gcd,bd->bgc", self.glance, sight.rotation[:, 2])
        colour = torch.sigmoid(self.colour[: self.dims.head] + view + added[..., 3:6])
        opacity = torch.sigmoid(self.opacity[: self.dims.head] + added[..., 6])
        behind = place[..., 2].detach().amax(1) + 1
        return [
            Splats(
                torch.cat([place[i, :, :2], spot[i]]) * shares + 0.5 * shares,
                torch.cat([place[i, :, 2], behind[i].expand(self.dims.torso)]).detach(),
                torch.cat([covariance[i], flat]) * shares**2,
                torch.cat([colour[i], torch.sigmoid(self.colour[self.dims.head :])]),
                torch.cat([opacity[i], torch.sigmoid(self.opacity[self.dims.head :])]),
            )
            for i in range(len(sight))
        ]

    def motion(self, lower: Tensor, eyes: Tensor) -> Tensor:
        """All that moves the face, [B, motion + 2]: normalised motion [B, motion], and eyes [B, 2] (as in Views) to the same
        scale.
        """
        return torch.cat([lower, EYES_SCALE * (eyes / self.usual_eyes - 1)], 1)

    def changes(self, code: Tensor) -> Tensor:
        """What the motion's code [B, CODE] adds to the Gaussians of the head beyond the mesh's own movement, [B, G, 7]: place
        (face units), colour and opacity (before their sigmoids).
        """
        first, rest = cast(nn.Linear, self.change[0]), self.change[1:]
        own, moved = torch.split(first.weight, [OWN, CODE], 1)
        hidden = (self.own @ own.T)[None] + (code @ moved.T + first.bias)[:, None]
        added = rest(hidden)
        return torch.cat([FREE * torch.tanh(added[..., :3] / FREE), added[..., 3:]], -1)

    def mesh(self, motion: Tensor) -> Tensor:
        """The face's points [B, N, 3] in face units for `motion` [B, motion + 2]."""
        return self.shape + (motion @ self.response).view(len(motion), -1, 3)

    def _head(self, sight: Sight, motion: Tensor, added: Tensor) -> tuple[Tensor, Tensor]:
        """Places [B, G, 3] in pixels of the frame and covariances [B, G, 2, 2] of the head's Gaussians: the pose is a similarity
        and the projection drops depth, so that both are exact.
        """
        hung = (self.mesh(motion)[:, self.corners] * self.weights[..., None]).sum(2)
        base = torch.cat([hung, hung.new_zeros(len(hung), self.dims.hair, 3)], 1) + self.offset + added
        turned = torch.einsum("bij,bgj->bgi", sight.rotation, base)
        place = sight.scale[:, None, None] * turned + sight.translation[:, None]
        spread = covariances(self.log_scale[: self.dims.head], self.turn[: self.dims.head])
        across = sight.scale[:, None, None] * sight.rotation[:, :2]
        return place, torch.einsum("bij,gjk,blk->bgil", across, spread, across)


def covariances(log_scale: Tensor, turn: Tensor) -> Tensor:
    """[G, 3, 3] from logarithms of deviations [G, 3] and quaternions [G, 4] (w, x, y, z; of any length)."""
    w, x, y, z = nn.functional.normalize(turn, dim=-1).unbind(-1)
    rotation = torch.stack([
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ], -1).view(-1, 3, 3)  # fmt: skip
    half = rotation * log_scale.exp()[:, None]
    return half @ half.transpose(1, 2)
