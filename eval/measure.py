"""What is gathered in one pass over each clip: scores of the pictures, features, faces. Every face is found once, the true one
first.
"""

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from eval import quality
from eval.alone import Speaker
from eval.clips import Clip, Pairing, pairs
from eval.faces import Points, ReferenceFace, crop_of, follow
from eval.fid import Seen, Spread
from eval.inception import Inception
from eval.lmd import Lmd
from eval.lpips import Lpips, Pairs
from eval.niqe import niqe
from eval.quality import cut
from eval.weights import ALEXNET, INCEPTION, UnmeasuredError, Weights
from media.errors import MediaTruncated, MultipleFaces, NoFaceDetected
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

NO_TRUTH = "no_ground_truth"
"""Why a figure is not there that needs a true video."""
WORST = 8
"""Frames that are shown as the worst."""
Loaded = TypeVar("Loaded")
MOUTH_PIXELS = 96
FACE_PIXELS = 256
"""Sides to which the regions are brought before they are compared."""


def mean(values: Iterable[float | None]) -> float | None:
    """Of the values that are known."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


@dataclass
class Scores:
    """PSNR, SSIM, sharpness, pair by pair. Identical frames have an infinite PSNR: they are counted and left out of its mean."""

    psnrs: list[float] = field(default_factory=list)
    ssims: list[float | None] = field(default_factory=list)
    sharpness: list[tuple[float, float]] = field(default_factory=list)
    """(truth, this clip)."""

    def add(self, truth: Frame, other: Frame) -> None:
        """Takes a pair of frames in."""
        self.psnrs.append(quality.psnr(truth, other))
        self.ssims.append(quality.ssim(truth, other))
        self.sharpness.append((quality.sharpness(truth), quality.sharpness(other)))

    @property
    def identical(self) -> int:
        """Pairs without a difference."""
        return sum(map(math.isinf, self.psnrs))

    @property
    def psnr(self) -> float | None:
        """Mean of the frames' dB."""
        return mean(value for value in self.psnrs if not math.isinf(value))

    @property
    def ssim(self) -> float | None:
        """Mean over frames."""
        return mean(self.ssims)

    @property
    def sharpness_ratio(self) -> float | None:
        """Mean Laplacian variance over that of the truth."""
        if not self.sharpness:
            return None
        truth, other = np.mean(self.sharpness, axis=0)
        return float(other / truth) if truth else None


@dataclass
class Compared:
    """What was gathered about one clip: its scores, its face's meshes [T, 478, 3], the true frame that each frame belongs to."""

    indices: list[int] = field(default_factory=list)
    points: Points = field(default_factory=lambda: np.empty((0, 478, 3), np.float32))
    without_face: int = 0
    frame: Scores = field(default_factory=Scores)
    face: Scores = field(default_factory=Scores)
    mouth: Scores = field(default_factory=Scores)


@dataclass(frozen=True)
class Measured:
    """All that was gathered: the true face (the prediction's own where there is no truth), or the code that says why there is
    none, and each clip by its role.
    """

    face: ReferenceFace | None
    no_face: str | None
    clips: dict[str, Compared]
    niqes: list[float | None]
    """Of each frame of the prediction."""
    decoded: dict[str, int]
    """Frames of the truth and of the prediction that came out of the decoder; fewer than the file holds when it is damaged."""
    speakers: dict[str, Speaker]
    """The prediction's face, and the true one, each by itself; empty where there is no face."""
    missing: dict[str, str]
    """Of `fid`, `lpips` and `lmd`, where they cannot be had: why."""
    features: tuple[Spread, Spread] | None = None
    """Inception's, of the true frames and of the predicted ones; None without its weights."""
    lpips: float | None = None
    lmd: float | None = None
    lmd_frames: tuple[int, int] = (0, 0)
    """Pairs in which dlib found both faces, and pairs in which it did not."""
    worst: list[tuple[int, Frame, Frame]] = field(default_factory=list)
    """Number, true and predicted frame of the pairs with the lowest PSNR, the lowest first."""


def measure(clips: Mapping[str, Clip], weights: Weights, reporter: Reporter) -> Measured:
    """Lays the clips beside the one in the role `gt_video`; without one, gathers what the prediction tells by itself. Raises
    MediaError for what cannot be decoded.
    """
    count = _Counter(reporter, sum(clip.video.frames * _cost(role) for role, clip in clips.items()))
    truth = clips.get(GROUND_TRUTH)
    if truth is None:
        alone = _alone(clips[PREDICTION], count)
        _tell_lost(clips, alone, reporter)
        return alone
    watch = Watch(weights)
    face, no_face = _face(truth, count.over(truth.frames(), _cost(GROUND_TRUTH)))
    compared = {}
    for role, clip in clips.items():
        if role in SCORED:
            compared[role] = _compare(truth, clip, face, count, watch if role == PREDICTION else None)
        elif role != GROUND_TRUTH and face:
            compared[role] = _watch(truth, clip, face.crop if role == SWAP and clip.size == truth.size else None, count)
    count.finish()
    speakers = _speakers(face, {GROUND_TRUTH: truth, PREDICTION: clips[PREDICTION]}, compared[PREDICTION])
    measured = watch.measured(face, no_face, compared, speakers)
    _tell_lost(clips, measured, reporter)
    return measured


