"""Layers laid over frames."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from geneface.face.region import Placement
from geneface.renderers import Layer


def paste(frames: np.ndarray, layer: Layer) -> np.ndarray:
    """The frames uint8 [T, H, W, 3] with the layer laid over them; where it is transparent they stay as they are."""
    result = frames.copy()
    for i in range(len(frames)):
        alpha = layer.alpha[i : i + 1] if len(layer.alpha) > 1 else layer.alpha
        _paste(result[i], torch.cat([layer.colour[i : i + 1], alpha], 1), layer.placement[i : i + 1])
    return result


def _paste(frame: np.ndarray, picture: Tensor, placement: Placement) -> None:
    """Lays one picture [1, 4, size, size] over one frame [H, W, 3], in place."""
    height, width = frame.shape[:2]
    corners = placement.to_picture(np.float32([[[-1, -1], [1, -1], [-1, 1], [1, 1]]]))[0]
    left, top = np.maximum(np.floor(corners.min(0)).astype(int), 0)
    right, bottom = np.minimum(np.ceil(corners.max(0)).astype(int) + 1, (width, height))
    if left >= right or top >= bottom:
        return
    y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
    where = torch.from_numpy(
        placement.to_region(np.stack([x, y], -1).reshape(1, -1, 2)).reshape(1, bottom - top, right - left, 2)
    )
    drawn = functional.grid_sample(picture[:, :3], where, mode="bicubic", padding_mode="border", align_corners=False)[0]
    alpha = functional.grid_sample(picture[:, 3:], where, mode="bilinear", padding_mode="zeros", align_corners=False)[0]
    over = drawn.permute(1, 2, 0).clamp(0, 1).mul(255).numpy()
    under = frame[top:bottom, left:right].astype(np.float32)
    frame[top:bottom, left:right] = np.rint(under + alpha.permute(1, 2, 0).numpy() * (over - under)).astype(np.uint8)
