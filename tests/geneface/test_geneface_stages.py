import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from geneface_person import signal, sound, write_dataset

from geneface import avatar, checkpoints, dataset, held_out, preprocess, render, renderers, train
from geneface.__main__ import main
from geneface.avatar import Avatar
from geneface.face.framing import crop_of
from geneface.renderers.plane.renderer import PlaneRenderer
from media import audio
from media.errors import AudioSilent
from media.faces import Survey
from steps import program
from steps.errors import InputError, StoppedError
from steps.progress import Reporter

ROOT = Path(__file__).resolve().parents[2]


def geneface(capfd, *arguments):
    """Exit code, result and last line of stderr of one command."""
    code = main([str(word) for word in arguments])
    out, err = capfd.readouterr()
    return code, json.loads(out or "null"), json.loads(err.strip().splitlines()[-1]) if err.strip() else None


def test_a_model_is_whole_and_alone(model, data):
    assert {p.name for p in model.iterdir()} == {
        "model.json", "motion.safetensors", "plane.safetensors", "person.safetensors", "report.json",
        "frames.mp4", "audio.wav", "landmarks.npz", "layers.mp4", "plate.png", "dataset.json",
    }  # fmt: skip
    report = json.loads((model / "report.json").read_text())
    assert report["audio_features"] == "mel" and report["frames_trained"] == 200 and report["frames_held_out"] == 20
    assert report["plane"]["steps"] == 40
    assert [said.split(" was ")[0] for said in report["fallbacks"]] == ["How much of a motion shows"]  # of so few frames
    held_out = report["held_out"]
    assert held_out["frames"] == 20 and held_out["mouth_psnr"] > held_out["constant_mouth_psnr"] > 10
    assert -1 <= held_out["aperture_r"] <= 1 and held_out["aperture_amplitude"] > 0


def test_training_again_changes_nothing(model, data, tiny):
    before = (model / "model.json").stat().st_mtime_ns
    again = train.train(data, model, tiny, Reporter())
    assert again["unchanged"] and (model / "model.json").stat().st_mtime_ns == before


def test_a_training_stopped_in_either_stage_ends_as_if_it_had_not_been(model, data, tmp_path, tiny, monkeypatch):
    out = tmp_path / "model"
    for stage, at in (("motion", 5), ("plane", 21)):
        _stop_in(monkeypatch, stage, at)
        with pytest.raises(KeyboardInterrupt):
            train.train(data, out, tiny, Reporter())
        assert checkpoints.newest(out / "checkpoints", ("motion", "plane")).stage == stage
        assert avatar.manifest_of(out) is None
    monkeypatch.undo()
    train.train(data, out, tiny, Reporter())
    for name in ("motion.safetensors", "plane.safetensors", "person.safetensors"):
        assert (out / name).read_bytes() == (model / name).read_bytes(), name


def _stop_in(monkeypatch, stage, at, original=train.loop._update):
    """Checkpoints after every step; the process dies at step `at` of `stage`."""

    def update(trained, step, seed, calm=1.0):
        if trained.name == stage and step == at:
            raise KeyboardInterrupt
        return original(trained, step, seed, calm)

    monkeypatch.setattr(train.loop, "_update", update)
    monkeypatch.setattr(train.loop, "CHECKPOINT_SECONDS", 0.0)


def test_another_dataset_of_the_same_length_brings_its_own_pictures(data, tmp_path, tiny, monkeypatch):
    """A training that was killed before its first checkpoint leaves the regions that it had taken out."""
    _stop_in(monkeypatch, "plane", 0)
    other = write_dataset(tmp_path / "other", seed=4)
    for source in (other, data):
        with pytest.raises(KeyboardInterrupt):
            train.train(source, tmp_path / "model", tiny, Reporter())
        shutil.rmtree(tmp_path / "model" / "checkpoints")
    first, second = (np.load(path) for path in sorted((tmp_path / "model" / "work").glob("*/*.npy")))
    assert first.shape == second.shape and not np.array_equal(first, second)


