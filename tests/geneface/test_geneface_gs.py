import math

import numpy as np
import pytest
import torch
from geneface_person import shape
from geneface_whole_person import write_whole_dataset

from geneface import checkpoints, render, train
from geneface.avatar import Avatar
from geneface.face.geometry import Pose
from geneface.face.person import aperture
from geneface.profiles import MotionTraining, Profile
from geneface.renderers import Views
from geneface.renderers.gs import blend
from geneface.renderers.gs.blend import Splats, blended
from geneface.renderers.gs.mesh import response, spread, triangulated
from geneface.renderers.gs.model import Gaussians, GsDims, covariances
from geneface.renderers.gs.training import GsSettings, sight_of
from steps.progress import Reporter

TINY = GsSettings(64, (160,), 2, 4e-3, face=400, hair=250, torso=250)
PROFILE = Profile("tiny", "mel", MotionTraining(2, batch=2, frames=32))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_whole_dataset(tmp_path_factory.mktemp("gs") / "data")


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gs") / "model"
    return folder, train.train(data, folder, train.Options(PROFILE, device="cpu", renderer="gs", settings=TINY), Reporter())


def splats(count, size, seed=0, dtype=torch.float32):
    """Random ones, some outside the picture."""
    torch.manual_seed(seed)
    half = torch.randn(count, 2, 2, dtype=dtype) * 1.5
    place = torch.rand(count, 2, dtype=dtype) * (size + 20) - 10
    colour, opacity = torch.rand(count, 3, dtype=dtype), torch.rand(count, dtype=dtype) * 0.7
    return Splats(place, torch.rand(count, dtype=dtype), half @ half.transpose(1, 2), colour, opacity)


def by_hand(given, size):
    """One Gaussian after the other over the whole picture, in float64."""
    x, y = (np.stack(np.meshgrid(np.arange(size), np.arange(size))) + 0.5).astype(float)
    colour, through = np.zeros((3, size, size)), np.ones((size, size))
    for g in given.depth.argsort().tolist():
        spread = given.spread[g].double().numpy() + blend.BLUR * np.eye(2)
        offset = np.stack([x - float(given.place[g, 0]), y - float(given.place[g, 1])], -1)
        power = -0.5 * np.einsum("hwi,ij,hwj->hw", offset, np.linalg.inv(spread), offset)
        alpha = np.minimum(float(given.opacity[g]) * np.exp(power), blend.MOST_ALPHA)
        alpha[alpha < blend.LEAST_ALPHA] = 0
        colour += through * alpha * given.colour[g].double().numpy()[:, None, None]
        through = through * (1 - alpha)
    return colour, 1 - through


@pytest.mark.parametrize(("count", "size"), [(60, 32), (200, 30), (1, 16)])
def test_tiles_blend_as_one_after_the_other(count, size, monkeypatch):
    monkeypatch.setattr(blend, "REACH", 3.5)
    given = splats(count, size)
    colour, alpha = blended(given, size)
    wanted, covered = by_hand(given, size)
    assert np.abs(colour.numpy() - wanted).max() < 5e-3 and np.abs(alpha[0].numpy() - covered).max() < 5e-3


def test_nothing_in_sight_is_transparent():
    given = splats(5, 16)
    away = Splats(given.place + 500, given.depth, given.spread, given.colour, given.opacity)
    colour, alpha = blended(away, 16)
    assert colour.abs().max() == 0 and alpha.abs().max() == 0


def test_the_nearer_hides_the_farther():
    spread = torch.eye(2).repeat(2, 1, 1) * 4
    place, colour = torch.full((2, 2), 8.5), torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    for near in (0, 1):
        depth = torch.tensor([1.0, 1.0])
        depth[near] = 0.5
        drawn, _ = blended(Splats(place, depth, spread, colour, torch.full((2,), 0.9)), 16)
        assert drawn[:2, 8, 8].argmax() == near


def test_gradients_are_those_of_differences():
    given = splats(6, 8, dtype=torch.double)
    inputs = [t.clone().requires_grad_(True) for t in (given.place, given.spread, given.colour, given.opacity)]

    def drawn(place, spread, colour, opacity):
        return torch.cat(blended(Splats(place, given.depth, spread, colour, opacity), 8))

    assert torch.autograd.gradcheck(drawn, inputs, atol=1e-4)


def test_gsplat_is_asked_only_on_cuda(monkeypatch):
    monkeypatch.setattr(blend, "with_gsplat", lambda: pytest.fail("asked"))
    assert blended(splats(3, 8), 8)[0].shape == (3, 8, 8)


def test_covariances_are_turned_scales():
    quarter = torch.tensor([[math.cos(math.pi / 4), 0, 0, math.sin(math.pi / 4)]]) * 3
    found = covariances(torch.tensor([[1.0, 2, 3]]).log(), quarter)[0]
    assert torch.allclose(found, torch.diag(torch.tensor([4.0, 1, 9])), atol=1e-4)


def test_triangles_are_delaunay_and_cover_the_face():
    points = shape()
    triangles = triangulated(points)
    flat = points[:, :2]
    a, b, c = (flat[triangles[:, k]] for k in range(3))
    area = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]).sum() / 2
    assert set(triangles.ravel()) == set(range(478))
    assert area == pytest.approx(_hull_area(flat), rel=0.03)
    assert len(triangles) == pytest.approx(2 * 478, abs=60)


