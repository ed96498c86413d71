"""Raster: which triangle every sample of the picture sees, all triangles at once, in torch."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Visible:
    """Samples that see something: flat sample numbers [N], their triangles [N] and the corners' weights [N, 3]."""

    sample: Tensor
    triangle: Tensor
    weights: Tensor


def visible(screen: Tensor, triangles: Tensor, width: int, height: int) -> Visible:
    """`screen` [V, 3]: x and y in samples, depth (larger = farther). Triangles that turn away are left out."""
    corners = screen[triangles]
    x, y, depth = corners.unbind(-1)
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    left = (x.amin(1) - 0.5).ceil().clamp(0, width).long()
    right = (x.amax(1) - 0.5).floor().clamp(-1, width - 1).long()
    top = (y.amin(1) - 0.5).ceil().clamp(0, height).long()
    bottom = (y.amax(1) - 0.5).floor().clamp(-1, height - 1).long()
    wide, tall = right - left + 1, bottom - top + 1
    use = ((area < -1e-9) & (wide > 0) & (tall > 0)).nonzero()[:, 0]
    wide, tall = wide[use], tall[use]
    count = wide * tall
    owner = torch.repeat_interleave(torch.arange(len(use)), count)
    place = torch.arange(len(owner)) - torch.repeat_interleave(count.cumsum(0) - count, count)
    row = torch.div(place, wide[owner], rounding_mode="floor")
    px, py = left[use][owner] + place - row * wide[owner], top[use][owner] + row
    # edge functions as planes: weight k = a*px + b*py + c, divided by the area
    x, y, depth, area = x[use], y[use], depth[use], area[use]
    planes = []
    for k in (1, 2):
        i, j = (2, 0) if k == 1 else (0, 1)
        a, b = (y[:, i] - y[:, j]) / area, (x[:, j] - x[:, i]) / area
        planes.append(torch.stack([a, b, -(a * x[:, i] + b * y[:, i])], 1))
    fx, fy = px + 0.5, py + 0.5
    second = planes[0].index_select(0, owner)
    third = planes[1].index_select(0, owner)
    w1 = second[:, 0] * fx + second[:, 1] * fy + second[:, 2]
    w2 = third[:, 0] * fx + third[:, 1] * fy + third[:, 2]
    inside = ((w1 >= 0) & (w2 >= 0) & (w1 + w2 <= 1)).nonzero()[:, 0]
    owner, w1, w2 = owner[inside], w1[inside], w2[inside]
    sample = (py[inside] * width + px[inside]).long()
    far = depth.index_select(0, owner)
    here = far[:, 0] + w1 * (far[:, 1] - far[:, 0]) + w2 * (far[:, 2] - far[:, 0])
    nearest = torch.full((width * height,), torch.inf).scatter_reduce_(0, sample, here, "amin", include_self=True)
    seen = (here <= nearest[sample]).nonzero()[:, 0]
    sample, owner, w1, w2 = sample[seen], owner[seen], w1[seen], w2[seen]
    return Visible(sample, use[owner], torch.stack([1 - w1 - w2, w1, w2], 1))
