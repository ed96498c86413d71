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

from eval import alone, motion
from eval.clips import DECODER, Clip, Pairing
from eval.fid import distance
from eval.measure import (
    CONSTANT,
    DRIVER,
    FACE_PIXELS,
    GROUND_TRUTH,
    MOUTH_PIXELS,
    NO_TRUTH,
    PREDICTION,
    SCORED,
    SWAP,
    TRUTH_DRIVEN,
    Measured,
    Scores,
    mean,
)
from eval.sync import Lips
from eval.weights import Weights
from media import ffmpeg
from media.files import written

MOUTH_BLOCKS = {"mouth": PREDICTION, "truth_driven": TRUTH_DRIVEN, "constant_mouth": CONSTANT}
"""Names of the mouth blocks in the JSON, and the clip that each is of."""

ALONE_BLOCKS = {"alone": PREDICTION, "truth_alone": GROUND_TRUTH}

METRICS = ("niqe", "psnr", "ssim", "fid", "lpips", "lmd", "lse_c", "lse_d")
UNITS = {
    "psnr": "dB",
    "lse_offset": "frames, positive when the sound is early",
    "lse_curve": "mean distance with the sound moved by 15 … -15 frames",
    "gain_over_constant": "dB",
    "aperture_lag": "frames, positive when late",
    "lmd_motion": "px of a face 256 px wide (points 234-454)",
    "lmd": "px of the picture, points 48-67 of dlib",
    "jitter": "px of a face 256 px wide, second difference at 25 frames/s",
    "loudness_lag": "frames of 1/25 s, positive when the lips are late",
    "frozen_lmd": "the lmd_motion of a mouth that does not move",
}
_PACKAGES = ("numpy", "scipy", "torch", "opencv-contrib-python-headless", "mediapipe", "geneface-platform")

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
        """PSNR, SSIM and sharpness of a region; `nothing` is the reason when no frame was compared."""
        self.add("psnr", scores.psnr, "identical" if scores.psnrs else nothing)
        self.add("ssim", scores.ssim, "frame_too_small" if scores.psnrs else nothing)
        self.add("sharpness_ratio", scores.sharpness_ratio, "no_detail" if scores.psnrs else nothing)


def report(measured: Measured, lips: Lips, weights: Weights, clips: dict[str, Clip]) -> dict[str, Any]:
    """The JSON: the metrics of the whole frame; `face`, `mouth` and a block for each control that was run, where there is a true
    video; `alone` and `truth_alone` (eval.alone); `errors`, `details`.
    """
    errors: dict[str, str] = {}
    whole = Figures("", errors)
    prediction = measured.clips[PREDICTION]
    whole.add("niqe", mean(measured.niqes), "frame_too_small")
    whole.add_scores(prediction.frame, "no_common_frames" if GROUND_TRUTH in clips else NO_TRUTH)
    whole.add("fid", distance(*measured.features) if measured.features else None, measured.missing.get("fid", "too_few_frames"))
    whole.add("lpips", measured.lpips, measured.missing.get("lpips", "frame_too_small"))
    whole.add("lmd", measured.lmd, measured.missing.get("lmd", "no_face_detected"))
    whole.add("lse_c", lips.confidence, lips.reason)
    whole.add("lse_d", lips.distance, lips.reason)
    blocks: dict[str, Any] = {}
    if GROUND_TRUTH in clips:
        face = Figures("face", errors)
        face.add_scores(prediction.face, measured.no_face or "no_common_frames")
        blocks = {"face": face.values, **_mouths(measured, errors)}
    if SWAP in clips:
        blocks["swap"] = _swap(measured, errors)
    blocks |= _alone(measured, clips, errors)
    details = {**_details(measured, clips), **_lips(lips), "weights": weights.described()}
    return {**whole.values, **blocks, "errors": errors, "details": details}


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
    if face is None:
        for name in motion.FIGURES:
            figures.add(name, None, nothing)
        return figures
    truth, other = face.motion_of(face.points_at(compared.indices)), face.motion_of(compared.points)
    reason = "no_motion" if other.found.any() else "no_face_in_this_video"
    for name, figure in motion.FIGURES.items():
        figures.add(name, figure(truth, other), reason)
    return figures


