"""From what was measured to the JSON of research and a table for people."""

import json
import math
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from eval import motion
from eval.clips import DECODER, Clip, Pairing
from eval.measure import (
    CONSTANT,
    DRIVER,
    FACE_PIXELS,
    GROUND_TRUTH,
    MOUTH_PIXELS,
    PREDICTION,
    SCORED,
    SWAP,
    TRUTH_DRIVEN,
    Measured,
    Scores,
)
from media import ffmpeg
from media.files import written

NOT_IMPLEMENTED = "not_implemented_yet"
"""Why a metric is null that comes with a later version."""
LATER = ("niqe", "fid", "lse_c", "lse_d")

MOUTH_BLOCKS = {"mouth": PREDICTION, "truth_driven": TRUTH_DRIVEN, "constant_mouth": CONSTANT}
"""Names of the mouth blocks in the JSON, and the clip that each is of."""

UNITS = {
    "psnr": "dB",
    "gain_over_constant": "dB",
    "aperture_lag": "frames, positive when late",
    "lmd_motion": "px of a face 256 px wide (points 234-454)",
    "frozen_lmd": "the lmd_motion of a mouth that does not move",
}
_PACKAGES = ("numpy", "opencv-contrib-python-headless", "mediapipe", "geneface-platform")

Block = dict[str, float | int | None]


class Figures:
    """The figures of one block; where one is missing, `errors` gets a short stable reason under the block's name."""

    def __init__(self, name: str, errors: dict[str, str]) -> None:
        self.values: Block = {}
        self._prefix = f"{name}." if name else ""
        self._errors = errors

    def add(self, name: str, value: float | None, reason: str) -> None:
        """Takes a figure in, or the reason why there is none."""
        known = value is not None and math.isfinite(value)
        self.values[name] = value if known else None
        if not known:
            self._errors[self._prefix + name] = reason

    def add_scores(self, scores: Scores, nothing: str) -> None:
        """PSNR and SSIM of a region; `nothing` is the reason when no frame was compared."""
        compared = bool(scores.psnrs or scores.identical)
        self.add("psnr", scores.psnr, "identical" if compared else nothing)
        self.add("ssim", scores.ssim, "frame_too_small" if compared else nothing)


def report(measured: Measured, clips: dict[str, Clip]) -> dict[str, Any]:
    """The JSON: the six metrics, `face`, `mouth` and a block for each control that was run, `errors`, `details`."""
    errors: dict[str, str] = {}
    whole = Figures("", errors)
    prediction = measured.clips[PREDICTION]
    whole.add_scores(prediction.frame, "no_common_frames")
    for name in LATER:
        whole.add(name, None, NOT_IMPLEMENTED)
    face = Figures("face", errors)
    face.add_scores(prediction.face, measured.no_face or "no_common_frames")
    blocks: dict[str, Any] = {"face": face.values, **_mouths(measured, errors)}
    if SWAP in clips:
        blocks["swap"] = _swap(measured, errors)
    return {**whole.values, **blocks, "errors": errors, "details": _details(measured, clips)}


def _mouths(measured: Measured, errors: dict[str, str]) -> dict[str, Block]:
    """The mouth block of each clip that was scored, with what it gains over the constant mouth."""
    figures = {
        block: _mouth(measured, role, Figures(block, errors)) for block, role in MOUTH_BLOCKS.items() if role in measured.clips
    }
    constant = measured.clips.get(CONSTANT)
    for block, own in figures.items():
        if block == "constant_mouth":
            continue
        mine, still = own.values["psnr"], constant.mouth.psnr if constant else None
        gain = None if mine is None or still is None else mine - still
        own.add("gain_over_constant", gain, "no_psnr" if constant else "no_constant_video")
    return {block: own.values for block, own in figures.items()}


def _mouth(measured: Measured, role: str, figures: Figures) -> Figures:
    compared, face = measured.clips[role], measured.face
    nothing = measured.no_face or "no_common_frames"
    figures.add_scores(compared.mouth, nothing)
    figures.add("sharpness_ratio", compared.sharpness_ratio, nothing)
    if face is None:
        for name in motion.FIGURES:
            figures.add(name, None, nothing)
        return figures
    truth, other = face.motion_of(face.points_at(compared.indices)), face.motion_of(compared.points)
    reason = "no_motion" if other.found.any() else "no_face_in_this_video"
    for name, figure in motion.FIGURES.items():
        figures.add(name, figure(truth, other), reason)
    return figures


