import numpy as np
import torch
from geneface_person import landmarks, shape, signal

from geneface.face import geometry, person, region
from geneface.renderers import Layer, compose
from geneface.renderers.plane import maps
from media.mouth import BONY


def turned(points, angle, scale, shift):
    turn = np.float32([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    return scale * points @ turn.T + np.float32(shift)


def test_similarity_finds_the_transform_that_was_applied():
    source = shape()[BONY]
    pose = geometry.similarity(source, np.stack([turned(source, 0.2, 0.9, [50, 60, 3]), turned(source, -0.1, 1.1, [5, 6, 0])]))
    assert np.allclose(pose.scale, [0.9, 1.1], atol=1e-5)
    assert np.allclose(pose.translation[0], [50, 60, 3], atol=1e-3)
    assert np.allclose(pose.remove(pose.project(shape())), shape(), atol=1e-3)


def test_motion_is_free_of_the_head_and_keeps_the_mouth():
    opening = signal(120)
    points = landmarks(opening)
    _, motion = person.pose_free(points, geometry.median_shape(points))
    gap = person.aperture(motion)
    assert np.corrcoef(gap, opening)[0, 1] > 0.99
    assert abs(np.ptp(gap) - np.ptp(1.3 * 22 * opening)) < 3
    assert motion[:, 36].std(0).max() < 0.3


def test_smoothing_takes_tremble_and_leaves_the_path():
    points = landmarks(signal(80))
    pose = geometry.similarity(geometry.median_shape(points)[BONY], points[:, BONY])
    steady = pose.smoothed()
    assert np.abs(np.diff(steady.translation, 2, axis=0)).mean() < 0.6 * np.abs(np.diff(pose.translation, 2, axis=0)).mean()
    assert np.abs(steady.translation - pose.translation)[:, :2].max() < 0.2


def test_the_region_hangs_on_bones_alone():
    opening = signal(60)
    points, closed = landmarks(opening), landmarks(np.zeros(60, np.float32))
    median = geometry.median_shape(closed)
    first, second = (region.place(geometry.similarity(median[BONY], p[:, BONY]), region.anchor(median)) for p in (points, closed))
    assert np.allclose(first.centre, second.centre, atol=1e-3)
    assert np.allclose(first.to_region(first.to_picture(np.float32([[[0.3, -0.5]]] * 60))), [0.3, -0.5], atol=1e-4)


def test_paste_changes_nothing_outside_the_hidden_shape_and_gives_back_what_was_taken():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:128, :128]
    frame = np.stack([128 + 60 * np.sin(x / 15), 128 + 60 * np.cos(y / 13), 128 + 30 * np.sin((x - y) / 17)], -1).astype(np.uint8)
    placement = region.Placement(np.float32([[64, 70]]), np.float32([24]), np.float32([0.1]))
    taken = region.extract(torch.from_numpy(frame[None]), placement, 64) / 255
    alpha = region.pasted_share(64)
    assert np.abs(compose.paste(frame[None], Layer(taken, alpha, placement))[0].astype(int) - frame).max() <= 4
    noise = torch.from_numpy(rng.uniform(size=(1, 3, 64, 64)).astype(np.float32))
    pasted = compose.paste(frame[None], Layer(noise, alpha, placement))[0]
    grid = np.stack([x, y], -1).reshape(1, -1, 2).astype(np.float32)
    inside = (region.depth(torch.from_numpy(placement.to_region(grid))) > 0).numpy().reshape(128, 128)
    assert np.array_equal(pasted[~inside], frame[~inside])
    assert (pasted[inside] != frame[inside]).mean() > 0.7


def test_an_open_jaw_and_the_upper_lip_are_hidden():
    """What was measured on nodding speakers: chins down to 0.82, upper lips up to -0.66 of the region."""
    edges = torch.tensor([[0.0, 0.82], [0.1, 0.82], [0.0, -0.66]])
    assert (region.depth(edges) > 0.95 * region.FEATHER).all()


def test_nothing_that_is_drawn_over_can_be_seen():
    coordinates = region.grid(64)
    alpha = region.depth(coordinates) > 0
    assert not (alpha & (region.visible_mask(64)[0, 0] > 0)).any()


def test_lines_are_where_the_lips_are():
    points = np.stack([shape()[person.MESH_TO_68][:, :2], shape()[person.MESH_TO_68][:, :2]])
    points[1, 65:68, 1] += 25
    points = torch.from_numpy((points - [0, 143]).astype(np.float32) / 92)
    lines = maps.motion_maps(points, points[0], region.grid(64))[:, : maps.LINES]
    assert lines.shape == (2, 4, 64, 64)
    assert lines.min() >= 0 and lines.max() <= 1
    assert lines[1, 3].sum() > 3 * lines[0, 3].sum()
    assert lines[1, 3, 36, 32] > 0.9
    assert lines[1, 3, 10, 32] < 0.1
