"""The method beside its baselines on one clip: `python benchmarks/engine.py CLIP [--profile cpu] [--seed 0]`.

Preprocesses, trains on the first 10/11, renders the held-out tail driven by its true motion, by its sound and by the controls,
films the baselines, and scores all of them alike (eval). Then audio to motion alone over 11 blocks (blocks.py), and the speed of
a whole rendering. One table on stderr, JSON on stdout. Whole-frame rows and pasted-back rows are apart: they do not compare.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

import baselines
import blocks
import numpy as np
from baselines import Tail
from rich.console import Console
from rich.table import Table

from eval import measure, report
from eval.clips import Clip
from eval.sync import Lips
from eval.weights import Weights
from geneface.dataset import Dataset
from geneface.render import SCORED_CRF
from geneface.sound.features import features_named
from media import video
from media.silence import silences
from steps.progress import Reporter

WHOLE = {"static frame": baselines.static, "nearest pose": baselines.nearest_pose, "oracle: nearest lips": baselines.nearest_lips}
PASTED = {"frozen mean mouth": baselines.pasted_mean, "oracle: nearest lips": baselines.pasted_lips}
OURS = {"truth": "ours, true motion", "predicted": "ours, from its sound", "constant": "ours, constant mouth"}
COLUMNS = {
    "face PSNR": "face.psnr", "SSIM": "face.ssim", "mouth PSNR": "psnr", "SSIM ": "ssim", "sharp": "sharpness_ratio",
    "LMD": "lmd_motion", "LMD/frozen": "lmd_share", "r": "aperture_r", "ampl": "aperture_amplitude", "lag": "aperture_lag",
    "width r": "width_r", "jitter": "jitter_ratio", "shut": "closed_in_silence",
}  # fmt: skip
NOTHING = Weights(())
"""No FID: it says nothing about one mouth."""
CLOSED = 2.0
"""Pixels of aperture at face width 256 over the person's closed mouth (its 5 % quantile) up to which a mouth counts as shut."""


def geneface(*words: object) -> tuple[dict[str, Any], float, float]:
    """Runs one command of the method as a user does: its JSON, seconds, peak memory in MiB (ffmpeg beside it not counted)."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "geneface", *map(str, words)]
    with TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)  # of this process alone: RUSAGE_CHILDREN is the largest of all so far
        if status:
            raise RuntimeError(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
        said.seek(0)
        return json.load(said), time.perf_counter() - began, usage.ru_maxrss / 1024


def film(frames: Iterator[np.ndarray], path: Path, size: int, crf: int = SCORED_CRF) -> Path:
    """Frames as a file, by default one that costs next to nothing in quality."""
    with video.Writer(path, size, size, crf=crf, generated=False) as writer:
        for frame in frames:
            writer.write(frame)
    return path


class Scorer:
    """Scores films of the held-out tail beside the true one."""

    def __init__(self, truth: Path, sound: np.ndarray) -> None:
        self.truth = Clip.open(truth)
        self.quiet = np.zeros(self.truth.video.frames, bool)
        for first, end in silences(sound, len(self.quiet)):
            self.quiet[first:end] = True

    def __call__(self, path: Path) -> dict[str, Any]:
        clips = {measure.GROUND_TRUTH: self.truth, measure.PREDICTION: Clip.open(path)}
        measured = measure.measure(clips, NOTHING, Reporter(io.StringIO()))
        found = report.report(measured, Lips("none"), NOTHING, clips)
        mouth = found["mouth"]
        lmd, frozen = mouth["lmd_motion"], mouth["frozen_lmd"]
        return {
            **mouth, "face.psnr": found["face"]["psnr"], "face.ssim": found["face"]["ssim"],
            "lmd_share": lmd / frozen if lmd is not None and frozen else None, "closed_in_silence": self._shut(measured),
        }  # fmt: skip

    def _shut(self, measured: measure.Measured) -> float | None:
        """Share of the frames in silences of at least 0.6 s whose mouth is shut."""
        if measured.face is None or not self.quiet.any():
            return None
        truth = measured.face.motion_of(measured.face.landmarks.points).aperture
        gap = measured.face.motion_of(measured.clips[measure.PREDICTION].points).aperture
        count = min(len(gap), len(self.quiet))
        return float((gap[:count][self.quiet[:count]] <= np.nanpercentile(truth, 5) + CLOSED).mean())


def tail_rows(tail: Tail, model: Path, folder: Path, seed: int) -> dict[str, dict[str, Any]]:
    """All rows of the table."""
    films = {name: folder / f"{name}.mp4" for name in ("truth", "predicted", "constant", "swap")}
    for motion, path in films.items():
        geneface("render", "--model", model, "--split", "val", "--motion", motion, "--seed", seed, "--out", path)
    sound = tail.dataset.sound(tail.held[0])
    score = Scorer(folder / "truth.truth.mp4", sound)
    rows: dict[str, dict[str, Any]] = {
        "truth, crf 18": score(film(tail.truth(), folder / "again.mp4", tail.dataset.size, crf=18))
    }
    for mode, makers in (("whole", WHOLE), ("pasted", PASTED)):
        for name, maker in makers.items():
            rows[f"{mode}: {name}"] = score(film(maker(tail), folder / "baseline.mp4", tail.dataset.size))
    for motion, name in OURS.items():
        rows[f"pasted: {name}"] = score(films[motion])
    rows["swap"] = _swap(folder, films["swap"])
    return rows


def _swap(folder: Path, path: Path) -> dict[str, Any]:
    clips = {
        measure.GROUND_TRUTH: folder / "truth.truth.mp4", measure.PREDICTION: path, measure.SWAP: path,
        measure.DRIVER: folder / "swap.driver.mp4",
    }  # fmt: skip
    opened = {role: Clip.open(found) for role, found in clips.items()}
    measured = measure.measure(opened, NOTHING, Reporter(io.StringIO()))
    return dict(report.report(measured, Lips("none"), NOTHING, opened)["swap"])


def block_rows(dataset: Dataset, names: list[str], seed: int) -> dict[str, dict[str, Any]]:
    """Audio to motion over 11 blocks: the baselines on mel, and ours on each of the features, with and without the prior."""
    mel = features_named("mel")
    ways: dict[str, tuple[Any, Callable[..., Any]]] = {
        "ridge, mel": (mel, blocks.ridge_on(mel)),
        "small conv net, mel": (mel, blocks.convolutional(mel, seed)),
    }
    for name in names:
        features = features_named(name)
        ways[f"ours without prior, {name}"] = features, blocks.product(features, False, True, seed)
        ways[f"ours, {name}"] = features, blocks.product(features, True, True, seed)
    return {name: dict(blocks.score(dataset, features, way).__dict__) for name, (features, way) in ways.items()}


def speed(model: Path, data: Path, seed: int, folder: Path) -> dict[str, float]:
    """A whole rendering of the clip's own sound: start of the program, features, motion, pictures, encoding."""
    done, seconds, peak = geneface(
        "render", "--model", model, "--audio", data / "audio.wav", "--seed", seed, "--out", folder / "all.mp4"
    )
    return {"frames": done["frames"], "seconds": seconds, "frames_per_second": done["frames"] / seconds, "peak_mib": peak}


