import numpy as np
import pytest

from media import mouth
from media.mesh import MESH_TO_68, Landmarks, bridge, require_face, runs
from steps.errors import InputError


def rotation(generator):
    """A random rotation."""
    matrix, _ = np.linalg.qr(generator.standard_normal((3, 3)))
    return matrix * np.sign(np.linalg.det(matrix))


@pytest.fixture
def face():
    """A made-up face of 478 points, about 100 px wide, with lips that can be opened."""
    generator = np.random.default_rng(3)
    points = generator.standard_normal((478, 3)) * (30, 40, 15) + (200, 150, 0)
    for left, right in ((13, 14), (82, 87), (312, 317)):
        points[right] = points[left] + (0, 6, 0)
    return points


def test_similarity_is_found_exactly(face):
    generator = np.random.default_rng(0)
    turn = rotation(generator)
    scale, found, shift = mouth.similarity(face, 1.7 * face @ turn.T + (5, -3, 9))
    assert scale == pytest.approx(1.7)
    assert np.allclose(found, turn)
    assert np.allclose(shift, (5, -3, 9))


def test_a_mirror_image_is_not_a_pose(face):
    _, found, _ = mouth.similarity(face, face * (-1, 1, 1))
    assert np.linalg.det(found) == pytest.approx(1.0)


def test_pose_does_not_touch_the_mouth(face):
    """A moving head with a still mouth: constant aperture, whatever the pose and size."""
    generator = np.random.default_rng(1)
    heads = np.stack([generator.uniform(0.5, 2) * face @ rotation(generator).T + generator.uniform(-99, 99, 3) for _ in range(9)])
    aligned = mouth.pose_free(heads, mouth.reference_shape(heads))
    assert np.ptp(mouth.aperture(aligned)) < 1e-6
    assert np.ptp(mouth.width(aligned)) < 1e-6
    assert np.linalg.norm(aligned[:, 234] - aligned[:, 454], axis=-1) == pytest.approx(256)
    assert mouth.aperture(aligned)[0] == pytest.approx(6 * 256 / np.linalg.norm(face[234] - face[454]))


def test_an_opening_mouth_opens(face):
    heads = np.repeat(face[None], 5, axis=0)
    for number, lower in ((n, p) for n in range(5) for p in (14, 87, 317)):
        heads[number, lower, 1] += number * 2
    aligned = mouth.pose_free(heads, mouth.reference_shape(heads))
    unit = 256 / np.linalg.norm(face[234] - face[454])
    assert np.allclose(np.diff(mouth.aperture(aligned)), 2 * unit)


def test_frames_without_a_face_stay_without(face):
    heads = np.stack([face, np.full_like(face, np.nan), face * 2])
    aligned = mouth.pose_free(heads, mouth.reference_shape(heads))
    assert np.isnan(mouth.aperture(aligned)).tolist() == [False, True, False]
    with pytest.raises(ValueError, match="no frame"):
        mouth.reference_shape(heads[1:2])


def test_regions_are_squares_around_their_points(face):
    heads = np.stack([face, face + np.array([10, 4, 0])]).astype(np.float32)
    for squares, points in ((mouth.mouth_squares(heads), mouth.LIPS), (mouth.face_squares(heads), np.arange(468))):
        assert len({(width, height) for _, _, width, height in squares}) == 1
        for (x, y, width, height), head in zip(squares, heads, strict=True):
            assert width == height
            assert np.all(head[points, :2] > (x, y))
            assert np.all(head[points, :2] < (x + width, y + height))
    first, second = mouth.mouth_squares(heads)
    assert np.allclose(np.subtract(second, first), (10, 4, 0, 0), atol=1e-3)


def test_indices():
    assert MESH_TO_68.shape == (68,)
    assert len(set(MESH_TO_68.tolist())) == 68
    assert len(set(mouth.LIPS.tolist())) == 40
    assert len(set(mouth.BONY.tolist())) == 23
    assert set(MESH_TO_68[48:]) <= set(mouth.LIPS.tolist())


def test_short_gaps_are_bridged_and_marked(face):
    def seen(pattern):
        return [np.float32(face + number) if mark == "x" else None for number, mark in enumerate(pattern)]

    found = bridge(seen("..xx.....xx......x.x"))
    assert "".join("x" if mark else "." for mark in found.found) == "..xx.....xx......x.x"
    assert "".join("i" if mark else "." for mark in found.interpolated) == "ii..iiiii.........i."
    assert found.gaps() == [(11, 17)]
    assert np.allclose(found.points[4:9], np.stack([face + number for number in range(4, 9)]), atol=1e-3)
    assert np.allclose(found.points[:2], face + 2, atol=1e-3)
    assert np.isnan(found.points[11:17]).all()
    assert bridge(seen("...")).usable.sum() == 0
    assert np.allclose(found.moved(5, 7, 2).points[3, :, :2], (face[:, :2] + 3) * 2 + (5, 7), atol=1e-3)


def test_too_few_faces_are_named_by_second():
    found = np.ones(100, bool)
    found[25:75] = False
    half = Landmarks(np.zeros((100, 478, 3), np.float32), found, np.zeros(100, bool))
    with pytest.raises(InputError, match=r"50 of 100 frames \(1\.0–3\.0 s\)") as refused:
        require_face("me.mp4", half)
    assert refused.value.code == "face_missing_in_frames"
    require_face("me.mp4", half, share=0.5)
    with pytest.raises(InputError) as refused:
        require_face("me.mp4", Landmarks(half.points, np.zeros(100, bool), np.zeros(100, bool)))
    assert refused.value.code == "no_face_detected"
    assert runs(np.array([True, False, True, True])) == [(0, 1), (2, 4)]
