"""The faces in the clips: found once each, and brought to what the mouth's figures are made of."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from eval.clips import Clip
from eval.motion import Motion
from media import mesh, mouth
from media.errors import NoFaceDetected
from media.faces import face_crop, look, survey
from media.frames import Box, Frame
from media.mesh import Landmarks
from media.resize import Square

GLANCE = 0.2
"""Seconds between two looks of `survey`: in a shorter clip it may not look at all."""

AT_ONCE = 1_000
"""Meshes that are turned to the front at once: in double precision they take much more room than as they are kept."""

Points = NDArray[np.float32]
"""Meshes in px of their frames, [T, 478, 3]; NaN where there is no face."""


@dataclass(frozen=True)
class ReferenceFace:
    """The face that all others are laid beside, that of the true clip or of the only one: its mesh in every frame, its median
    shape, the squares in which pictures are compared.
    """

    crop: Box
    landmarks: Landmarks
    reference: NDArray[np.float64]
    squares: dict[int, tuple[Square, Square]]
    """Mouth and face region by frame; frames without a face have none."""

    @classmethod
    def find(cls, clip: Clip, frames: Iterable[Frame]) -> "ReferenceFace":
        """Follows the face through the clip's own frames. Raises MediaError `no_face_detected`, `multiple_faces`."""
        crop = crop_of(clip)
        found = follow(frames, crop)
        usable = np.flatnonzero(found.usable)
        if not len(usable):
            raise NoFaceDetected(clip.path.name)
        points = found.points if found.usable.all() else found.points[usable]
        squares = zip(mouth.mouth_squares(points), mouth.face_squares(points), strict=True)
        return cls(crop, found, mouth.reference_shape(points), dict(zip(usable.tolist(), squares, strict=True)))

    def points_at(self, indices: list[int]) -> Points:
        """The meshes of the frames `indices`."""
        return self.landmarks.points[indices]

    def motion_of(self, points: Points) -> Motion:
        """How a face moves, pose-free beside the true one's median shape."""
        parts = [self._motion_of(points[start : start + AT_ONCE]) for start in range(0, max(1, len(points)), AT_ONCE)]
        return Motion(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(Motion)))

    def _motion_of(self, points: Points) -> Motion:
        free = mouth.pose_free(points, self.reference)
        return Motion(mouth.aperture(free), mouth.width(free), free[:, mouth.LIPS, :2], points[:, mouth.BONY, :2])


def crop_of(clip: Clip) -> Box:
    """The square in which the clip's face stays. Raises MediaError `no_face_detected`, `multiple_faces`."""
    if clip.video.seconds >= GLANCE:
        boxes = survey(clip.path).boxes
    elif not len(boxes := look(clip.frames()).boxes):
        raise NoFaceDetected(clip.path.name)
    return face_crop(boxes, clip.video.width, clip.video.height)


def follow(frames: Iterable[Frame], crop: Box) -> Landmarks:
    """The face in the square `crop` of the frames, in px of the whole frames."""
    corner = np.array([crop[0], crop[1], 0], np.float32)
    return mesh.bridge([None if points is None else points + corner for _, points in mesh.follow(_cut(frames, crop))])


def _cut(frames: Iterable[Frame], crop: Box) -> Iterator[Frame]:
    left, top, width, height = crop
    for frame in frames:
        yield np.ascontiguousarray(frame[top : top + height, left : left + width])
