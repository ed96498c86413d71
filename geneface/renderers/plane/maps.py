"""Landmark motion as maps: soft lines where the lips and the jaw are to be, and the flow that brings a resting face there."""

import torch
from torch import Tensor

from geneface.face.person import LOWER

LINES = 4
"""Outer lips, inner lips, jaw line, inside of the mouth."""
JAW = tuple(range(17))
OUTER_LIPS = (*range(48, 60), 48)
INNER_LIPS = (*range(60, 68), 60)
UPPER_INNER, LOWER_INNER = (60, 61, 62, 63, 64), (60, 67, 66, 65, 64)
LINE_WIDTH = 0.028
"""Standard deviation of a drawn line, in region coordinates (-1 to 1 across)."""
REACH, ELSEWHERE = 0.1, 0.05
"""How far around a landmark its own displacement counts (standard deviation, region coordinates), and the weight of none."""


def motion_maps(points: Tensor, rest: Tensor, coordinates: Tensor) -> Tensor:
    """[B, LINES + 2, H, W]: the lines, 0-1, then the flow.

    points: [B, 68, 2], rest: [68, 2] of the resting face, coordinates: [H, W, 2], all in region coordinates.
    """
    lines = [_line(points[:, list(path)], coordinates) for path in (OUTER_LIPS, INNER_LIPS, JAW)]
    return torch.cat([torch.stack([*lines, _inside(points, coordinates)], 1), _flow(points, rest, coordinates)], 1)


def _flow(points: Tensor, rest: Tensor, coordinates: Tensor) -> Tensor:
    """[B, 2, H, W]: each pixel's place in the picture of the resting face less its own; landmarks nearby decide."""
    there, back = points[:, list(LOWER)], rest[list(LOWER)] - points[:, list(LOWER)]
    distance = (coordinates - there[:, :, None, None]).square().sum(-1)
    weight = torch.exp(distance / (-2 * REACH**2))
    return torch.einsum("bkhw,bkc->bchw", weight, back) / (weight.sum(1, keepdim=True) + ELSEWHERE)


def _line(path: Tensor, coordinates: Tensor) -> Tensor:
    """A polyline [B, K, 2] as a Gaussian ridge [B, H, W]."""
    start, step = path[:, :-1, None, None], (path[:, 1:] - path[:, :-1])[:, :, None, None]
    offset = coordinates - start
    along = (offset * step).sum(-1) / (step * step).sum(-1).clamp_min(1e-8)
    nearest = (offset - along.clamp(0, 1)[..., None] * step).square().sum(-1).amin(1)
    return torch.exp(nearest / (-2 * LINE_WIDTH**2))


def _inside(points: Tensor, coordinates: Tensor) -> Tensor:
    """How far inside the open mouth each pixel lies, softly: between the upper and the lower inner lip at its own x."""
    x, y = coordinates[..., 0], coordinates[..., 1]
    upper, lower = (_height(points[:, list(path)], x) for path in (UPPER_INNER, LOWER_INNER))
    between = torch.minimum(y - upper, lower - y)
    within = torch.minimum(x - points[:, 60, 0, None, None], points[:, 64, 0, None, None] - x)
    return torch.sigmoid(torch.minimum(between, within) / (LINE_WIDTH / 2))


def _height(path: Tensor, x: Tensor) -> Tensor:
    """y of a curve [B, K, 2] (x rising) at every x [H, W], by linear interpolation; [B, H, W]."""
    knots = path[..., 0].cummax(1).values
    total = path[:, 0, 1, None, None] + torch.zeros_like(x)
    for k in range(path.shape[1] - 1):
        width = (knots[:, k + 1] - knots[:, k]).clamp_min(1e-4)[:, None, None]
        share = ((x - knots[:, k, None, None]) / width).clamp(0, 1)
        total = total + share * (path[:, k + 1, 1] - path[:, k, 1])[:, None, None]
    return total
