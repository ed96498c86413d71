import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch
from geneface_person import landmarks, signal

from geneface import dataset, loop, renderers, train
from geneface.face import person
from geneface.motion import model as motion_model
from geneface.motion import postnet, ridge
from geneface.motion import training as motion_training
from geneface.motion.generic import model as generic
from geneface.profiles import MotionTraining
from geneface.sound import features
from steps import program
from steps.errors import StoppedError
from steps.progress import Reporter


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
    weights, bias = ridge.solve(inputs, inputs @ truth + 2, 1e-7)
    assert np.allclose(inputs @ weights + bias, inputs @ truth + 2, atol=0.05)


@pytest.mark.parametrize("width", [20, 400])
def test_out_of_fold_predictions_know_nothing_of_their_fold(width):
    rng = np.random.default_rng(1)
    inputs, targets = rng.normal(size=(160, width)).astype(np.float32), rng.normal(size=(160, 2)).astype(np.float32)

    def predicted():
        parts = (inputs, inputs[:, :0])
        return ridge.out_of_fold(parts, targets, np.ones(160, bool), (0.0,), (1e-3,), 2)[0.0, 1e-3]

    before = predicted()
    known = np.r_[22:160]
    weights, bias = ridge.solve(inputs[known], targets[known], 1e-3)
    assert np.allclose(before[:20], inputs[:20] @ weights + bias, atol=1e-3)
    targets[:20] += 100
    assert np.allclose(predicted()[:20], before[:20], atol=1e-3)


@pytest.mark.parametrize("width", [60, 400])
def test_the_search_finds_what_a_ridge_for_each_fold_does(width):
    """Inputs that hang together and lie far from 0, some rows not to be used."""
    rng = np.random.default_rng(3)
    hidden = rng.normal(size=(300, 12))
    first = (hidden @ rng.normal(size=(12, width)) + 0.3 * rng.normal(size=(300, width)) + 4).astype(np.float32)
    second = (hidden @ rng.normal(size=(12, 7)) - 2).astype(np.float32)
    targets = (hidden @ rng.normal(size=(12, 3)) + 1).astype(np.float32)
    usable, scales, penalties = rng.random(300) > 0.1, (0.0, 1.7), (3e-4, 1e-2)
    found = ridge.out_of_fold((first, second), targets, usable, scales, penalties, 4)
    cuts = [0, *(part[0] for part in np.array_split(np.flatnonzero(usable), 8)[1:]), 300]
    for (scale, penalty), predicted in found.items():
        inputs, plain = np.concatenate([first, np.float32(scale) * second], 1), np.zeros_like(targets)
        for start, stop in pairwise(cuts):
            known = usable.copy()
            known[max(0, start - 4) : stop + 4] = False
            weight, bias = ridge.solve(inputs[known], targets[known], penalty)
            plain[start:stop] = inputs[start:stop] @ weight + bias
        assert np.abs(predicted - plain).max() < 1e-4 * np.abs(plain).max()


def test_the_search_hears_sigterm_and_tells_how_far_it_is(monkeypatch):
    rng, told = np.random.default_rng(0), []
    parts = rng.normal(size=(80, 10)).astype(np.float32), np.zeros((80, 0), np.float32)
    arguments = parts, parts[0][:, :2], np.ones(80, bool), (0.0,), (1e-3,), 1, lambda *turn: told.append(turn)
    ridge.out_of_fold(*arguments)
    assert told == [(done, 8) for done in range(9)]
    told.clear()
    monkeypatch.setattr(program, "_stop_requested", True)
    with pytest.raises(StoppedError):
        ridge.out_of_fold(*arguments)
    assert told == [(0, 8)]


def test_a_second_source_counts_as_much_as_it_helps():
    rng = np.random.default_rng(2)
    noise, useful = rng.normal(size=(200, 300)).astype(np.float32), rng.normal(size=(200, 4)).astype(np.float32)
    targets = useful @ rng.normal(size=(4, 3)).astype(np.float32)
    usable = np.ones(200, bool)
    found = ridge.fit(noise, useful, targets, usable, (1e-3, 1e-2), (0.0, 1.0), 3, np.asarray)
    assert found.shares[0] == 1.0 and found.r > 0.7
    assert ridge.fit(noise, useful[:, :0], targets, usable, (1e-3,), (0.0, 1.0), 3, np.asarray).r < 0.3


