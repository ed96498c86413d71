"""Layers laid over frames, or over another background.

*Paste-back* keeps the source frame but for the lower face; *full synthesis* shows the person before a ground: the clean plate,
a picture or a colour.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from geneface.dataset import Dataset
from geneface.face.region import Placement, anchor, place, share_at
from geneface.renderers import Layer, Renderer, Views
from media import pictures
from media.errors import MediaError
from steps.errors import InputError

SOURCE, PLATE = "source", "plate"


@dataclass(frozen=True)
class Background:
    """What is seen around the person."""

    name: str
    """`source` (the source frame itself), `plate`, `#rrggbb`, or a picture's file name."""
    ground: np.ndarray | None
    """uint8 [S, S, 3]; None for `source`."""

    @classmethod
    def named(cls, words: str, dataset: Dataset) -> Self:
        """`source`, `plate`, `#rrggbb` or the path of a picture, in the size of the dataset. Raises InputError
        `background_invalid`.
        """
        size = dataset.size
        if words == SOURCE:
            return cls(words, None)
        if words == PLATE:
            return cls(words, dataset.plate())
        if re.fullmatch(r"#[0-9a-fA-F]{6}", words):
            colour = np.frombuffer(bytes.fromhex(words[1:]), np.uint8)
            return cls(words.lower(), np.broadcast_to(colour, (size, size, 3)))
        try:
            return cls(Path(words).name, pictures.read(Path(words), size, size))
        except MediaError as error:
            raise InputError(
                "background_invalid", f"The background is source, plate, #rrggbb or a picture (png, jpeg, bmp): {error.message}"
            ) from error


@dataclass(frozen=True)
class Composer:
    """Finished frames from a renderer's layers."""

    renderer: Renderer
    background: Background
    plate: np.ndarray | None
    """uint8 [S, S, 3]; paste-back with the default renderer needs none."""
    centre: np.ndarray
    """Of the lower-face region in face units, [3]."""

    @classmethod
    def of(cls, renderer: Renderer, background: Background, dataset: Dataset, shape: np.ndarray) -> Self:
        """For a person of this median shape [478, 3]."""
        plain = background.ground is None and not renderer.whole
        return cls(renderer, background, None if plain else dataset.plate(), anchor(shape))

    @property
    def needs_frames(self) -> bool:
        """Whether source frames are looked at."""
        return self.background.ground is None or not self.renderer.whole

    @property
    def needs_layers(self) -> bool:
        """Whether the source frames' own layers are looked at."""
        return self.background.ground is not None and not self.renderer.whole

    def __call__(self, views: Views, frames: np.ndarray, layers: np.ndarray | None) -> np.ndarray:
        """Finished frames of these views, uint8 [T, H, W, 3]; frames: their source frames, layers: uint8 [T, h, w, 3], when
        `needs_layers`.
        """
        layer, ground = self.renderer.layer(views, frames), self.background.ground
        if not self.renderer.whole:
            painted = paste(frames, layer)
            return painted if ground is None else cut_out(painted, cast(np.ndarray, layers), cast(np.ndarray, self.plate), ground)
        under = cast(np.ndarray, self.plate) if ground is None else ground
        full = paste(np.repeat(under[None], len(views), 0), layer)
        return full if ground is not None else paste_back(frames, full, place(views.pose, self.centre))


def paste(frames: np.ndarray, layer: Layer) -> np.ndarray:
    """The frames uint8 [T, H, W, 3] with the layer laid over them; where it is transparent they stay as they are."""
    result = frames.copy()
    for i in range(len(frames)):
        alpha = layer.alpha[i : i + 1] if len(layer.alpha) > 1 else layer.alpha
        _paste(result[i], torch.cat([layer.colour[i : i + 1], alpha], 1), layer.placement[i : i + 1])
    return result


