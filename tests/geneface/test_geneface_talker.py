"""The bars on the sample talker, with the demo's profile: what is driven by truth, by sound, by another stretch."""

from pathlib import Path

import numpy as np
import pytest

from geneface import preprocess, render, train
from geneface.profiles import PROFILES
from media import faces, mouth, video
from steps.progress import Reporter

TALKER = Path(__file__).resolve().parents[2] / "samples" / "talker.mp4"


@pytest.fixture(scope="module")
def renderings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("talker")
    preprocess.preprocess(TALKER, folder / "data", Reporter())
    train.train(folder / "data", folder / "model", train.Options(PROFILES["quick"], device="cpu"), Reporter())
    for motion in ("truth", "predicted", "swap"):
        render.render_held_out(folder / "model", motion, folder / f"{motion}.mp4", 0, "cpu", Reporter())
    names = ("truth.truth", "truth", "predicted", "swap", "swap.driver")
    points = {name: faces.landmarks(video.frames(folder / f"{name}.mp4")).points for name in names}
    reference = mouth.reference_shape(points["truth.truth"])
    gaps = {name: mouth.aperture(mouth.pose_free(found, reference)) for name, found in points.items()}
    tremble = {name: np.abs(np.diff(found[:, mouth.BONY, :2], 2, axis=0)).mean() for name, found in points.items()}
    return gaps, tremble


def r(first, second):
    return np.corrcoef(first, second)[0, 1]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not TALKER.exists(), reason="the sample talker is not there")
def test_the_talker_passes_its_bars(renderings):
    gaps, tremble = renderings
    real = gaps["truth.truth"]
    assert r(gaps["truth"], real) >= 0.95
    assert 0.8 <= gaps["truth"].std() / real.std() <= 1.2
    assert r(gaps["predicted"], real) >= 0.6
    assert r(gaps["swap"], gaps["swap.driver"]) >= 0.85
    assert abs(r(gaps["swap"], real)) <= 0.35
    assert 0.75 <= tremble["predicted"] / tremble["truth.truth"] <= 1.25
