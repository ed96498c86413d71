"""S3FD (Zhang et al. 2017), the face detector before SyncNet: its boxes, from mid-forehead to chin, decide the crop.

Layers and names are those of the published checkpoint `sfd_face.pth`, which loads as it is.
"""

from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from media.frames import Frame

MEAN = (123.0, 117.0, 104.0)
"""Taken from the RGB values."""
STEPS, SIDES = (4, 8, 16, 32, 64, 128), (16, 32, 64, 128, 256, 512)
"""Pixels between the prior boxes of each map, and the boxes' sides."""
VARIANCES = (0.1, 0.2)
SURE, OVERLAP = 0.9, 0.1
"""Confidence of a face; boxes that overlap more than this (over their union) are one face."""
_CANDIDATE, _CANDIDATES, _KEPT, _SAME = 0.05, 5_000, 750, 0.3
"""The checkpoint's own first sieve: least confidence, boxes before and after suppression, and its overlap."""

Boxes = NDArray[np.float64]

_BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class S3FD(nn.Module):
    """Confidences and boxes of a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.vgg = nn.ModuleList(_backbone())
        self.L2Norm3_3, self.L2Norm4_3, self.L2Norm5_3 = _L2Norm(256), _L2Norm(512), _L2Norm(512)
        self.extras = nn.ModuleList(
            [nn.Conv2d(1024, 256, 1), nn.Conv2d(256, 512, 3, 2, 1), nn.Conv2d(512, 128, 1), nn.Conv2d(128, 256, 3, 2, 1)]
        )
        widths = (256, 512, 512, 1024, 512, 256)
        self.loc = nn.ModuleList([nn.Conv2d(width, 4, 3, padding=1) for width in widths])
        self.conf = nn.ModuleList([nn.Conv2d(width, 2 if at else 4, 3, padding=1) for at, width in enumerate(widths)])

    @classmethod
    def of(cls, weights: Mapping[str, Tensor]) -> "S3FD":
        """From a state dict."""
        network = cls()
        network.load_state_dict(weights)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network.eval().requires_grad_(False)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """RGB less MEAN, [B, 3, H, W] float, to the faces' confidences [B, P] and boxes [B, P, 4] (left, top, right, bottom,
        shares of the picture).
        """
        confidences, boxes = [], []
        for at, found in enumerate(self._maps(pictures)):
            confidence, offset = self.conf[at](found), self.loc[at](found)
            if not at:  # three ways to be no face, of which the likeliest counts
                confidence = torch.cat([confidence[:, :3].amax(1, keepdim=True), confidence[:, 3:]], 1)
            confidences.append(functional.softmax(confidence, 1)[:, 1].flatten(1))
            boxes.append(_decoded(offset, STEPS[at], SIDES[at], pictures.shape[-2:]))
        return torch.cat(confidences, 1), torch.cat(boxes, 1)

    def _maps(self, x: Tensor) -> Iterator[Tensor]:
        """What boxes are read from, the finest first."""
        norms = {15: self.L2Norm3_3, 22: self.L2Norm4_3, 29: self.L2Norm5_3}
        for at, layer in enumerate(self.vgg):
            x = layer(x)
            if at in norms:
                yield norms[at](x)
        yield x
        for at, layer in enumerate(self.extras):
            x = functional.relu(layer(x))
            if at % 2:
                yield x

    def faces(self, frames: Sequence[Frame], scale: float) -> list[Boxes]:
        """Faces [F, 5] of each RGB frame, the surest first: left, top, right, bottom in its pixels, confidence. `scale`: of the
        pictures that are looked at.
        """
        small = [cv2.resize(frame, (0, 0), fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR) for frame in frames]
        device = next(self.parameters()).device
        mean = torch.tensor(MEAN, device=device)[:, None, None]
        pictures = torch.from_numpy(np.stack(small)).to(device).permute(0, 3, 1, 2).float() - mean
        with torch.inference_mode():
            confidences, boxes = (found.cpu().numpy().astype(np.float64) for found in self(pictures))
        height, width = frames[0].shape[:2]
        sides = (width, height, width, height)
        return [_sieved(sure, around * sides) for sure, around in zip(confidences, boxes, strict=True)]


def _sieved(confidence: NDArray[np.float64], boxes: Boxes) -> Boxes:
    """Those of the boxes [P, 4] that are faces, with their confidence [F, 5]."""
    order = np.argsort(-confidence, kind="stable")
    order = order[confidence[order] > _CANDIDATE][:_CANDIDATES]
    kept = order[_suppressed(boxes[order], _SAME)][:_KEPT]
    kept = kept[confidence[kept] > SURE]
    found = np.concatenate([boxes[kept], confidence[kept, None]], 1)
    return found[_suppressed(found[:, :4], OVERLAP)]


class _L2Norm(nn.Module):
    """Each pixel's channels brought to length 1 and weighed."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight[None, :, None, None] * x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)


def _backbone() -> Iterator[nn.Module]:
    channels = 3
    for number, block in enumerate(_BLOCKS):
        for out in block:
            yield nn.Conv2d(channels, out, 3, padding=1)
            yield nn.ReLU()
            channels = out
        yield nn.MaxPool2d(2, 2, ceil_mode=number == 2)
    yield nn.Conv2d(512, 1024, 3, padding=6, dilation=6)
    yield nn.ReLU()
    yield nn.Conv2d(1024, 1024, 1)
    yield nn.ReLU()


def _decoded(offset: Tensor, step: int, side: int, size: torch.Size) -> Tensor:
    """Offsets [B, 4, h, w] from the prior boxes of one map, to boxes [B, h*w, 4] in shares of the picture."""
    height, width = size
    rows, columns = torch.meshgrid(*(torch.arange(n, device=offset.device) for n in offset.shape[-2:]), indexing="ij")
    centre = torch.stack([(columns + 0.5) * step / width, (rows + 0.5) * step / height], -1).reshape(-1, 2)
    prior = torch.tensor([side / width, side / height], device=offset.device)
    moved = offset.permute(0, 2, 3, 1).reshape(len(offset), -1, 4)
    middle = centre + moved[..., :2] * VARIANCES[0] * prior
    extent = prior * torch.exp(moved[..., 2:] * VARIANCES[1])
    return torch.cat([middle - extent / 2, middle + extent / 2], -1)


def _suppressed(boxes: Boxes, overlap: float) -> NDArray[np.int64]:
    """Indices of boxes [N, 4], the surest first, of which none overlaps a surer one by more than `overlap`."""
    areas = np.prod(np.maximum(boxes[:, 2:4] - boxes[:, :2], 0), axis=1)
    left, kept = np.arange(len(boxes)), []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        low, high = np.maximum(boxes[left, :2], boxes[best, :2]), np.minimum(boxes[left, 2:4], boxes[best, 2:4])
        common = np.prod(np.maximum(high - low, 0), axis=1)
        left = left[common <= overlap * (areas[left] + areas[best] - common)]
    return np.array(kept, np.int64)
