"""How fast eval's PSNR and SSIM are here beside plain numpy and scikit-image: `python benchmarks/eval_speed.py [side…]`."""

import sys
import time
from collections.abc import Callable

import numpy as np
from skimage.metrics import structural_similarity

from eval import quality
from media.frames import Frame

SECONDS = 3.0


def rate(metric: Callable[[Frame, Frame], object], truth: Frame, other: Frame) -> float:
    """Frames a second over about three seconds."""
    metric(truth, other)
    began, done = time.perf_counter(), 0
    while (taken := time.perf_counter() - began) < SECONDS:
        metric(truth, other)
        done += 1
    return done / taken


def numpy_psnr(truth: Frame, other: Frame) -> float:
    """The formula as it stands, in float64."""
    return float(10 * np.log10(255.0**2 / np.mean((truth.astype(np.float64) - other.astype(np.float64)) ** 2)))


def skimage_ssim(truth: Frame, other: Frame) -> float:
    """The published reference with the paper's window."""
    given = {"data_range": 255, "channel_axis": 2, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(truth, other, **given))


def main(side: int) -> None:
    """Prints one line for each metric, and by how much the two answers differ."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 256, (side, side, 3), np.uint8)
    other = np.clip(truth + rng.normal(0, 9, truth.shape), 0, 255).astype(np.uint8)
    pairs = (("PSNR", quality.psnr, "numpy", numpy_psnr), ("SSIM", quality.ssim, "scikit-image", skimage_ssim))
    for name, own, beside, reference in pairs:
        ours, theirs = rate(own, truth, other), rate(reference, truth, other)
        apart = abs(own(truth, other) - reference(truth, other))
        rates = f"{ours:.1f} frames/s; {beside}: {theirs:.1f} frames/s; ratio {ours / theirs:.1f}"
        print(f"{name} {side} px: {rates}, {apart:.0e} apart")


if __name__ == "__main__":
    for pixels in sys.argv[1:] or ("256", "512"):
        main(int(pixels))