def _hull_area(points):
    """Area of the convex hull, by its support in many directions."""
    angle = np.linspace(0, 2 * np.pi, 4000)
    support = (points @ np.stack([np.cos(angle), np.sin(angle)])).max(0)
    slope = np.gradient(support, angle)
    return 0.5 * np.trapezoid(support**2 - slope**2, angle)


def test_places_lie_on_the_mesh():
    points, rng = shape(), np.random.default_rng(0)
    weights, chosen = spread(points, triangulated(points), 500, rng)
    assert weights.shape == (500, 3) and np.allclose(weights.sum(1), 1, atol=1e-5) and (weights >= 0).all()
    assert len(np.unique(chosen)) > 200


def test_the_mesh_answers_to_the_motion():
    rng = np.random.default_rng(0)
    real = rng.normal(0, 1, (111, 30)).astype(np.float32)
    lower = rng.normal(0, 1, (400, 111)).astype(np.float32)
    still = rng.normal(0, 50, (10, 3)).astype(np.float32)
    found = response(lower, still + (lower @ real).reshape(-1, 10, 3), still)
    assert np.corrcoef(found.ravel(), real.ravel())[0, 1] > 0.99


def test_gaussians_lie_where_the_pose_takes_their_mesh():
    torch.manual_seed(0)
    model = Gaussians(GsDims(64, 128, face=20, hair=5, torso=7, points=30))
    model.shape.copy_(torch.randn(30, 3) * 60)
    model.corners.copy_(torch.arange(20)[:, None].expand(20, 3))
    model.weights.copy_(torch.tensor([0.2, 0.3, 0.5]).expand(20, 3))
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)) * 0.1 + np.eye(3))
    turn *= np.sign(np.diag(turn))
    pose = Pose(np.float32([0.2]), turn[None].astype(np.float32), np.float32([[60, 50, 3]]))
    views = Views(pose, np.zeros((1, 111), np.float32), np.full((1, 2), 0.3, np.float32))
    (drawn,) = model(sight_of(views, 128, torch.device("cpu")))
    wanted = (pose.project(model.shape[:20].numpy())[0, :, :2] + 0.5) / 2
    assert np.allclose(drawn.place[:20].detach().numpy(), wanted, atol=1e-3)
    assert torch.allclose(drawn.spread[0], torch.eye(2) * 0.1**2, atol=1e-5)
    assert (drawn.depth[25:] > drawn.depth[:25].max()).all() and len(drawn.colour) == 32


def test_training_learns(trained):
    _, report = trained
    assert report["gs"]["steps"] == 160 and report["gs"]["gaussians"] == 900 and report["gs"]["blend"] == "torch"
    assert report["gs"]["loss"] < 0.06


def test_the_drawn_mouth_follows_its_driver(trained):
    """Darkness at the mouth against the aperture that drives it; the frames' own mouths do not matter."""
    loaded = Avatar.load(trained[0], torch.device("cpu"))
    real = render.driving.truth(loaded)
    chosen = np.linspace(0, 59, 24).astype(int)
    gap = aperture(loaded.person.motion(real))[chosen]
    points = loaded.dataset.points[chosen, 13, :2].round().astype(int)
    composer = render._composer(loaded, "#ffffff")
    for lower, driver in ((real[chosen], gap), (real[chosen][::-1].copy(), gap[::-1])):
        frames = np.stack(list(render.drawn(loaded, render.Scene(chosen, [lower], dict), composer))).astype(float)
        dark = [-f[y : y + 7, x - 4 : x + 5].mean() for f, (x, y) in zip(frames, points, strict=True)]
        assert np.corrcoef(dark, driver)[0, 1] > 0.85


def test_the_person_is_opaque_and_the_ground_is_the_ground(trained):
    loaded = Avatar.load(trained[0], torch.device("cpu"))
    scene = render.Scene(np.arange(2), [render.driving.truth(loaded)[:2]], dict)
    red = np.stack(list(render.drawn(loaded, scene, render._composer(loaded, "#ff0000")))).astype(int)
    blue = np.stack(list(render.drawn(loaded, scene, render._composer(loaded, "#0000ff")))).astype(int)
    through = np.abs(red - blue).max(-1) / 255
    x, y = loaded.dataset.points[0, [234, 454, 2], :2].mean(0).round().astype(int)
    assert through[:, y - 16 : y + 16, x - 12 : x + 12].mean() < 0.08
    assert through[:, :8].min() > 0.9 and through[:, 118:126, 50:80].mean() < 0.15


def test_a_stopped_training_ends_as_if_it_had_not_been(data, tmp_path, monkeypatch):
    small = GsSettings(32, (8,), 2, 3e-3, face=100, hair=60, torso=60)
    wanted = train.Options(PROFILE, device="cpu", renderer="gs", settings=small)
    train.train(data, tmp_path / "whole", wanted, Reporter())
    original = train.loop._update

    def update(trained, step, seed, calm=1.0):
        if trained.name == "gs" and step == 5:
            raise KeyboardInterrupt
        return original(trained, step, seed, calm)

    monkeypatch.setattr(train.loop, "_update", update)
    monkeypatch.setattr(train.loop, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        train.train(data, tmp_path / "stopped", wanted, Reporter())
    assert checkpoints.newest(tmp_path / "stopped" / "checkpoints", ("motion", "gs")).step == 5
    monkeypatch.setattr(train.loop, "_update", original)
    train.train(data, tmp_path / "stopped", wanted, Reporter())
    whole, stopped = ((tmp_path / folder / "gs.safetensors").read_bytes() for folder in ("whole", "stopped"))
    assert whole == stopped
