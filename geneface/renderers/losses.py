"""What the renderer is trained to: colours (Charbonnier), structure (SSIM, Wang et al. 2004) and edges (gradients at two
scales). No pretrained network.
"""

import torch
from torch import Tensor
from torch.nn import functional

STRUCTURE_WEIGHT, EDGE_WEIGHT = 0.15, 1.0


def picture_loss(drawn: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Scalar; drawn and truth [B, 3, H, W] (0-1), weight [B or 1, 1, H, W] says how much each pixel counts (0: not drawn)."""
    difference = drawn - truth
    colour = _mean(torch.sqrt(difference.square() + 1e-6), weight)
    edges = _gradient(difference, weight) + _gradient(functional.avg_pool2d(difference, 2), functional.avg_pool2d(weight, 2))
    return colour + EDGE_WEIGHT * edges + STRUCTURE_WEIGHT * _mean(1 - ssim_map(_gray(drawn), _gray(truth)), weight)


def ssim_map(drawn: Tensor, truth: Tensor) -> Tensor:
    """SSIM of each pixel's 7x7 neighbourhood, [B, C, H, W] in and out; pictures in 0-1."""
    both = torch.cat([drawn, truth, drawn * drawn, truth * truth, drawn * truth])
    mean_drawn, mean_truth, drawn2, truth2, product = functional.avg_pool2d(both, 7, 1, 3, count_include_pad=False).chunk(5)
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_drawn * mean_truth + c1) / (mean_drawn**2 + mean_truth**2 + c1)
    structure = (2 * (product - mean_drawn * mean_truth) + c2) / (drawn2 - mean_drawn**2 + truth2 - mean_truth**2 + c2)
    return luminance * structure


def _gray(picture: Tensor) -> Tensor:
    """Of one channel: structure lies in brightness, and three channels cost three times as much."""
    return picture.mean(1, keepdim=True)


def _gradient(difference: Tensor, weight: Tensor) -> Tensor:
    down = _mean((difference[:, :, 1:] - difference[:, :, :-1]).abs(), weight[:, :, 1:])
    across = _mean((difference[:, :, :, 1:] - difference[:, :, :, :-1]).abs(), weight[:, :, :, 1:])
    return down + across


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / (weight.sum() * values.shape[1] * (values.shape[0] / weight.shape[0])).clamp_min(1e-6)
