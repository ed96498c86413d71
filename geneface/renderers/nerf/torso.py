"""The torso: a field of the picture, bent by the head's pose (RAD-NeRF, section 3.4)."""

import torch
from torch import Tensor, nn

from geneface.renderers.nerf.field import NerfDims, mlp
from geneface.renderers.nerf.grid import Grid

PLACE_WAVES, POSE_WAVES, POSE = 6, 3, 6
POSE_SCALE = 4.0
"""Head poses of a speaker differ by tenths: spread out before they become waves."""


def waves(values: Tensor, count: int) -> Tensor:
    """[N, D] to [N, D * (1 + 2 * count)]: the values, and sines and cosines of pi 2^k times them (NeRF, eq. 4)."""
    angles = (values[:, None] * (torch.pi * 2.0 ** torch.arange(count, device=values.device))[:, None]).flatten(1)
    return torch.cat([values, angles.sin(), angles.cos()], 1)


class Torso(nn.Module):
    """Colour and opacity of picture points under a head in a given pose."""

    mean_pose: Tensor

    def __init__(self, dims: NerfDims) -> None:
        super().__init__()
        self.dims = dims
        place, pose = 2 * (1 + 2 * PLACE_WAVES), POSE * (1 + 2 * POSE_WAVES)
        self.grid = Grid(2, dims.levels, 16, dims.finest, dims.table_log2)
        self.bend = mlp(place + pose, dims.width, dims.width, 2)
        self.draw = mlp(self.grid.width + place + pose, dims.width // 2, dims.width // 2, 4)
        self.register_buffer("mean_pose", torch.zeros(1, POSE))
        nn.init.zeros_(self.bend[-1].get_parameter("weight"))

    def forward(self, points: Tensor, frame: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
        """Colour [N, 3] and alpha [N], 0-1, at points [N, 2] (x, y; 0-1 over the picture) of frames [N] with pose [B, 6]
        (whole.pose_vector).
        """
        turned = waves((pose - self.mean_pose) * POSE_SCALE, POSE_WAVES).index_select(0, frame)
        given = torch.cat([waves(points * 2 - 1, PLACE_WAVES), turned], 1)
        bent = points + 0.1 * torch.tanh(self.bend(given).float())
        drawn = torch.sigmoid(self.draw(torch.cat([self.grid(bent), given], 1)).float())
        return drawn[:, :3], drawn[:, 3]