def test_a_fit_is_the_mean_of_the_best():
    rng = np.random.default_rng(4)
    first, second = rng.normal(size=(150, 30)).astype(np.float32), rng.normal(size=(150, 5)).astype(np.float32)
    targets = (second @ rng.normal(size=(5, 2)) + rng.normal(size=(150, 2))).astype(np.float32)
    found = ridge.fit(first, second, targets, np.ones(150, bool), (1e-3, 1e-2, 1e-1), (0.0, 1.0, 3.0), 3, np.asarray)
    assert len(set(zip(found.penalties, found.shares, strict=True))) == ridge.BEST
    spread = [np.square(part - part.mean(0)).sum() for part in (first, second)]
    expected = np.zeros_like(targets)
    for penalty, share in zip(found.penalties, found.shares, strict=True):
        scale = np.float32(np.sqrt(share * spread[0] / spread[1]))
        inputs = np.concatenate([first, scale * second], 1)
        weight, bias = ridge.solve(inputs, targets, penalty)
        expected += (inputs @ weight + bias) / ridge.BEST
    assert np.allclose(np.concatenate([first, second], 1) @ found.weight + found.bias, expected, atol=1e-4)
    assert found.r == pytest.approx(ridge.correlation(found.predicted, targets))


GENERIC = generic.GenericDims("mel", 20, 6, hidden=16, condition=16)


def anybody():
    torch.manual_seed(0)
    made = generic.Generic(GENERIC).eval()
    for layer in made.flow:
        torch.nn.init.normal_(layer.shift.leave.weight, std=0.1)
    return made


def test_the_flow_runs_both_ways():
    made = anybody()
    z, condition = torch.randn(1, 16, 12), torch.randn(1, 16, 12)
    there = z
    for layer in made.flow:
        there = layer(there, condition)
    assert torch.allclose(made._prior(there, condition), z, atol=1e-4)
    assert not torch.allclose(there, z, atol=1e-2)


@pytest.mark.parametrize("frames", [1, 3, 4, 30])
@pytest.mark.parametrize(("dim", "prior"), [(20, GENERIC), (20, None), (200, None)])
def test_any_length_of_sound_has_its_motion(frames, dim, prior):
    made = motion_model.AudioToMotion(motion_model.MotionDims("mel", dim, 8, prior)).eval()
    assert made(torch.randn(1, 2 * frames, dim), made.latent(frames, 0.2, 0)).shape == (1, frames, 8)


def test_temperature_and_seed_vary_what_sound_leaves_open():
    made, audio = anybody(), torch.randn(1, 40, 20)
    whole = motion_model.AudioToMotion(motion_model.MotionDims("mel", 20, 8, GENERIC)).eval()
    drawn, heard = zip(*(made(audio, whole.latent(20, 0.5, seed)) for seed in (1, 1, 2)), strict=True)
    assert torch.equal(drawn[0], drawn[1]) and not torch.allclose(drawn[0], drawn[2])
    assert torch.equal(heard[0], heard[2]) and heard[0].shape == (1, 20, 16)
    assert torch.equal(made(audio)[0], made(audio, torch.zeros(1, 16, 5))[0])


def test_the_prior_s_ear_weighs_as_much_as_its_motion(someone):
    rng = np.random.default_rng(0)
    audio, motion = rng.normal(size=(400, 20)).astype(np.float32), rng.normal(size=(200, 16)).astype(np.float32)
    speech = motion_training.Speech(audio, motion, np.ones(200, bool))
    dims = motion_model.MotionDims("mel", 20, 16, GENERIC)
    trainer = motion_training.MotionTrainer(speech, someone, dims, anybody(), MotionTraining(1), torch.device("cpu"))
    columns = trainer.model.inputs(torch.from_numpy(audio)[None])[1][0].numpy()
    variance = (columns * trainer._even(columns)).reshape(200, 5, 22).var(0)
    assert variance[:, :6].sum() == pytest.approx(variance[:, 6:].sum(), rel=1e-3)


