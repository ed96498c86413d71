"""What the renderers that draw head and torso share: whole frames to train on, and layers as large as the frame."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from geneface.dataset import LAYERS_SIDE
from geneface.face.geometry import Array, Pose
from geneface.face.region import Placement, extract
from geneface.renderers import Layer, Material
from geneface.renderers.compose import foreground
from geneface.renderers.regions import unpack

EYES_SCALE = 3.0
"""Of the eyes' opening over the usual one, less 1, beside normalised motion."""
SHUT_TIMES = 6.0
"""How many times more often, about, a frame is drawn whose eyes are shut."""
LEAST_ALPHA = 0.1
"""Below it a colour is taken from its neighbours: its own is mostly rounding."""


def whole_frame(count: int, side: int) -> Placement:
    """A square frame of `side` pixels as one region, `count` times."""
    middle = (side - 1) / 2
    return Placement(np.full((count, 2), middle, np.float32), np.full(count, side / 2, np.float32), np.zeros(count, np.float32))


@dataclass(frozen=True)
class Footage:
    """Training frames and their layers at the size that is trained, memory-mapped."""

    frames: np.ndarray
    """uint8 [N, 3, size, size]."""
    layers: np.ndarray
    """uint8 [N, 3, size, size]: shares of head, neck and torso."""
    plate: Array
    """[3, size, size], 0-1."""
    usable: np.ndarray
    """Numbers of the frames that may be learned from."""
    chances: np.ndarray
    """With which each of those is drawn, in sum 1."""

    @classmethod
    def of(cls, material: Material, size: int) -> Self:
        """The training part of a dataset, unpacked."""
        dataset, count = material.dataset, len(material.views)
        plate = torch.from_numpy(dataset.plate())[None]
        small = extract(plate, whole_frame(1, dataset.size), size)[0].div(255).numpy()
        films = {"frames": (dataset.frames, dataset.size), "layers": (dataset.layers, LAYERS_SIDE)}
        frames, layers = (
            unpack(film, whole_frame(count, side), size, material.work / f"{name}-{size}.npy", material.reporter)
            for name, (film, side) in films.items()
        )
        return cls(frames, layers, small, material.usable, chances_of(material.views.eyes[material.usable]))

    def drawn(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Numbers of `count` random frames, rising; different ones where there are enough."""
        return np.sort(rng.choice(self.usable, count, replace=len(self.usable) < count, p=self.chances))

    def spaced(self, most: int) -> np.ndarray:
        """Numbers of at most `most` frames, evenly spread over the clip."""
        return self.usable[np.linspace(0, len(self.usable) - 1, min(most, len(self.usable))).astype(int)]

    def pictures(self, chosen: np.ndarray) -> tuple[Array, Array]:
        """The person's own colours [B, 3, size, size] and the shares [B, 3, size, size] of these frames, 0-1."""
        layers = self.layers[chosen] / np.float32(255)
        share = layers.sum(1, keepdims=True).clip(0, 1)
        layers = layers / np.maximum(layers.sum(1, keepdims=True), 1)
        colours = foreground(self.frames[chosen] / np.float32(255), share, self.plate)
        return colours, layers

    def mean_share(self, most: int = 128) -> Array:
        """Mean of the layers over some `most` frames of the clip, [3, size, size], 0-1."""
        return (self.layers[self.spaced(most)].mean(0) / 255).astype(np.float32)


def chances_of(eyes: Array) -> np.ndarray:
    """[N], in sum 1, for eyes [N, 2] (as in Views): frames with shut eyes are few and would hardly be learned, so they are
    drawn more often.
    """
    open_ = (eyes / np.median(eyes, 0)).mean(1).clip(0, 1)
    chances = 1 + SHUT_TIMES * (1 - open_).astype(np.float64)
    return np.asarray(chances / chances.sum())


def whole_layer(premultiplied: Tensor, alpha: Tensor, side: int) -> Layer:
    """A layer over frames of `side` pixels from premultiplied colours [T, 3, size, size] and alpha [T, 1, size, size].

    Just outside the person the colours of the edge go on, so that an enlarged edge does not darken.
    """
    premultiplied, alpha = premultiplied.float().cpu(), alpha.float().cpu()
    near = functional.avg_pool2d(torch.cat([premultiplied, alpha], 1), 5, 1, 2)
    colour = torch.where(alpha > LEAST_ALPHA, premultiplied / alpha.clamp_min(1e-4), near[:, :3] / near[:, 3:].clamp_min(1e-4))
    return Layer(colour.clamp(0, 1), alpha.clamp(0, 1), whole_frame(len(alpha), side))


def box(points: Array, margin: float, size: int) -> np.ndarray:
    """bool [size, size]: the box around where points [..., 2] (pixels of such a picture) mostly are, and `margin` more."""
    low, high = np.percentile(points.reshape(-1, 2), [1, 99], axis=0) + np.array([[-margin], [margin]])
    y, x = np.mgrid[:size, :size]
    return np.asarray((x > low[0]) & (x < high[0]) & (y > low[1]) & (y < high[1]))


def pose_vector(pose: Pose, side: int) -> Array:
    """[T, 6]: the turn of the head (sines about x, y, z, for turns that are not large), its place in the frame (-1 to 1) and
    the logarithm of its size.
    """
    r = pose.rotation
    turn = np.stack([r[:, 2, 1] - r[:, 1, 2], r[:, 0, 2] - r[:, 2, 0], r[:, 1, 0] - r[:, 0, 1]], 1) / 2
    place = pose.translation[:, :2] * (2 / side) - 1
    return np.concatenate([turn, place, np.log(pose.scale * 256 / side)[:, None]], 1).astype(np.float32)
