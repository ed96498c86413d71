"""Rendering: lengths, sounds, controls, the frames under the mouth, windows."""

import json
import tracemalloc
from itertools import islice

import numpy as np
import pytest
import torch
from geneface_person import signal, sound, write_dataset

from geneface import render, train
from geneface.__main__ import main
from geneface.avatar import Avatar
from geneface.face.person import aperture
from geneface.motion import driving
from geneface.renderers import base_frames
from media import audio, video
from media.probe import probe
from steps.progress import Reporter


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


def test_frames_run_forth_and_back(tmp_path):
    assert base_frames.schedule(4, 2, np.zeros(9, bool)).tolist() == [2, 3, 2, 1, 0, 1, 2, 3, 2]
    assert base_frames.schedule(1, 0, np.zeros(3, bool)).tolist() == [0, 0, 0]
    data = write_dataset(tmp_path / "d", frames=70)
    straight = np.stack(list(video.frames(data / "frames.mp4")))
    numbers = base_frames.schedule(70, 60, np.zeros(90, bool))
    assert np.array_equal(np.stack(list(base_frames.read(data / "frames.mp4", numbers))), straight[numbers])


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
