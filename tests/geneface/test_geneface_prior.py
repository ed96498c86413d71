"""The generic prior: its corpus, its training, what is shipped."""

import io
import shutil

import numpy as np
import pytest
import torch
from geneface_person import landmarks, signal, sound

from geneface import dataset, loop
from geneface.motion.generic import corpus, prior
from geneface.motion.generic import training as generic_training
from geneface.sound import features
from media import audio
from steps.errors import InputError
from steps.progress import Reporter


def speaker(name, seed):
    """Sound in which the opening can be heard, and a lower face that follows it."""
    rng = np.random.default_rng(seed)
    opening = signal(300, seed)
    audio = (opening.repeat(2)[:, None] * np.linspace(-1, 1, 20) + 0.3 * rng.normal(size=(600, 20))).astype(np.float32)
    lower = opening[:, None] * np.linspace(0, 1, 111) + 0.1 * rng.normal(size=(300, 111))
    return corpus.Speaker(name, audio, lower.astype(np.float32))


def test_a_prior_is_learned_written_and_read(tmp_path, monkeypatch):
    class Features:
        name, dim = "mel", 20

    monkeypatch.setattr(prior, "read", lambda *_: [speaker(str(k), k) for k in range(8)])
    settings, out = generic_training.GenericTraining(60, 20, 3e-3), tmp_path / "prior.safetensors"
    report = prior.train(tmp_path, out, Features(), settings, 0, torch.device("cpu"), Reporter())
    assert report["generic"]["held_out_r"][0] > 0.5 and report["bytes"] < 10_000_000
    made, heard = prior.load(out), speaker("new", 99)
    with torch.inference_mode():
        found = made(torch.from_numpy(heard.audio)[None])[0][0].numpy()
    assert found.shape == (300, 12) and abs(np.corrcoef(found[:, 0], heard.lower[:, 110])[0, 1]) > 0.6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["prior.report.json", "prior.safetensors"]
    out.write_bytes(out.read_bytes()[:2000])
    with pytest.raises(InputError) as raised:
        prior.load(out)
    assert raised.value.code == "prior_invalid"


def test_a_prior_that_was_stopped_goes_on(tmp_path, monkeypatch):
    class Features:
        name, dim = "mel", 20

    monkeypatch.setattr(prior, "read", lambda *_: [speaker(str(k), k) for k in range(3)])
    settings = generic_training.GenericTraining(6, 3)
    whole = tmp_path / "whole.safetensors"
    prior.train(tmp_path, whole, Features(), settings, 0, torch.device("cpu"), Reporter())
    update, out = loop._update, tmp_path / "stopped.safetensors"
    for stage, at in (("sync", 2), ("generic", 4)):

        def stopped(trained, step, seed, calm=1.0, stage=stage, at=at):
            if (trained.name, step) == (stage, at):
                raise KeyboardInterrupt
            return update(trained, step, seed, calm)

        monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
        monkeypatch.setattr(loop, "_update", stopped)
        with pytest.raises(KeyboardInterrupt):
            prior.train(tmp_path, out, Features(), settings, 0, torch.device("cpu"), Reporter())
    monkeypatch.setattr(loop, "_update", update)
    prior.train(tmp_path, out, Features(), settings, 0, torch.device("cpu"), Reporter())
    one, other = prior.load(whole).state_dict(), prior.load(out).state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_prior_of_another_plan_leaves_its_checkpoints_behind(tmp_path, monkeypatch):
    class Features:
        name, dim = "mel", 20

    monkeypatch.setattr(prior, "read", lambda *_: [speaker(str(k), k) for k in range(3)])
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    out, update, lines = tmp_path / "prior.safetensors", loop._update, io.StringIO()

    def stopped_at(stage, at, steps, reporter):
        def stopped(trained, step, seed, calm=1.0):
            if (trained.name, step) == (stage, at):
                raise KeyboardInterrupt
            return update(trained, step, seed, calm)

        monkeypatch.setattr(loop, "_update", stopped)
        settings = generic_training.GenericTraining(steps, 3)
        with pytest.raises(KeyboardInterrupt):
            prior.train(tmp_path, out, Features(), settings, 0, torch.device("cpu"), reporter)

    stopped_at("generic", 5, 8, Reporter())
    stopped_at("generic", 2, 6, Reporter(lines))
    assert "belongs to other data" in lines.getvalue()
    stopped_at("generic", 4, 6, Reporter(lines))
    assert "going on from generic-0000002" in lines.getvalue()


