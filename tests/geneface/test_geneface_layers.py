"""Layers and plate of the sample talker, whose background is known."""

import numpy as np
import pytest
import torch

from geneface import preprocess
from geneface.dataset import LAYERS_SIDE, Dataset
from geneface.face import layers
from media import video
from samples.talker import light, paint
from steps.progress import Reporter


@pytest.fixture(scope="module")
def talker(talker_clip, tmp_path_factory):
    folder = tmp_path_factory.mktemp("layers") / "data"
    preprocess.preprocess(talker_clip, folder, Reporter())
    return Dataset.load(folder)


def centre(share):
    """Mean row of each frame's share [T, S, S], weighted."""
    return (share.sum(2) * np.arange(share.shape[1])).sum(1) / share.sum((1, 2))


def test_layers_are_coherent(talker):
    shown = np.stack(list(video.frames(talker.layers))).astype(int)
    assert shown.shape == (len(talker), LAYERS_SIDE, LAYERS_SIDE, 3)
    assert np.percentile(shown.sum(-1), 99.9) <= 255 + 8  # the coder's
    assert shown[:, :8].max() < 30, "nobody is above her hair"
    rows = [centre(shown[..., part]) for part in range(3)]
    assert (rows[0] < rows[1]).all() and (rows[1] < rows[2]).all()
    points = talker.points[..., :2] * (LAYERS_SIDE / talker.size)
    column, row = np.rint(points).astype(int).transpose(2, 0, 1)
    head = shown[np.arange(len(shown))[:, None], row, column, 0]
    assert (head > 128).mean() > 0.97
    below_chin = shown[np.arange(len(shown)), row[:, 152] + 8, column[:, 152]]
    assert (below_chin[:, 1] > below_chin[:, [0, 2]].max(1)).mean() > 0.95
    assert np.abs(np.diff(shown, axis=0)).mean() < 1.0, "flicker"
    assert shown[:, -6:, 100:156, 2].mean() > 200


def test_the_plate_is_the_background(talker):
    real = light.developed(torch.from_numpy(paint.background(talker.size))).numpy() * 255
    plate = talker.plate()
    assert plate.shape == (talker.size, talker.size, 3) and plate.dtype == np.uint8
    apart = np.abs(plate - real)
    assert np.median(apart) < 2
    assert apart.max() < 60, "somebody is left in it"


def test_what_was_never_seen_goes_on_from_its_surroundings():
    ramp = np.repeat(np.linspace(0, 200, 96, dtype=np.float32)[None], 64, 0)[..., None].repeat(3, -1)
    known = np.ones((64, 96), np.float32)
    known[16:48, 30:60] = 0
    hidden = np.where(known[..., None] > 0, ramp, 255)
    assert np.abs(layers.filled(hidden, known) - ramp).max() < 35
    assert np.array_equal(layers.filled(hidden, known)[known > 0], ramp[known > 0])


def test_a_passer_by_and_a_hole_do_not_get_into_the_plate():
    picture = np.full((64, 64, 3), 90, np.uint8)
    matte = np.zeros((64, 64), np.float32)
    matte[10:, 16:48] = 1
    matte[34:38, 30:34] = 0
    shot = picture.copy()
    shot[10:, 16:48] = 200
    odd = shot.copy()
    odd[:5, :5] = 0
    assert np.abs(layers.plate([shot, odd, shot], [matte] * 3).astype(int) - 90).max() <= 1
