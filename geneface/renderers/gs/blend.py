"""Gaussians into a picture: orthographic splatting and sorted blending (Kerbl et al. 2023; Zwicker et al. 2001, "EWA
splatting"). `gsplat` draws on CUDA where it can, torch everywhere else.
"""

import importlib.util
import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

TILE = 8
"""Side of the tiles that are blended together, in pixels."""
BLUR = 0.3
"""Squared pixels added to every Gaussian: none is thinner than the pixels (gsplat's eps2d)."""
REACH = 3.0
"""Standard deviations up to which a Gaussian is drawn."""
MOST_ALPHA, LEAST_ALPHA = 0.999, 1 / 255
NEVER = -100.0
"""Logarithm of an opacity of which nothing is seen."""
DEEPEST = 384
"""Gaussians of a tile that are blended, those in front: what lies deeper is hidden in practice."""


@dataclass(frozen=True)
class Splats:
    """G Gaussians of one picture, in its pixels (x, y from the upper left corner; pixel centres at .5)."""

    place: Tensor
    """[G, 2]."""
    depth: Tensor
    """[G]; smaller is nearer."""
    spread: Tensor
    """[G, 2, 2] covariance in squared pixels."""
    colour: Tensor
    """[G, 3], 0-1."""
    opacity: Tensor
    """[G], 0-1."""


def blended(splats: Splats, size: int) -> tuple[Tensor, Tensor]:
    """Premultiplied colour [3, size, size] and alpha [1, size, size]; differentiable."""
    if splats.place.is_cuda and with_gsplat():
        return _by_gsplat(splats, size)
    return _by_torch(splats, size)


@cache
def with_gsplat() -> bool:
    """Whether gsplat can draw here: it is installed, and nvcc is there to compile it at first use."""
    if importlib.util.find_spec("gsplat") is None:
        return False
    from torch.utils.cpp_extension import CUDA_HOME  # noqa: PLC0415 - looks for nvcc when imported

    return CUDA_HOME is not None


def _by_torch(splats: Splats, size: int) -> tuple[Tensor, Tensor]:
    """Tile by tile, all tiles at once."""
    tiles = -(-size // TILE)
    a, b, c = splats.spread[:, 0, 0] + BLUR, splats.spread[:, 0, 1], splats.spread[:, 1, 1] + BLUR
    table = listed(splats, torch.stack([a, c], 1).detach(), tiles)
    tile = (table >= 0).any(1).nonzero()[:, 0]
    table = table[tile]
    chosen = table.clamp_min(0)
    corner = torch.stack([tile % tiles, tile // tiles], -1)[:, None] * TILE
    x, y = (splats.place[chosen] - corner).unbind(-1)
    determinant = (a * c - b * b).clamp_min(1e-6)
    xx, xy, yy = ((v / determinant)[chosen] for v in (-0.5 * c, b, -0.5 * a))
    # The logarithm of opacity times Gaussian is a polynomial in the pixel's place in its tile: all of them in one product.
    most = torch.where(table >= 0, splats.opacity.clamp_min(1e-6).log()[chosen], NEVER)
    constant = xx * x * x + xy * x * y + yy * y * y + most
    polynomial = torch.stack([xx, xy, yy, -2 * xx * x - xy * y, -2 * yy * y - xy * x, constant], -1)
    power = polynomial @ _monomials(polynomial)
    alpha = functional.threshold(power.clamp(max=math.log(MOST_ALPHA)).exp(), LEAST_ALPHA, 0.0)
    through = torch.cumprod(1 - alpha, 1)
    weights = -torch.diff(through, dim=1, prepend=torch.ones_like(through[:, :1]))
    shown = torch.cat([splats.colour, torch.ones_like(splats.opacity)[:, None]], 1)[chosen].transpose(1, 2) @ weights
    picture = shown.new_zeros(tiles * tiles, 4, TILE * TILE).index_copy(0, tile, shown)
    picture = picture.view(tiles, tiles, 4, TILE, TILE).permute(2, 0, 3, 1, 4).reshape(4, tiles * TILE, tiles * TILE)
    return picture[:3, :size, :size], picture[3:, :size, :size]


def _monomials(like: Tensor) -> Tensor:
    """[6, TILE * TILE]: x^2, xy, y^2, x, y and 1 of a tile's pixel centres, row by row."""
    line = torch.arange(TILE, device=like.device, dtype=like.dtype) + 0.5
    y, x = (v.flatten() for v in torch.meshgrid(line, line, indexing="ij"))
    return torch.stack([x * x, x * y, y * y, x, y, torch.ones_like(x)])


@torch.no_grad()
def listed(splats: Splats, variance: Tensor, tiles: int) -> Tensor:
    """[tiles * tiles, K]: the Gaussians that touch each tile, nearest first, -1 where there are no more; variance [G, 2] along
    x and y.
    """
    reach = REACH * variance.sqrt()
    low = ((splats.place - reach) / TILE).floor().long()
    high = ((splats.place + reach) / TILE).floor().long()
    outside = ((high < 0) | (low >= tiles)).any(1) | (splats.opacity < LEAST_ALPHA)
    low, high = low.clamp(0, tiles - 1), high.clamp(0, tiles - 1)
    wide, tall = (high - low + 1).unbind(1)
    count = torch.where(outside, 0, wide * tall)
    order = splats.depth.argsort(stable=True)
    order = order[count[order] > 0]
    owner = order.repeat_interleave(count[order])
    first = count[order].cumsum(0) - count[order]
    place = torch.arange(len(owner), device=owner.device) - first.repeat_interleave(count[order])
    tile = (low[owner, 1] + place // wide[owner]) * tiles + low[owner, 0] + place % wide[owner]
    tile, sorting = tile.sort(stable=True)
    owner = owner[sorting]
    each = torch.bincount(tile, minlength=tiles * tiles)
    rank = torch.arange(len(tile), device=tile.device) - (each.cumsum(0) - each)[tile]
    kept = rank < DEEPEST
    table = torch.full((tiles * tiles, int(each.max().clamp(1, DEEPEST))), -1, device=tile.device)
    table[tile[kept], rank[kept]] = owner[kept]
    return table


def _by_gsplat(splats: Splats, size: int) -> tuple[Tensor, Tensor]:
    """The same through gsplat's rasteriser: a camera that looks along z, one unit a pixel."""
    from gsplat import rasterization  # noqa: PLC0415 - optional, and compiles at first use

    count, device = len(splats.depth), splats.place.device
    means = torch.cat([splats.place, (splats.depth - splats.depth.detach().min() + 1)[:, None]], 1)
    covariance = torch.diag_embed(torch.ones(count, 3, device=device))
    covariance[:, :2, :2] = splats.spread
    eye = torch.eye(4, device=device)[None]
    unused = {"quats": torch.zeros(count, 4, device=device), "scales": torch.ones(count, 3, device=device)}
    colour, alpha, _ = rasterization(
        means=means, **unused, covars=covariance, opacities=splats.opacity, colors=splats.colour, viewmats=eye,
        Ks=eye[:, :3, :3], width=size, height=size, camera_model="ortho", eps2d=BLUR,
    )  # fmt: skip
    return colour[0].permute(2, 0, 1), alpha[0].permute(2, 0, 1)
