"""Landmarks: 478 points of the face in every frame (mediapipe's FaceMesh with irises), and where they are missing."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from media import solutions
from media.clock import FPS
from media.errors import FaceMissingInFrames, NoFaceDetected
from media.frames import Frame
from media.quiet import quiet

POINTS = 478

MAX_GAP = 5
"""Frames without a face that are bridged."""

MESH_TO_68 = np.array([
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,  # jaw, from the picture's left
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301,  # brows
    168, 197, 5, 4, 75, 97, 2, 326, 305,  # nose: bridge, nostrils
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # eyes
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,  # outer lips
    78, 82, 13, 312, 308, 317, 14, 87,  # inner lips
])  # fmt: skip
"""The mesh points that stand for the 68 of the iBUG scheme, in its order."""


@dataclass(frozen=True)
class Landmarks:
    """A face followed through a clip.

    points: float32 [T, 478, 3]; x and y in pixels of the frames, z in the same unit (smaller is nearer the camera); NaN where
        there is neither a face nor a short gap between two.
    found: bool [T], the mesh saw the face. interpolated: bool [T], a gap of at most 5 frames, bridged in a straight line.
    """

    points: NDArray[np.float32]
    found: NDArray[np.bool_]
    interpolated: NDArray[np.bool_]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """bool [T]: frames that have points."""
        return self.found | self.interpolated

    def gaps(self) -> list[tuple[int, int]]:
        """First and one-past-last frame of every stretch without points."""
        return runs(~self.usable)

    def moved(self, x: float, y: float, scale: float = 1.0) -> "Landmarks":
        """The same in pixels of a picture of which the frames are a part at (x, y), `scale` times larger there."""
        points = self.points * np.float32(scale) + np.array([x, y, 0.0], np.float32)
        return Landmarks(points, self.found, self.interpolated)


def landmarks(frames: Iterable[Frame]) -> Landmarks:
    """Follows the one face in `frames` (uint8 [H, W, 3] of one size), 5–7 ms a frame.

    The mesh's own detector needs a face of at least a fifth of the frame: `media.faces.track` crops first.
    """
    return bridge([points for _, points in follow(frames)])


def follow(frames: Iterable[Frame]) -> Iterator[tuple[Frame, NDArray[np.float32] | None]]:
    """Each frame with its points, float32 [478, 3] in pixels, or None where the mesh sees no face: `landmarks` as it goes."""
    opened = solutions.mesh(tracking=True)
    try:
        for number, frame in enumerate(frames):
            with quiet() if number == 0 else nullcontext():
                points = _points(opened, frame)
            yield frame, points
    finally:
        opened.close()


def mesh_once(frame: Frame) -> NDArray[np.float32] | None:
    """Points of the face in a single picture, float32 [478, 3] in pixels, or None."""
    opened = solutions.mesh(tracking=False)
    try:
        with quiet():
            return _points(opened, frame)
    finally:
        opened.close()


def bridge(found: Sequence[NDArray[np.float32] | None], max_gap: int = MAX_GAP) -> Landmarks:
    """Closes gaps of at most `max_gap` frames: straight lines between two faces, standing still at the clip's ends."""
    seen = np.array([points is not None for points in found], bool)
    points = np.full((len(found), POINTS, 3), np.nan, np.float32)
    for number, item in enumerate(found):
        if item is not None:
            points[number] = item
    bridged = np.zeros(len(found), bool)
    for start, stop in runs(~seen):
        if stop - start > max_gap or stop - start == len(found):
            continue
        before = points[start - 1] if start else points[stop]
        after = points[stop] if stop < len(found) else before
        share = (np.arange(1, stop - start + 1) / (stop - start + 1))[:, None, None]
        points[start:stop] = before + (after - before) * share
        bridged[start:stop] = True
    return Landmarks(points, seen, bridged)


def require_face(name: str, found: Landmarks, share: float = 0.9, fps: int = FPS) -> None:
    """Checks that the face is there in at least `share` of the frames.

    Raises:
        NoFaceDetected: in none.
        FaceMissingInFrames: in too few; names the seconds.
    """
    usable = found.usable
    if not found.found.any():
        raise NoFaceDetected(name)
    if usable.mean() >= share:
        return
    gaps = sorted(found.gaps(), key=lambda gap: gap[0] - gap[1])[:4]
    seconds = ", ".join(f"{start / fps:.1f}–{stop / fps:.1f} s" for start, stop in sorted(gaps))
    raise FaceMissingInFrames(name, missing=int((~usable).sum()), total=len(usable), seconds=seconds)


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and one-past-last index of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True)]


def _points(opened: object, frame: Frame) -> NDArray[np.float32] | None:
    faces = opened.process(np.ascontiguousarray(frame)).multi_face_landmarks  # type: ignore[attr-defined]
    if not faces:
        return None
    height, width = frame.shape[:2]
    points = np.array([(point.x, point.y, point.z) for point in faces[0].landmark], np.float32)
    return points * np.array([width, height, width], np.float32)
