"""The head's radiance field, conditioned on landmark motion through *ambient* coordinates (RAD-NeRF, section 3.2; GeneFace).

What the face does reaches a point only as a position in a 2-D plane that the network chooses for it: this bottleneck keeps
what speech does not move apart from what it moves.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import torch
from torch import Tensor, nn

from geneface.renderers.nerf.camera import harmonics
from geneface.renderers.nerf.grid import Grid
from geneface.renderers.whole import EYES_SCALE

CODE, GEOMETRY, HARMONICS, EYES = 64, 32, 16, 2
"""A closed eye counts as much as a landmark three deviations off."""
AMBIENT_START = 0.1
"""Spread of the ambient grid at first: a flat one would not tell the network which way to move a point's coordinates."""
MOST = 12.0
"""Largest logarithm of a density: beyond it nothing is more opaque."""


@dataclass(frozen=True)
class NerfDims:
    """What the fields' shapes depend on; kept in the checkpoint."""

    size: int
    """Side of the pictures that are drawn, in pixels."""
    side: int
    """Side of the frames that they are laid over."""
    levels: int = 12
    finest: int = 512
    """Cells along a side of the finest level, of the head's grid; half of it for the other grids."""
    table_log2: int = 14
    width: int = 64
    samples: int = 24
    """Steps through the depth of the box."""
    cells: int = 64
    """Along each side of the occupancy grid."""
    motion: int = 111

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """From JSON."""
        return cls(**values)


def mlp(*widths: int) -> nn.Sequential:
    """Linear layers without bias, ReLU between."""
    layers: list[nn.Module] = []
    for inside, outside in pairwise(widths):
        layers += [nn.Linear(inside, outside, bias=False), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class HeadField(nn.Module):
    """Density and colour of points in the head's box."""

    usual_eyes: Tensor

    def __init__(self, dims: NerfDims) -> None:
        super().__init__()
        width = dims.width
        self.grid = Grid(3, dims.levels, 16, dims.finest, dims.table_log2)
        self.ambient_grid = Grid(2, max(dims.levels // 2, 1), 16, dims.finest // 2, dims.table_log2)
        self.register_buffer("usual_eyes", torch.full((1, EYES), 0.3))
        nn.init.uniform_(self.ambient_grid.table, -AMBIENT_START, AMBIENT_START)
        self.encode_motion = nn.Sequential(nn.Linear(dims.motion + EYES, CODE), nn.SiLU(), nn.Linear(CODE, CODE))
        self.ambient_in, self.ambient_code = nn.Linear(self.grid.width, width, bias=False), nn.Linear(CODE, width, bias=False)
        self.ambient_out = nn.Sequential(nn.ReLU(), mlp(width, width, 2))
        self.density = mlp(self.grid.width + self.ambient_grid.width, width, width, 1 + GEOMETRY)
        self.colour_in, self.colour_view = nn.Linear(GEOMETRY, width, bias=False), nn.Linear(HARMONICS, width, bias=False)
        self.colour_out = nn.Sequential(nn.ReLU(), nn.Linear(width, 3, bias=False))

    def code(self, motion: Tensor, eyes: Tensor) -> Tensor:
        """Of frames: motion [B, motion] and eyes [B, 2] (as in Views) to [B, CODE]."""
        return self.encode_motion(torch.cat([motion, EYES_SCALE * (eyes / self.usual_eyes - 1)], 1))

    def sigma(self, points: Tensor, frame: Tensor, code: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Density [N] (per depth of the box), geometry [N, GEOMETRY] and ambient coordinates [N, 2] (-1 to 1) of points
        [N, 3] in 0-1 that belong to frames [N] of code [B, CODE].
        """
        features = self.grid(points)
        hidden = self.ambient_in(features) + self.ambient_code(code).index_select(0, frame)
        ambient = torch.tanh(self.ambient_out(hidden).float())
        learned = self.density(torch.cat([features, self.ambient_grid((ambient + 1) / 2)], 1)).float()
        return torch.exp(learned[:, 0].clamp(max=MOST)), learned[:, 1:], ambient

    def colour(self, geometry: Tensor, frame: Tensor, view: Tensor) -> Tensor:
        """Colours [N, 3], 0-1, seen along view [B, 3]."""
        seen = self.colour_view(harmonics(view)).index_select(0, frame)
        return torch.sigmoid(self.colour_out(self.colour_in(geometry) + seen).float())
