"""Multi-resolution feature grids (Mueller et al. 2022, "Instant Neural Graphics Primitives"), tiled as in RAD-NeRF: a fine
level's vertices take the table's rows modulo its size.
"""

from itertools import product

import torch
from torch import Tensor, nn

from geneface.renderers.nerf.fused import weighted_rows

FEATURES = 2
"""Numbers of each level."""


class Grid(nn.Module):
    """Interpolated features of points in the unit cube (or square); all levels and corners in one gather."""

    resolution: Tensor
    stride: Tensor
    base: Tensor
    steps: Tensor

    def __init__(self, dimensions: int, levels: int, coarsest: int, finest: int, table_log2: int) -> None:
        super().__init__()
        growth = (finest / coarsest) ** (1 / max(levels - 1, 1))
        resolution = torch.tensor([round(coarsest * growth**level) for level in range(levels)])
        self.rows, self.levels, self.dimensions = 1 << table_log2, levels, dimensions
        self.register_buffer("resolution", resolution.float(), persistent=False)
        stride = ((resolution[:, None] + 1) ** torch.arange(dimensions)).remainder(self.rows).int()
        corners = torch.tensor(list(product((0, 1), repeat=dimensions)))
        steps = (corners[None] * stride[:, None]).sum(-1).int()
        self.register_buffer("stride", stride, persistent=False)
        self.register_buffer("steps", steps, persistent=False)
        self.register_buffer("base", (torch.arange(levels)[:, None] * self.rows).int(), persistent=False)
        self.table = nn.Parameter(torch.empty(levels * self.rows, FEATURES).uniform_(-1e-4, 1e-4))

    @property
    def width(self) -> int:
        """Numbers that come out for each point."""
        return self.levels * FEATURES

    def forward(self, points: Tensor) -> Tensor:
        """points [N, D] in 0-1 to features [N, width]; differentiable in the points and the table."""
        rows, weights = self.lookup(points)
        return weighted_rows(self.table, rows, weights).view(len(points), self.width)

    def lookup(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Table rows and weights of the cell's corners, both [N * levels, 2^D]."""
        scaled = points.clamp(0, 1)[:, None] * self.resolution[:, None]
        cell = torch.minimum(scaled.detach().floor(), self.resolution[:, None] - 1)
        inside = scaled - cell
        # A corner's row is the sum of its coordinates times the level's strides, modulo the table (a power of two, so that an
        # overflow does no harm); `steps` takes the cell's first corner to the others.
        strided = cell.int() * self.stride
        first = strided[..., 0]
        for axis in range(1, self.dimensions):
            first = first + strided[..., axis]
        rows = ((first[..., None] + self.steps) & (self.rows - 1)) + self.base
        weights = torch.stack([1 - inside[..., 0], inside[..., 0]], -1)
        for axis in range(1, self.dimensions):
            high = inside[..., axis, None, None]
            weights = (weights[..., None] * torch.cat([1 - high, high], -1)).flatten(-2)
        return rows.flatten(0, 1), weights.flatten(0, 1)
