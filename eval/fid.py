"""FID (Heusel et al. 2017): the Fréchet distance between Gaussians laid through two clips' Inception features.

With S = RᵀR / (n - 1), R the triangular factor of the centred features [n, D], the trace of (S₁S₂)^½ is the sum of the singular
values of R₁R₂ᵀ / √((n₁-1)(n₂-1)): exact for any n, where a matrix root of a product of singular matrices is not. R is kept while
the features stream by: never more than D rows and a buffer.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from eval.inception import WIDTH, Inception
from media.frames import Frame

FEWEST = 2
"""Frames of each clip."""
BATCH = 16
_BUFFER = 2
"""Rows that are kept before they are made triangular, as a multiple of their width."""

Doubles = NDArray[np.float64]


class Spread:
    """Mean and triangular factor of the features of one clip, row by row."""

    def __init__(self, width: int) -> None:
        self.count, self.width = 0, width
        self._rows: list[Doubles] = []
        self._held = 0

    def add(self, features: NDArray[np.floating]) -> None:
        """Takes features [B, D] in."""
        # With a column of ones in front, the factor's first row holds the mean and the rest is the centred features' factor.
        self._rows.append(np.concatenate([np.ones((len(features), 1)), features], 1, dtype=np.float64))
        self.count += len(features)
        self._held += len(features)
        if self._held > _BUFFER * (self.width + 1):
            self._rows = [_triangle(self._rows)]
            self._held = len(self._rows[0])

    def parts(self) -> tuple[Doubles, Doubles]:
        """Mean [D] and a factor [≤ D, D] of the centred features."""
        factor = _triangle(self._rows)
        return factor[0, 1:] / factor[0, 0], factor[1:, 1:]


def _triangle(rows: list[Doubles]) -> Doubles:
    return np.asarray(np.linalg.qr(np.concatenate(rows), mode="r"))


class Seen:
    """The features of one clip's frames as they come by."""

    def __init__(self, network: Inception) -> None:
        self.network, self._held = network, list[Frame]()
        self._spread = Spread(WIDTH)

    def __call__(self, frame: Frame) -> None:
        """Takes a frame in, uint8 [H, W, 3] RGB."""
        self._held.append(frame)
        if len(self._held) == BATCH:
            self._embed()

    def spread(self) -> Spread:
        """Of all frames seen so far."""
        self._embed()
        return self._spread

    def _embed(self) -> None:
        if not self._held:
            return
        device = next(self.network.parameters()).device
        frames = torch.from_numpy(np.stack(self._held)).to(device).permute(0, 3, 1, 2)
        with torch.inference_mode():
            self._spread.add(self.network(frames).cpu().numpy())
        self._held.clear()


def distance(first: Spread, second: Spread) -> float | None:
    """FID of two clips' features; None when one of them has fewer than two frames."""
    if min(first.count, second.count) < FEWEST:
        return None
    (mean1, factor1), (mean2, factor2) = first.parts(), second.parts()
    scale1, scale2 = first.count - 1, second.count - 1
    root = np.linalg.svd(factor1 @ factor2.T, compute_uv=False).sum() / np.sqrt(scale1 * scale2)
    traces = np.square(factor1).sum() / scale1 + np.square(factor2).sum() / scale2
    return float(np.square(mean1 - mean2).sum() + traces - 2 * root)
