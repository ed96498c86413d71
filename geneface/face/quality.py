"""Which frames can be used: flags for each, from landmarks and what was measured while the frames passed. Pure numpy.

The bounds stand between what real speakers do and what was made up to break them; the account tells how many frames each hit.
"""

from enum import IntFlag
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from geneface.face.geometry import ENOUGH, Array, median_shape, similarity
from media.mesh import Landmarks, runs
from media.mouth import BONY, FACE_WIDTH, LIPS

Mask = NDArray[np.bool_]
Stretch = tuple[int, int]


class Flag(IntFlag):
    """What is wrong with a frame."""

    MISSING = 1
    """No face was found, or too little light or sense in it to follow."""
    BRIDGED = 2
    """Missing, but its landmarks lie on a line between good neighbours."""
    TURNED = 4
    """The head is turned or nods by more than 35°."""
    COVERED = 8
    """The lower face does not look as it does in the rest of the clip: a hand, a microphone, a cup."""
    IMPLAUSIBLE = 16
    """The bones of the face do not have the person's shape."""
    OUTSIDE = 32
    """Lips or chin, or much of the face, lie outside the frame."""
    DARK = 64
    BLURRED = 128
    SECOND_FACE = 256
    """Another face was in the picture about then."""
    CUT = 512
    """At a cut, or a jump of the head."""


UNTRAINABLE = ~Flag.SECOND_FACE
"""Flags that keep a frame from being trained on."""
TURNED = 35.0
DARK = 24.0
"""Light of the brightest twentieth of the picture under which nobody can be seen; a lit face before a black wall has more."""
BLURRED = 0.25
"""Sharpness over the clip's median."""
CRUMPLED = 0.05, 5.0
"""Residual of the bony points in face widths, and over the clip's median, from both of which on a mesh is implausible."""
CUT = 25.0
"""Change of the whole picture, grey levels (`geneface.watching.lasting_change`), that nothing but a cut makes."""
CUT_WITH_JUMP = 8.0
"""The same when the head jumps as well."""
JUMP = 0.2
"""Face widths (or share of the size) from one frame to the next."""
COVERED = 14.0, 4.5
"""Difference of the lower face's picture from what the clip's other frames explain: grey levels, and over the median."""
_DIRECTIONS, _LIKELY, _BANK, _BLOCK = 16, 80.0, 500, 1_000
_GAP, _LASTS = 2, 5


def attitude(points: Array) -> tuple[Array, Array]:
    """Yaw and pitch [T] in degrees of landmarks [T, 478, 3], 0 for a face that looks at the camera, by the lines from side to
    side and from forehead to chin."""
    across, down = points[:, 454] - points[:, 234], points[:, 152] - points[:, 10]
    yaw, pitch = (np.degrees(np.arctan2(line[:, 2], np.hypot(line[:, 0], line[:, 1]))) for line in (across, down))
    return yaw.astype(np.float32), pitch.astype(np.float32)