def test_audio_to_motion_hears_the_opening(someone):
    rng = np.random.default_rng(0)
    opening = signal(600)
    audio = (opening.repeat(2)[:, None] * rng.normal(size=20) + 0.3 * rng.normal(size=(1200, 20))).astype(np.float32)
    _, motion = person.pose_free(landmarks(opening), someone.shape)
    truth = someone.coefficients(someone.lower(motion))
    dims = motion_model.MotionDims("mel", 20, truth.shape[1], GENERIC)
    speech = motion_training.Speech(audio[:1000], truth[:500], np.ones(500, bool))
    trainer = motion_training.MotionTrainer(speech, someone, dims, anybody(), MotionTraining(5), torch.device("cpu"))
    for step in range(5):
        loop._update(trainer, step, 0)
    report = trainer.conclude()
    predicted = trainer.model.eval()(torch.from_numpy(audio[1000:])[None])[0].detach().numpy()
    assert np.corrcoef(predicted[:, 0], truth[500:, 0])[0, 1] > 0.9
    assert report["out_of_fold_r"][0] > 0.9 and 0 <= report["trust"] <= 1
    assert 0.8 < predicted[:, 0].std() / truth[500:, 0].std() < 1.2


def trained_on(someone, motion, usable, audio, steps=4):
    """The trainer of a motion [T, K] after a few steps, and its report."""
    torch.manual_seed(0)
    speech = motion_training.Speech(audio, motion, usable)
    dims = motion_model.MotionDims("mel", 20, motion.shape[1])
    made = motion_training.MotionTrainer(speech, someone, dims, None, MotionTraining(steps, 4, 48), torch.device("cpu"))
    for step in range(steps):
        loop._update(made, step, 0)
    return made, {"score": made.validate(), **made.conclude()}


@pytest.mark.parametrize(
    ("frames", "errors", "trust"),
    [
        (200, (1, 0.95, 0.92, 0.95, 1), 0),
        (200, (1, 0.85, 0.8, 0.9, 1), 0.5),
        (200, (1, 2, 3, 4, 5), 0),
        (1000, (1, 0.95, 0.92, 0.95, 1), 0.5),
        (1000, (1, 0.96, 0.96, 0.97, 1), 0),
    ],
)
def test_the_post_net_is_trusted_when_it_is_better_than_by_chance(someone, monkeypatch, frames, errors, trust):
    rng = np.random.default_rng(0)
    audio, coefficients = (rng.normal(size=size).astype(np.float32) for size in ((2 * frames, 20), (frames, 16)))
    made, _ = trained_on(someone, coefficients, np.ones(frames, bool), audio)
    answers = iter(errors)
    monkeypatch.setattr(made, "_held_error", lambda found: next(answers))
    assert made.conclude()["trust"] == trust == float(made.model.trust)


def test_frames_that_nobody_may_learn_from_teach_nothing(someone):
    rng, opening = np.random.default_rng(0), signal(300)
    audio = (opening.repeat(2)[:, None] * rng.normal(size=20) + 0.3 * rng.normal(size=(600, 20))).astype(np.float32)
    _, motion = person.pose_free(landmarks(opening), someone.shape)
    truth = someone.coefficients(someone.lower(motion))
    usable = np.ones(300, bool)
    for start, stop in ((0, 12), (90, 150), (152, 153), (280, 300)):
        usable[start:stop] = False
    garbage = np.where(usable[:, None], truth, 50 * rng.normal(size=truth.shape)).astype(np.float32)
    (one, report), (other, same) = (trained_on(someone, each, usable, audio) for each in (truth, garbage))
    assert report == same and report["frames_used"] == usable.sum()
    assert all(torch.equal(a, b) for a, b in zip(one.model.state_dict().values(), other.model.state_dict().values(), strict=True))
    assert one.last < 280 and usable[one.last :].sum() == int(usable.sum() * motion_training.HELD)


def test_a_training_tells_its_motion_what_may_be_learned_from(data, tiny, tmp_path):
    usable = np.arange(220) % 5 > 0
    whole = dataclasses.replace(dataset.Dataset.load(data), trainable=usable)
    arguments = tiny, renderers.named("plane"), tiny.settings, torch.device("cpu"), features.Mel(), {}, tmp_path, None, Reporter()
    training = train._Training(whole, *arguments)
    training._train_motion()
    assert training.reports["motion"]["frames_used"] == usable[:200].sum()


