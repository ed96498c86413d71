"""How much motion is asked of a renderer."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from geneface import emphasis, render
from geneface.avatar import MANIFEST, Avatar
from geneface.motion import driving
from geneface.renderers import base_frames
from media import mouth
from steps.errors import StoppedError


def test_the_smallest_distance_is_chosen_and_noise_is_not():
    assert emphasis.best({}) == 1.0
    assert emphasis.best({1.0: 2.0, 1.05: 1.9, 1.1: 1.95}) == 1.05
    assert emphasis.best({1.0: 2.0, 1.05: 1.995, 1.1: 2.1}) == 1.0


def test_motion_is_drawn_so_much_larger(model):
    loaded = Avatar.load(model, torch.device("cpu"))
    assert loaded.emphasis == json.loads((model / MANIFEST).read_text())["emphasis"]
    numbers, lower = np.arange(3), np.random.default_rng(0).normal(0, 0.5, (3, len(loaded.person.low))).astype(np.float32)

    def pictures(avatar, motion):
        return np.stack(list(render.drawn(avatar, render.Scene(numbers, [motion], dict))))

    plain, larger = replace(loaded, emphasis=1.0), replace(loaded, emphasis=1.1)
    assert np.array_equal(pictures(larger, lower), pictures(plain, np.float32(1.1) * lower))
    assert not np.array_equal(pictures(larger, lower), pictures(plain, lower))


def test_a_renderer_that_answers_with_too_little_is_asked_for_more(model, monkeypatch):
    """A stand-in for picture and mesh moves the lips by nine tenths of what it is asked."""
    loaded = Avatar.load(model, torch.device("cpu"))
    real, asked = driving.truth(loaded), []

    def found_in(told):
        if not isinstance(told, render.Scene):
            asked.append(told)
            return SimpleNamespace(points=loaded.dataset.points[told])
        numbers = told.numbers
        share = 0.9 * np.median(told.windows[0][real[numbers] != 0] / real[numbers][real[numbers] != 0])
        moved = loaded.dataset.points[numbers].copy()
        middle = moved[:, mouth.LIPS].mean(0)
        moved[:, mouth.LIPS] = middle + share * (moved[:, mouth.LIPS] - middle)
        return SimpleNamespace(points=moved)

    monkeypatch.setattr(emphasis, "landmarks", found_in)
    monkeypatch.setattr(emphasis, "_stoppable", lambda frames: frames)
    monkeypatch.setattr(emphasis, "drawn", lambda _, scene: scene)
    monkeypatch.setattr(base_frames, "read", lambda _, numbers: numbers)
    monkeypatch.setattr(emphasis, "KEPT", 0.2)
    found = emphasis.measured(loaded)
    assert tuple(found) == emphasis.CHOICES and emphasis.best(found) == 1.1
    assert asked[0][-1] < loaded.dataset.trained, "the held-out tail is not looked at"
    monkeypatch.setattr(emphasis, "KEPT", 0.0)
    assert emphasis.measured(loaded) == {}, "too few frames"


def test_a_face_that_the_mesh_does_not_find_changes_nothing(model, monkeypatch):
    monkeypatch.setattr(emphasis, "KEPT", 0.2)
    assert emphasis.measured(Avatar.load(model, torch.device("cpu"))) == {}


def test_a_stop_is_heard_between_frames(model, monkeypatch):
    def stop():
        raise StoppedError

    monkeypatch.setattr(emphasis, "KEPT", 0.2)
    monkeypatch.setattr(emphasis, "check_stop", stop)
    with pytest.raises(StoppedError):
        emphasis.measured(Avatar.load(model, torch.device("cpu")))
