"""Head, neck and torso of a segmented person: soft layers of every picture, and the background without anybody.

The mesh says where the face is, the segmentation where the person is. Above the line through the jaw's corners, and inside
the face's outline, is head; what hangs or stands below is told apart by place and by colour: each pixel goes to the parts by
Bayes' rule, with a place's odds in the head's own frame and colour histograms of the clip's sure pixels.

Pictures and layers are [S, S, ...], landmarks are in pixels of the same pictures. Needs OpenCV, as the landmarks do.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from geneface.face.geometry import Array

Picture = NDArray[np.uint8]

PARTS = ("head", "neck", "torso")
OVAL = np.array([
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136,
    172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
])  # fmt: skip
"""The face's outline in the mesh, once around from the forehead over the picture's right."""
CORNERS, SIDES, CHIN = (58, 288), (234, 454), 152
STEADY = 0.6
"""Weight of the newest frame in the mean over time that keeps the layers from flickering."""
_BINS = 16
_FLOORS = (0.02, 0.005, 0.2)
"""Share of a histogram (hair, skin, clothes) that goes to all colours alike: clothes may have any, skin hardly."""
_CLOSE, _RIM = np.ones((15, 15), np.uint8), np.ones((7, 7), np.uint8)
_SEEN = 0.12
"""Share of the pictures in which a pixel must have been clear to be believed."""
FAR = 4.0
"""Pixels of a 256 picture from the person, from which on a pixel is sure to show the background."""


@dataclass(frozen=True)
class Palette:
    """How likely each colour is in hair, skin and clothes: float32 [16³] each."""

    hair: Array
    skin: Array
    cloth: Array


@dataclass(frozen=True)
class HeadFrame:
    """A picture's pixels in the head's own frame: `across` and `down` [S, S] in face widths, from the middle of the jaw's
    corners; `chin` how far down the chin is; `face` [S, S] 0–1 inside the face's outline."""

    across: Array
    down: Array
    chin: float
    face: Array