def test_train_and_render_need_no_landmark_library(data, model, tmp_path):
    audio.write_wav(tmp_path / "a.wav", sound(signal(20, seed=7)))
    code = f"""
import sys
import tracemalloc
from itertools import islice
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('cv2', 'mediapipe', 'scipy'):
            raise ImportError('blocked: ' + name)
sys.meta_path.insert(0, Blocked())
from geneface import profiles
from geneface.__main__ import main
from geneface.renderers.plane import renderer, training
profiles.PROFILES["quick"] = profiles.Profile("quick", "mel", profiles.MotionTraining(2, batch=2, frames=32))
renderer.PROFILES["quick"] = training.PlaneSettings(32, (2,), 8, 1e-3, widths=(8, 16))
assert main(['train', '--data', {str(data)!r}, '--out', {str(tmp_path / "m")!r}, '--epochs', '1', '--device', 'cpu']) == 0
assert main(['render', '--model', {str(model)!r}, '--audio', {str(tmp_path / "a.wav")!r}, '--out', {str(tmp_path / "o.mp4")!r},
             '--contact_sheet', {str(tmp_path / "s.png")!r}]) == 0
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "s.png").read_bytes()[:4] == b"\x89PNG"


def test_silence_and_missing_models_are_refused(model, tmp_path):
    audio.write_wav(tmp_path / "quiet.wav", np.zeros(16_000, np.float32))
    with pytest.raises(AudioSilent):
        render.render_audio(model, tmp_path / "quiet.wav", tmp_path / "o.mp4", 0, "cpu", Reporter())
    assert not (tmp_path / "o.mp4").exists()
    with pytest.raises(InputError) as raised:
        Avatar.load(tmp_path, torch.device("cpu"))
    assert raised.value.code == "model_incomplete"


def test_what_a_still_mouth_is_worth_is_not_a_number(model):
    loaded = Avatar.load(model, torch.device("cpu"))
    points = loaded.dataset.points.copy()
    points[200:] = points[200]
    found = held_out.scores(replace(loaded, dataset=replace(loaded.dataset, points=points)), 0)
    assert {name for name, value in found.items() if value is None} == {
        "aperture_r", "aperture_amplitude", "width_r", "lmd_over_frozen",
    }  # fmt: skip
    assert json.dumps(found, allow_nan=False) and found["mouth_psnr"] > 10


def test_json_holds_no_nan_and_a_file_stays_as_it_was(tmp_path):
    dataset.write_json(tmp_path / "a.json", {"r": None})
    with pytest.raises(ValueError, match="JSON compliant"):
        dataset.write_json(tmp_path / "a.json", {"r": float("nan")})
    assert [(path.name, json.loads(path.read_text())) for path in tmp_path.iterdir()] == [("a.json", {"r": None})]


def test_scoring_and_cutting_stop_when_asked(model, data, tmp_path, monkeypatch):
    loaded, frames = Avatar.load(model, torch.device("cpu")), tmp_path / "frames.mp4"
    shutil.copyfile(data / "frames.mp4", frames)
    monkeypatch.setattr(program, "_stop_requested", True)
    with pytest.raises(StoppedError):
        held_out.scores(loaded, 0)
    with pytest.raises(StoppedError):
        preprocess._cut(frames, 0, 20, Reporter())
    assert list(tmp_path.iterdir()) == [frames] and frames.read_bytes() == (data / "frames.mp4").read_bytes()


@pytest.mark.parametrize("damage", ["torn", "empty", "foreign", "misdirected"])
def test_damaged_landmarks_are_named(data, tmp_path, damage):
    torn = shutil.copytree(data, tmp_path / "torn")
    path = torn / "landmarks.npz"
    whole = path.read_bytes()
    if damage == "foreign":
        np.savez(path, points=np.zeros((3, 478, 3)))
    else:  # the last: where the archive's directory lies is the 6th to 3rd byte from the end
        path.write_bytes({"torn": whole[:5000], "empty": b"", "misdirected": whole[:-6] + b"\xff" * 4 + whole[-2:]}[damage])
    with pytest.raises(InputError) as raised:
        dataset.Dataset.load(torn)
    assert raised.value.code == "dataset_incomplete" and "landmarks.npz" in str(raised.value)


def test_an_account_of_something_else_is_no_dataset_of_this_video(talker_clip, data, tmp_path, monkeypatch):
    folder = shutil.copytree(data, tmp_path / "data")
    (folder / "dataset.json").write_text('{"name": "another program\'s"}')
    monkeypatch.setattr(preprocess, "_make", lambda *_: {"made": True})
    assert preprocess.preprocess(talker_clip, folder, Reporter()) == {"made": True}


def test_a_gpu_without_room_is_no_damaged_model(model, tmp_path, monkeypatch, capfd):
    def full(*_arguments, **_more):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    words = ("render", "--model", model, "--split", "val", "--out", tmp_path / "o.mp4", "--device", "cpu")
    monkeypatch.setattr(PlaneRenderer, "layer", full)
    code, _, last = geneface(capfd, *words)
    assert (code, last["code"]) == (64, "out_of_memory") and not (tmp_path / "o.mp4").exists()
    monkeypatch.setattr(PlaneRenderer, "load", full)
    code, _, last = geneface(capfd, *words)
    assert (code, last["code"]) == (64, "out_of_memory")


@pytest.mark.parametrize("name", ["motion.safetensors", "plane.safetensors", "person.safetensors"])
def test_a_damaged_model_is_refused(model, tmp_path, name):
    torn = shutil.copytree(model, tmp_path / "torn")
    (torn / name).write_bytes((torn / name).read_bytes()[:100])
    with pytest.raises(InputError) as raised:
        Avatar.load(torn, torch.device("cpu"))
    assert raised.value.code == "model_incomplete"


def test_a_model_of_another_version_is_refused(model, tmp_path):
    older = shutil.copytree(model, tmp_path / "older")
    manifest = json.loads((older / "model.json").read_text())
    (older / "model.json").write_text(json.dumps({**manifest, "version": avatar.VERSION - 1}))
    with pytest.raises(InputError) as raised:
        Avatar.load(older, torch.device("cpu"))
    assert raised.value.code == "model_version_unknown"


def test_a_model_of_other_features_is_refused(model, tmp_path, monkeypatch):
    loaded = Avatar.load(model, torch.device("cpu"))
    monkeypatch.setattr(render.driving.features_named("mel").__class__, "dim", 40)
    with pytest.raises(InputError) as raised:
        render.driving.predicted(loaded, np.ones(16_000, np.float32), 0)
    assert raised.value.code == "audio_features_mismatch"


@pytest.mark.parametrize("epochs", [0, -1, 10**6])
def test_epochs_have_bounds(epochs):
    with pytest.raises(InputError) as raised:
        renderers.named("plane").settings("quick").with_epochs(epochs, 100)
    assert raised.value.code == "epochs_invalid"
    assert renderers.named("plane").settings("quick").with_epochs(3, 100).steps == (39,)


def test_a_short_clip_takes_fewer_steps():
    settings = renderers.named("plane").settings("cpu")
    assert settings.with_epochs(None, 10_000).steps == settings.steps
    assert settings.with_epochs(None, 100).steps == (32 * 13,)


def test_an_unknown_renderer_is_named():
    with pytest.raises(InputError) as raised:
        renderers.named("sparkle")
    assert raised.value.code == "renderer_unknown"


def test_the_command_line_says_what_it_does(tmp_path, capfd):
    code, described, _ = geneface(capfd, "preprocess", "--describe")
    assert code == 0 and set(described) == {"version", "options", "options_hash"} and len(described["options_hash"]) == 64
    (tmp_path / "v.mp4").write_text("no video")
    code, _, words = geneface(capfd, "preprocess", "--video", tmp_path / "v.mp4", "--data", tmp_path / "d")
    assert (code, words["code"]) == (64, "unsupported_media") and not (tmp_path / "d").exists()
    code, _, words = geneface(capfd, "train", "--data", tmp_path, "--out", tmp_path / "o")
    assert (code, words["code"]) == (64, "dataset_incomplete") and not (tmp_path / "o").exists()


def test_a_device_that_does_not_exist_is_refused(data, tmp_path, capfd):
    code, _, words = geneface(capfd, "train", "--data", data, "--out", tmp_path / "o", "--device", "gpu7")
    assert (code, words["code"]) == (64, "device_unavailable")


def test_asking_which_dataset_would_come_out_is_quick():
    code = "import sys, geneface.__main__ as m; m.main(['preprocess', '--describe']); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)


def test_the_crop_is_as_it_is_or_around_the_face():
    whole = Survey(np.tile([140.0, 120, 230, 266], (10, 1)), 1, 0, 10)
    assert crop_of(whole, 512, 512) == (0, 0, 512, 512)
    small = Survey(np.tile([400.0, 500, 265, 309], (10, 1)), 1, 0, 10)
    x, y, side, _ = crop_of(small, 1080, 1920)
    assert 500 < side < 760 and x <= 400 and x + side >= 665 and y <= 500 and y + side >= 809


def test_sound_is_fitted_to_the_frames():
    samples = np.arange(10 * 640, dtype=np.float32)
    assert np.array_equal(preprocess.fitted(samples, 2, 5), samples[1280:3200])
    assert preprocess.fitted(samples, 8, 12).tolist()[-1280:] == [0.0] * 1280
