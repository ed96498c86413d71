"""Faces: where they are, whether there is just one, the crop that holds it, and its landmarks.

A detector also sees faces where there are none (a hand, a fold). A second face counts only when it is of some size, lies
apart from the first, is confirmed by the mesh, and stays for a good share of the clip.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from media import solutions
from media.errors import MultipleFaces, NoFaceDetected, VideoMissing
from media.frames import Box, Frame, frames
from media.limits import DEFAULT, Limits
from media.mesh import MESH_TO_68, Landmarks, landmarks, mesh_once, require_face
from media.probe import probe
from steps.program import check_stop

__all__ = [
    "MESH_TO_68", "Face", "Landmarks", "Survey", "Track", "detect", "face_crop", "landmarks", "require_face", "survey", "track",
]  # fmt: skip

_CONFIDENCE = 0.5
_SECOND_SIZE = 0.35
"""A second face's width over the first's, from which on it counts."""
_SECOND_SHARE = 0.2
"""Share of the looked-at frames from which on a confirmed second face is a second person."""
_SAMPLES = 120
_SAMPLE_RATE = 5
_SAMPLE_SIDE = 960
_MARGIN = 0.6


@dataclass(frozen=True)
class Face:
    """A detected face: `box` = x, y, width, height in pixels (forehead to chin, may stick out of the picture), `score` 0–1."""

    box: tuple[float, float, float, float]
    score: float


@dataclass(frozen=True)
class Survey:
    """What looking at some frames of a clip told: `boxes` float64 [N, 4] of the speaker's face, in pixels of the picture as
    shown; `found` share of the frames that had it; `second` share that had a confirmed other face; `looked` how many; `times`
    float64 [N] when each box was seen, `second_times` [M] when another face was, in seconds; `step` seconds between looks."""

    boxes: NDArray[np.float64]
    found: float
    second: float
    looked: int
    times: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    second_times: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    step: float = 0.0


@dataclass(frozen=True)
class Track:
    """A face followed through a file: landmarks in pixels of the picture as shown (`width` × `height`), and the square
    `crop` that holds the face all the time."""

    landmarks: Landmarks
    crop: Box
    width: int
    height: int
    survey: Survey


def detect(frame: Frame) -> list[Face]:
    """Faces in one picture, the most certain first. Looks at squares of it too when the whole picture shows none."""
    height, width = frame.shape[:2]
    found = _detect(frame, 0, 0)
    side = min(height, width)
    if found or max(height, width) < 1.3 * side:
        return found
    places = np.linspace(0, max(height, width) - side, 3).round().astype(int)
    offsets = [(0, int(place)) if height > width else (int(place), 0) for place in places]
    return _apart([face for x, y in offsets for face in _detect(frame[y : y + side, x : x + side], x, y)])


def survey(path: Path, limits: Limits = DEFAULT, samples: int = _SAMPLES) -> Survey:
    """Looks at about `samples` frames, spread over the clip, at most 5 a second, for the speaker's face and for others.

    Raises:
        MediaError: what `frames` raises, `no_face_detected`, `multiple_faces`.
    """
    path = Path(path)
    info = probe(path, limits)
    if info.video is None:
        raise VideoMissing(path.name)
    video = info.video
    shrink = min(1.0, _SAMPLE_SIDE / max(video.width, video.height))
    size = (max(1, round(video.width * shrink)), max(1, round(video.height * shrink)))
    step = max(1, round(video.seconds * _SAMPLE_RATE / samples))
    sampled = (frame for number, frame in enumerate(frames(path, size, fps=_SAMPLE_RATE, limits=limits)) if number % step == 0)
    found = look(sampled, step / _SAMPLE_RATE)
    if not len(found.boxes):
        raise NoFaceDetected(path.name)
    if found.second >= _SECOND_SHARE:
        raise MultipleFaces(path.name, share=found.second)
    return replace(found, boxes=found.boxes / shrink)


def look(sampled: Iterable[Frame], step: float = 1.0) -> Survey:
    """Follows the speaker's face through pictures `step` seconds apart and notes those with a confirmed other face."""
    boxes: list[tuple[float, float, float, float]] = []
    times: list[float] = []
    seconds: list[float] = []
    looked = 0
    for frame in sampled:
        check_stop()
        now = looked * step
        looked += 1
        faces = detect(frame)
        if not faces:
            continue
        if len(faces) > 1:
            faces = [face for face in faces if _confirmed(frame, face)] or faces[:1]
        speaker = _speaker(faces, boxes)
        boxes.append(speaker.box)
        times.append(now)
        if any(face is not speaker and face.box[2] >= _SECOND_SIZE * speaker.box[2] for face in faces):
            seconds.append(now)
    share = max(looked, 1)
    return Survey(
        np.array(boxes).reshape(-1, 4), len(boxes) / share, len(seconds) / share, looked, np.array(times), np.array(seconds), step
    )