def _alone(clip: Clip, count: "_Counter") -> Measured:
    niqes: list[float | None] = []

    def passing() -> Iterator[Frame]:
        for frame in clip.frames():
            niqes.append(niqe(frame))
            yield frame

    frames = count.over(passing(), _cost(PREDICTION))
    face, no_face = _face(clip, frames)
    deque(frames, maxlen=0)  # where no face was found, they have not been looked at yet
    count.finish()
    points = face.landmarks.points if face else np.empty((0, 478, 3), np.float32)
    own = Compared(points=points, without_face=int((~face.landmarks.found).sum()) if face else 0)
    missing = dict.fromkeys(("fid", "lpips", "lmd"), NO_TRUTH)
    speakers = _speakers(face, {PREDICTION: clip}, own)
    return Measured(face, no_face, {PREDICTION: own}, niqes, {PREDICTION: len(niqes)}, speakers, missing)


def _tell_lost(clips: Mapping[str, Clip], measured: Measured, reporter: Reporter) -> None:
    for role, decoded in measured.decoded.items():
        held = clips[role].video.frames
        if held - decoded > 1:
            shifted = ": pairs after a gap are shifted" if GROUND_TRUTH in clips else ""
            reporter.message(f"only {decoded} of the {held} frames of {role} can be decoded{shifted}", level="warning")


class Watch:
    """What is gathered of the prediction and the truth beside their scores: of every frame by itself, whether another belongs to
    it or not, and LPIPS of the pairs.
    """

    def __init__(self, weights: Weights) -> None:
        self.niqes: list[float | None] = []
        self._true_frames = 0
        self.missing: dict[str, str] = {}
        inception = self._had("fid", lambda: weights.load(Inception, INCEPTION))
        alexnet = self._had("lpips", lambda: weights.load(Lpips, ALEXNET))
        self._lmd = self._had("lmd", lambda: Lmd.of(weights))
        self._seen = (Seen(inception), Seen(inception)) if inception else None
        self._pairs = Pairs(alexnet) if alexnet else None
        self._worst: list[tuple[float, int, Frame, Frame]] = []
        self._paired = 0

    def _had(self, metric: str, load: Callable[[], Loaded]) -> Loaded | None:
        try:
            return load()
        except UnmeasuredError as why:
            self.missing[metric] = str(why)
            return None

    def truth(self, frame: Frame) -> None:
        """Takes a true frame in."""
        self._true_frames += 1
        if self._seen:
            self._seen[0](frame)

    def prediction(self, frame: Frame) -> None:
        """Takes a predicted frame in."""
        self.niqes.append(niqe(frame))
        if self._seen:
            self._seen[1](frame)

    def pair(self, truth: Frame, other: Frame, psnr: float) -> None:
        """Takes a pair of frames of one size in, and what it scored."""
        if self._pairs:
            self._pairs(truth, other)
        if self._lmd:
            self._lmd(truth, other)
        entry = (-psnr, self._paired, truth, other)
        self._paired += 1
        if len(self._worst) < WORST:
            heapq.heappush(self._worst, entry)
        elif entry[:2] > self._worst[0][:2]:
            heapq.heapreplace(self._worst, entry)

    def measured(
        self, face: ReferenceFace | None, no_face: str | None, compared: dict[str, Compared], speakers: dict[str, Speaker]
    ) -> Measured:
        """All of it, when every frame was seen."""
        lmd, pairs_seen = self._lmd, self._pairs
        return Measured(
            face, no_face, compared, self.niqes, {GROUND_TRUTH: self._true_frames, PREDICTION: len(self.niqes)}, speakers,
            self.missing,
            features=(self._seen[0].spread(), self._seen[1].spread()) if self._seen else None,
            lpips=mean(pairs_seen.distances()) if pairs_seen else None,
            lmd=mean(lmd.distances) if lmd else None,
            lmd_frames=(len(lmd.distances), lmd.without_face) if lmd else (0, 0),
            worst=[entry[1:] for entry in sorted(self._worst, key=lambda entry: entry[:2], reverse=True)],
        )  # fmt: skip


def _speakers(face: ReferenceFace | None, clips: Mapping[str, Clip], prediction: Compared) -> dict[str, Speaker]:
    if face is None:
        return {}
    points = {GROUND_TRUTH: face.landmarks.points, PREDICTION: prediction.points}
    return {
        role: Speaker.of(face.motion_of(points[role]), points[role], clip.fps, clip.samples()) for role, clip in clips.items()
    }


def _face(clip: Clip, frames: Iterable[Frame]) -> tuple[ReferenceFace | None, str | None]:
    try:
        return ReferenceFace.find(clip, frames), None
    except (NoFaceDetected, MultipleFaces, MediaTruncated) as error:
        return None, error.code


def _compare(truth: Clip, clip: Clip, face: ReferenceFace | None, count: "_Counter", watch: Watch | None) -> Compared:
    """Scores the clip's frames on their way to the face mesh: the mouth, and of the prediction (`watch`) the face and the whole
    frame.
    """
    compared = Compared()

    def passing() -> Iterator[Frame]:
        taps: tuple[Callable[[Frame], None], ...] = (watch.truth, watch.prediction) if watch else ()
        for index, true_frame, frame in pairs(truth, clip, *taps):
            compared.indices.append(index)
            if watch:
                compared.frame.add(true_frame, frame)
                watch.pair(true_frame, frame, compared.frame.psnrs[-1])
            if face and index in face.squares:
                mouth, around = face.squares[index]
                _score_mouth(compared, true_frame, frame, mouth)
                if watch:
                    compared.face.add(cut(true_frame, around, FACE_PIXELS), cut(frame, around, FACE_PIXELS))
            yield frame

    frames = count.over(passing(), _cost(PREDICTION if watch else CONSTANT))
    if face is None:
        deque(frames, maxlen=0)
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
    compared.mouth.add(cut(truth, square, MOUTH_PIXELS), cut(other, square, MOUTH_PIXELS))


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
