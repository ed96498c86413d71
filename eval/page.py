"""The report that people look at: one file with both videos under one play head, curves, the worst frames, the figures."""

import base64
import html
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np

from eval.clips import Clip
from eval.measure import GROUND_TRUTH, PREDICTION
from eval.timeline import Timeline
from media import ffmpeg
from media.files import written
from media.frames import Frame

TEMPLATE = Path(__file__).with_name("page.html")
SIDE = 480
"""Most pixels of the shorter side of an embedded video."""
QUALITY = 26
THUMBNAIL = 200

BETTER = {
    "niqe": "down", "psnr": "up", "ssim": "up", "fid": "down", "lpips": "down", "lmd": "down", "lse_c": "up", "lse_d": "down",
    "sharpness_ratio": "1",
    "face.psnr": "up", "face.ssim": "up",
    "mouth.psnr": "up", "mouth.ssim": "up", "mouth.sharpness_ratio": "1", "mouth.lmd_motion": "down", "mouth.aperture_r": "up",
    "mouth.aperture_amplitude": "1", "mouth.aperture_lag": "0", "mouth.width_r": "up", "mouth.jitter_ratio": "1",
    "alone.closed_in_silence": "up", "alone.loudness_r": "up", "alone.loudness_lag": "0",
}  # fmt: skip
"""Which way each figure is better, or the value that it is best at."""
ARROWS = {"up": "↑", "down": "↓"}
GROUPS = {"": "Whole frame", "face": "Face", "mouth": "Mouth", "alone": "By itself"}
CAPITALS = {"niqe", "psnr", "ssim", "fid", "lpips", "lmd", "lse_c", "lse_d"}
UNITS = {"psnr": "dB", "lmd": "px", "lmd_motion": "px", "aperture_lag": "frames", "loudness_lag": "frames"}


class _Page(Template):
    """The page has JavaScript of its own, whose `$` means something else."""

    delimiter = "§"


def write(
    path: Path, result: dict[str, Any], timeline: Timeline, worst: Sequence[tuple[int, Frame, Frame]], clips: dict[str, Clip]
) -> None:
    """Writes the page, whole or not at all. `worst`: number, true and predicted frame of those with the lowest PSNR."""
    truth, own = clips.get(GROUND_TRUTH), clips[PREDICTION]
    parts = {
        "title": html.escape(f"{own.path.name} beside {truth.path.name}" if truth else own.path.name),
        "metrics": _metrics(result), "films": (_film("truth", truth) if truth else "") + _film("own", own),
        "strip": _strip(worst), "sync": _sync(result["details"]), "details": _details(result["details"]),
        "data": json.dumps(_data(timeline, truth, own), allow_nan=False).replace("</", "<\\/"),
    }  # fmt: skip
    with written(path) as partial:
        partial.write_text(_Page(TEMPLATE.read_text("utf-8")).substitute(parts), "utf-8")


def _film(role: str, clip: Clip) -> str:
    sound = role == "own"
    return (
        f'<figure><video id="{role}" {"" if sound else "muted "}playsinline preload="auto" src="{film(clip, sound)}"></video>'
        f"<figcaption>{html.escape(clip.path.name)}</figcaption></figure>"
    )


def film(clip: Clip, sound: bool) -> str:
    """The video as browsers show it, as a data URI: H.264, its frames at even times, small."""
    width, height = clip.size
    shrink = min(1.0, SIDE / min(width, height))
    wide, high = (max(2, round(side * shrink / 2) * 2) for side in (width, height))
    with TemporaryDirectory(prefix="eval-") as folder:
        target = Path(folder) / "film.mp4"
        picture = [
            "-map", f"0:{clip.video.index}", "-vf", f"setpts=N/({clip.fps}*TB),scale={wide}:{high}", "-fps_mode", "passthrough",
            "-c:v", "libx264", "-preset", "veryfast", "-crf", str(QUALITY), "-pix_fmt", "yuv420p", "-bf", "0", "-g", "12",
        ]  # fmt: skip
        heard = ["-map", f"0:{clip.sound}", "-c:a", "aac", "-b:a", "96k"] if sound and clip.sound is not None else ["-an"]
        arguments = [*ffmpeg.source(clip.path), *picture, *heard, "-movflags", "+faststart", str(target)]
        with ffmpeg.Process(["-y", "-loglevel", "error", *arguments]) as process:
            process.finish(timeout=3_600)
        return "data:video/mp4;base64," + base64.b64encode(target.read_bytes()).decode()


