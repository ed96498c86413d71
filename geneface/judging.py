"""Which part of a clip becomes the dataset, and the refusals when too little of it can."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geneface import errors
from geneface.errors import video_too_short
from geneface.face import quality
from geneface.face.framing import SIDE
from geneface.face.geometry import Array
from geneface.face.quality import Flag, Mask
from geneface.view import View
from geneface.watching import Measures
from media import mouth
from media.clock import FPS
from media.errors import FaceMissingInFrames, NoFaceDetected
from media.mesh import POINTS, Landmarks, bridge, runs
from steps.errors import InputError

LEAST_SECONDS = 4.0
LEAST_SHARE = 0.6
"""Of the frames: the longest stretch that can be used, and what can be trained on in it."""
LEAST_MOVEMENT = 3.0
"""Face units (256 to a face's width) from the 3 % to the 97 % quantile of the aperture. The mesh trembles by up to 2 on a photo
that is moved about or full of grain; people who speak open their lips by 12 and more."""
_EDGE = 0.02
"""Share of the picture's side within which a face is about to leave."""


@dataclass(frozen=True)
class Kept:
    """The frames `first` to `last` - 1 of `total` that become the dataset: landmarks [T, 478, 3], flags uint16 [T] and which
    of them were bridged [T]."""

    first: int
    last: int
    total: int
    points: Array
    marks: NDArray[np.uint16]
    interpolated: Mask


def kept(view: View, seen: list[Array | None], measures: Measures) -> Kept:
    """Judges every frame and chooses. `seen`: the mesh's answer for each.

    Raises InputError: `no_face_detected`; see `usable_stretch` and `require_trainable`.
    """
    name, total = view.source.name, len(seen)
    found, wrong = believed(seen, measures)
    if not found.found.any():
        raise NoFaceDetected(name)  # before what is measured on faces
    marks = marks_of(found, wrong, measures, SIDE, view.others(total))
    touching = leaving(found, view.squares(total), view.stream.width, view.stream.height)
    first, last = usable_stretch(name, found, quality.cuts(found, measures.change), touching)
    part = slice(first, last)
    require_trainable(name, marks[part])
    return Kept(first, last, total, found.points[part], marks[part], found.interpolated[part])


def believed(seen: list[Array | None], measures: Measures) -> tuple[Landmarks, Mask]:
    """The landmarks of each frame without those found in darkness or of no face's shape, short gaps bridged; and which frames
    [T] the mesh got wrong.
    """
    there = np.array([points is not None for points in seen])
    wrong = np.zeros(len(seen), bool)
    if there.any():
        stacked = np.stack([np.zeros((POINTS, 3), np.float32) if points is None else points for points in seen])
        wrong = quality.crumpled(stacked, there)
    dark = measures.light < quality.DARK
    return bridge([None if w or d else points for points, w, d in zip(seen, wrong, dark, strict=True)]), wrong


def marks_of(found: Landmarks, wrong: Mask, measures: Measures, side: int, others: Mask) -> NDArray[np.uint16]:
    """Flags uint16 [T]; `others` [T]: another face is about then."""
    marks = quality.flags(found, measures.change, measures.light, measures.sharpness, measures.patches, side)
    marks[wrong] |= np.uint16(Flag.IMPLAUSIBLE.value)
    marks[others] |= np.uint16(Flag.SECOND_FACE.value)
    return marks


def leaving(found: Landmarks, path: Array, width: int, height: int) -> Mask:
    """Frames [T] whose face touches the edge of the source's picture; `path` [T, 3] says where the frames were cut out."""
    share = path[:, 2:] / SIDE
    left, top = (found.points[..., :2].min(1) * share).T
    right, bottom = (found.points[..., :2].max(1) * share).T
    near = _EDGE * min(width, height)
    x, y = path[:, 0], path[:, 1]
    with np.errstate(invalid="ignore"):
        return (x + left < near) | (y + top < near) | (x + right > width - near) | (y + bottom > height - near)


def usable_stretch(name: str, found: Landmarks, cut_at: list[int] | None = None, touching: Mask | None = None) -> tuple[int, int]:
    """First and one-past-last frame of the longest stretch, within one shot, in which every frame has a face (gaps of up to 5
    frames are bridged).

    Raises InputError: `video_too_short` when the clip is shorter than 4 s; when the stretch is, or is less than 60 % of the
    clip, `no_face_detected`, `scene_cut`, `face_leaves_picture`, `face_missing_in_frames`.
    """
    total, cut_at = len(found.found), cut_at or []
    if not found.found.any():
        raise NoFaceDetected(name)
    if total / FPS < LEAST_SECONDS:
        raise video_too_short(name, total / FPS, LEAST_SECONDS)
    first, last = quality.longest(found.usable, cut_at)
    if last - first < max(LEAST_SHARE * total, LEAST_SECONDS * FPS):
        raise _refusal(name, found, cut_at, touching)
    return first, last


def _refusal(name: str, found: Landmarks, cut_at: list[int], touching: Mask | None) -> InputError:
    total = len(found.found)
    whole = quality.longest(found.usable, [])
    if whole[1] - whole[0] >= max(LEAST_SHARE * total, LEAST_SECONDS * FPS):
        return errors.scene_cut(name, [frame / FPS for frame in cut_at])
    gaps = found.gaps()
    if touching is not None:
        left = [gap for gap in gaps if (gap[0] and touching[gap[0] - 1]) or (gap[1] < total and touching[gap[1]])]
        if sum(stop - start for start, stop in left) > 0.5 * sum(stop - start for start, stop in gaps):
            return errors.face_leaves_picture(name, seconds(left))
    return FaceMissingInFrames(name, missing=int((~found.usable).sum()), total=total, seconds=seconds(gaps))


def require_trainable(name: str, marks: NDArray[np.uint16]) -> None:
    """Raises InputError when less than 60 % of the frames can be trained on, by what spoils most of them: `face_turned_away`,
    `mouth_covered`, `face_leaves_picture`, `frames_unusable`.
    """
    good = quality.trainable(marks)
    if good.mean() >= LEAST_SHARE:
        return
    counts = {flag: int(((marks & flag.value) > 0).sum()) for flag in (Flag.TURNED, Flag.COVERED, Flag.OUTSIDE)}
    worst = max(counts, key=lambda flag: counts[flag])
    mask = (marks & worst.value) > 0
    share, where = float(mask.mean()), seconds(runs(mask))
    if counts[worst] < 0.5 * (~good).sum():
        raise errors.frames_unusable(name, float((~good).mean()), seconds(runs(~good)))
    if worst is Flag.TURNED:
        raise errors.face_turned_away(name, share, where)
    if worst is Flag.COVERED:
        raise errors.mouth_covered(name, share, where)
    raise errors.face_leaves_picture(name, where)


def require_movement(name: str, front: Array) -> None:
    """Raises InputError `face_does_not_move` when the lips of pose-free points [T, 478, 3] do not."""
    low, high = np.percentile(mouth.aperture(front), (3, 97))
    if high - low < LEAST_MOVEMENT:
        raise errors.face_does_not_move(name)


def seconds(stretches: list[tuple[int, int]], limit: int = 6) -> str:
    """The longest of `stretches` of frames in the order of their times, for a sentence."""
    chosen = sorted(sorted(stretches, key=lambda gap: gap[0] - gap[1])[:limit])
    return ", ".join(f"{start / FPS:.1f}–{stop / FPS:.1f} s" for start, stop in chosen)