def paste_back(frames: np.ndarray, full: np.ndarray, placement: Placement) -> np.ndarray:
    """The frames uint8 [T, H, W, 3] with the lower face of `full`, which shows the same poses; hair, eyes, neck and shoulders
    stay the source's (the portrait mode of SyncTalk, CVPR 2024). The seam hangs on the pose alone.
    """
    result = frames.copy()
    height, width = frames.shape[1:3]
    for i in range(len(frames)):
        one = placement[i : i + 1]
        box = _box(one, width, height)
        where, rows, columns = _region(one, *box)
        share = share_at(torch.from_numpy(where), margin=0.0).numpy()[..., None]
        under, over = result[i, rows, columns].astype(np.float32), full[i, rows, columns].astype(np.float32)
        result[i, rows, columns] = np.rint(under + share * (over - under)).astype(np.uint8)
    return result


def cut_out(frames: np.ndarray, layers: np.ndarray, plate: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """The person in the frames uint8 [T, H, W, 3] before `ground` instead of `plate` (both uint8 [H, W, 3]); layers: uint8
    [T, h, w, 3].
    """
    share = _enlarged(layers, frames.shape[1:3])
    person = foreground(frames / np.float32(255), share, plate / np.float32(255))
    shown = share * person + (1 - share) * (ground / np.float32(255))
    return np.rint(shown * 255).astype(np.uint8)


def foreground(frames: np.ndarray, share: np.ndarray, plate: np.ndarray) -> np.ndarray:
    """The person's own colours, float32 in 0-1, where frames = share * person + (1 - share) * plate (the matting equation);
    share [..., 1] in 0-1.
    """
    return np.clip((frames - (1 - share) * plate) / np.maximum(share, 0.05), 0, 1).astype(np.float32)


def _enlarged(layers: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Share of the person [T, H, W, 1], 0-1, from layers uint8 [T, h, w, 3]."""
    share = torch.from_numpy(layers).sum(-1, dtype=torch.float32)[:, None].div(255).clamp(0, 1)
    large = functional.interpolate(share, size, mode="bilinear", align_corners=False)
    return large.permute(0, 2, 3, 1).numpy()


def _paste(frame: np.ndarray, picture: Tensor, placement: Placement) -> None:
    """Lays one picture [1, 4, size, size] over one frame [H, W, 3], in place."""
    box = _box(placement, frame.shape[1], frame.shape[0])
    if box[0] >= box[2] or box[1] >= box[3]:
        return
    region, rows, columns = _region(placement, *box)
    where = torch.from_numpy(region[None])
    drawn = functional.grid_sample(picture[:, :3], where, mode="bicubic", padding_mode="border", align_corners=False)[0]
    alpha = functional.grid_sample(picture[:, 3:], where, mode="bilinear", padding_mode="border", align_corners=False)[0]
    alpha = alpha * (where[0].abs().amax(-1) <= 1)
    over = drawn.permute(1, 2, 0).clamp(0, 1).mul(255).numpy()
    under = frame[rows, columns].astype(np.float32)
    frame[rows, columns] = np.rint(under + alpha.permute(1, 2, 0).numpy() * (over - under)).astype(np.uint8)


def _box(placement: Placement, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the pixels that one region covers in a frame of this size."""
    corners = placement.to_picture(np.array([[[-1, -1], [1, -1], [-1, 1], [1, 1]]], np.float32))[0]
    left, top = np.maximum(np.floor(corners.min(0)).astype(int), 0)
    right, bottom = np.minimum(np.ceil(corners.max(0)).astype(int) + 1, (width, height))
    return int(left), int(top), int(right), int(bottom)


def _region(placement: Placement, left: int, top: int, right: int, bottom: int) -> tuple[np.ndarray, slice, slice]:
    """Region coordinates [h, w, 2] of a box of pixels, and its rows and columns."""
    y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
    where = placement.to_region(np.stack([x, y], -1).reshape(1, -1, 2)).reshape(*x.shape, 2)
    return where, slice(top, bottom), slice(left, right)