def test_moments_of_whole_stretches_are_means_and_deviations():
    values, usable = torch.randn(2, 9, 3), torch.ones(2, 9, 1, dtype=torch.bool)
    mean, deviation = motion_training._moments(values, usable)
    assert torch.allclose(mean, values.mean(1), atol=1e-6) and torch.allclose(deviation, values.std(1), atol=1e-6)
    assert torch.allclose(motion_training._mean(values, usable), values.mean(), atol=1e-6)
    usable[0, 4:], usable[1] = False, False
    mean, deviation = motion_training._moments(values, usable)
    assert torch.allclose(deviation[0], values[0, :4].std(0), atol=1e-6) and not mean[1].any() and deviation[1].max() < 1e-5


def test_guards_keep_motion_inside_the_person(someone):
    wild = 6 * np.random.default_rng(0).normal(size=(200, someone.basis.shape[1])).astype(np.float32)
    loud = np.random.default_rng(1).normal(0, 0.1, 200 * 640).astype(np.float32)
    lower = postnet.guard(wild, someone, loud)
    margin = 0.26 * (someone.high - someone.low)
    assert (lower <= someone.high + margin).all() and (lower >= someone.low - margin).all()


def test_a_mouth_opens_further_and_nothing_else_moves(someone):
    opening, bank = someone.opening(), someone.bank

    def gap(coefficients):
        return person.aperture(someone.motion(someone.lower_of(coefficients)))

    further = gap(bank + 0.5 * bank @ opening)
    assert 1.25 < further.std() / gap(bank).std() < 1.6  # a gap that would be negative is none
    assert np.allclose(opening @ opening, opening, atol=1e-3)
    rest = bank - bank @ opening
    assert np.allclose(rest @ opening, 0, atol=1e-3) and gap(rest).std() < 0.1 * gap(bank).std()


def test_a_mouth_that_never_moves_has_no_opening(someone):
    still = dataclasses.replace(someone, bank=np.zeros_like(someone.bank))
    assert not still.opening().any()


def test_amplitude_is_brought_back(someone):
    weak, speaking = 0.3 * np.concatenate([someone.bank[:150]] * 2), np.ones(300, bool)
    own = person.aperture(someone.motion(someone.lower_of(someone.bank))).std()
    amplitude = postnet.Amplitude(someone)
    whole = amplitude(weak, speaking)
    assert amplitude.gain > 1.5
    assert 0.6 < person.aperture(someone.motion(someone.lower_of(whole))).std() / own < 1.3
    windowed = postnet.Amplitude(someone)
    parts = np.concatenate([windowed(weak[:100], speaking[:100]), windowed(weak[100:], speaking[100:])])
    assert windowed.gain == pytest.approx(amplitude.gain)
    seam = np.abs(np.diff(parts, axis=0)).max(1)
    assert seam[99] <= np.delete(seam, 99).max()


def test_little_speech_changes_no_amplitude(someone):
    amplitude = postnet.Amplitude(someone)
    silence = amplitude(someone.bank[:40], np.zeros(40, bool))
    assert np.array_equal(silence, someone.bank[:40]) and amplitude.gain == 1.0


def test_the_mouth_closes_in_a_silence_and_only_there(someone):
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 0.1, 100 * 640).astype(np.float32)
    sound[40 * 640 : 60 * 640] *= 1e-4
    sound[80 * 640 : 92 * 640] *= 1e-4  # too short to close in
    share = postnet.closed_share(sound, 100)
    assert (share[42:51] == 1).all() and share[:40].max() == 0 and share[61:].max() == 0
    assert np.abs(np.diff(share)).max() < 0.6
    widest = someone.bank[person.aperture(someone.motion(someone.lower_of(someone.bank))).argmax()]
    gap = person.aperture(someone.motion(postnet.guard(np.repeat(widest[None], 100, 0), someone, sound)))
    assert gap[43:50].max() < 0.35 * gap[10:30].min()


def test_rebuilt_frames_lie_among_real_ones(someone):
    real = someone.bank[5:25]
    assert np.abs(postnet.embed(real, someone.bank) - real).mean() < 0.1


def test_what_does_not_move_goes_with_nothing():
    moving = np.sin(np.arange(50.0))
    assert ridge.pearson(moving, 2 * moving + 1) == pytest.approx(1) and ridge.pearson(moving, np.ones(50)) == 0
