import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from geneface_whole_person import write_whole_dataset

from geneface import checkpoints, render, train
from geneface.avatar import Avatar
from geneface.face.geometry import Pose
from geneface.face.person import aperture
from geneface.profiles import MotionTraining, Profile
from geneface.renderers.nerf import fused
from geneface.renderers.nerf.camera import Cameras, harmonics
from geneface.renderers.nerf.field import HeadField, NerfDims
from geneface.renderers.nerf.grid import Grid
from geneface.renderers.nerf.march import CARVED, Head, Occupancy, transmittance
from geneface.renderers.nerf.torso import Torso
from geneface.renderers.nerf.training import NerfSettings
from steps.progress import Reporter

ROOT = Path(__file__).resolve().parents[2]
TINY = NerfSettings(64, (180, 110), 4, 5e-3, rays=512, levels=6, finest=64, table_log2=13, width=32, samples=12, cells=24)
DIMS = NerfDims(16, 128, levels=4, finest=32, table_log2=9, width=16, samples=16, cells=8)


def options():
    return train.Options(
        Profile("tiny", "mel", MotionTraining(2, batch=2, frames=32)), None, "cpu", renderer="nerf", settings=TINY
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_whole_dataset(tmp_path_factory.mktemp("nerf") / "data")


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("nerf") / "model"
    return folder, train.train(data, folder, options(), Reporter())


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_grid_is_multilinear_in_its_tiled_table(dimensions):
    torch.manual_seed(0)
    grid = Grid(dimensions, 3, 4, 40, 8)
    torch.nn.init.normal_(grid.table)
    points = torch.rand(20, dimensions)
    points[0], points[1] = 0, 1
    with torch.no_grad():
        found = grid(points)
    assert torch.allclose(found, torch.from_numpy(_by_hand(grid, points.numpy())), atol=1e-4)


def _by_hand(grid, points):
    """[N, levels * 2], one corner at a time."""
    table, dimensions = grid.table.detach().numpy().reshape(grid.levels, grid.rows, 2), grid.dimensions
    result = np.zeros((len(points), grid.levels, 2), np.float32)
    for n, point in enumerate(points):
        for level, cells in enumerate(grid.resolution.long().tolist()):
            place = np.float32(point) * np.float32(cells)
            low = np.minimum(np.floor(place), cells - 1).astype(int)
            for corner in np.ndindex(*[2] * dimensions):
                at = low + corner
                share = np.prod(np.where(np.array(corner) == 1, place - low, 1 - (place - low)))
                row = sum(int(a) * (cells + 1) ** axis for axis, a in enumerate(at)) % grid.rows
                result[n, level] += share * table[level, row]
    return result.reshape(len(points), -1)


def test_the_gather_has_autograds_own_gradients():
    torch.manual_seed(0)
    table, weights = torch.randn(10, 2, dtype=torch.double, requires_grad=True), torch.rand(6, 4, dtype=torch.double)
    weights.requires_grad_(True)
    rows = torch.randint(10, (6, 4))
    assert torch.autograd.gradcheck(lambda t, w: fused.weighted_rows(t, rows, w), (table, weights))
    plain = (table[rows] * weights[..., None]).sum(1)
    assert torch.allclose(fused.weighted_rows(table, rows, weights), plain)


KERNELS = """
import torch
from geneface.renderers.nerf import fused
torch.manual_seed(0)
rows = torch.randint(50, (300, 8), dtype=torch.int32)
both = []
for function in (fused._Gather, fused._Fused):
    torch.manual_seed(1)
    table, weights = torch.randn(50, 2, requires_grad=True), torch.rand(300, 8, requires_grad=True)
    found = function.apply(table, rows, weights)
    (found * torch.randn(300, 2)).sum().backward()
    both.append((found.detach(), table.grad, weights.grad))
for plain, fast in zip(*both):
    assert torch.allclose(plain, fast, atol=1e-5), (plain - fast).abs().max()
"""


def test_the_kernels_give_the_same_numbers():
    """In Triton's interpreter: the kernels' arithmetic, not their compiled form."""
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", KERNELS], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_cpu_computes_by_torch():
    assert fused.way(torch.device("cpu")) == "torch"


def test_rays_go_through_what_the_pose_projects():
    rng = np.random.default_rng(0)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)) * 0.1 + np.eye(3))
    turn *= np.sign(np.diag(turn))
    pose = Pose(np.float32([0.4]), turn[None].astype(np.float32), np.float32([[60, 50, 3]]))
    inside = rng.uniform(-80, 80, (30, 3)).astype(np.float32)
    pixels = torch.from_numpy(pose.project(inside)[0, :, :2])
    box = torch.tensor([[-100.0, -100, -100], [200, 200, 200]])
    rays = Cameras.of(pose, torch.device("cpu")).rays(torch.zeros(30, dtype=torch.long), pixels, box)
    wanted = (torch.from_numpy(inside) - box[0]) / box[1]
    along = ((wanted - rays.origin) * rays.direction).sum(1) / rays.direction.square().sum(1)
    assert torch.allclose(rays.origin + along[:, None] * rays.direction, wanted, atol=1e-4)
    assert ((along > rays.near) & (along < rays.far)).all()
    for edge in (rays.near, rays.far):
        at = rays.origin + edge[:, None] * rays.direction
        assert torch.allclose((at - 0.5).abs().amax(1), torch.full((30,), 0.5), atol=1e-4)


