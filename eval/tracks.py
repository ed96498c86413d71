"""One face after the other through a clip, and the square that SyncNet looks at: joonson's run_pipeline, rule by rule.

Pure functions; boxes are left, top, right, bottom in px.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.signal import medfilt

from eval.syncnet import SIDE
from media.frames import Frame

SAME = 0.5
"""Overlap (over the union) with the last box above which a box is the same face."""
GAP = 25
"""Frames that a face may be missing."""
LEAST_FRAMES, SHORT_CLIP = 50, 100
"""A face is found in more frames of a track than this; in a clip under 100 frames in more than half of them, at least 10."""
LEAST_SIDE = 100.0
"""Mean width or height of a track's boxes, the larger, px."""
MEDIAN = 13
"""Frames over which size and place of the square are steadied."""
MARGIN, EDGE = 0.4, 110
"""Of half a box's side, around it; and what lies beyond the picture's edges, 0-255."""
CUT, SHORTEST_SHOT = 27.0, 15
"""Mean change of hue, saturation and value between two frames that makes a cut (PySceneDetect's ContentDetector); frames
between two cuts.
"""

Boxes = NDArray[np.float64]


@dataclass(frozen=True)
class Track:
    """One face: the number of its first frame, and a box in each frame from there on, [T, 4]."""

    first: int
    boxes: Boxes

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def last(self) -> int:
        """Number of its last frame."""
        return self.first + len(self.boxes) - 1


class Cuts:
    """Finds where a shot ends, frame by frame."""

    def __init__(self) -> None:
        self.firsts = [0]
        """First frame of each shot."""
        self.count = 0
        self._last: NDArray[np.int16] | None = None

    def add(self, frame: Frame) -> None:
        """Takes the next RGB frame in, in its full size."""
        seen = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV).astype(np.int16)
        if self._last is not None:
            change = float(np.abs(seen - self._last).mean((0, 1)).mean())
            if change >= CUT and self.count - self.firsts[-1] >= SHORTEST_SHOT:
                self.firsts.append(self.count)
        self._last = seen
        self.count += 1

    def shots(self) -> list[tuple[int, int]]:
        """First frame of each shot and the one after its last."""
        return list(zip(self.firsts, [*self.firsts[1:], self.count], strict=True))


def tracks(faces: Sequence[Boxes], shots: Sequence[tuple[int, int]]) -> list[Track]:
    """The tracks in the faces found in each frame, [F, ≥ 4] each; none crosses a cut."""
    enough = LEAST_FRAMES if len(faces) >= SHORT_CLIP else max(10, len(faces) // 2)
    found = (track for first, end in shots for track in _followed(faces[first:end], first, enough))
    return [track for track in found if (track.boxes[:, 2:] - track.boxes[:, :2]).mean(0).max() > LEAST_SIDE]


def _followed(faces: Sequence[Boxes], first: int, enough: int) -> Iterator[Track]:
    """Greedily: the first face left over begins a track, and takes in each frame the first box that overlaps its last."""
    left = [list(boxes[:, :4]) for boxes in faces]
    while True:
        numbers: list[int] = []
        boxes: list[Boxes] = []
        for number, candidates in enumerate(left):
            if numbers and number - numbers[-1] > GAP:
                break
            for at, box in enumerate(candidates):
                if not numbers or overlap(box, boxes[-1]) > SAME:
                    numbers.append(number)
                    boxes.append(candidates.pop(at))
                    break
        if not numbers:
            return
        if len(numbers) <= enough:
            continue
        every = np.arange(numbers[0], numbers[-1] + 1)
        filled = [np.interp(every, numbers, np.array(boxes)[:, side]) for side in range(4)]
        yield Track(first + numbers[0], np.stack(filled, 1))


def overlap(box: Boxes, other: Boxes) -> float:
    """Area of both over area of either."""
    low, high = np.maximum(box[:2], other[:2]), np.minimum(box[2:4], other[2:4])
    common = float(np.prod(np.maximum(high - low, 0)))
    either = float(np.prod(box[2:4] - box[:2]) + np.prod(other[2:4] - other[:2])) - common
    return common / either


class Square:
    """Cuts a track's face out of its frames."""

    def __init__(self, track: Track) -> None:
        left, top, right, bottom = track.boxes.T
        half = np.maximum(right - left, bottom - top) / 2
        middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
        self._half, self._x, self._y = (medfilt(values, MEDIAN) for values in (half, middle_x, middle_y))

    def cut(self, frame: Frame, number: int) -> Frame:
        """[224, 224, 3] of the track's `number`-th frame."""
        half, margin = self._half[number], MARGIN
        pad = int(half * (1 + 2 * margin))
        padded = cv2.copyMakeBorder(frame, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=(EDGE,) * 3)
        x, y = self._x[number] + pad, self._y[number] + pad
        rows = slice(int(y - half), int(y + half * (1 + 2 * margin)))
        columns = slice(int(x - half * (1 + margin)), int(x + half * (1 + margin)))
        result: Frame = cv2.resize(padded[rows, columns], (SIDE, SIDE))
        return result
