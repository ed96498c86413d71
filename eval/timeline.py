"""What was measured frame by frame, as columns: for metrics.csv and the curves of the page."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from eval.measure import NO_TRUTH, PREDICTION, Measured
from media.files import written

Column = Sequence[float | None]


@dataclass(frozen=True)
class Timeline:
    """One entry for each pair of frames that was compared, or each frame without a true video; None where there is no figure."""

    truth_index: Sequence[int | None]
    """Number of the true frame."""
    psnr: Column
    """dB; infinite for identical frames."""
    ssim: Column
    niqe: Column
    aperture_truth: Column
    """Mean inner-lip gap, px of a face 256 px wide."""
    aperture: Column

    @classmethod
    def of(cls, measured: Measured) -> "Timeline":
        """Of the prediction."""
        prediction, face = measured.clips[PREDICTION], measured.face
        compared = measured.missing.get("fid") != NO_TRUTH
        count = len(prediction.indices) if compared else len(measured.niqes)
        nothing: list[None] = [None] * count
        own: Column = _known(face.motion_of(prediction.points).aperture)[:count] if face else nothing
        if not compared:
            return cls(nothing, nothing, nothing, measured.niqes, nothing, own)
        truth: Column = _known(face.motion_of(face.points_at(prediction.indices)).aperture) if face else nothing
        scores = prediction.frame
        return cls(prediction.indices, scores.psnrs, scores.ssims, measured.niqes[:count], truth, own)

    def write(self, path: Path, fps: float) -> None:
        """metrics.csv: a line for each pair, `frame` from 0, `seconds` of the prediction; whole or not at all."""
        names = [field.name for field in fields(self)]
        with written(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["frame", "seconds", *names])
            for frame, values in enumerate(zip(*(getattr(self, name) for name in names), strict=True)):
                rows.writerow([frame, round(frame / fps, 4), *("" if value is None else _short(value) for value in values)])


def _known(values: np.ndarray) -> list[float | None]:
    return [float(value) if math.isfinite(value) else None for value in values]


def _short(value: float) -> float | int | str:
    return value if isinstance(value, int) else "inf" if math.isinf(value) else round(value, 5)
