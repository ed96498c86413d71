"""PSNR and SSIM are scikit-image's; the rest has known answers."""

import math

import cv2
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from eval import quality

RANDOM = np.random.default_rng(11)


def pair(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    truth = RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8)
    other = cv2.GaussianBlur(truth, (0, 0), 0.8)
    return truth, np.clip(other.astype(int) + RANDOM.integers(-9, 9, other.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [(11, 11), (12, 300), (74, 31), (75, 64), (203, 128), (256, 256)])
def test_psnr_and_ssim_are_scikit_images(size: tuple[int, int]) -> None:
    truth, other = pair(*size)
    reference = structural_similarity(
        truth, other, data_range=255, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    measured = quality.ssim(truth, other)
    assert measured is not None and abs(measured - reference) < 1e-9
    assert abs(quality.psnr(truth, other) - peak_signal_noise_ratio(truth, other, data_range=255)) < 1e-9


def test_differences_do_not_wrap_around_and_identical_frames_are_infinitely_good() -> None:
    black, white = np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 255, np.uint8)
    assert quality.psnr(black, white) == quality.psnr(white, black) == 0.0
    assert quality.psnr(white, white) == math.inf
    assert quality.ssim(white, white) == pytest.approx(1.0, abs=1e-12)


def test_a_frame_under_11_px_has_no_ssim() -> None:
    tiny = np.zeros((10, 64, 3), np.uint8)
    assert quality.ssim(tiny, tiny) is None


def test_blur_lowers_sharpness() -> None:
    truth, _ = pair(64, 64)
    assert quality.sharpness(cv2.GaussianBlur(truth, (0, 0), 2)) < 0.1 * quality.sharpness(truth)


def test_a_square_over_the_edge_repeats_the_last_pixels() -> None:
    frame = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    cut = quality.cut(frame, (-2.0, 1.0, 4.0, 4.0), 4)
    assert np.array_equal(cut[0, :, 0], frame[1, [0, 0, 0, 1], 0])
    assert np.array_equal(cut[:, 3, 0], frame[[1, 2, 3, 3], 1, 0])
    assert quality.cut(frame, (50.0, 50.0, 4.0, 4.0), 8).shape == (8, 8, 3)


def test_resizing_takes_area_means_down_and_cubic_up() -> None:
    truth, _ = pair(32, 32)
    assert np.array_equal(quality.resized(truth, 16, 16), cv2.resize(truth, (16, 16), interpolation=cv2.INTER_AREA))
    assert np.array_equal(quality.resized(truth, 64, 64), cv2.resize(truth, (64, 64), interpolation=cv2.INTER_CUBIC))
    assert quality.resized(truth, 32, 32) is truth