def test_a_corpus_of_one_is_refused(tmp_path):
    with pytest.raises(InputError) as raised:
        corpus.read(tmp_path, features.Mel(), Reporter())
    assert raised.value.code == "corpus_empty"


def spoken(folder, frames=120, seed=0):
    """A speaker's folder as samples/corpus.py makes it."""
    folder.mkdir(parents=True)
    opening = signal(frames, seed)
    np.savez(folder / dataset.LANDMARKS, points=landmarks(opening, seed))
    audio.write_wav(folder / dataset.SOUND, sound(opening, seed))


def test_speakers_of_one_name_are_told_apart(tmp_path):
    for number in range(8):
        spoken(tmp_path / "corpus" / str(number // 2) / ("left", "right")[number % 2], seed=number)
    settings = generic_training.GenericTraining(2, 2)
    report = prior.train(
        tmp_path / "corpus", tmp_path / "p.safetensors", features.Mel(), settings, 0, torch.device("cpu"), Reporter()
    )
    assert report["speakers"] == 8 and len(report["generic"]["held_out_r"]) == 6


def test_what_cannot_be_learned_from_is_left_out_of_a_corpus(tmp_path):
    for name, frames in (("a", 96), ("b", 95), ("c", 120), ("d", 120)):
        spoken(tmp_path / name, frames)
    (tmp_path / "d" / dataset.FRAMES).write_bytes(b"without dataset.json")
    lines = io.StringIO()
    found = corpus.read(tmp_path, features.Mel(), Reporter(lines))
    assert [one.name for one in found] == ["a", "c"]
    assert "b has 95 good frames" in lines.getvalue() and "the preprocessing of d did not end" in lines.getvalue()
    generic_training.Pairs(found, corpus.Basis.of(found)).draw(np.random.default_rng(0), 20)
    (tmp_path / "c" / dataset.SOUND).unlink()
    with pytest.raises(InputError) as raised:
        corpus.read(tmp_path, features.Mel(), Reporter())
    assert raised.value.code == "corpus_empty"


def test_a_preprocessed_dataset_belongs_to_a_corpus(tmp_path, data):
    for name in "ab":
        shutil.copytree(data, tmp_path / name)
    assert len(corpus.read(tmp_path, features.Mel(), Reporter())) == 2


def test_frames_that_may_not_be_learned_from_are_left_out_of_a_corpus(tmp_path):
    for name in "ab":
        spoken(tmp_path / name, 260)
    with np.load(tmp_path / "b" / dataset.LANDMARKS) as arrays:
        points = arrays["points"]
    good = np.ones(260, bool)
    good[100], points[100] = False, 0
    np.savez(tmp_path / "b" / dataset.LANDMARKS, points=points, trainable=good)
    whole, part = corpus.read(tmp_path, features.Mel(), Reporter())
    assert (len(whole.lower), len(part.lower), len(part.audio)) == (260, 159, 318)
    assert np.array_equal(part.audio, whole.audio[202:520])
    assert np.allclose(part.lower, whole.lower[101:], atol=0.2)


@pytest.mark.parametrize("files", [0, 2])
def test_levels_of_no_sound_are_refused(tmp_path, monkeypatch, files):
    class Deaf:
        def states(self, samples):
            yield 0, torch.zeros(7, 5, 512)

    monkeypatch.setattr(prior.weights, "path", lambda name: tmp_path)
    monkeypatch.setattr(prior.Whisper, "read", lambda *_: Deaf())
    for number in range(files):
        (tmp_path / str(number)).mkdir()
        audio.write_wav(tmp_path / str(number) / dataset.SOUND, np.zeros(20, np.float32))
    with pytest.raises(InputError) as raised:
        prior.measure_levels(tmp_path, tmp_path / "levels.npz", Reporter())
    assert raised.value.code == "corpus_empty" and not (tmp_path / "levels.npz").exists()


@pytest.mark.parametrize(("name", "width"), [("mel", 82), ("whisper", 512)])
def test_the_shipped_priors_are_small_and_fit_their_features(name, width):
    path = prior.path_of(name)
    made = prior.load(path)
    assert path.stat().st_size <= 10_000_000 and (made.dims.audio, made.dims.audio_dim) == (name, width)
    with torch.inference_mode():
        assert made(torch.zeros(1, 20, width))[0].shape == (1, 10, made.dims.components)