def show(result: dict[str, Any], console: Console) -> None:
    """The figures for people."""
    table = Table(title=f"{result['clip']}, {result['profile']}, seed {result['seed']}: held-out tail", title_justify="left")
    table.add_column("row")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    for name, row in result["tail"].items():
        if name != "swap":
            table.add_row(name, *(_short(row.get(key)) for key in COLUMNS.values()))
    console.print(table)
    swap = result["tail"]["swap"]
    console.print(
        f"swap: r to its driver {_short(swap['driver_r'])}, to the hidden truth {_short(swap['truth_r'])}", highlight=False
    )
    table = Table("audio to motion, 11 blocks", *blocks.Score.__dataclass_fields__, title_justify="left")
    for name, row in result["blocks"].items():
        table.add_row(name, *(_short(value) for value in row.values()))
    console.print(table)
    console.print(json.dumps({key: result[key] for key in ("training_seconds", "speed")}), highlight=False, soft_wrap=True)


def _short(value: float | int | None) -> str:
    return (
        "–" if value is None else str(value) if isinstance(value, int) else f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--profile", default="cpu")
    parser.add_argument("--audio_features", help="instead of the profile's")
    parser.add_argument("--blocks", nargs="*", default=["mel", "whisper"], metavar="FEATURES", help="none: no blocks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for dataset, model and films; what is there already is used")
    asked = parser.parse_args()
    with TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary)
        data, model = folder / "data", folder / f"model-{asked.profile}-{asked.seed}"
        folder.mkdir(parents=True, exist_ok=True)
        _, preprocessing, preprocessing_peak = geneface("preprocess", "--video", asked.clip, "--data", data)
        words = ["--audio_features", asked.audio_features] if asked.audio_features else []
        trained, training, _ = geneface(
            "train", "--data", data, "--out", model, "--profile", asked.profile, "--seed", asked.seed, *words
        )
        dataset = Dataset.load(data)
        result = {
            "clip": asked.clip.name, "profile": asked.profile, "seed": asked.seed, "training": trained,
            "preprocessing_seconds": preprocessing, "preprocessing_peak_mib": preprocessing_peak, "training_seconds": training,
            "speed": speed(model, data, asked.seed, folder), "tail": tail_rows(Tail.of(dataset), model, folder, asked.seed),
            "blocks": block_rows(dataset, asked.blocks, asked.seed) if asked.blocks else {},
        }  # fmt: skip
    show(result, Console(stderr=True, width=200))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
