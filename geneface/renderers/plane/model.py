"""The `plane` renderer's network: a mouth for a picture whose lower face is hidden, conditioned on landmark motion.

What the person's skin, lips and teeth look like stands in a few canonical pictures, one sample a pixel. They are bent to where
the landmarks are to be; a small U-Net, working at half resolution, hears the motion and sees the surroundings, and bends each
further, mixes them and adds what they don't explain. Bent pictures keep their pores and edges, which a network that draws every
pixel itself blurs (benchmarks/RESULTS.md).
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from geneface.face.region import grid
from geneface.renderers.plane.maps import LINES

FLOW = 0.1
"""Region coordinates that an output of 1 bends a picture by."""
UNLIKE = 0.01
"""Deviation of the noise by which the canonical pictures differ at first: equal ones would stay equal."""


@dataclass(frozen=True)
class PlaneDims:
    """What the network's shapes depend on; kept in the checkpoint."""

    size: int
    """Pixels of the square region of interest; a multiple of 16."""
    widths: tuple[int, ...] = (32, 64, 96, 128)
    """Channels at 1/2, 1/4, 1/8, 1/16 of `size`."""
    features: int = 8
    """Learned channels beside the motion, one sample a pixel of the network's grid."""
    pictures: int = 4
    """Canonical pictures."""
    motion: int = 111
    """Numbers of one frame's motion: 37 points of lips and jaw in 3-D."""
    code: int = 64


class Modulated(nn.Module):
    """Two 3x3 convolutions with group norm, scaled and shifted by the motion code."""

    def __init__(self, inside: int, outside: int, code: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inside, outside, 3, padding=1)
        self.norm = nn.GroupNorm(8, outside)
        self.modulation = nn.Linear(code, 2 * outside)
        self.second = nn.Conv2d(outside, outside, 3, padding=1)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """x [B, inside, H, W], code [B, code] to [B, outside, H, W]."""
        scale, shift = self.modulation(code)[:, :, None, None].chunk(2, 1)
        x = self.norm(self.first(x)) * (1 + scale) + shift
        return nn.functional.silu(self.second(nn.functional.silu(x)))


class Plane(nn.Module):
    """Draws the hidden part of the region of interest."""

    mean_picture: Tensor
    rest: Tensor
    coordinates: Tensor

    def __init__(self, dims: PlaneDims) -> None:
        super().__init__()
        self.dims = dims
        half, widths = dims.size // 2, dims.widths
        self.register_buffer("mean_picture", torch.zeros(1, 3, dims.size, dims.size))
        self.register_buffer("rest", torch.zeros(68, 2))
        self.register_buffer("coordinates", grid(dims.size)[None], persistent=False)
        self.pictures = nn.Parameter(torch.zeros(dims.pictures, 3, dims.size, dims.size))
        self.features = nn.Parameter(torch.randn(1, dims.features, half, half) * 0.1)
        self.encode_motion = nn.Sequential(nn.Linear(dims.motion, 128), nn.SiLU(), nn.Linear(128, dims.code), nn.SiLU())
        inputs = 12 + LINES + 2 + dims.features
        self.down = nn.ModuleList(Modulated(i, o, dims.code) for i, o in zip((inputs, *widths), widths, strict=False))
        self.up = nn.ModuleList(
            Modulated(deep + skip, skip, dims.code) for deep, skip in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.bend = nn.Conv2d(widths[1], 3 * dims.pictures, 3, padding=1)
        self.draw = nn.Conv2d(widths[0], 12, 3, padding=1)
        for last in (self.bend, self.draw):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.get_parameter("bias"))

    def on(self, device: torch.device) -> Self:
        """Brought there, in the memory layout that its convolutions are fastest in."""
        return self.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's stubs

    def begin_with(self, picture: Tensor, points: Tensor) -> None:
        """Before training: the mean picture [1, 3, size, size], 0-1, and the mean landmarks [68, 2] in region coordinates."""
        self.mean_picture.copy_(picture)
        self.rest.copy_(points)
        with torch.no_grad():
            self.pictures.copy_(picture + UNLIKE * torch.randn_like(self.pictures))

    def forward(self, surroundings: Tensor, maps: Tensor, motion: Tensor) -> Tensor:
        """Pictures [B, 3, size, size], about 0-1.

        surroundings: [B, 3, size, size], the source region less the mean picture, 0 where hidden; maps: [B, LINES + 2, size/2,
        size/2] (maps.py); motion: [B, motion], normalised with the person's mean and deviation.
        """
        code = self.encode_motion(motion)
        x = torch.cat([nn.functional.pixel_unshuffle(surroundings, 2), maps, self.features.expand(len(maps), -1, -1, -1)], 1)
        x = x.contiguous(memory_format=torch.channels_last)
        skips: list[Tensor] = []
        for block in self.down:
            x = block(x if not skips else nn.functional.avg_pool2d(x, 2), code)
            skips.append(x)
        skips.pop()
        for block in self.up:
            coarse = x
            x = block(torch.cat([nn.functional.interpolate(x, scale_factor=2.0, mode="nearest"), skips.pop()], 1), code)
        return self._bent(self.bend(coarse), nn.functional.avg_pool2d(maps[:, LINES:], 2)) + nn.functional.pixel_shuffle(
            self.draw(x), 2
        )

    def _bent(self, how: Tensor, flow: Tensor) -> Tensor:
        """The canonical pictures bent and mixed, [B, 3, size, size]; how: [B, 3 * pictures, size/4, size/4], for each picture two
        numbers of flow beside `flow` [B, 2, size/4, size/4], and its share.
        """
        batch, count, size = len(how), self.dims.pictures, self.dims.size
        how = torch.cat([FLOW * how[:, : 2 * count] + flow.repeat(1, count, 1, 1), how[:, 2 * count :]], 1)
        how = nn.functional.interpolate(how.float(), size=(size, size), mode="bilinear", align_corners=False)
        flow = how[:, : 2 * count].reshape(batch * count, 2, size, size).permute(0, 2, 3, 1)
        pictures = self.pictures.expand(batch, -1, -1, -1, -1).reshape(batch * count, 3, size, size)
        bent = nn.functional.grid_sample(
            pictures, self.coordinates + flow, mode="bilinear", padding_mode="border", align_corners=False
        )
        share = how[:, 2 * count :].softmax(1)
        return (bent.view(batch, count, 3, size, size) * share[:, :, None]).sum(1)
