"""The second look at the packed frames: `layers.mp4` and `plate.png` of a dataset, by segmentation, mesh and colour."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from geneface.dataset import LAYERS_SIDE
from geneface.face import layers
from geneface.face.geometry import Array
from geneface.face.layers import Picture
from media import video
from media.frames import Frame
from media.person import Segmenter
from media.png import write_png
from steps.program import check_stop
from steps.progress import Reporter

SAMPLES = 64
"""Frames, spread over the clip, that tell the plate and the colours."""

_FEW = 8


class Samples:
    """Keeps about 64 frames of a clip of `expected` frames, with their numbers."""

    def __init__(self, expected: int) -> None:
        self._step = max(1, expected // SAMPLES)
        self.kept: dict[int, Frame] = {}

    def pass_on(self, pictures: Iterator[Frame]) -> Iterator[Frame]:
        """The same pictures, some of them kept."""
        for number, frame in enumerate(pictures):
            if number % self._step == 0 and len(self.kept) < 2 * SAMPLES:
                self.kept[number] = frame
            yield frame

    def chosen(self, good: NDArray[np.bool_], first: int) -> dict[int, Frame]:
        """Those of the T frames from `first` on that are `good` [T] (or all, when hardly any is), numbered from there."""
        there = {number - first: frame for number, frame in self.kept.items() if 0 <= number - first < len(good)}
        clean = {number: frame for number, frame in there.items() if good[number]}
        return clean if len(clean) >= _FEW else there


def write_layers(frames: Path, points: Array, samples: dict[int, Frame], target: Path, plate: Path, reporter: Reporter) -> None:
    """Writes the layers of the packed `frames` with landmarks `points` [T, 478, 3] (pixels of those frames), and the plate."""
    with Segmenter() as segment:
        known = _known(segment, samples, points)
        write_png(plate, layers.plate(list(samples.values()), [matte for _, matte, _ in known]))
        colours = layers.palette([p for p, _, _ in known], [m for _, m, _ in known], [f for _, _, f in known])
        steady = layers.Steady()
        with video.pack(target, LAYERS_SIDE, LAYERS_SIDE) as writer:
            for number, frame in enumerate(reporter.track(video.frames(frames), "layers", len(points))):
                check_stop()
                small, matte, head = _seen(segment, frame, points[number])
                writer.write(steady.add(layers.split(small, matte, head, colours)))


def _known(segment: Segmenter, samples: dict[int, Frame], points: Array) -> list[tuple[Picture, Array, layers.HeadFrame]]:
    return [_seen(segment, frame, points[number]) for number, frame in samples.items()]


def _seen(segment: Segmenter, frame: Frame, points: Array) -> tuple[Picture, Array, layers.HeadFrame]:
    """A frame at the layers' size with its matte and its head."""
    small = np.asarray(cv2.resize(frame, (LAYERS_SIDE, LAYERS_SIDE), interpolation=cv2.INTER_AREA), np.uint8)
    share = LAYERS_SIDE / frame.shape[0]
    head = layers.head_frame((points[:, :2] + 0.5) * share - 0.5, LAYERS_SIDE)
    return small, layers.person_matte(segment(small), head), head
