"""What a talking face has to beat: films of the held-out tail made without a model of the mouth. Each is a list of frames."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from geneface.dataset import Dataset
from geneface.face.geometry import Array, Pose
from geneface.face.person import Person, pose_free
from geneface.face.region import anchor, extract, pasted_share, place
from geneface.renderers import Layer, compose
from media import video
from media.clock import FPS

SIZE = 256
"""Pixels of the region that the pasted baselines carry over."""


@dataclass(frozen=True)
class Tail:
    """A clip's landmarks, seen as the training sees them."""

    dataset: Dataset
    person: Person
    pose: Pose
    motion: Array

    @classmethod
    def of(cls, dataset: Dataset) -> "Tail":
        """Statistics from the training part alone."""
        person = Person.of(dataset.points[: dataset.trained])
        pose, motion = pose_free(dataset.points, person.shape)
        return cls(dataset, person, pose.smoothed(), motion)

    @property
    def held(self) -> np.ndarray:
        """Numbers of the held-out frames."""
        return np.arange(self.dataset.trained, len(self.dataset))

    def frame(self, number: int) -> np.ndarray:
        """One frame, uint8 [H, W, 3]."""
        return next(iter(video.frames(self.dataset.frames, start=number / FPS, seconds=1 / FPS)))

    def truth(self) -> Iterator[np.ndarray]:
        """The held-out frames."""
        return video.frames(self.dataset.frames, start=self.held[0] / FPS, seconds=len(self.held) / FPS)


def static(tail: Tail) -> Iterator[np.ndarray]:
    """The first training frame, all the time."""
    first = tail.frame(0)
    return (first for _ in tail.held)


def nearest_pose(tail: Tail) -> Iterator[np.ndarray]:
    """The whole training frame whose head stands most alike."""
    placed = tail.pose.project(tail.person.shape[[10, 152, 234, 454, 1]])[..., :2].reshape(len(tail.pose), -1)
    return _whole(tail, _nearest(placed, tail))


def nearest_lips(tail: Tail) -> Iterator[np.ndarray]:
    """Oracle: the whole training frame whose lips are most alike."""
    return _whole(tail, _nearest(_lips(tail), tail))


def pasted_lips(tail: Tail) -> Iterator[np.ndarray]:
    """Oracle: the lower face of the training frame with the most alike lips, pasted on the true frame."""
    return _pasted(tail, _nearest(_lips(tail), tail))


def pasted_mean(tail: Tail) -> Iterator[np.ndarray]:
    """A frozen mouth: the lower face of the training frame nearest to the mean, pasted on the true frame."""
    mean = _lips(tail)[: tail.dataset.trained]
    number = int(np.square(mean - mean.mean(0)).sum(1).argmin())
    return _pasted(tail, np.full(len(tail.held), number))


def _lips(tail: Tail) -> Array:
    return tail.motion[:, 48:68].reshape(len(tail.motion), -1)


def _nearest(features: Array, tail: Tail) -> np.ndarray:
    known = features[: tail.dataset.trained]
    return np.array([int(np.square(known - features[number]).sum(1).argmin()) for number in tail.held])


def _whole(tail: Tail, numbers: np.ndarray) -> Iterator[np.ndarray]:
    return (tail.frame(int(number)) for number in numbers)


def _pasted(tail: Tail, numbers: np.ndarray) -> Iterator[np.ndarray]:
    placement, alpha = place(tail.pose, anchor(tail.person.shape)), pasted_share(SIZE)
    for held, number, truth in zip(tail.held, numbers, tail.truth(), strict=True):
        source = torch.from_numpy(tail.frame(int(number))[None])
        colour = extract(source, placement[number : number + 1], SIZE) / 255
        yield compose.paste(truth[None], Layer(colour, alpha, placement[held : held + 1]))[0]
