import numpy as np
import pytest
import torch
from geneface_person import landmarks, signal

from geneface.face import person
from geneface.motion import model as motion_model
from geneface.motion import postnet
from geneface.motion import training as motion_training
from geneface.profiles import MotionTraining


@pytest.fixture(scope="module")
def someone():
    return person.Person.of(landmarks(signal(300)))


def test_coefficients_keep_the_mouth(someone):
    points = landmarks(signal(100, seed=3), seed=3)
    _, motion = person.pose_free(points, someone.shape)
    lower = someone.lower(motion)
    again = someone.motion(someone.lower_of(someone.coefficients(lower)))
    assert np.corrcoef(person.aperture(again), person.aperture(motion))[0, 1] > 0.99
    assert np.allclose(someone.motion(lower)[:, person.LOWER], motion[:, person.LOWER], atol=1e-3)


def test_a_person_survives_being_written(someone):
    again = person.Person.from_tensors(someone.tensors())
    assert all(np.array_equal(getattr(again, name), getattr(someone, name)) for name in ("shape", "basis", "bank", "closed"))


@pytest.mark.parametrize("rows", [60, 400])
def test_ridge_in_both_forms(rows):
    rng = np.random.default_rng(0)
    inputs, truth = rng.normal(size=(rows, 100)).astype(np.float32), rng.normal(size=(100, 3)).astype(np.float32)
    weights, bias = motion_training.ridge(inputs, inputs @ truth + 2, 1e-7)
    assert np.allclose(inputs @ weights + bias, inputs @ truth + 2, atol=0.05)


def model():
    torch.manual_seed(0)
    made = motion_model.AudioToMotion(motion_model.MotionDims("mel", 80, 2, 8)).eval()
    for layer in made.flow:
        torch.nn.init.normal_(layer.shift.leave.weight, std=0.1)
    return made


def test_the_flow_runs_both_ways():
    made = model()
    z, condition = torch.randn(1, 16, 12), torch.randn(1, 64, 12)
    there = z
    for layer in made.flow:
        there = layer(there, condition)
    assert torch.allclose(made._prior(there, condition), z, atol=1e-4)
    assert not torch.allclose(there, z, atol=1e-2)


@pytest.mark.parametrize("frames", [1, 3, 4, 30])
def test_any_length_of_sound_has_its_motion(frames):
    assert model().predict(torch.randn(1, 2 * frames, 80), 0.2).shape == (1, frames, 8)


def test_audio_to_motion_hears_the_opening():
    rng = np.random.default_rng(0)
    opening = signal(600)
    audio = (opening.repeat(2)[:, None] * rng.normal(size=80) + 0.3 * rng.normal(size=(1200, 80))).astype(np.float32)
    truth = (opening[:, None] * rng.normal(size=8)).astype(np.float32)
    dims = motion_model.MotionDims("mel", 80, 5, 8)
    trainer = motion_training.MotionTrainer(
        motion_training.Speech(audio[:1000], truth[:500]), dims, MotionTraining(5), torch.device("cpu")
    )
    report = trainer.conclude()
    predicted = trainer.model.eval().predict(torch.from_numpy(audio[1000:])[None])[0].detach().numpy()
    assert np.corrcoef(predicted[:, 0], truth[500:, 0])[0, 1] > 0.9
    assert report["out_of_fold_r"][0] > 0.9 and 0 <= report["trust"] <= 1


def test_guards_keep_motion_inside_the_person(someone):
    wild = 6 * np.random.default_rng(0).normal(size=(200, someone.basis.shape[1])).astype(np.float32)
    loud = np.random.default_rng(1).normal(0, 0.1, 200 * 640).astype(np.float32)
    lower = postnet.guard(wild, someone, loud).lower
    margin = 0.26 * (someone.high - someone.low)
    assert (lower <= someone.high + margin).all() and (lower >= someone.low - margin).all()


def test_amplitude_is_brought_back(someone):
    weak = 0.3 * someone.bank[:150]
    lower, gain = postnet.match_amplitude(weak, someone, np.ones(150, bool))
    own = person.aperture(someone.motion(someone.lower_of(someone.bank))).std()
    assert gain > 1.5
    assert 0.7 < person.aperture(someone.motion(someone.lower_of(lower))).std() / own < 1.3


def test_the_mouth_closes_in_a_silence_and_only_there(someone):
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 0.1, 100 * 640).astype(np.float32)
    sound[40 * 640 : 60 * 640] *= 1e-4
    sound[80 * 640 : 84 * 640] *= 1e-4
    share = postnet.closed_share(sound, 100)
    assert (share[45:56] == 1).all() and share[:40].max() == 0 and share[61:].max() == 0
    assert np.abs(np.diff(share)).max() < 0.6
    widest = someone.bank[person.aperture(someone.motion(someone.lower_of(someone.bank))).argmax()]
    gap = person.aperture(someone.motion(postnet.guard(np.repeat(widest[None], 100, 0), someone, sound).lower))
    assert gap[48:54].max() < 0.35 * gap[10:30].min()


def test_rebuilt_frames_lie_among_real_ones(someone):
    real = someone.bank[5:25]
    assert np.abs(postnet.embed(real, someone.bank) - real).mean() < 0.1
