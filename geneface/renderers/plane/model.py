"""The `plane` renderer's network: a mouth for a picture whose lower face is hidden, conditioned on landmark motion.

It keeps what is always the same about the person in canonical planes (a mean picture and learned features, one sample a
pixel: research 6.2 E) and lets a small U-Net, working at half resolution, add what the motion and the visible surroundings
change.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

HEAT_CHANNELS = 4
"""Outer lips, inner lips, jaw line, open mouth."""


@dataclass(frozen=True)
class PlaneDims:
    """What the network's shapes depend on; kept in the checkpoint."""

    size: int
    """Pixels of the square region of interest; a multiple of 16."""
    widths: tuple[int, ...] = (32, 64, 96, 128)
    """Channels at 1/2, 1/4, 1/8, 1/16 of `size`."""
    features: int = 8
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

    def __init__(self, dims: PlaneDims) -> None:
        super().__init__()
        self.dims = dims
        half, widths = dims.size // 2, dims.widths
        self.register_buffer("mean_picture", torch.zeros(1, 3, dims.size, dims.size))
        self.features = nn.Parameter(torch.randn(1, dims.features, half, half) * 0.1)
        self.encode_motion = nn.Sequential(nn.Linear(dims.motion, 128), nn.SiLU(), nn.Linear(128, dims.code), nn.SiLU())
        inputs = 12 + HEAT_CHANNELS + dims.features
        self.down = nn.ModuleList(Modulated(i, o, dims.code) for i, o in zip((inputs, *widths), widths, strict=False))
        self.up = nn.ModuleList(
            Modulated(deep + skip, skip, dims.code) for deep, skip in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.draw = nn.Conv2d(widths[0], 12, 3, padding=1)
        nn.init.zeros_(self.draw.weight)
        nn.init.zeros_(self.draw.bias)

    def forward(self, surroundings: Tensor, heat: Tensor, motion: Tensor) -> Tensor:
        """Pictures [B, 3, size, size], about 0-1.

        surroundings: [B, 3, size, size], the source region less the mean picture, 0 where hidden; heat: [B, HEAT_CHANNELS,
        size/2, size/2], 0-1;
        motion: [B, motion], normalised with the person's mean and deviation.
        """
        code = self.encode_motion(motion)
        x = torch.cat([nn.functional.pixel_unshuffle(surroundings, 2), heat, self.features.expand(len(heat), -1, -1, -1)], 1)
        x = x.contiguous(memory_format=torch.channels_last)
        skips = []
        for block in self.down:
            x = block(x if not skips else nn.functional.avg_pool2d(x, 2), code)
            skips.append(x)
        skips.pop()
        for block in self.up:
            x = nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = block(torch.cat([x, skips.pop()], 1), code)
        return self.mean_picture + nn.functional.pixel_shuffle(self.draw(x), 2)
