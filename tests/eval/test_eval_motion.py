"""The mouth's figures on motions whose answers are known."""

import numpy as np
import pytest

from eval import motion

TIME = np.arange(120)
RANDOM = np.random.default_rng(2)
APERTURE = 10 + 4 * np.convolve(RANDOM.normal(size=140), np.hanning(9) / 4, "same")[10:130]


def test_the_same_mouth_is_perfect() -> None:
    assert motion.correlation(APERTURE, APERTURE) == pytest.approx(1)
    assert motion.amplitude(APERTURE, APERTURE) == pytest.approx(1)
    assert motion.lag(APERTURE, APERTURE) == 0


def test_half_the_amplitude_keeps_r_and_lag() -> None:
    half = 3 + APERTURE / 2
    assert motion.amplitude(APERTURE, half) == pytest.approx(0.5)
    assert motion.correlation(APERTURE, half) == pytest.approx(1)
    assert motion.lag(APERTURE, half) == 0


@pytest.mark.parametrize("shift", [2, -3, 10])
def test_lag_is_positive_when_the_prediction_is_late(shift: int) -> None:
    shifted = np.roll(APERTURE, shift)
    r = motion.correlation(APERTURE, shifted)
    assert motion.lag(APERTURE, shifted) == shift
    assert r is not None and r < 0.8


def test_frames_without_a_face_count_nowhere() -> None:
    truth, other = APERTURE.copy(), np.roll(APERTURE, 2)
    truth[20:25] = np.nan
    other[60:70] = np.nan
    assert motion.lag(truth, other) == 2
    assert motion.correlation(truth, truth) == pytest.approx(1)
    nothing = np.full_like(APERTURE, np.nan)
    assert motion.correlation(APERTURE, nothing) is None
    assert motion.lag(APERTURE, nothing) is None
    assert motion.amplitude(APERTURE, nothing) is None


def test_a_still_mouth_has_no_r_and_no_amplitude() -> None:
    still = np.full_like(APERTURE, 7.0)
    assert motion.correlation(APERTURE, still) is None
    assert motion.lag(APERTURE, still) is None
    assert motion.amplitude(APERTURE, still) == 0
    assert motion.amplitude(still, APERTURE) is None


def test_two_frames_are_too_few() -> None:
    assert motion.correlation(APERTURE[:2], APERTURE[:2]) is None
    assert motion.lag(APERTURE[:2], APERTURE[:2]) is None


def test_lmd_forgets_the_lips_own_shape_and_a_frozen_mouth_gets_the_truths_own_motion() -> None:
    lips = RANDOM.normal(size=(1, 40, 2)) + np.sin(TIME)[:, None, None] * np.array([0.0, 3.0])
    assert motion.lmd(lips, lips + RANDOM.normal(size=(1, 40, 2))) == pytest.approx(0, abs=1e-9)
    frozen = motion.frozen_lmd(lips)
    assert frozen == pytest.approx(np.abs(3 * (np.sin(TIME) - np.sin(TIME).mean())).mean())
    assert motion.lmd(lips, np.broadcast_to(lips[:1], lips.shape)) == pytest.approx(frozen)
    nowhere = np.full_like(lips, np.nan)
    assert motion.lmd(lips, nowhere) is None
    assert motion.frozen_lmd(nowhere) is None


def test_jitter_is_the_second_difference() -> None:
    line = (TIME[:, None, None] * np.array([1.5, 0.5])).repeat(23, 1)
    trembling = line + np.where(TIME % 2, 1.0, -1.0)[:, None, None] * np.array([1.0, 0.0])
    assert motion.jitter(line) == pytest.approx(0, abs=1e-9)
    assert motion.jitter(trembling) == pytest.approx(4)
    assert motion.jitter_ratio(trembling, line + 2 * (trembling - line)) == pytest.approx(2)
    assert motion.jitter(line[:2]) is None
    assert motion.jitter_ratio(line[:2], line[:2]) is None
