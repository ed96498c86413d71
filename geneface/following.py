"""Pictures cut out along a path: the camera that a wandering speaker did not have."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from geneface.face.framing import SIDE
from geneface.face.geometry import Array
from media import video
from media.frames import Box, Frame
from media.probe import probe


def pictures(source: Path, path: Array) -> Iterator[Frame]:
    """Frames uint8 [512, 512, 3] of `source`, each the square of `path` [T, 3] (x, y, side in pixels of the picture as shown);
    frames beyond the path's end stay at its last square. Holds one frame at a time.
    """
    stream = probe(source).video
    assert stream is not None  # noqa: S101 - whoever has a path has looked
    box = _around(path, stream.width, stream.height)
    share = min(1.0, SIDE / float(np.median(path[:, 2])))
    size = (max(2, round(box[2] * share)), max(2, round(box[3] * share)))
    across, down = size[0] / box[2], size[1] / box[3]
    for number, frame in enumerate(video.frames(source, size, box)):
        x, y, side = path[min(number, len(path) - 1)]
        step_x, step_y = side * across / SIDE, side * down / SIDE
        matrix = np.float32([
            [step_x, 0, (x - box[0]) * across + (step_x - 1) / 2],
            [0, step_y, (y - box[1]) * down + (step_y - 1) / 2],
        ])  # fmt: skip
        cut = cv2.warpAffine(
            frame, matrix, (SIDE, SIDE), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
        )
        yield np.asarray(cut, np.uint8)


def _around(path: Array, width: int, height: int) -> Box:
    """The even box that holds the whole path."""
    left, top = (max(0, int(np.floor(path[:, axis].min()))) // 2 * 2 for axis in (0, 1))
    right = min(width, int(np.ceil((path[:, 0] + path[:, 2]).max())) + 1)
    bottom = min(height, int(np.ceil((path[:, 1] + path[:, 2]).max())) + 1)
    return left, top, max(2, (right - left) // 2 * 2), max(2, (bottom - top) // 2 * 2)
