"""Mouth geometry of the yardstick: pose-free lips, aperture, width, and the regions that are scored. Pure numpy.

Definitions: the project's yardstick. Lengths are in px of a face whose mesh points 234 and 454 (its sides) are 256 apart.
Pose-free means after a 3-D similarity (S. Umeyama, "Least-squares estimation of transformation parameters between two
point patterns", TPAMI 13(4), 1991) on bony points, which speech does not move, to a reference shape.
Points are float [..., 478, 3] as `media.faces.landmarks` gives them.
"""

import numpy as np
from numpy.typing import NDArray

from media.resize import Square

Array = NDArray[np.float64]

FACE_WIDTH = 256.0
"""Distance of the points 234 and 454 in the reference shape, px."""

BONY = np.array([
    10, 151, 9, 8, 168, 6, 197, 195, 5, 33, 133, 362, 263, 127, 356, 234, 454, 21, 251, 54, 284, 103, 332,
])  # fmt: skip
"""Forehead, nose bridge, eye corners, temples: points that speech does not move."""

OUTER_LIPS = np.array([61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146])
"""The lips' outer line, once around from the corner on the picture's left over the upper lip."""

INNER_LIPS = np.array([78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95])
"""The lips' inner line, the same way around."""

LIPS = np.concatenate([OUTER_LIPS, INNER_LIPS])

_GAPS = np.array([(13, 14), (82, 87), (312, 317)])
_CORNERS = (61, 291)
_SIDES = (234, 454)
_MOUTH_SIDE = 1.6
_FACE_SIDE = 1.15
_SHAPE_FRAMES = 3_000


def similarity(source: NDArray[np.floating], target: NDArray[np.floating]) -> tuple[Array, Array, Array]:
    """The similarity that takes `source` [..., N, 3] to `target` [..., N, 3] with least squares (Umeyama 1991, eq. 40–42).

    Returns:
        scale [...], rotation [..., 3, 3], shift [..., 3]: target ≈ scale · rotation @ source + shift.
    """
    source_mean, target_mean = source.mean(axis=-2, keepdims=True), target.mean(axis=-2, keepdims=True)
    centred, wanted = source - source_mean, target - target_mean
    covariance = np.swapaxes(wanted, -1, -2) @ centred / source.shape[-2]
    left, values, right = np.linalg.svd(covariance)
    signs = np.ones(values.shape)
    signs[..., -1] = np.where(np.linalg.det(left) * np.linalg.det(right) < 0, -1.0, 1.0)
    rotation = (left * signs[..., None, :]) @ right
    scale = (values * signs).sum(axis=-1) / np.square(centred).sum(axis=-1).mean(axis=-1)
    shift = target_mean[..., 0, :] - scale[..., None] * (rotation @ source_mean[..., 0, :, None])[..., 0]
    return scale, rotation, shift


def reference_shape(points: NDArray[np.floating], rounds: int = 3) -> Array:
    """The clip's median shape, float64 [P, 3]: frames [T, P, 3] aligned to each other, centred, face width 256. Of a long clip
    3,000 frames, evenly spread, say it.

    Frames that hold NaN are left out. For a prediction use the reference of its ground truth.
    """
    usable = np.flatnonzero(np.isfinite(points).all(axis=(1, 2)))
    if not len(usable):
        raise ValueError("no frame has a face")
    if len(usable) > _SHAPE_FRAMES:
        usable = usable[np.linspace(0, len(usable) - 1, _SHAPE_FRAMES).round().astype(int)]
    whole = points[usable].astype(np.float64)
    shape = _scaled(whole[len(whole) // 2])
    for _ in range(rounds):
        shape = _scaled(np.median(pose_free(whole, shape), axis=0))
    return shape


def pose_free(points: NDArray[np.floating], reference: Array) -> Array:
    """`points` [..., P, 3] brought to `reference` [P, 3] by the similarity of their bony points; NaN stays NaN."""
    given = np.asarray(points, np.float64)
    flat = given.reshape(-1, *given.shape[-2:])
    whole = np.isfinite(flat).all(axis=(1, 2))
    aligned = np.full(flat.shape, np.nan)
    if whole.any():
        scale, rotation, shift = similarity(
            flat[whole][:, BONY], np.broadcast_to(reference[BONY], (int(whole.sum()), len(BONY), 3))
        )
        aligned[whole] = scale[:, None, None] * (flat[whole] @ np.swapaxes(rotation, -1, -2)) + shift[:, None, :]
    return aligned.reshape(given.shape)


def aperture(aligned: NDArray[np.floating]) -> Array:
    """Mean of the inner-lip gaps 13–14, 82–87 and 312–317 of pose-free points [..., 478, 3], px: [...]."""
    return np.asarray(np.linalg.norm(aligned[..., _GAPS[:, 0], :] - aligned[..., _GAPS[:, 1], :], axis=-1).mean(axis=-1))


def width(aligned: NDArray[np.floating]) -> Array:
    """Distance of the mouth's corners 61–291 of pose-free points [..., 478, 3], px: [...]."""
    return np.asarray(np.linalg.norm(aligned[..., _CORNERS[0], :] - aligned[..., _CORNERS[1], :], axis=-1))


def mouth_squares(points: NDArray[np.floating]) -> list[Square]:
    """The mouth region of every frame of [T, 478, 3]: squares centred on the lips, one side for the clip (1.6 times the lips'
    median larger extent), in px of the frames. For 96 px crops by `media.resize.resized`. Frames need points."""
    return _squares(points[:, LIPS, :2], _MOUTH_SIDE)


def face_squares(points: NDArray[np.floating]) -> list[Square]:
    """The face region of every frame of [T, 478, 3]: squares centred on the face, one side for the clip (1.15 times its
    median larger extent), in px of the frames. For 256 px crops by `media.resize.resized`. Frames need points."""
    return _squares(points[:, :468, :2], _FACE_SIDE)


def _squares(points: NDArray[np.floating], factor: float) -> list[Square]:
    low, high = points.min(axis=1), points.max(axis=1)
    side = factor * float(np.median((high - low).max(axis=1)))
    corners = (low + high) / 2 - side / 2
    return [(float(x), float(y), side, side) for x, y in corners]


def _scaled(shape: Array) -> Array:
    centred = shape - shape[BONY].mean(axis=0)
    return np.asarray(centred * (FACE_WIDTH / np.linalg.norm(centred[_SIDES[0]] - centred[_SIDES[1]])))
