import cv2
import numpy as np
import pytest

from eval.tracks import Cuts, Square, Track, overlap, tracks


def faces(count, box=(100, 100, 240, 260)):
    return [np.array([[*box, 0.99]], float) for _ in range(count)]


def whole(found):
    return [(0, len(found))]


def test_a_face_is_followed_and_gaps_are_filled():
    found = faces(120)
    for number in range(40, 60):
        found[number] = np.empty((0, 5))
    for number in range(120):
        found[number] = found[number] + np.array([number / 10] * 4 + [0])
    (track,) = tracks(found, whole(found))
    assert (track.first, track.last, len(track)) == (0, 119, 120)
    assert track.boxes[50, 0] == pytest.approx(105)


def test_a_longer_gap_ends_a_track():
    found = faces(160)
    for number in range(60, 86):
        found[number] = np.empty((0, 5))
    assert [(track.first, track.last) for track in tracks(found, whole(found))] == [(0, 59), (86, 159)]
    found[73] = faces(1)[0]
    assert [(track.first, track.last) for track in tracks(found, whole(found))] == [(0, 159)]


@pytest.mark.parametrize(("frames", "enough"), [(300, 50), (100, 50), (99, 49), (30, 15), (15, 10)])
def test_short_tracks_do_not_count(frames, enough):
    found = faces(enough) + [np.empty((0, 5))] * (frames - enough)
    assert not tracks(found, whole(found))
    assert len(tracks(faces(enough + 1) + found[enough + 1 :], whole(found))) == 1


def test_small_faces_do_not_count():
    assert not tracks(faces(120, (10, 10, 110, 100)), [(0, 120)])
    assert len(tracks(faces(120, (10, 10, 111, 100)), [(0, 120)])) == 1


def test_two_faces_are_two_tracks_and_none_crosses_a_cut():
    found = [np.concatenate([one, one + np.array([300, 0, 300, 0, 0])]) for one in faces(120)]
    assert len(tracks(found, whole(found))) == 2
    assert [(track.first, track.last) for track in tracks(faces(200), [(0, 90), (90, 200)])] == [(0, 89), (90, 199)]


def test_overlap():
    assert overlap(np.array([0, 0, 2, 2.0]), np.array([1, 0, 3, 2.0])) == pytest.approx(1 / 3)
    assert overlap(np.array([0, 0, 1, 1.0]), np.array([2, 2, 3, 3.0])) == 0


def test_cuts_are_found_but_not_within_fifteen_frames():
    cuts = Cuts()
    for number in range(60):
        bright = number >= 30 or 5 <= number < 7
        cuts.add(np.full((40, 40, 3), 220 if bright else 20, np.uint8))
    assert cuts.shots() == [(0, 30), (30, 60)]


def test_the_square_is_cut_as_run_pipeline_cuts_it():
    """Half a box up and 1.8 below its middle, 1.4 to either side; gray beyond the edges."""
    frame = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    boxes = np.repeat([[40.0, 60.0, 180.0, 220.0]], 60, 0)
    cut = Square(Track(0, boxes)).cut(frame, 30)
    half, x, y = 80, 110, 140
    pad = int(half * 1.8)
    padded = np.pad(frame, ((pad, pad), (pad, pad), (0, 0)), constant_values=110)
    expected = padded[y + pad - half : int(y + pad + half * 1.8), int(x + pad - half * 1.4) : int(x + pad + half * 1.4)]
    assert np.array_equal(cut, cv2.resize(expected, (224, 224)))


def test_the_ends_of_a_track_are_steadied_with_zeros():
    """scipy's medfilt, as in the published script: at the ends zeros are counted in, and the smallest of seven is the median."""
    shrinking = np.array([[100 - half, 100 - half, 100 + half, 100 + half] for half in np.arange(92.0, 52.0, -1)])
    square = Square(Track(0, shrinking))
    assert (square._half[0], square._half[20]) == (86, 72)
