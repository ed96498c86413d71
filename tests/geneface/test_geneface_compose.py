import json

import numpy as np
import pytest
import torch
from geneface_person import SIDE, signal, sound
from geneface_whole_person import picture, plate, shares, write_whole_dataset

from geneface import render, train
from geneface.__main__ import main
from geneface.avatar import Avatar
from geneface.dataset import Dataset
from geneface.face.geometry import Pose
from geneface.face.person import Person, pose_free
from geneface.face.region import anchor, depth, place
from geneface.profiles import MotionTraining, Profile
from geneface.renderers import Layer, Views, compose
from geneface.renderers.compose import Background, Composer
from geneface.renderers.gs.training import GsSettings
from geneface.renderers.plane.training import PlaneSettings
from geneface.renderers.whole import chances_of, pose_vector, whole_frame, whole_layer
from media import audio, video
from media.errors import UnsupportedPicture
from media.png import write_png
from media.probe import probe
from steps.errors import InputError
from steps.progress import Reporter

PROFILE = Profile("tiny", "mel", MotionTraining(2, batch=2, frames=32))
SETTINGS = {
    "plane": PlaneSettings(32, (2,), 8, 1e-3, widths=(8, 16)),
    "gs": GsSettings(32, (4,), 2, 2e-3, face=200, hair=100, torso=100),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_whole_dataset(tmp_path_factory.mktemp("compose") / "data")


@pytest.fixture(scope="module")
def models(data, tmp_path_factory):
    """A barely trained model of each kind: one draws the lower face, one all of the person."""
    folder = tmp_path_factory.mktemp("compose")
    for name, settings in SETTINGS.items():
        train.train(data, folder / name, train.Options(PROFILE, device="cpu", renderer=name, settings=settings), Reporter())
    return {name: folder / name for name in SETTINGS}


def held_out(model, tmp_path, background):
    report = render.render_held_out(model, "truth", tmp_path / "o.mp4", 0, "cpu", Reporter(), background)
    return report, np.stack(list(video.frames(tmp_path / "o.mp4"))), np.stack(list(video.frames(tmp_path / "o.truth.mp4")))


def test_a_whole_layer_covers_the_frame_to_its_edges():
    colour, alpha = torch.rand(1, 3, 16, 16), torch.ones(1, 1, 16, 16)
    laid = compose.paste(np.zeros((1, 64, 64, 3), np.uint8), whole_layer(colour, alpha, 64))
    bare = compose.paste(np.full((1, 64, 64, 3), 255, np.uint8), whole_layer(colour, alpha, 64))
    assert np.array_equal(laid, bare)
    small = laid[0].reshape(16, 4, 16, 4, 3).mean((1, 3)) / 255
    assert np.corrcoef(small.ravel(), colour[0].permute(1, 2, 0).numpy().ravel())[0, 1] > 0.97


def test_an_edge_does_not_darken_when_it_is_enlarged():
    alpha = torch.zeros(1, 1, 16, 16)
    alpha[..., :8] = 1
    white = whole_layer(alpha.expand(1, 3, 16, 16), alpha, 64)
    laid = compose.paste(np.full((1, 64, 64, 3), 255, np.uint8), white)
    assert laid.min() >= 253


def test_a_whole_frame_is_placed_pixel_on_pixel():
    corners = whole_frame(2, 64).to_picture(np.float32([[[-1, -1], [1, 1], [0, 0]]] * 2))
    assert np.allclose(corners, [[[-0.5, -0.5], [63.5, 63.5], [31.5, 31.5]]] * 2)


def test_the_matting_equation_gives_back_the_person():
    rng = np.random.default_rng(0)
    person, ground = rng.uniform(0, 1, (2, 5, 5, 3)), rng.uniform(0, 1, (5, 5, 3))
    share = rng.uniform(0.1, 1, (2, 5, 5, 1))
    assert np.allclose(compose.foreground(share * person + (1 - share) * ground, share, ground), person, atol=1e-5)


def test_a_person_is_cut_out_of_her_own_frames(data):
    """The made-up frames were put together from the same parts: before another ground they look as made for it."""
    dataset = Dataset.load(data)
    frames = np.stack([frame for _, frame in zip(range(3), video.frames(dataset.frames), strict=False)])
    layers = np.stack([frame for _, frame in zip(range(3), video.frames(dataset.layers), strict=False)])
    ground = np.broadcast_to(np.uint8([250, 0, 250]), (SIDE, SIDE, 3))
    cut = compose.cut_out(frames, layers, dataset.plate(), ground)
    wanted = np.stack([picture(dataset.points[i], ground) for i in range(3)])
    assert np.abs(cut.astype(int) - wanted).mean() < 2.5
    outside = np.stack([shares(dataset.points[i]).sum(-1) == 0 for i in range(3)])
    outside[:, 1:] &= outside[:, :-1]
    assert np.percentile(np.abs(cut.astype(int) - ground)[outside], 95) <= 3


def test_paste_back_changes_the_lower_face_alone(data):
    dataset = Dataset.load(data)
    shape = Person.of(dataset.points).shape
    pose, _ = pose_free(dataset.points[:4], shape)
    frames, full = np.zeros((4, SIDE, SIDE, 3), np.uint8), np.full((4, SIDE, SIDE, 3), 200, np.uint8)
    pasted = compose.paste_back(frames, full, place(pose, anchor(shape)))
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    for i in range(4):
        where = place(pose, anchor(shape))[i : i + 1].to_region(np.stack([x, y], -1).reshape(1, -1, 2))
        inside = depth(torch.from_numpy(where)).reshape(SIDE, SIDE).numpy()
        assert (pasted[i][inside <= 0] == 0).all() and (pasted[i][inside > 0.15] == 200).all()
        assert 0 < (pasted[i] == 200).mean() < 0.5


def test_backgrounds_by_name(data, tmp_path):
    dataset = Dataset.load(data)
    assert Background.named("source", dataset).ground is None
    assert np.array_equal(Background.named("plate", dataset).ground, plate())
    assert (Background.named("#0A10ff", dataset).ground == [10, 16, 255]).all()
    wide = np.zeros((90, 300, 3), np.uint8)
    wide[:, 100:200] = 255
    write_png(tmp_path / "wide.png", wide)
    named = Background.named(str(tmp_path / "wide.png"), dataset)
    assert named.ground.shape == (SIDE, SIDE, 3) and named.ground[:, 4:-4].min() > 240 and named.name == "wide.png"


@pytest.mark.parametrize("words", ["#12345", "green", "no/such.png", "text"])
def test_no_background_is_refused(data, tmp_path, words):
    (tmp_path / "text").write_text("no picture")
    with pytest.raises(InputError) as raised:
        Background.named(str(tmp_path / words) if words == "text" else words, Dataset.load(data))
    assert raised.value.code == "background_invalid"


def test_a_torn_picture_is_refused(tmp_path):
    from media import pictures

    write_png(tmp_path / "a.png", np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    with pytest.raises(UnsupportedPicture):
        pictures.read(tmp_path / "a.png", 8, 8)


@pytest.mark.parametrize("name", list(SETTINGS))
def test_paste_back_keeps_the_source_around_the_face(models, tmp_path, name):
    report, drawn, real = held_out(models[name], tmp_path, "source")
    assert report["pasted_back"] and report["background"] == "source" and report["renderer"] == name
    assert probe(tmp_path / "o.mp4").tags["pasted_back"] == "true"
    assert np.abs(drawn.astype(int) - real)[:, :40].mean() < 2


@pytest.mark.parametrize("name", list(SETTINGS))
def test_full_synthesis_shows_the_ground(models, tmp_path, name):
    report, drawn, real = held_out(models[name], tmp_path, "#10c020")
    assert not report["pasted_back"] and report["background"] == "#10c020"
    assert probe(tmp_path / "o.mp4").tags["pasted_back"] == "false"
    assert np.abs(drawn[:, :10].astype(int) - [16, 192, 32]).mean() < 4
    assert np.abs(drawn.astype(int) - real)[:, :10].mean() > 20


def test_full_synthesis_needs_no_source_frame(models, monkeypatch):
    loaded = Avatar.load(models["gs"], torch.device("cpu"))
    monkeypatch.setattr(render.base_frames, "read", lambda *_: pytest.fail("read"))
    scene = render.Scene(np.arange(3), [render.driving.truth(loaded)[:3]], dict)
    assert len(list(render.drawn(loaded, scene, render._composer(loaded, "plate")))) == 3


def test_frames_do_not_depend_on_the_batch(models, monkeypatch):
    loaded = Avatar.load(models["gs"], torch.device("cpu"))
    scene = render.Scene(np.arange(5), [render.driving.truth(loaded)[:5]], dict)
    together = np.stack(list(render.drawn(loaded, scene)))
    monkeypatch.setattr(render, "BATCH", 2)
    assert np.abs(np.stack(list(render.drawn(loaded, scene))).astype(int) - together).max() <= 1


def test_a_background_from_the_command_line(models, tmp_path, capfd):
    audio.write_wav(tmp_path / "a.wav", sound(signal(20, seed=7)))
    words = ["render", "--model", models["plane"], "--audio", tmp_path / "a.wav", "--out", tmp_path / "o.mp4", "--device", "cpu"]
    assert main([str(word) for word in (*words, "--background", "plate")]) == 0
    assert json.loads(capfd.readouterr().out)["background"] == "plate"
    assert main([str(word) for word in (*words, "--background", "beach")]) == 64
    assert json.loads(capfd.readouterr().err.strip().splitlines()[-1])["code"] == "background_invalid"


def test_the_pose_vector_is_small_and_tells_poses_apart(data):
    dataset = Dataset.load(data)
    pose, _ = pose_free(dataset.points, Person.of(dataset.points).shape)
    vector = pose_vector(pose, SIDE)
    assert vector.shape == (len(dataset), 6) and np.abs(vector).max() < 2
    angle = np.arctan2(pose.rotation[:, 1, 0], pose.rotation[:, 0, 0])
    assert np.allclose(vector[:, 2], np.sin(angle), atol=2e-3)


def test_a_whole_layer_is_laid_over_its_ground():
    """One layer, half covered, before a ground."""

    class Half:
        name, stages, whole = "half", (), True

        def layer(self, views, frames):
            placement = whole_frame(len(views), 32)
            return Layer(torch.ones(len(views), 3, 8, 8), torch.full((1, 1, 8, 8), 0.5), placement)

    ground = np.zeros((32, 32, 3), np.uint8)
    pose = Pose(np.ones(2, np.float32), np.tile(np.eye(3, dtype=np.float32), (2, 1, 1)), np.zeros((2, 3), np.float32))
    views = Views(pose, np.zeros((2, 111), np.float32), np.zeros((2, 2), np.float32))
    made = Composer(Half(), Background("x", ground), ground, np.zeros(3, np.float32))(views, None, None)
    assert made.shape == (2, 32, 32, 3) and set(np.unique(made)) <= {127, 128}


def test_frames_with_shut_eyes_are_drawn_more_often():
    eyes = np.full((100, 2), 0.3, np.float32)
    eyes[:5] = 0.0
    chances = chances_of(eyes)
    assert chances.sum() == pytest.approx(1) and chances[0] / chances[-1] == pytest.approx(7)
