import json
import os
import shutil
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from geneface_person import signal, sound, write_dataset

from geneface import avatar, checkpoints, dataset, held_out, preprocess, render, renderers, train
from geneface.__main__ import main
from geneface.avatar import Avatar
from geneface.face.framing import crop_of
from geneface.face.person import aperture
from geneface.motion import driving
from geneface.renderers import base_frames
from geneface.renderers.plane.renderer import PlaneRenderer
from media import audio, video
from media.errors import AudioSilent
from media.faces import Survey
from media.probe import probe
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
    assert report["plane"]["steps"] == 40 and report["fallbacks"] == []
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


@pytest.mark.parametrize("seconds", [0.3, 2.01, 12.0])
def test_a_rendering_is_as_long_as_the_sound(model, tmp_path, seconds):
    samples = sound(signal(int(seconds * 25) + 1, seed=7))[: int(seconds * 16_000)]
    audio.write_wav(tmp_path / "a.wav", samples)
    report = render.render_audio(model, tmp_path / "a.wav", tmp_path / "o.mp4", 3, "cpu", Reporter())
    info = probe(tmp_path / "o.mp4")
    assert abs(info.video.frames / 25 - seconds) <= 0.04 and (info.video.width, info.video.height) == (128, 128)
    assert info.audio is not None and "AI-generated" in info.tags["comment"]
    assert report["visible_label"] and json.loads((tmp_path / "o.report.json").read_text()) == report


def test_a_rendering_sounds_as_its_recording(model, tmp_path):
    """The method hears 16 kHz; people hear what was recorded."""
    time = np.arange(48_000) / 48_000
    bright = 0.3 * np.sin(2 * np.pi * 11_000 * time) + 0.2 * np.sin(2 * np.pi * 300 * time)
    audio.write_wav(tmp_path / "a.wav", bright, 48_000)
    render.render_audio(model, tmp_path / "a.wav", tmp_path / "o.mp4", 0, "cpu", Reporter())
    spectrum = np.abs(np.fft.rfft(audio.read(tmp_path / "o.mp4", 48_000)[:48_000]))
    assert spectrum[10_990:11_010].max() > 0.8 * spectrum[290:310].max()


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


def test_the_label_can_be_turned_off_and_the_seed_chooses_the_frames(model, tmp_path, monkeypatch):
    monkeypatch.setenv("GENEFACE_VISIBLE_LABEL", "off")
    audio.write_wav(tmp_path / "a.wav", sound(signal(30, seed=7)))
    made = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        report = render.render_audio(model, tmp_path / "a.wav", tmp_path / f"{name}.mp4", seed, "cpu", Reporter())
        made[name] = np.stack(list(video.frames(tmp_path / f"{name}.mp4")))
        assert not report["visible_label"]
    assert np.array_equal(made["a"], made["b"]) and not np.array_equal(made["a"], made["c"])


@pytest.mark.parametrize("motion", ["truth", "predicted", "constant", "swap"])
def test_held_out_renderings(model, tmp_path, motion):
    out = tmp_path / "o.mp4"
    report = render.render_held_out(model, motion, out, 0, "cpu", Reporter())
    assert report["frames"] == 20 and not report["visible_label"] and report["pasted_back"]
    real = np.stack(list(video.frames(tmp_path / "o.truth.mp4")))
    drawn = np.stack(list(video.frames(out)))
    assert real.shape == drawn.shape == (20, 128, 128, 3)
    assert np.abs(real.astype(int) - drawn)[:, :40].mean() < 2.0
    assert (tmp_path / "o.driver.mp4").exists() == (motion == "swap")
    assert probe(tmp_path / "o.truth.mp4").audio is not None


def test_the_drawn_mouth_follows_its_driver_and_not_its_frame(model):
    loaded = Avatar.load(model, torch.device("cpu"))
    real = render.driving.truth(loaded)
    gap = aperture(loaded.person.motion(real))
    shut, wide = (np.stack(list(render.drawn(loaded, _scene(real[i])))).astype(int) for i in (gap.argmin(), gap.argmax()))
    lips = loaded.dataset.points[:20, 13:15, :2].mean(1).round().astype(int)
    inside = [
        (a[y : y + 3, x - 2 : x + 3].mean(), b[y : y + 3, x - 2 : x + 3].mean())
        for a, b, (x, y) in zip(shut, wide, lips, strict=True)
    ]
    assert all(closed > opened + 15 for closed, opened in inside)


def test_a_tail_that_rests_finds_a_driver_too():
    moving = np.sin(np.arange(100.0))
    assert driving.swap_driver(np.concatenate([moving, np.zeros(10)]), 100) == 0
    assert driving.swap_driver(np.concatenate([moving, moving[:10]]), 100) > 0


def _scene(lower):
    return render.Scene(np.arange(20), [np.repeat(lower[None], 20, 0)], dict)


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


def test_a_short_clip_is_not_learned_by_heart():
    settings = renderers.named("plane").settings("cpu")
    assert settings.with_epochs(None, 10_000).steps == settings.steps
    assert settings.with_epochs(None, 100).steps == (16 * 13,)


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


def test_frames_run_forth_and_back(tmp_path):
    assert base_frames.schedule(4, 2, np.zeros(9, bool)).tolist() == [2, 3, 2, 1, 0, 1, 2, 3, 2]
    assert base_frames.schedule(1, 0, np.zeros(3, bool)).tolist() == [0, 0, 0]
    data = write_dataset(tmp_path / "d", frames=70)
    straight = np.stack(list(video.frames(data / "frames.mp4")))
    numbers = base_frames.schedule(70, 60, np.zeros(90, bool))
    assert np.array_equal(np.stack(list(base_frames.read(data / "frames.mp4", numbers))), straight[numbers])


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