def face_crop(boxes: NDArray[np.floating], width: int, height: int, margin: float = _MARGIN) -> Box:
    """The square that holds all of `boxes` [N, 4] (x, y, width, height) with `margin` face widths around, inside the picture.

    Outliers (the outermost 2 % on each side) do not widen it. Sides and place are even; a square that would stick out is
    moved in, and made no larger than the picture's shorter side.
    """
    left, top = np.percentile(boxes[:, :2], 2, axis=0)
    right, bottom = np.percentile(boxes[:, :2] + boxes[:, 2:], 98, axis=0)
    around = 2.0 * margin * float(np.median(boxes[:, 2]))
    side = min(max(right - left, bottom - top) + around, width, height)
    side = max(2, int(side) // 2 * 2)
    x = np.clip((left + right - side) / 2, 0, width - side)
    y = np.clip((top + bottom - side) / 2, 0, height - side)
    return int(x) // 2 * 2, int(y) // 2 * 2, side, side


def track(path: Path, limits: Limits = DEFAULT) -> Track:
    """Surveys the clip, crops the speaker's face and follows it through every frame (25 a second).

    Raises:
        MediaError: what `survey` raises. Frames without a face are marked, not refused: see `require_face`.
    """
    path = Path(path)
    found = survey(path, limits)
    video = probe(path, limits).video
    if video is None:
        raise VideoMissing(path.name)
    crop = face_crop(found.boxes, video.width, video.height)
    points = landmarks(frames(path, crop=crop, limits=limits))
    return Track(points.moved(crop[0], crop[1]), crop, video.width, video.height, found)


def _detect(frame: Frame, left: int, top: int) -> list[Face]:
    height, width = frame.shape[:2]
    found = []
    for detection in _detector().process(np.ascontiguousarray(frame)).detections or []:
        box = detection.location_data.relative_bounding_box
        place = (left + box.xmin * width, top + box.ymin * height, box.width * width, box.height * height)
        found.append(Face(place, float(detection.score[0])))
    return sorted(found, key=lambda face: -face.score)


@cache
def _detector() -> Any:
    return solutions.detector(_CONFIDENCE)


def _apart(faces: list[Face]) -> list[Face]:
    """Without those that are a more certain one seen again."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if all(_overlap(face.box, other.box) < 0.3 for other in kept):
            kept.append(face)
    return kept


def _speaker(faces: list[Face], before: list[tuple[float, float, float, float]]) -> Face:
    """The face that goes on from the last picture; otherwise the largest."""
    going_on = [face for face in faces if before and _overlap(face.box, before[-1]) > 0.3]
    return max(going_on or faces, key=lambda face: face.box[2] * face.score)


def _confirmed(frame: Frame, face: Face) -> bool:
    """Whether the mesh, looking at this place alone, finds a face of about this place and size."""
    height, width = frame.shape[:2]
    x, y, wide, high = face.box
    reach = max(wide, high)
    left, top = max(0, int(x + wide / 2 - reach)), max(0, int(y + high / 2 - reach))
    part = np.ascontiguousarray(frame[top : min(height, int(y + high / 2 + reach)), left : min(width, int(x + wide / 2 + reach))])
    if min(part.shape[:2]) < 16:
        return False
    points = mesh_once(part)
    if points is None:
        return False
    (left_edge, top_edge), (right_edge, bottom_edge) = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    seen = (left + left_edge, top + top_edge, right_edge - left_edge, bottom_edge - top_edge)
    return _overlap(face.box, tuple(float(edge) for edge in seen)) > 0.3


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Intersection over union of two boxes."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared) if shared else 0.0
