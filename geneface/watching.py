"""What can only be measured while a frame is there: light, sharpness, the lower face's look, how much changed since the last."""

from dataclasses import dataclass

import cv2
import numpy as np

from geneface.face.geometry import Array
from geneface.face.quality import DARK
from media.frames import Frame
from media.mouth import BONY

PATCH = 24
"""Side of the lower face's small picture."""
_THUMB = 16
_FACE = 128
_BRIGHT = 95.0
_EYES, _UNDER_NOSE = (33, 263), 2
_REACH = 0.62
"""Half the patch's side over the bony points' spread in the picture."""


@dataclass(frozen=True)
class Measures:
    """Of T frames:

    light: [T] 0–255, of the brightest twentieth of the picture. sharpness: [T] variance of the Laplacian of the face at 128 px,
    NaN without a face. change: [T] of the whole picture, grey levels (`lasting_change`). patches: uint8 [T, 24·24·3] of the
    lower face, upright and of one size, zeros without a face.
    """

    light: Array
    sharpness: Array
    change: Array
    patches: np.ndarray


class Watch:
    """Collects the measures of one frame after the other."""

    def __init__(self) -> None:
        self._light: list[float] = []
        self._sharpness: list[float] = []
        self._patches: list[np.ndarray] = []
        self._thumbs: list[Frame] = []

    def see(self, frame: Frame, points: Array | None) -> None:
        """Takes a frame [H, W, 3] with its landmarks [478, 3], if any, in."""
        thumb = np.asarray(cv2.resize(frame, (_THUMB, _THUMB), interpolation=cv2.INTER_AREA), np.uint8)
        self._thumbs.append(thumb)
        self._light.append(float(np.percentile(thumb, _BRIGHT)))
        self._sharpness.append(float("nan") if points is None else _sharpness(frame, points))
        self._patches.append(np.zeros(PATCH * PATCH * 3, np.uint8) if points is None else lower_face(frame, points).ravel())

    def measures(self) -> Measures:
        """Of all frames so far."""
        light, sharpness = (np.asarray(one, np.float32) for one in (self._light, self._sharpness))
        return Measures(light, sharpness, lasting_change(np.stack(self._thumbs), light >= DARK), np.stack(self._patches))


def lasting_change(thumbs: np.ndarray, lit: np.ndarray) -> Array:
    """How different each frame and the two after it are from the three before it, [T]: the smallest mean absolute difference
    of any two of their thumbnails [T, 16, 16, 3]. A flash, or up to two spoilt frames, change nothing that lasts; frames
    that are not `lit` [T] are passed over.
    """
    change = np.zeros(len(lit), np.float32)
    numbers = np.flatnonzero(lit)
    seen = thumbs[numbers].reshape(len(numbers), -1).astype(np.int16)
    smallest = np.full(len(numbers), np.inf, np.float32)
    for before in (1, 2, 3):
        for after in (0, 1, 2):
            far = before + after
            if far >= len(seen):
                continue
            apart = np.abs(seen[far:] - seen[:-far]).mean(1)
            part = slice(before, before + len(apart))
            smallest[part] = np.minimum(smallest[part], apart)
    change[numbers] = np.where(np.isfinite(smallest), smallest, 0)
    return change


def lower_face(frame: Frame, points: Array) -> Frame:
    """The face from under the nose to the chin, [24, 24, 3], turned upright. It hangs on bones, not on the lips."""
    bones = points[BONY, :2]
    half = _REACH * float(np.sqrt(np.square(bones - bones.mean(0)).sum(1).mean()))
    across = points[_EYES[1], :2] - points[_EYES[0], :2]
    across = across / max(float(np.linalg.norm(across)), 1e-6)
    turn = np.array([[across[0], -across[1]], [across[1], across[0]]])
    matrix = turn * (2 * half / PATCH)
    corner = points[_UNDER_NOSE, :2] + turn @ [0, 0.75 * half] - matrix @ np.full(2, (PATCH - 1) / 2)
    fine = max(1, int(half / PATCH))
    size = PATCH * fine
    matrix, corner = matrix / fine, corner - matrix @ np.full(2, (fine - 1) / (2 * fine))
    taken = cv2.warpAffine(
        frame, np.column_stack([matrix, corner]), (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return np.asarray(cv2.resize(cv2.blur(taken, (fine, fine)), (PATCH, PATCH), interpolation=cv2.INTER_AREA), np.uint8)


def _sharpness(frame: Frame, points: Array) -> float:
    height, width = frame.shape[:2]
    left, top = np.clip(points[:, :2].min(0).astype(int), 0, (width - 2, height - 2))
    right, bottom = np.maximum(np.clip(np.ceil(points[:, :2].max(0)).astype(int), 0, (width, height)), (left + 2, top + 2))
    face = cv2.resize(frame[top:bottom, left:right], (_FACE, _FACE), interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), cv2.CV_32F).var())
