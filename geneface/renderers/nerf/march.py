"""Volume rendering: which samples are worth a look, and how they add up along a ray (Max 1995; NeRF, eq. 3)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from geneface.renderers.nerf.camera import Cameras, Rays
from geneface.renderers.nerf.field import HeadField, NerfDims

DECAY = 0.95
"""Of the remembered density, with every look at a cell."""
THIN = 5.0
"""Density below which a cell is empty, or the mean of all where that is less (RAD-NeRF)."""
UNSEEN = 1e4
"""Density of a cell that was not yet looked at: it counts as full."""
CARVED = -1.0
"""Density of a cell that no frame shows the head in."""
THROUGH = 1e-4
"""Transmittance below which a ray ends."""
ROUND = 6
"""Samples of every ray between two looks at its transmittance, when drawing."""


@dataclass(frozen=True)
class Drawn:
    """What R rays show."""

    colour: Tensor
    """[R, 3], premultiplied."""
    alpha: Tensor
    """[R]."""
    weights: Tensor
    """[M] of the live samples."""
    ambient: Tensor
    """[M, 2]."""
    ray: Tensor
    """[M] whose they are."""


def transmittance(alpha: Tensor) -> Tensor:
    """Light that reaches each of K samples [R, K] of opacity alpha [R, K], front first."""
    through = torch.cumprod(1 - alpha, 1)
    return torch.cat([torch.ones_like(through[:, :1]), through[:, :-1]], 1)


class Occupancy(nn.Module):
    """Where in the box there is something: a coarse grid of remembered densities, refreshed with the motion of random frames."""

    density: Tensor
    full: Tensor

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.cells = cells
        self.register_buffer("density", torch.full((cells**3,), UNSEEN))
        self.register_buffer("full", torch.ones(cells**3, dtype=torch.bool))

    def at(self, points: Tensor) -> Tensor:
        """Whether points [N, 3] (x, y, z in 0-1) lie in full cells [N]."""
        cell = (points * self.cells).long().clamp(0, self.cells - 1)
        return self.full[(cell[..., 2] * self.cells + cell[..., 1]) * self.cells + cell[..., 0]]

    def centres(self, index: Tensor) -> Tensor:
        """Middles [N, 3] of cells."""
        x, y = index % self.cells, index // self.cells % self.cells
        return (torch.stack([x, y, index // self.cells**2], -1) + 0.5) / self.cells

    @torch.no_grad()
    def carve(self, empty: Tensor) -> None:
        """Takes cells [cells^3] out for good."""
        self.density[empty] = CARVED
        self._decide()

    @torch.no_grad()
    def refresh(self, field: HeadField, code: Tensor, most: int) -> None:
        """Looks at `most` random cells that are not carved, each with the code of a random frame of [B, CODE]."""
        alive = (self.density >= 0).nonzero()[:, 0]
        index = alive[torch.randint(len(alive), (most,), device=alive.device)] if len(alive) > most else alive
        points = self.centres(index) + (torch.rand(len(index), 3, device=index.device) - 0.5) / self.cells
        found, _, _ = field.sigma(points, torch.randint(len(code), (len(index),), device=index.device), code)
        before = self.density[index]
        self.density[index] = torch.where(before >= UNSEEN, found, torch.maximum(before * DECAY, found)).clamp(max=UNSEEN / 2)
        self._decide()

    def _decide(self) -> None:
        shape = (1, 1, self.cells, self.cells, self.cells)
        alive = self.density >= 0
        seen = (self.density > self.density[alive].mean().clamp(max=THIN)).float().view(shape)
        self.full.copy_((functional.max_pool3d(seen, 3, 1, 1).view(-1) > 0) & alive)


class Head(nn.Module):
    """The field, its occupancy, and the box in face units that it fills."""

    box: Tensor
    updates: Tensor

    def __init__(self, dims: NerfDims) -> None:
        super().__init__()
        self.dims = dims
        self.field = HeadField(dims)
        self.occupancy = Occupancy(dims.cells)
        self.register_buffer("box", torch.tensor([[-200.0, -250, -120], [400, 500, 320]]))
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))

    def draw(self, cameras: Cameras, frame: Tensor, pixels: Tensor, code: Tensor, jitter: bool = False) -> Drawn:
        """All samples of the rays through pixels [R, 2] of frames [R] at once; `jitter` shifts each ray's by up to a step.
        Differentiable.
        """
        rays = cameras.rays(frame, pixels, self.box)
        ray, times = self._live(rays, 0, self.dims.samples, jitter)
        density, geometry, ambient = self.field.sigma(self._points(rays, ray, times), frame[ray], code)
        alpha = 1 - torch.exp(-density / self.dims.samples)
        weights = alpha * _through(alpha, ray, len(rays))
        colour = self.field.colour(geometry, frame[ray], cameras.view)
        shown = colour.new_zeros(len(rays), 3).index_add(0, ray, weights[:, None] * colour)
        return Drawn(shown, weights.new_zeros(len(rays)).index_add(0, ray, weights), weights, ambient, ray)

    @torch.no_grad()
    def see(self, cameras: Cameras, frame: Tensor, pixels: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        """The same for drawing alone: premultiplied colour [R, 3] and alpha [R]; rays end where nothing shines through."""
        rays = cameras.rays(frame, pixels, self.box)
        through, shown = torch.ones_like(rays.near), torch.zeros_like(rays.origin)
        for first in range(0, self.dims.samples, ROUND):
            going = ((through > THROUGH) & (rays.near < rays.far)).nonzero()[:, 0]
            part = rays[going]
            ray, times = self._live(part, first, min(first + ROUND, self.dims.samples), jitter=False)
            if not len(ray):
                continue
            density, geometry, _ = self.field.sigma(self._points(part, ray, times), part.frame[ray], code)
            alpha = 1 - torch.exp(-density / self.dims.samples)
            weights = alpha * _through(alpha, ray, len(part)) * through[going[ray]]
            bright = weights > THROUGH
            colour = self.field.colour(geometry[bright], part.frame[ray[bright]], cameras.view)
            shown.index_add_(0, going[ray[bright]], weights[bright, None] * colour)
            through.index_add_(0, going[ray], -weights)
        return shown, 1 - through

    def _live(self, rays: Rays, first: int, last: int, jitter: bool) -> tuple[Tensor, Tensor]:
        """Samples `first` to `last` - 1 in full cells: their rays [M], in order, and times [M] from the box's front."""
        step = 1 / self.dims.samples
        shift = torch.rand_like(rays.near) if jitter else torch.full_like(rays.near, 0.5)
        places = torch.arange(first, last, device=shift.device)
        times = rays.near[:, None] + (places + shift[:, None]) * step
        points = rays.origin[:, None] + times[..., None] * rays.direction[:, None]
        live = self.occupancy.at(points) & (times < rays.far[:, None])
        ray, sample = live.nonzero(as_tuple=True)
        return ray, times[ray, sample]

    @staticmethod
    def _points(rays: Rays, ray: Tensor, times: Tensor) -> Tensor:
        return rays.origin[ray] + times[:, None] * rays.direction[ray]


def _through(alpha: Tensor, ray: Tensor, rays: int) -> Tensor:
    """Transmittance [M] before each live sample; samples of a ray lie side by side, rays in order."""
    count = torch.bincount(ray, minlength=rays)
    place = torch.arange(len(ray), device=ray.device) - (count.cumsum(0) - count)[ray]
    dense = alpha.new_zeros(rays, max(int(count.max()) if rays else 0, 1)).index_put((ray, place), alpha)
    return transmittance(dense)[ray, place]
