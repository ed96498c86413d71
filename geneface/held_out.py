"""What a finished training is worth on the held-out tail, for its report: the mouth's picture under true motion, and the motion
that the sound alone gives. `python -m eval` scores finished films; these figures need no landmark library.
"""

import math
from collections.abc import Iterator

import numpy as np

from geneface.avatar import Avatar
from geneface.face.geometry import Array
from geneface.face.person import aperture, lip_motion, mouth_width, pose_free
from geneface.motion import driving
from geneface.renderers import Views
from geneface.renderers.compose import SOURCE, Background, Composer
from media import video
from media.clock import FPS
from media.mouth import mouth_squares
from steps.program import check_stop

FRAMES = 48
"""Of the tail whose pictures are scored, evenly spread."""
STILL = 1e-3
"""Face units: what varies by less does not move."""


def scores(loaded: Avatar, seed: int) -> dict[str, float | None]:
    """Mouth region PSNR in dB under true motion and of a constant mouth; r and amplitude of the aperture, r of the mouth's width
    and LMD-motion over that of a frozen mouth, of the motion predicted from the held-out sound (yardstick's definitions).
    None where a figure says nothing, as of a mouth that does not move.

    Raises StoppedError after SIGTERM.
    """
    data, person = loaded.dataset, loaded.person
    tail = slice(data.trained, len(data))
    if tail.stop - tail.start < 2:
        return {"frames": tail.stop - tail.start}
    sound = data.sound(tail.start)
    pose, motion = pose_free(data.points, person.shape)
    found = person.motion(driving.predicted(loaded, sound, seed)[0][: tail.stop - tail.start])
    truth = motion[tail]
    lips, true_lips = lip_motion(found), lip_motion(truth)
    gap, true_gap = aperture(found), aperture(truth)
    views = Views(pose.smoothed()[tail], loaded.emphasis * person.lower(truth), data.eyes[tail])
    still = Views(views.pose, np.zeros_like(views.lower), views.eyes)
    figures = {
        "mouth_psnr": _psnr(loaded, views), "constant_mouth_psnr": _psnr(loaded, still), "aperture_r": _r(gap, true_gap),
        "aperture_amplitude": _share(gap.std(), true_gap.std()), "width_r": _r(mouth_width(found), mouth_width(truth)),
        "lmd_over_frozen": _share(*(np.linalg.norm(apart, axis=-1).mean() for apart in (lips - true_lips, true_lips))),
    }  # fmt: skip
    told = {name: round(value, 3) if math.isfinite(value) else None for name, value in figures.items()}
    return {"frames": len(truth), **told}


def _psnr(loaded: Avatar, views: Views) -> float:
    """Mean over frames of the mouth region's PSNR, pasted back."""
    data = loaded.dataset
    chosen = np.unique(np.linspace(0, len(views) - 1, FRAMES).astype(int))
    composer = Composer.of(loaded.renderer, Background.named(SOURCE, data), data, loaded.person.shape)
    squares = mouth_squares(data.points[data.trained :])
    found = []
    for index, frame in _frames(loaded, chosen):
        check_stop()
        drawn = composer(views[index : index + 1], frame[None], None)[0]
        left, top, side, _ = (round(value) for value in squares[index])
        rows, columns = slice(max(0, top), top + side), slice(max(0, left), left + side)
        error = np.square(drawn[rows, columns].astype(np.float64) - frame[rows, columns]).mean()
        found.append(10 * np.log10(255**2 / max(error, 1e-3)))
    return float(np.mean(found))


def _frames(loaded: Avatar, chosen: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The chosen frames of the tail with their numbers in it."""
    data = loaded.dataset
    wanted = set(chosen.tolist())
    pictures = video.frames(data.frames, start=data.trained / FPS, seconds=(len(data) - data.trained) / FPS)
    return ((index, frame) for index, frame in enumerate(pictures) if index in wanted)


def _share(value: float, whole: float) -> float:
    return float(value / whole) if whole > STILL else math.nan


def _r(first: Array, second: Array) -> float:
    return float(np.corrcoef(first, second)[0, 1]) if min(first.std(), second.std()) > STILL else math.nan