def _alone(measured: Measured, clips: dict[str, Clip], errors: dict[str, str]) -> dict[str, Block]:
    blocks = {}
    for block, role in ALONE_BLOCKS.items():
        if role in clips:
            figures, speaker = Figures(block, errors), measured.speakers.get(role)
            for name in alone.NAMES if speaker is None else ():
                figures.add(name, None, measured.no_face or "no_face_in_this_video")
            for name, (value, reason) in (alone.figures(speaker) if speaker else {}).items():
                figures.add(name, value, reason)
            blocks[block] = figures.values
    return blocks


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
    prediction, truth = measured.clips[PREDICTION], clips.get(GROUND_TRUTH)
    beside = [clip for role, clip in clips.items() if role in SCORED]
    without = {role: compared.without_face for role, compared in measured.clips.items()}
    if measured.face and truth:
        without[GROUND_TRUTH] = int((~measured.face.landmarks.found).sum())
    return {
        **{role: _described(clip) for role, clip in clips.items()},
        "frames_decoded": measured.decoded,
        "frames_compared": len(prediction.indices),
        "frames_without_face": without if measured.face else None,
        "psnr_identical_frames": prediction.frame.identical,
        "psnr_infinite": bool(prediction.frame.psnrs) and prediction.frame.psnr is None,
        "niqe_frames": sum(value is not None for value in measured.niqes),
        "fid_frames": [spread.count for spread in measured.features] if measured.features else None,
        "lmd_frames": list(measured.lmd_frames) if measured.lmd is not None else None,
        "resized": truth is not None and any(clip.size != truth.size for clip in beside),
        "paired_by": None if truth is None else "time" if Pairing(truth, clips[PREDICTION]).by_time else "index",
        "pasted_back": clips[PREDICTION].pasted_back,
        "decoder": DECODER,
        "region_pixels": {"mouth": MOUTH_PIXELS, "face": FACE_PIXELS},
        "units": UNITS,
        "versions": _versions(),
    }


def _lips(lips: Lips) -> dict[str, Any]:
    longest = lips.longest
    return {
        "lse_mode": lips.crop,
        "lse_detector": "S3FD" if lips.crop == "track" else None,
        "lse_tracks": len(lips.faces),
        "lse_offset": longest.offset if longest else None,
        "lse_curve": list(longest.curve) if longest else None,
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
    pasted = ", pasted back" if result["details"]["pasted_back"] else ""
    lines = [f"whole frame{pasted}: " + ", ".join(_named(name, result) for name in METRICS)]
    if "mouth" in result:
        console.print(_mouth_table(result))
        lines.append(f"face: PSNR {_short(result['face']['psnr'])}, SSIM {_short(result['face']['ssim'])}")
    if "swap" in result:
        swap = result["swap"]
        lines.append(f"swap: r to its driver {_short(swap['driver_r'])}, to the hidden truth {_short(swap['truth_r'])}")
    for block, title in (("alone", "by itself"), ("truth_alone", "the truth by itself")):
        figures = result.get(block, {}).items()
        if known := [f"{name.replace('_', ' ')} {_short(value)}" for name, value in figures if value is not None]:
            lines.append(f"{title}: {', '.join(known)}")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _mouth_table(result: dict[str, Any]) -> Table:
    names = [name for name in MOUTH_BLOCKS if name in result]
    table = Table(title="mouth" + (" (pasted back)" if result["details"]["pasted_back"] else ""), title_justify="left")
    table.add_column("")
    for name in names:
        table.add_column({"mouth": "prediction"}.get(name, name.replace("_", " ")), justify="right")
    for figure in result["mouth"]:
        table.add_row(figure.replace("_", " "), *(_short(result[name].get(figure)) for name in names))
    return table


def _named(name: str, result: dict[str, Any]) -> str:
    """One of METRICS, or why it is not there."""
    why = result["errors"].get(name)
    return f"{name.upper().replace('_', '-')} {_short(result[name])}" + (f" ({why})" if why else "")


def _short(value: float | int | None) -> str:
    return "–" if value is None else str(value) if isinstance(value, int) else f"{value:.3f}"