def test_harmonics_are_orthonormal():
    direction = torch.nn.functional.normalize(torch.randn(200_000, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    values = harmonics(direction)
    product = 4 * math.pi * values.T @ values / len(direction)
    assert torch.allclose(product, torch.eye(16), atol=0.06)


def test_light_that_is_left():
    alpha = torch.tensor([[0.5, 0.25, 1.0, 0.7]])
    assert torch.allclose(transmittance(alpha), torch.tensor([[1, 0.5, 0.375, 0]]))


@pytest.fixture
def fog(monkeypatch):
    """A head of one density and one colour everywhere."""
    head = Head(DIMS).eval()

    def sigma(points, frame, code):
        return torch.full((len(points),), 3.0), torch.zeros(len(points), 32), torch.zeros(len(points), 2)

    monkeypatch.setattr(head.field, "sigma", sigma)
    monkeypatch.setattr(head.field, "colour", lambda geometry, frame, view: torch.full((len(frame), 3), 0.25))
    return head


def _straight(pixels):
    """A camera that looks along z at the box's middle, one pixel a face unit; where it looks."""
    pose = Pose(np.float32([1]), np.eye(3, dtype=np.float32)[None], np.float32([[0, 0, 0]]))
    return Cameras.of(pose, torch.device("cpu")), torch.zeros(len(pixels), dtype=torch.long), pixels


def test_fog_hides_by_its_depth(fog):
    fog.occupancy.density.fill_(3.0)
    rays = _straight(torch.tensor([[0.0, 0.0], [1000.0, 0.0]]))
    colour, alpha = fog.see(*rays, torch.zeros(1, 64))
    assert alpha.tolist() == pytest.approx([1 - math.exp(-3.0), 0.0], abs=1e-5)
    assert colour[0].tolist() == pytest.approx([0.25 * (1 - math.exp(-3.0))] * 3, abs=1e-5)
    drawn = fog.draw(*rays, torch.zeros(1, 64))
    assert torch.allclose(drawn.colour, colour, atol=1e-5) and torch.allclose(drawn.alpha, alpha, atol=1e-5)


def test_what_is_empty_is_passed_by(fog):
    cells = DIMS.cells
    front = torch.arange(cells**3) < cells**3 // 2
    fog.occupancy.carve(front)
    _, alpha = fog.see(*_straight(torch.tensor([[0.0, 0.0]])), torch.zeros(1, 64))
    assert float(alpha[0]) == pytest.approx(1 - math.exp(-1.5), abs=1e-5)


def test_drawing_ends_where_nothing_shines_through(fog, monkeypatch):
    looked = []

    def sigma(points, frame, code):
        looked.append(len(points))
        return torch.full((len(points),), 1e4), torch.zeros(len(points), 32), torch.zeros(len(points), 2)

    monkeypatch.setattr(fog.field, "sigma", sigma)
    fog.see(*_straight(torch.zeros(5, 2)), torch.zeros(1, 64))
    assert looked == [5 * 6]


def test_occupancy_forgets_what_is_not_there_and_keeps_what_is():
    torch.manual_seed(0)

    class Ball(HeadField):
        def sigma(self, points, frame, code):
            return torch.where((points - 0.5).norm(dim=1) < 0.3, 50.0, 0.0), None, None

    occupancy = Occupancy(16)
    corner = torch.zeros(16**3, dtype=torch.bool)
    corner[0] = True
    occupancy.carve(corner)
    occupancy.refresh(Ball(DIMS), torch.zeros(2, 64), 1 << 20)
    centres = occupancy.centres(torch.arange(16**3))
    distance = (centres - 0.5).norm(dim=1)
    full = occupancy.at(centres)
    assert full[distance < 0.3].all() and not full[distance > 0.3 + 2.5 * 3**0.5 / 16].any()
    assert occupancy.density[0] == CARVED


def test_gradients_reach_every_part_of_the_field():
    torch.manual_seed(0)
    field = HeadField(DIMS)
    for grid in (field.grid, field.ambient_grid):
        torch.nn.init.normal_(grid.table)
    code = field.code(torch.randn(3, 111), torch.full((3, 2), 0.2))
    frame = torch.randint(3, (50,))
    density, geometry, ambient = field.sigma(torch.rand(50, 3), frame, code)
    colour = field.colour(geometry, frame, torch.nn.functional.normalize(torch.randn(3, 3), dim=1))
    (density.sum() + colour.square().sum() + ambient.sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in field.parameters())
    assert density.shape == (50,) and colour.shape == (50, 3) and ambient.abs().max() <= 1


def test_the_torso_bends_with_the_head():
    torch.manual_seed(0)
    torso = Torso(DIMS)
    torch.nn.init.normal_(torso.grid.table)
    torch.nn.init.normal_(torso.bend[-1].weight)
    points, frame = torch.rand(10, 2), torch.zeros(10, dtype=torch.long)
    still, turned = (torso(points, frame, torch.full((1, 6), pose))[0] for pose in (0.0, 0.2))
    assert (still - turned).abs().max() > 1e-3


def test_training_learns(trained):
    _, report = trained
    assert report["nerf_head"]["steps"] == 180 and report["nerf_torso"]["steps"] == 110
    assert report["nerf_head"]["loss"] < 0.02 and report["nerf_torso"]["loss"] < 0.03
    assert 0.02 < report["nerf_head"]["occupied"] < 0.9


def test_the_drawn_mouth_follows_its_driver(trained):
    """Darkness at the mouth against the aperture that drives it; the frames' own mouths do not matter."""
    loaded = Avatar.load(trained[0], torch.device("cpu"))
    real = render.driving.truth(loaded)
    chosen = np.linspace(0, 59, 24).astype(int)
    gap = aperture(loaded.person.motion(real))[chosen]
    backwards = real[chosen][::-1].copy()
    points = loaded.dataset.points[chosen]
    composer = render._composer(loaded, "#ffffff")
    for lower, driver in ((real[chosen], gap), (backwards, gap[::-1])):
        scene = render.Scene(chosen, [lower], dict)
        frames = np.stack(list(render.drawn(loaded, scene, composer))).astype(float)
        dark = [-f[y : y + 7, x - 4 : x + 5].mean() for f, (x, y) in zip(frames, _lips(points), strict=True)]
        assert np.corrcoef(dark, driver)[0, 1] > 0.8


def _lips(points):
    return points[:, 13, :2].round().astype(int)


def test_the_person_is_opaque_and_the_ground_is_the_ground(trained):
    loaded = Avatar.load(trained[0], torch.device("cpu"))
    scene = render.Scene(np.arange(2), [render.driving.truth(loaded)[:2]], dict)
    red = np.stack(list(render.drawn(loaded, scene, render._composer(loaded, "#ff0000")))).astype(int)
    blue = np.stack(list(render.drawn(loaded, scene, render._composer(loaded, "#0000ff")))).astype(int)
    through = np.abs(red - blue).max(-1) / 255
    x, y = loaded.dataset.points[0, [234, 454, 2], :2].mean(0).round().astype(int)
    assert through[:, y - 16 : y + 16, x - 12 : x + 12].max() < 0.1
    assert through[:, :8].min() > 0.9 and through[:, 122:, 50:80].max() < 0.15


def test_a_stopped_training_ends_as_if_it_had_not_been(data, tmp_path, monkeypatch):
    small = NerfSettings(32, (24, 6), 2, 5e-3, rays=128, levels=4, finest=32, table_log2=10, width=16, samples=8, cells=12)
    wanted = train.Options(options().profile, device="cpu", renderer="nerf", settings=small)
    train.train(data, tmp_path / "whole", wanted, Reporter())
    original = train.loop._update
    for stage, at in (("nerf_head", 19), ("nerf_torso", 3)):

        def update(trained, step, seed, calm=1.0, stage=stage, at=at):
            if trained.name == stage and step == at:
                raise KeyboardInterrupt
            return original(trained, step, seed, calm)

        monkeypatch.setattr(train.loop, "_update", update)
        monkeypatch.setattr(train.loop, "CHECKPOINT_SECONDS", 0.0)
        with pytest.raises(KeyboardInterrupt):
            train.train(data, tmp_path / "stopped", wanted, Reporter())
        assert checkpoints.newest(tmp_path / "stopped" / "checkpoints", ("motion", "nerf_head", "nerf_torso")).step == at
    monkeypatch.setattr(train.loop, "_update", original)
    train.train(data, tmp_path / "stopped", wanted, Reporter())
    for name in ("nerf_head", "nerf_torso"):
        whole, stopped = ((tmp_path / folder / f"{name}.safetensors").read_bytes() for folder in ("whole", "stopped"))
        assert whole == stopped, name