def crumpled(points: Array, found: Mask) -> Mask:
    """Frames [T] whose bony points do not fit the person's."""
    there = np.flatnonzero(found)
    shape = median_shape(points[there[:: max(1, len(there) // ENOUGH)]])
    bones = points[:, BONY][there]
    pose = similarity(shape[BONY], bones)
    apart = (pose.project(shape[BONY]) - bones)[..., :2]
    residual = np.sqrt(np.square(apart).sum(-1).mean(1)) / (pose.scale * FACE_WIDTH)
    marked = np.zeros(len(points), bool)
    marked[found] = residual > max(CRUMPLED[0], CRUMPLED[1] * float(np.median(residual)))
    return marked


def jumps(points: Array) -> Mask:
    """Frames [T] before which the head was elsewhere or of another size; none where there are no points (NaN)."""
    bones = points[:, BONY, :2]
    centre = bones.mean(1)
    size = np.sqrt(np.square(bones - centre[:, None]).sum(-1).mean(1))
    width = np.linalg.norm((points[:, 454] - points[:, 234])[..., :2], axis=-1)
    far = np.linalg.norm(np.diff(centre, axis=0), axis=1) > JUMP * np.maximum(width[1:], 1e-6)
    grown = np.abs(np.diff(np.log(np.maximum(size, 1e-6)))) > JUMP
    return np.concatenate([[False], far | grown])


def cuts(found: Landmarks, change: Array) -> list[int]:
    """First frames of new shots: everything changes, or much does and the head jumps."""
    jumped = jumps(found.points)
    return [int(frame) for frame in np.flatnonzero((change > CUT) | ((change > CUT_WITH_JUMP) & jumped))]


def covered(patches: NDArray[np.uint8], found: Mask) -> Mask:
    """Frames [T] whose lower face [T, P] the clip's usual ones do not explain: far from the space of the 16 main directions of
    the 80 % of frames that are nearest to the median."""
    there = np.flatnonzero(found)
    some = patches[there[:: max(1, len(there) // _BANK)]].astype(np.float32)
    usual = np.abs(some - np.median(some, axis=0)).mean(1)
    bank = some[usual <= np.percentile(usual, _LIKELY)]
    mean = bank.mean(0)
    _, _, directions = np.linalg.svd(bank - mean, full_matrices=False)
    basis = directions[:_DIRECTIONS].T
    rest = np.zeros(len(there), np.float32)
    for start in range(0, len(there), _BLOCK):
        centred = patches[there[start : start + _BLOCK]] - mean
        rest[start : start + _BLOCK] = np.sqrt(np.square(centred - (centred @ basis) @ basis.T).mean(1))
    marked = np.zeros(len(found), bool)
    marked[there] = rest > max(COVERED[0], COVERED[1] * float(np.median(rest)))
    return _lasting(marked)


def _lasting(mask: Mask) -> Mask:
    """The runs of at least 5 frames, gaps of up to 2 closed: a mouth wide open is rare too, but short."""
    closed = mask.copy()
    for start, stop in runs(~mask):
        if start > 0 and stop < len(mask) and stop - start <= _GAP:
            closed[start:stop] = True
    for start, stop in runs(closed):
        if stop - start < _LASTS:
            closed[start:stop] = False
    return closed


def outside(points: Array, side: int) -> Mask:
    """Frames [T] of whose landmarks lips, chin or a sixth of all lie outside the square frame."""
    out = np.asarray(((points[..., :2] < 0) | (points[..., :2] > side - 1)).any(-1))
    return np.asarray(out[:, LIPS].any(1) | out[:, 152] | (out.mean(1) > 1 / 6))


def flags(
    found: Landmarks, change: Array, light: Array, sharpness: Array, patches: NDArray[np.uint8], side: int
) -> NDArray[np.uint16]:
    """Flags uint16 [T] of a followed clip. `found` is bridged already; see `Watch` for the measures."""
    usable = found.usable
    points = found.points
    marks = np.zeros(len(usable), np.uint16)
    yaw, pitch = attitude(points)
    jumped = jumps(found.points)
    about_cuts = np.zeros(len(usable), bool)
    for frame in np.flatnonzero(jumped | (change > CUT)):
        about_cuts[max(0, frame - 2) : frame + 2] = True
    sharp = np.nan_to_num(sharpness / max(float(np.nanmedian(sharpness)), 1e-6), nan=1.0)
    for flag, mask in (
        (Flag.MISSING, ~found.found),
        (Flag.BRIDGED, found.interpolated),
        (Flag.TURNED, usable & ((np.abs(yaw) > TURNED) | (np.abs(pitch) > TURNED))),
        (Flag.COVERED, covered(patches, found.found)),
        (Flag.OUTSIDE, usable & outside(points, side)),
        (Flag.DARK, light < DARK),
        (Flag.BLURRED, sharp < BLURRED),
        (Flag.CUT, about_cuts),
    ):
        marks[mask] |= flag.value
    return marks


def longest(usable: Mask, cut_at: list[int]) -> Stretch:
    """First and one-past-last frame of the longest run of usable frames within one shot; (0, 0) when there is none."""
    edges = [0, *cut_at, len(usable)]
    stretches = [(start + first, start + last) for start, stop in pairwise(edges) for first, last in runs(usable[start:stop])]
    return max(stretches, key=lambda stretch: stretch[1] - stretch[0], default=(0, 0))


def summary(marks: NDArray[np.uint16], limit: int = 20) -> dict[str, dict[str, object]]:
    """For the report: of each flag that was raised, how many frames have it and where (first and one-past-last frames)."""
    told: dict[str, dict[str, object]] = {}
    for flag in Flag:
        mask = (marks & flag.value) > 0
        if mask.any():
            told[str(flag.name).lower()] = {"frames": int(mask.sum()), "where": [list(run) for run in runs(mask)[:limit]]}
    return told


def trainable(marks: NDArray[np.uint16]) -> Mask:
    """Frames [T] that a model may learn from."""
    return (marks & np.uint16(UNTRAINABLE.value & 0xFFFF)) == 0
