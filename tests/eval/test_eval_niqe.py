from pathlib import Path

import numpy as np
import pytest

from benchmarks.plain_niqe import plain_niqe
from eval import niqe
from media import video

TALKER = Path(__file__).resolve().parents[2] / "samples" / "talker.mp4"


@pytest.fixture(scope="module")
def photograph():
    return next(video.frames(TALKER))


def picture(height=288, width=384, seed=0):
    """Something like a photograph: smooth large shapes, finer ones weaker, a little noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    channels = []
    for _ in range(3):
        waves = sum(
            100 / k * np.sin((rng.uniform(-k, k) * x + rng.uniform(-k, k) * y) / 40 + rng.uniform(0, 6)) for k in range(1, 30)
        )
        channels.append(waves)
    return np.clip(128 + 0.4 * np.stack(channels, -1) + rng.normal(0, 4, (height, width, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", ["photograph", "waves", "noise", "letterbox", "odd size"])
def test_equal_to_the_plain_formula(kind, photograph):
    frame = photograph if kind == "photograph" else picture()
    if kind == "noise":
        frame = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    elif kind == "letterbox":
        frame[:60] = frame[-60:] = 0
    elif kind == "odd size":
        frame = picture(217, 333)
    assert niqe.niqe(frame) == pytest.approx(plain_niqe(frame), abs=0.02)


def test_red_and_blue_are_not_the_same(photograph):
    assert abs(niqe.niqe(photograph[..., ::-1].copy()) - niqe.niqe(photograph)) > 0.05


def test_full_range_gray_is_another_figure(monkeypatch, photograph):
    frame = photograph
    right = niqe.niqe(frame)
    monkeypatch.setattr(niqe, "luma", lambda seen: np.round(seen @ np.array([0.299, 0.587, 0.114])).astype(np.float32))
    assert abs(niqe.niqe(frame) - right) > 0.05


def test_halving_is_not_plain_subsampling(monkeypatch, photograph):
    frame = photograph
    right = niqe.niqe(frame)
    monkeypatch.setattr(niqe, "half", lambda seen: seen[::2, ::2])
    assert abs(niqe.niqe(frame) - right) > 0.05


def test_too_few_blocks_have_no_figure():
    assert niqe.niqe(picture(96, 191)) is None and niqe.niqe(picture(192, 96)) is not None
    assert niqe.niqe(np.zeros((8, 8, 3), np.uint8)) is None


def test_a_flat_frame_has_no_figure():
    assert niqe.niqe(np.full((192, 192, 3), 90, np.uint8)) is None
