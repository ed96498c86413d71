"""LPIPS (Zhang et al. 2018), AlexNet, version 0.1: how far two pictures are apart to a network, weighed as people judged.

The backbone is torchvision's `alexnet-owt-7be5be79.pth`; the five weightings are those of the package lpips 0.1.4 (BSD-2-Clause).
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from media.frames import Frame

HEADS = Path(__file__).parent / "lpips_alex.npz"
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""ImageNet's mean and deviation for pictures in -1…1."""
BATCH = 8
LEAST = 32
"""Pixels of the shorter side: less leaves nothing after the pools."""


class Pairs:
    """The distances of one clip's pairs of frames as they come by."""

    def __init__(self, network: "Lpips") -> None:
        self.network, self._held = network, list[tuple[Frame, Frame]]()
        self._found: list[float] = []

    def __call__(self, truth: Frame, other: Frame) -> None:
        """Takes a pair in, uint8 [H, W, 3] RGB."""
        self._held.append((truth, other))
        if len(self._held) == BATCH:
            self._measure()

    def distances(self) -> list[float]:
        """Of all pairs seen so far; none where the frames are too small."""
        self._measure()
        return self._found

    def _measure(self) -> None:
        held, self._held = self._held, []
        if not held or min(held[0][0].shape[:2]) < LEAST:
            return
        device = next(self.network.parameters()).device
        first, second = (torch.from_numpy(np.stack(frames)).to(device).permute(0, 3, 1, 2) for frames in zip(*held, strict=True))
        with torch.inference_mode():
            self._found += self.network(first, second).tolist()


class Lpips(nn.Module):
    """Frames to distances."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        with np.load(HEADS) as heads:
            self.heads = nn.ParameterList([torch.from_numpy(heads[f"lin{number}"].copy()) for number in range(5)])

    @classmethod
    def of(cls, weights: Mapping[str, Tensor]) -> "Lpips":
        """From torchvision's state dict; its classifier is not needed."""
        network = cls()
        network.features.load_state_dict(
            {name.removeprefix("features."): value for name, value in weights.items() if name.startswith("features.")}
        )
        return network.eval().requires_grad_(False)

    def forward(self, truth: Tensor, other: Tensor) -> Tensor:
        """Pairs of uint8 [B, 3, H, W] RGB to distances [B]."""
        x = torch.cat([truth, other]).float() / 127.5 - 1
        x = (x - x.new_tensor(SHIFT)[:, None, None]) / x.new_tensor(SCALE)[:, None, None]
        total, heads = x.new_zeros(len(truth)), iter(self.heads)
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                unit = x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)
                first, second = unit.chunk(2)
                total += torch.einsum("bchw,c->bhw", (first - second).square(), next(heads)).mean((1, 2))
        return total
