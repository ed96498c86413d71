"""The plane renderer: what its network draws before it has learned anything, how a flow bends its pictures, what lies under."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from geneface import render
from geneface.avatar import Avatar
from geneface.face.region import Placement, extract, grid
from geneface.renderers.plane.maps import LINES, motion_maps
from geneface.renderers.plane.model import FLOW, UNLIKE, Plane, PlaneDims
from geneface.renderers.plane.training import shifted

SIZE = 64


@pytest.fixture
def plane():
    torch.manual_seed(0)
    network = Plane(PlaneDims(SIZE, widths=(8, 16, 16, 16)))
    network.begin_with(torch.rand(1, 3, SIZE, SIZE), torch.zeros(68, 2))
    return network.eval()


def draw(network):
    with torch.inference_mode():
        return network(torch.zeros(2, 3, SIZE, SIZE), torch.zeros(2, LINES + 2, SIZE // 2, SIZE // 2), torch.zeros(2, 111))


def test_it_begins_with_the_picture_of_the_person(plane):
    drawn = draw(plane)
    assert drawn.shape == (2, 3, SIZE, SIZE)
    assert (drawn - plane.mean_picture).abs().max() < 6 * UNLIKE
    assert plane.pictures.std(0).min() > 0  # equal ones would learn the same


def test_a_flow_moves_the_pictures_without_blurring_them(plane):
    pixels = 2
    flow = torch.zeros(plane.dims.pictures, 2)
    flow[:, 0] = pixels * (2 / SIZE) / FLOW
    with torch.no_grad():
        plane.bend.bias[: 2 * plane.dims.pictures] = flow.flatten()
        plane.pictures.copy_(plane.mean_picture.expand_as(plane.pictures))
    moved = draw(plane)
    assert torch.allclose(moved[:, :, :, :-pixels], plane.mean_picture[:, :, :, pixels:].expand(2, -1, -1, -1), atol=1e-4)


def test_the_shares_choose_among_the_pictures(plane):
    with torch.no_grad():
        plane.pictures.copy_(torch.arange(plane.dims.pictures).float().view(-1, 1, 1, 1).expand_as(plane.pictures))
        plane.bend.bias[2 * plane.dims.pictures + 3] = 30.0
    assert torch.allclose(draw(plane), torch.full((2, 3, SIZE, SIZE), 3.0), atol=1e-4)


def test_a_region_and_its_landmarks_move_together():
    regions = torch.zeros(2, 3, SIZE, SIZE, dtype=torch.uint8)
    regions[:, :, 30, 20] = 255
    at = grid(SIZE)[30, 20].expand(2, 68, 2)
    by = torch.tensor([[3, -2], [-20, 40]])
    moved, points = shifted(regions, at, by)
    assert moved.shape == regions.shape
    assert moved[0].nonzero().tolist() == [[channel, 28, 23] for channel in range(3)]
    assert torch.allclose(points[0], grid(SIZE)[28, 23].expand(68, 2), atol=1e-6)
    assert not moved[1].any()  # gone over the edge
    edge = torch.arange(SIZE, dtype=torch.uint8).expand(1, 3, SIZE, SIZE)
    assert shifted(edge, at[:1], torch.tensor([[2, 0]]))[0][0, 0, 0, :4].tolist() == [0, 0, 0, 1]


def test_the_landmarks_flow_points_back_to_rest():
    rest = torch.zeros(68, 2)
    rest[48:68, 1] = 0.3
    lower = rest.clone()
    lower[48:68, 1] += 0.2  # the lips further down
    maps = motion_maps(lower[None], rest, torch.tensor([[[0.0, 0.5], [0.9, -0.9]]]))
    x, y = maps[0, LINES:, 0].T[0]
    assert abs(float(x)) < 1e-6
    assert float(y) == pytest.approx(-0.2, abs=0.02)
    assert maps[0, LINES:, 0, 1].abs().max() < 1e-3  # far from all landmarks nothing moves


def test_a_region_does_not_depend_on_the_frames_beside_it():
    frames = torch.randint(0, 256, (2, 400, 400, 3), dtype=torch.uint8)
    placement = Placement(np.full((2, 2), 200.0, np.float32), np.array([50, 190], np.float32), np.zeros(2, np.float32))
    apart = [extract(frames[i : i + 1], placement[i : i + 1], 64) for i in range(2)]
    assert torch.equal(extract(frames, placement, 64), torch.cat(apart))


def test_frames_that_are_not_trained_on_are_not_shown(model):
    loaded = Avatar.load(model, torch.device("cpu"))
    good = np.ones(len(loaded.dataset), bool)
    good[[10, 60]] = False
    spoilt = replace(loaded, dataset=replace(loaded.dataset, trainable=good))
    sound = np.random.default_rng(0).normal(0, 0.1, 2 * len(good) * 640).astype(np.float32)
    numbers = render._speaking(spoilt, sound, 0).numbers
    assert good[numbers].all() and np.abs(np.diff(numbers)).max() == 1
