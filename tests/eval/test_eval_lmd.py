import sys

import numpy as np
import pytest
from eval_videos import REFERENCE
from skimage import data

from eval import lmd
from eval.lmd import Lmd, MouthLandmarks
from eval.weights import LANDMARKS, UnmeasuredError, Weights

FACE = np.ascontiguousarray(data.astronaut()[:280, 80:360])


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A small predictor of the same layout, which dlib itself trains on one face."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REFERENCE))
        import dlib
    folder = tmp_path_factory.mktemp("lmd")
    box = dlib.get_frontal_face_detector()(FACE, 1)[0]
    angles = np.linspace(0, 2 * np.pi, 68)
    centre, reach = box.center(), box.width() / 3
    parts = [dlib.point(int(centre.x + reach * np.cos(angle)), int(centre.y + reach * np.sin(angle))) for angle in angles]
    options = dlib.shape_predictor_training_options()
    options.oversampling_amount, options.cascade_depth, options.tree_depth, options.num_trees_per_cascade_level = 2, 2, 2, 3
    predictor = dlib.train_shape_predictor([FACE], [[dlib.full_object_detection(box, parts)]], options)
    predictor.save(str(folder / LANDMARKS))
    return Weights((folder,))


def test_distance_of_the_reference():
    """SyncTalk's LMDMeter: each set's own mean taken away, mean of the distances, in px."""
    truth = np.random.default_rng(0).normal(100, 20, (20, 2))
    moved = truth + np.array([7, -3])
    assert lmd.between(truth, moved) == pytest.approx(0, abs=1e-9)
    wider = truth.mean(0) + 1.5 * (truth - truth.mean(0))
    assert lmd.between(truth, wider) == pytest.approx(0.5 * np.linalg.norm(truth - truth.mean(0), axis=1).mean())


def test_pairs_and_frames_without_a_face(weights, reference):
    meter = Lmd.of(weights)
    meter(FACE, FACE)
    meter(FACE, np.zeros_like(FACE))
    assert (meter.distances, meter.without_face) == ([0.0], 1)
    points = MouthLandmarks(weights.path(LANDMARKS))(FACE)
    assert points.shape == (20, 2)
    meter(FACE, np.ascontiguousarray(np.roll(FACE, 4, axis=1)))
    assert meter.distances[1] < 2, "the face as a whole may move"


def test_reasons(weights, reference, tmp_path, monkeypatch):
    with pytest.raises(UnmeasuredError, match="weights_missing"):
        Lmd.of(Weights((tmp_path,)))
    (tmp_path / LANDMARKS).write_bytes(b"nothing of the kind")
    with pytest.raises(UnmeasuredError, match="weights_unreadable"):
        Lmd.of(Weights((tmp_path,)))
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(UnmeasuredError, match="dlib_missing"):
        Lmd.of(weights)
