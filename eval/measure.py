"""What is gathered in one pass over each clip: scores of the pictures, faces. Every face is found once, the true one first."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from eval import quality
from eval.clips import Clip, Pairing, pairs
from eval.faces import Points, TrueFace, crop_of, follow
from eval.quality import cut
from media.errors import MultipleFaces, NoFaceDetected
from media.frames import Box, Frame
from media.resize import Square
from steps.program import check_stop
from steps.progress import Reporter

GROUND_TRUTH = "gt_video"
PREDICTION = "pred_video"
CONSTANT = "constant_video"
TRUTH_DRIVEN = "truth_driven_video"
SWAP = "swap_video"
DRIVER = "driver_video"
SCORED = frozenset({PREDICTION, CONSTANT, TRUTH_DRIVEN})
"""Roles whose pictures are laid beside the true ones; of the others only the motion counts."""

MOUTH_PIXELS = 96
FACE_PIXELS = 256
"""Sides to which the regions are brought before they are compared."""


@dataclass
class Scores:
    """PSNR and SSIM, frame by frame. Identical frames have no finite PSNR: they are counted and left out of its mean."""

    psnrs: list[float] = field(default_factory=list)
    ssims: list[float] = field(default_factory=list)
    identical: int = 0

    def add(self, truth: Frame, other: Frame) -> None:
        """Takes a pair of frames in."""
        psnr, ssim = quality.psnr(truth, other), quality.ssim(truth, other)
        if math.isinf(psnr):
            self.identical += 1
        else:
            self.psnrs.append(psnr)
        if ssim is not None:
            self.ssims.append(ssim)

    @property
    def psnr(self) -> float | None:
        """Mean of the frames' dB."""
        return float(np.mean(self.psnrs)) if self.psnrs else None

    @property
    def ssim(self) -> float | None:
        """Mean over frames."""
        return float(np.mean(self.ssims)) if self.ssims else None


@dataclass
class Compared:
    """What was gathered about one clip: its scores, its face's meshes [T, 478, 3], the true frame that each frame belongs to."""

    indices: list[int] = field(default_factory=list)
    points: Points = field(default_factory=lambda: np.empty((0, 478, 3), np.float32))
    without_face: int = 0
    frame: Scores = field(default_factory=Scores)
    face: Scores = field(default_factory=Scores)
    mouth: Scores = field(default_factory=Scores)
    sharpness: list[tuple[float, float]] = field(default_factory=list)
    """Of the mouth region: (truth, this clip)."""

    @property
    def sharpness_ratio(self) -> float | None:
        """Mean Laplacian variance of the mouth region over that of the truth."""
        if not self.sharpness:
            return None
        truth, other = np.mean(self.sharpness, axis=0)
        return float(other / truth) if truth else None


@dataclass(frozen=True)
class Measured:
    """All that was gathered: the true face, or the code that says why there is none, and each clip by its role."""

    face: TrueFace | None
    no_face: str | None
    clips: dict[str, Compared]


def measure(clips: Mapping[str, Clip], reporter: Reporter) -> Measured:
    """Lays the clips beside the one in the role `gt_video`. Raises MediaError for what cannot be decoded."""
    truth = clips[GROUND_TRUTH]
    count = _Counter(reporter, sum(clip.video.frames * _cost(role) for role, clip in clips.items()))
    face, no_face = _true_face(truth, count)
    compared = {}
    for role, clip in clips.items():
        if role in SCORED:
            compared[role] = _compare(truth, clip, face, role, count)
        elif role != GROUND_TRUTH and face:
            compared[role] = _watch(truth, clip, face.crop if role == SWAP and clip.size == truth.size else None, count)
    count.finish()
    return Measured(face, no_face, compared)


def _true_face(truth: Clip, count: "_Counter") -> tuple[TrueFace | None, str | None]:
    try:
        return TrueFace.find(truth, count.over(truth.frames(), _cost(GROUND_TRUTH))), None
    except (NoFaceDetected, MultipleFaces) as error:
        return None, error.code


def _compare(truth: Clip, clip: Clip, face: TrueFace | None, role: str, count: "_Counter") -> Compared:
    """Scores the clip's frames on their way to the face mesh: the mouth, and of the prediction the face and the whole frame."""
    compared, whole = Compared(), role == PREDICTION

    def passing() -> Iterator[Frame]:
        for index, true_frame, frame in pairs(truth, clip):
            compared.indices.append(index)
            if whole:
                compared.frame.add(true_frame, frame)
            if face and index in face.squares:
                mouth, around = face.squares[index]
                _score_mouth(compared, true_frame, frame, mouth)
                if whole:
                    compared.face.add(cut(true_frame, around, FACE_PIXELS), cut(frame, around, FACE_PIXELS))
            yield frame

    frames = count.over(passing(), _cost(role))
    if face is None:
        for _ in frames:
            pass
        return compared
    return _with_face(compared, frames, face.crop)


def _watch(truth: Clip, clip: Clip, crop: Box | None, count: "_Counter") -> Compared:
    """Follows the face in a clip whose pictures are not scored; `crop` holds it, by default one of its own."""
    try:
        crop = crop or crop_of(clip)
    except (NoFaceDetected, MultipleFaces):
        return Compared()
    compared = _with_face(Compared(), count.over(clip.frames(), _cost(DRIVER)), crop)
    pairing = Pairing(truth, clip)
    compared.indices = [pairing.index(number) for number in range(len(compared.points))]
    return compared


def _with_face(compared: Compared, frames: Iterator[Frame], crop: Box) -> Compared:
    found = follow(frames, crop)
    compared.points, compared.without_face = found.points, int((~found.found).sum())
    return compared


def _score_mouth(compared: Compared, truth: Frame, other: Frame, square: Square) -> None:
    truth, other = cut(truth, square, MOUTH_PIXELS), cut(other, square, MOUTH_PIXELS)
    compared.mouth.add(truth, other)
    compared.sharpness.append((quality.sharpness(truth), quality.sharpness(other)))


def _cost(role: str) -> int:
    """Time that a frame takes, so that the estimate of the rest is fair."""
    return 8 if role == PREDICTION else 2 if role in SCORED else 1


class _Counter:
    """One progress over all clips."""

    def __init__(self, reporter: Reporter, total: int) -> None:
        self._reporter, self._total, self._done = reporter, total, 0

    def over(self, frames: Iterator[Frame], cost: int) -> Iterator[Frame]:
        """Hands the frames out and counts them, each for its cost."""
        for frame in frames:
            check_stop()
            yield frame
            self._done = min(self._done + cost, self._total)
            self._reporter.progress("compare", self._done, self._total)

    def finish(self) -> None:
        """Says that all is done, also where clips were shorter than they said."""
        if self._done < self._total:
            self._reporter.progress("compare", self._total, self._total)
