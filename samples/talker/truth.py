"""Truth: where the talker's landmarks really are, frame by frame."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# MediaPipe's points for the 68 of the iBUG scheme: jaw, brows, nose, eyes, outer and inner lips.
POINTS_68 = [
    127, 234, 93, 132, 58, 172, 150, 176, 152, 400, 379, 397, 288, 361, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,
    168, 197, 5, 4, 98, 97, 2, 326, 327,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91,
    78, 81, 13, 311, 308, 402, 14, 178,
]  # fmt: skip
GAPS = ((13, 14), (82, 87), (312, 317))
EXTRA = sorted({p for pair in GAPS for p in pair} - set(POINTS_68))
SCALE = 16  # stored positions are sixteenths of a pixel


def aperture(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inner lips' gap in the picture, mean of three columns, at face width 256: points [T, 468, 2 or 3] -> [T].

    Depth is left out: in f and v the lower lip lies behind the upper, and the mouth looks shut.
    """
    flat = points[..., :2]
    gap = np.mean([np.linalg.norm(flat[:, a] - flat[:, b], axis=-1) for a, b in GAPS], axis=0)
    width = np.median(np.linalg.norm(flat[:, 234] - flat[:, 454], axis=-1))
    return np.asarray(gap * 256 / width)


def write(path: Path, points: NDArray[np.float64]) -> None:
    """Stores MediaPipe points [T, 468, 3] (px) as sixteenths of a px: `points` int16 [T, N, 3] with their numbers `index`,
    the first 68 in the iBUG order; and `aperture` float16 [T]."""
    index = np.array(POINTS_68 + EXTRA, np.int16)
    kept = np.round(points[:, index] * SCALE).astype(np.int16)
    unfinished = path.with_name(f".{path.name}")
    with unfinished.open("wb") as file:
        np.savez_compressed(file, points=kept, index=index, scale=np.int16(SCALE), aperture=aperture(points).astype(np.float16))
    unfinished.rename(path)


def read(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int16], NDArray[np.float64]]:
    """Points [T, N, 3] in px, their MediaPipe numbers [N] and the aperture [T] (face width 256)."""
    with np.load(path) as stored:
        return stored["points"] / float(stored["scale"]), stored["index"], stored["aperture"].astype(np.float64)