def _data(timeline: Timeline, truth: Clip | None, own: Clip) -> dict[str, Any]:
    def known(values: Iterable[float | None]) -> list[float | None]:
        return [None if value is None or not math.isfinite(value) else round(value, 4) for value in values]

    one = [("PSNR", "dB", timeline.psnr), ("SSIM", "", timeline.ssim), ("NIQE", "", timeline.niqe)]
    curves = [{"name": name, "unit": unit, "series": [{"colour": "own", "values": known(values)}]} for name, unit, values in one]
    apertures = [("truth", timeline.aperture_truth), ("own", timeline.aperture)]
    series = [{"name": colour, "colour": colour, "values": known(values)} for colour, values in apertures]
    curves.insert(2, {"name": "mouth's opening:", "unit": "px of a face 256 wide", "series": series})
    return {
        "frames": len(timeline.truth_index), "fps": own.fps,
        "truth_times": [round((index + 0.5) / truth.fps, 4) for index in timeline.truth_index if truth and index is not None],
        "own_times": [round((number + 0.5) / own.fps, 4) for number in range(len(timeline.truth_index))],
        "curves": curves,
        "told": [{"name": name, "values": known(values)} for name, _, values in one[:2]],
    }  # fmt: skip


def _metrics(result: dict[str, Any]) -> str:
    """A table for each group of figures that is there."""
    tables = []
    for group, title in GROUPS.items():
        values = result.get(group, {}) if group else result
        names = [figure for block, _, figure in (name.rpartition(".") for name in BETTER) if block == group and figure in values]
        if names:
            prefix = f"{group}." if group else ""
            rows = (
                _row(figure, values[figure], BETTER[prefix + figure], result["errors"].get(prefix + figure)) for figure in names
            )
            tables.append(f"<table><caption>{title}</caption>{''.join(rows)}</table>")
    return f'<div class="metrics">{"".join(tables)}</div>'


def _row(figure: str, value: float | None, better: str, why: str | None) -> str:
    label = figure.replace("_", "-").upper() if figure in CAPITALS else figure.replace("_", " ")
    shown = "–" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
    said = f'<span class="why">{html.escape(why)}</span>' if why else UNITS.get(figure, "")
    return (
        f"<tr><td>{label}</td><td class=number>{shown}</td><td>{said}</td><td>{ARROWS.get(better, f'best at {better}')}</td></tr>"
    )


def _strip(worst: Sequence[tuple[int, Frame, Frame]]) -> str:
    if not worst:
        return ""
    parts = []
    for number, truth, own in worst:
        pictures = "".join(f'<img alt="" src="{_picture(frame)}">' for frame in (truth, own))
        parts.append(f'<button data-frame="{number}">{pictures}<span class="soft">frame {number + 1}</span></button>')
    return f'<h2>Worst frames, the true one above</h2><div class="strip">{"".join(parts)}</div>'


def _picture(frame: Frame) -> str:
    high = max(1, round(THUMBNAIL * frame.shape[0] / frame.shape[1]))
    small = cv2.resize(frame, (THUMBNAIL, high), interpolation=cv2.INTER_AREA)
    _, coded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return "data:image/jpeg;base64," + base64.b64encode(coded.tobytes()).decode()


def _sync(details: dict[str, Any]) -> str:
    """The mean distance at each offset as a curve, drawn once."""
    curve = details["lse_curve"]
    if not curve:
        return ""
    low, high = min(curve), max(curve)
    scaled = (np.array(curve) - low) / max(high - low, 1e-9)
    points = " ".join(f"{at / (len(curve) - 1) * 1000:.1f},{100 - value * 90:.1f}" for at, value in enumerate(scaled))
    offset = details["lse_offset"]
    place = (15 - offset) / (len(curve) - 1) * 1000
    return (
        f"<h2>Sound against lips</h2><figure><figcaption>SyncNet's mean distance with the sound moved by 15 … -15 frames, "
        f"{low:.2f} to {high:.2f}; least at {offset}</figcaption>"
        f'<svg viewBox="0 0 1000 110" preserveAspectRatio="none"><polyline points="{points}" fill="none" stroke="var(--own)" '
        f'stroke-width="1.5" vector-effect="non-scaling-stroke"/><line x1="{place}" x2="{place}" y1="0" y2="110" '
        f'stroke="currentColor" vector-effect="non-scaling-stroke"/></svg></figure>'
    )


def _details(details: dict[str, Any]) -> str:
    def told(value: Any) -> str:
        if isinstance(value, dict):
            return ", ".join(f"{name} {told(one)}" for name, one in value.items())
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

    shown = {name: value for name, value in details.items() if name not in ("units", "lse_curve")}
    rows = (
        f"<tr><td>{html.escape(name.replace('_', ' '))}</td><td>{html.escape(told(value))}</td></tr>"
        for name, value in shown.items()
    )
    return f"<table>{''.join(rows)}</table>"