def head_frame(points: Array, side: int) -> HeadFrame:
    """Lays the head's frame over a picture of `side` pixels with landmarks [478, 2 or 3]."""
    flat = points[:, :2].astype(np.float32)
    axis = flat[SIDES[1]] - flat[SIDES[0]]
    width = max(float(np.hypot(*axis)), 1.0)
    unit = axis / width
    origin = flat[list(CORNERS)].mean(0)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    dx, dy = (x - origin[0]) / width, (y - origin[1]) / width
    chin = flat[CHIN] - origin
    face = np.zeros((side, side), np.uint8)
    cv2.fillPoly(face, [np.round(flat[OVAL] * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    return HeadFrame(
        dx * unit[0] + dy * unit[1],
        dy * unit[0] - dx * unit[1],
        float(chin[1] * unit[0] - chin[0] * unit[1]) / width,
        cv2.GaussianBlur(face, (3, 3), 0).astype(np.float32) / 255,
    )


def person_matte(raw: Array, frame: HeadFrame) -> Array:
    """The segmentation's answer [S, S] 0–1 without what is not connected to the face, and with the whole face."""
    solid = np.maximum(raw, frame.face)
    _, labels = cv2.connectedComponents((solid > 0.3).astype(np.uint8), connectivity=4)
    mine = labels == labels[np.unravel_index(frame.face.argmax(), frame.face.shape)]
    near = cv2.dilate(mine.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(np.float32)
    return np.asarray(solid * near, np.float32)


def palette(pictures: list[Picture], mattes: list[Array], frames: list[HeadFrame]) -> Palette:
    """Colours of the sure pixels: above the brows, on the cheeks and right under the chin, low in the picture."""
    counts = np.zeros((3, _BINS**3), np.float64)
    for picture, matte, frame in zip(pictures, mattes, frames, strict=True):
        bins, down, chin = colour_bins(picture), frame.down, frame.chin
        person = cv2.erode((matte > 0.9).astype(np.uint8), _RIM) > 0
        side = np.abs(frame.across)
        cheeks = (side > 0.22) & (down > -0.32)
        seeds = (
            person & (frame.face < 0.01) & (down < -0.55),
            person
            & ((cheeks & (frame.face > 0.99)) | ((side < 0.2) & (frame.face < 0.01) & (down > chin) & (down < chin + 0.08))),
            person & ((down > chin + 0.7) | ((side > 0.8) & (down > chin + 0.2))),
        )
        for part, seed in enumerate(seeds):
            counts[part] += np.bincount(bins[seed], minlength=_BINS**3)
    return Palette(*(_likelihood(part, floor) for part, floor in zip(counts, _FLOORS, strict=True)))


def split(picture: Picture, matte: Array, frame: HeadFrame, colours: Palette) -> Array:
    """Shares [S, S, 3] of head, neck and torso in every pixel; their sum is the matte."""
    bins = colour_bins(picture)
    side, down, chin = np.abs(frame.across), frame.down, frame.chin
    below = _step(down, -0.03, 0.05)
    column = 1 - _step(side, 0.45, 0.62)
    neck = column * (1 - _step(down, chin + 0.15, chin + 0.8)) * 0.9
    hair = (1 - _step(down, 0.2, 1.3)) * (0.02 + 0.6 * _step(side, 0.25, 0.5) - 0.57 * _step(side, 0.6, 0.95))
    torso = 0.06 + _step(down, chin - 0.15, chin + 0.55)
    odds = np.stack([hair * colours.hair[bins], neck * colours.skin[bins], torso * colours.cloth[bins]], -1)
    odds = cv2.blur(odds, (5, 5))
    shares = odds / np.maximum(odds.sum(-1, keepdims=True), 1e-9)
    sure = np.maximum(1 - below, frame.face)[..., None]
    shares = sure * np.array([1, 0, 0], np.float32) + (1 - sure) * shares
    return np.asarray(shares * matte[..., None], np.float32)


class Steady:
    """The exponential mean over time of layers [S, S, 3] (0–1), as uint8 whose sum never exceeds 255."""

    def __init__(self) -> None:
        self._mean: Array | None = None

    def add(self, layers: Array) -> Picture:
        self._mean = layers if self._mean is None else self._mean + STEADY * (layers - self._mean)
        return np.floor(np.clip(self._mean, 0, 1) * 254.99).astype(np.uint8)


def plate(pictures: list[Picture], mattes: list[Array]) -> Picture:
    """The background without the person, uint8 [H, W, 3], of pictures [H, W, 3] and their mattes [S, S] 0–1.

    Per pixel the median of those pictures in which it was clear of the person (AD-NeRF, ICCV 2021, takes the one in which it
    was farthest); where there is none, its surroundings go on smoothly.
    """
    height, width = pictures[0].shape[:2]
    far = [cv2.distanceTransform(_clear(matte), cv2.DIST_L2, 3) for matte in mattes]
    valid = np.stack([cv2.resize((one > FAR).astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) for one in far])
    seen = valid.sum(0, dtype=np.int32)
    known = (seen >= _SEEN * len(pictures)).astype(np.float32)
    middle = np.zeros((height, width, 3), np.float32)
    for row in range(0, height, 64):
        part = slice(row, row + 64)
        stack = np.stack([np.where(ok[part, :, None] > 0, shot[part], 255) for shot, ok in zip(pictures, valid, strict=True)])
        stack = np.sort(stack.astype(np.uint8), axis=0)
        index = np.maximum(seen[part] - 1, 0) // 2
        middle[part] = np.take_along_axis(stack, np.repeat(index[None, ..., None], 3, -1), 0)[0]
    return np.rint(filled(middle, known)).astype(np.uint8)


def filled(picture: Array, known: Array) -> Array:
    """A picture [H, W, C] whose unknown pixels (`known` [H, W] 0–1) go on smoothly from the known ones (push-pull: S. Gortler
    et al., "The Lumigraph", SIGGRAPH 1996, section 3.4)."""
    height, width = known.shape
    if known.all() or min(height, width) < 2:
        return picture
    small = (max(1, width // 2), max(1, height // 2))
    weight = cv2.resize(known, small, interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(picture * known[..., None], small, interpolation=cv2.INTER_AREA) / np.maximum(weight, 1e-6)[..., None]
    coarse = filled(coarse, np.minimum(weight * 4, 1))
    under = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(under + known[..., None] * (picture - under), np.float32)


def _clear(matte: Array) -> Picture:
    """1 where nobody is: outside the person with her gaps closed, and open to the picture's edge."""
    person = cv2.morphologyEx((matte > 0.1).astype(np.uint8), cv2.MORPH_CLOSE, _CLOSE)
    _, labels = cv2.connectedComponents(1 - person, connectivity=4)
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    return ((person == 0) & np.isin(labels, edge)).astype(np.uint8)


def colour_bins(picture: Picture) -> NDArray[np.int32]:
    """Number [S, S] of each pixel's (slightly blurred) colour in a histogram of 16³."""
    coarse = cv2.GaussianBlur(picture, (5, 5), 0).astype(np.int32) * _BINS // 256
    return np.asarray((coarse[..., 0] * _BINS + coarse[..., 1]) * _BINS + coarse[..., 2], np.int32)


def _likelihood(counts: NDArray[np.float64], floor: float) -> Array:
    cube = counts.reshape(_BINS, _BINS, _BINS)
    for axis in range(3):
        cube = cube + 0.5 * (_shifted(cube, 1, axis) + _shifted(cube, -1, axis))
    total = cube.sum()
    share = cube / total if total else np.full_like(cube, 1 / cube.size)
    return np.asarray((1 - floor) * share + floor / _BINS**3, np.float32).reshape(-1)


def _shifted(cube: NDArray[np.float64], by: int, axis: int) -> NDArray[np.float64]:
    moved = np.roll(cube, by, axis)
    edge = [slice(None)] * 3
    edge[axis] = slice(0, 1) if by > 0 else slice(-1, None)
    moved[tuple(edge)] = 0
    return moved


def _step(value: Array, low: float, high: float) -> Array:
    """0 up to `low`, 1 from `high` on, smooth between."""
    share = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)
