"""How fast eval is beside the published code: `python benchmarks/eval_speed.py [--seconds 10] [--side 512]`.

PSNR and SSIM beside numpy and scikit-image, NIQE beside its formula written plainly, FID beside pytorch-fid (which `make test`
lays into .venv/reference), on the same frames; then whole evaluations of a pair of videos by the command line: time and memory.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from plain_niqe import plain_niqe
from scipy.linalg import sqrtm
from skimage.metrics import structural_similarity

from eval import fid, quality
from eval.inception import Inception
from eval.niqe import niqe
from eval.weights import INCEPTION, S3FD, SYNCNET, UnmeasuredError, Weights
from media import ffmpeg, video
from media.frames import Frame

SECONDS = 3.0
SAMPLE = Path(__file__).parents[1] / "samples/talker.mp4"
REFERENCE = Path(sys.prefix) / "reference"


def _sample(side: int) -> Iterator[Frame]:
    """The sample talker's frames, side × side."""
    return (quality.resized(frame, side, side) for frame in video.frames(SAMPLE))


def rate(metric: Callable[..., object], *frames: Frame) -> float:
    """Frames a second over about three seconds."""
    metric(*frames)
    began, done = time.perf_counter(), 0
    while (taken := time.perf_counter() - began) < SECONDS:
        metric(*frames)
        done += 1
    return done / taken


def numpy_psnr(truth: Frame, other: Frame) -> float:
    """The formula as it stands, in float64."""
    return float(10 * np.log10(255.0**2 / np.mean((truth.astype(np.float64) - other.astype(np.float64)) ** 2)))


def skimage_ssim(truth: Frame, other: Frame) -> float:
    """The published reference with the paper's window."""
    given = {"data_range": 255, "channel_axis": 2, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(truth, other, **given))


def pictures(side: int) -> None:
    """A line for each metric of frames, and by how much the two answers differ."""
    truth = next(_sample(side))
    other = np.clip(truth + np.random.default_rng(0).normal(0, 9, truth.shape), 0, 255).astype(np.uint8)
    lines = (
        ("PSNR", quality.psnr, "numpy", numpy_psnr, (truth, other)),
        ("SSIM", quality.ssim, "scikit-image", skimage_ssim, (truth, other)),
        ("NIQE", niqe, "its formula", plain_niqe, (truth,)),
    )
    for name, own, beside, reference, frames in lines:
        ours, theirs = rate(own, *frames), rate(reference, *frames)
        apart = abs(own(*frames) - reference(*frames))
        rates = f"{ours:.1f} frames/s; {beside}: {theirs:.1f} frames/s; ratio {ours / theirs:.1f}"
        print(f"{name} {side} px: {rates}, {apart:.0e} apart", flush=True)


def distances(side: int, count: int = 64) -> None:
    """FID of `count` frames with as many others, beside pytorch-fid's network and matrix root."""
    sys.path.append(str(REFERENCE))
    try:
        published = import_module("pytorch_fid.inception")
    except ImportError:
        print(f"FID: pytorch-fid is not in {REFERENCE}; `make test` lays it there")
        return
    try:
        network = Weights.found().load(Inception, INCEPTION)
        weights = torch.load(Weights.found().path(INCEPTION) or "", weights_only=True)
    except UnmeasuredError as why:
        print(f"FID: {why}; `make weights inception` brings it")
        return
    frames = [frame for _, frame in zip(range(2 * count), _sample(side), strict=False)]
    halves = frames[:count], frames[count:]
    began = time.perf_counter()
    found = []
    for half in halves:
        seen = fid.Seen(network)
        for frame in half:
            seen(frame)
        found.append(seen.spread())
    ours = fid.distance(*found)
    own_seconds = time.perf_counter() - began
    theirs_network = _pytorch_fid(published, weights)
    began = time.perf_counter()
    moments = []
    for half in halves:
        rows = []
        for start in range(0, count, 50):
            batch = torch.from_numpy(np.stack(half[start : start + 50])).permute(0, 3, 1, 2).float() / 255
            with torch.inference_mode():
                rows.append(theirs_network(batch)[0].flatten(1).numpy())
        features = np.concatenate(rows)
        moments += [features.mean(0), np.cov(features, rowvar=False)]
    theirs = _distance(*moments)
    seconds = time.perf_counter() - began
    ratio = f"{own_seconds:.1f} s; pytorch-fid: {seconds:.1f} s; ratio {seconds / own_seconds:.1f}"
    print(f"FID of {count} and {count} frames: {ratio}, {abs(ours - theirs):.0e} of {theirs:.1f} apart", flush=True)


def _distance(mean1: np.ndarray, covariance1: np.ndarray, mean2: np.ndarray, covariance2: np.ndarray) -> float:
    """pytorch-fid's; its own function gives scipy an argument that scipy 1.18 no longer takes."""
    root = np.real(sqrtm(covariance1 @ covariance2))
    return float(np.square(mean1 - mean2).sum() + np.trace(covariance1 + covariance2 - 2 * root))


def _pytorch_fid(published: Any, weights: dict[str, torch.Tensor]) -> torch.nn.Module:
    """pytorch-fid's network with the weights of ours, which it would fetch otherwise."""
    classifier = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    published.load_state_dict_from_url = lambda *_, **__: {**classifier, **weights}
    made: torch.nn.Module = published.InceptionV3([3])
    return made.eval()


def _peak_mib(process: int) -> float:
    """Most memory that the program took so far; what the kernel says at its end (ru_maxrss) would count this program's own
    memory before the other was started.
    """
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def commands(side: int, seconds: float) -> None:
    """Whole evaluations of a pair of videos: without and with pretrained weights."""
    with TemporaryDirectory() as folder:
        truth, other = Path(folder) / "a.mp4", Path(folder) / "b.mp4"
        for path, crf in ((truth, "12"), (other, "30")):
            loop = ["-stream_loop", "-1", "-i", str(SAMPLE), "-t", str(seconds), "-vf", f"scale={side}:{side}"]
            ffmpeg.run(["-y", "-loglevel", "error", *loop, "-c:v", "libx264", "-crf", crf, "-c:a", "aac", str(path)])
        found = Weights.found()
        weighted = [name for name in (INCEPTION, SYNCNET) if found.path(name)]
        rows = [("PSNR, SSIM, NIQE, mouth", {"EVAL_WEIGHTS_DIR": folder}, "none")]
        if weighted:
            rows.append((f"with {weighted}", {}, "none"))
        if found.path(S3FD):
            rows.append((f"with {[*weighted, S3FD]}", {}, "track"))
        for title, environment, crop in rows:
            out = Path(folder) / "scores.json"
            words = ["--gt_video", truth, "--pred_video", other, "--lse_crop", crop, "--out_json", out]
            began = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, "-m", "eval", *map(str, words)], env={**os.environ, **environment},
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            peak = 0.0
            while process.poll() is None:
                peak = max(peak, _peak_mib(process.pid))
                time.sleep(0.1)
            if process.returncode:
                raise RuntimeError(f"eval ended with {process.returncode}")
            scores = {name: json.loads(out.read_text())[name] for name in ("psnr", "ssim", "niqe", "fid", "lpips", "lse_c")}
            taken = f"{time.perf_counter() - began:.0f} s, {peak:.0f} MiB"
            print(f"{seconds:g} s of {side} px, {title}: {taken}; {scores}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--only_pairs", action="store_true", help="whole evaluations alone")
    asked = parser.parse_args()
    if not asked.only_pairs:
        pictures(asked.side)
        distances(asked.side)
    commands(asked.side, asked.seconds)


if __name__ == "__main__":
    main()