def test_the_head_holds_still_in_a_long_silence_and_never_jumps():
    silence = np.zeros(400, bool)
    silence[100:300] = silence[350:380] = True
    numbers = base_frames.schedule(500, 20, silence)
    assert (np.abs(np.diff(numbers)) == 1).all()
    assert np.ptp(numbers[155:300]) <= 2 * base_frames.STILL
    assert np.ptp(numbers[:100]) == 99 and np.ptp(numbers[301:]) == 98


def test_windows_join_without_a_seam(model):
    """Three windows are the same motion as one."""
    loaded = Avatar.load(model, torch.device("cpu"))
    loud = sound(signal(450, seed=7))
    pieces = list(driving.Prediction(loaded, loud, 0))
    assert [len(piece) for piece in pieces] == [100, 350]
    prediction = driving.Prediction(loaded, loud, 0)
    whole = prediction._heard(0, 450)
    parts = np.concatenate([prediction._heard(0, 100), prediction._heard(100, 300), prediction._heard(300, 450)])
    assert np.abs(whole - parts).max() < 1e-3 * np.abs(whole).max()


def test_a_preview_is_the_beginning(model, tmp_path):
    """Of the whole rendering: motion and head are the same."""
    audio.write_wav(tmp_path / "a.wav", sound(signal(150, seed=7)))
    words = ["render", "--model", model, "--audio", tmp_path / "a.wav", "--device", "cpu"]
    for name, more in (("whole", []), ("preview", ["--preview", "2s"])):
        assert main([str(word) for word in [*words, "--out", tmp_path / f"{name}.mp4", *more]]) == 0
    info = probe(tmp_path / "preview.mp4")
    assert info.video.frames == 50 and info.audio is not None and abs(info.audio.seconds - 2) < 0.1
    whole, preview = (np.stack(list(video.frames(tmp_path / f"{n}.mp4", seconds=2))).astype(int) for n in ("whole", "preview"))
    assert np.abs(whole - preview).mean() < 1
    heard, beginning = (audio.read(tmp_path / f"{name}.mp4")[:30_000] for name in ("whole", "preview"))
    assert np.corrcoef(heard, beginning)[0, 1] > 0.99


def test_avatars_and_recordings_in_one_process_do_not_mix(model, data, tmp_path, tiny):
    """Drawn in turn, frame by frame, each is as when it is drawn alone."""
    other = tmp_path / "other"
    train.train(write_dataset(tmp_path / "data", frames=120, seed=4), other, tiny, Reporter())
    avatars = [Avatar.load(folder, torch.device("cpu")) for folder in (model, other)]
    scenes = [(a, sound(signal(30, seed=s))) for a in avatars for s in (7, 8)]
    alone = [np.stack(list(render.drawn(a, render._speaking(a, s, 0)))) for a, s in scenes]
    turns = zip(*(render.drawn(a, render._speaking(a, s, 0)) for a, s in scenes), strict=True)
    together = [np.stack(frames) for frames in zip(*turns, strict=True)]
    assert all(np.array_equal(one, two) for one, two in zip(alone, together, strict=True))


def noises():
    """Six seconds each of what is no clean speech."""
    time, rng = np.arange(6 * 16_000) / 16_000, np.random.default_rng(0)
    syllables = np.clip(np.sin(2 * np.pi * 4 * time), 0, 1)
    chords = sum(np.sin(2 * np.pi * 220 * ratio * time) for ratio in (1, 1.25, 1.5, 2)) * (1 + np.sin(2 * np.pi * 2 * time))
    return {
        "music": 0.1 * chords, "whispering": 0.02 * syllables * rng.normal(size=len(time)),
        "noise": 0.2 * rng.normal(size=len(time)), "hum": 0.3 * np.sin(2 * np.pi * 50 * time),
        "clipping": np.clip(20 * syllables * rng.normal(size=len(time)), -1, 1),
    }  # fmt: skip


@pytest.mark.parametrize("kind", list(noises()))
def test_any_sound_gives_a_mouth_of_the_person(model, kind):
    """The aperture stays in the person's range, and a sound without syllables makes it tremble no more than speech does."""
    loaded = Avatar.load(model, torch.device("cpu"))
    lower, _ = driving.predicted(loaded, noises()[kind].astype(np.float32), 0)
    gap, real = (aperture(loaded.person.motion(motion)) for motion in (lower, driving.truth(loaded)))
    margin = 0.2 * np.ptp(real)
    assert len(gap) == 150 and gap.min() > real.min() - margin and gap.max() < real.max() + margin
    if kind in ("music", "noise", "hum"):
        assert np.abs(np.diff(gap, 2)).mean() < 1.5 * np.abs(np.diff(real, 2)).mean()


def test_an_hour_takes_no_more_memory_than_minutes(model):
    """Beside the sound itself: motion is made window by window."""
    loaded = Avatar.load(model, torch.device("cpu"))
    peaks = []
    for minutes in (5, 60):
        loud = np.resize(sound(signal(450, seed=7)), minutes * 60 * 16_000)
        tracemalloc.start()
        prediction = driving.Prediction(loaded, loud, 0)
        assert [len(window) for window in islice(prediction, 3)] == [100, 500, 500]
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 0.1 * (55 * 60 * 16_000 * 4)