def _swap(measured: Measured, errors: dict[str, str]) -> Block:
    """Whether the mouth that another stretch drives follows its driver, and not the truth that it must not know."""
    figures, face = Figures("swap", errors), measured.face
    driver_r = truth_r = None
    reason = measured.no_face or "no_motion"
    if face:
        swapped, driver = measured.clips[SWAP], measured.clips[DRIVER]
        mouth, driving = face.motion_of(swapped.points), face.motion_of(driver.points)
        truth = face.motion_of(face.landmarks.points)
        common = min(len(mouth.aperture), len(driving.aperture))
        driver_r = motion.correlation(driving.aperture[:common], mouth.aperture[:common])
        known = sum(index < len(truth.aperture) for index in swapped.indices)
        truth_r = motion.correlation(truth.aperture[swapped.indices[:known]], mouth.aperture[:known])
        if not (mouth.found.any() and driving.found.any()):
            reason = "no_face_in_this_video"
    figures.add("driver_r", driver_r, reason)
    figures.add("truth_r", truth_r, reason)
    return figures.values


def _details(measured: Measured, clips: dict[str, Clip]) -> dict[str, Any]:
    prediction = measured.clips[PREDICTION]
    truth = clips[GROUND_TRUTH]
    beside = [clip for role, clip in clips.items() if role in SCORED]
    without = {role: compared.without_face for role, compared in measured.clips.items()}
    if measured.face:
        without[GROUND_TRUTH] = int((~measured.face.landmarks.found).sum())
    return {
        **{role: _described(clip) for role, clip in clips.items()},
        "frames_compared": len(prediction.indices),
        "frames_without_face": without if measured.face else None,
        "psnr_identical_frames": prediction.frame.identical,
        "psnr_infinite": bool(prediction.frame.identical) and not prediction.frame.psnrs,
        "resized": any(clip.size != truth.size for clip in beside),
        "paired_by": "time" if Pairing(truth, clips[PREDICTION]).by_time else "index",
        "pasted_back": clips[PREDICTION].pasted_back,
        "decoder": DECODER,
        "region_pixels": {"mouth": MOUTH_PIXELS, "face": FACE_PIXELS},
        "units": UNITS,
        "versions": _versions(),
    }


def _described(clip: Clip) -> dict[str, Any]:
    video = clip.video
    return {
        "frames": video.frames,
        "fps": clip.fps,
        "vfr": video.vfr,
        "width": video.width,
        "height": video.height,
        "codec": video.codec,
    }


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "ffmpeg": ffmpeg.run(["-version"]).stdout.split()[2]}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


def write(result: dict[str, Any], path: Path) -> None:
    """Writes the JSON, whole or not at all; never NaN or Infinity."""
    with written(path) as partial:
        partial.write_text(json.dumps(result, indent=2, allow_nan=False, ensure_ascii=False) + "\n", "utf-8")


def show(result: dict[str, Any], console: Console) -> None:
    """The figures as a table for people."""
    names = [name for name in ("mouth", "truth_driven", "constant_mouth") if name in result]
    table = Table(title="mouth" + (" (pasted back)" if result["details"]["pasted_back"] else ""), title_justify="left")
    table.add_column("")
    for name in names:
        table.add_column({"mouth": "prediction"}.get(name, name.replace("_", " ")), justify="right")
    for figure in result["mouth"]:
        table.add_row(figure.replace("_", " "), *(_short(result[name].get(figure)) for name in names))
    console.print(table)
    pasted = ", pasted back" if result["details"]["pasted_back"] else ""
    lines = [
        f"whole frame{pasted}: PSNR {_short(result['psnr'])} dB, SSIM {_short(result['ssim'])}; "
        f"face: PSNR {_short(result['face']['psnr'])} dB, SSIM {_short(result['face']['ssim'])}"
    ]
    if "swap" in result:
        swap = result["swap"]
        lines.append(f"swap: r to its driver {_short(swap['driver_r'])}, to the hidden truth {_short(swap['truth_r'])}")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _short(value: float | int | None) -> str:
    return "–" if value is None else str(value) if isinstance(value, int) else f"{value:.3f}"
