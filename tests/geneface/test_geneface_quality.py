"""What people's videos have: each is made from the sample talker, and becomes a dataset or is refused by name."""

import io
import json

import cv2
import numpy as np
import pytest
from geneface_clips import COUNT, film, frames, hand, moved, voice

from geneface import judging, preprocess
from geneface.dataset import Dataset
from geneface.face import framing, quality
from geneface.face.quality import Flag
from geneface.watching import Watch, lasting_change
from media import faces
from media.errors import FaceMissingInFrames
from media.faces import Survey
from media.mesh import Landmarks, bridge
from samples.talker import truth
from steps.errors import InputError
from steps.progress import Reporter


@pytest.fixture(scope="module")
def talker(talker_film):
    return frames(talker_film)


@pytest.fixture(scope="module")
def sound(talker_film):
    return voice(talker_film)


@pytest.fixture(scope="module")
def lips(talker_film):
    """Where the lips really are, [T, 20, 2]."""
    points, _, _ = truth.read(talker_film.with_suffix(".landmarks.npz"))
    return points[:COUNT, 48:68, :2]


@pytest.fixture
def made(tmp_path, sound):
    """Preprocesses pictures with her voice: the dataset and its report."""

    def make(pictures, heard=None):
        path = film(tmp_path / "clip.mp4", pictures, sound if heard is None else heard)
        preprocess.preprocess(path, tmp_path / "data", Reporter(io.StringIO()))
        return Dataset.load(tmp_path / "data"), json.loads((tmp_path / "data" / "report.json").read_text())

    return make


def refused(made, pictures):
    with pytest.raises(InputError) as raised:
        made(pictures)
    return raised.value.code, str(raised.value)


def test_a_hand_before_the_mouth_is_not_trained_on(made, talker, lips):
    data, report = made([hand(f, lips[i]) if 50 <= i < 75 else f for i, f in enumerate(talker)])
    assert len(data) == COUNT
    assert not data.trainable[50:75].any()
    assert data.trainable.sum() >= COUNT - 25 - 4
    assert [50, 75] in report["quality"]["covered"]["where"]


def test_glasses_and_a_beard_are_part_of_the_person(made, talker, talker_film):
    points, index, _ = truth.read(talker_film.with_suffix(".landmarks.npz"))
    place = {int(number): column for column, number in enumerate(index)}
    dressed = []
    for frame, shape in zip(talker, points[..., :2], strict=False):
        picture = frame.copy()
        for corners in ((33, 133), (362, 263)):
            ends = shape[[place[corner] for corner in corners]]
            reach = int(0.85 * np.linalg.norm(ends[1] - ends[0]))
            cv2.circle(picture, tuple(ends.mean(0).astype(int).tolist()), reach, (20, 20, 20), 4, cv2.LINE_AA)
        outline = shape[3:14].astype(np.int32)
        beard = np.zeros(frame.shape[:2], np.uint8)
        cv2.fillPoly(beard, [outline], 255)
        cv2.fillConvexPoly(beard, cv2.convexHull(shape[48:60].astype(np.int32)), 0)
        picture[beard > 0] = (picture[beard > 0] * [0.45, 0.4, 0.4]).astype(np.uint8)
        dressed.append(picture)
    data, _ = made(dressed)
    assert len(data) == COUNT and data.trainable.mean() > 0.9


def test_a_flash_is_no_cut():
    thumbs = np.full((40, 16, 16, 3), 90, np.uint8)
    thumbs[10:12] = 250
    thumbs[30:] = 170
    change = lasting_change(thumbs, np.ones(40, bool))
    assert np.flatnonzero(change > quality.CUT).tolist() == [30]
    thumbs[28:33] = 0
    assert np.flatnonzero(lasting_change(thumbs, thumbs.max((1, 2, 3)) > 0) > quality.CUT).tolist() == [33]
    assert lasting_change(thumbs[:1], np.ones(1, bool)).tolist() == [0]


def test_a_face_that_the_mesh_never_finds(made, talker, monkeypatch):
    """The survey's detector takes more for a face than the mesh does."""
    monkeypatch.setattr(preprocess.mesh, "follow", lambda pictures: ((frame, None) for frame in pictures))
    assert refused(made, talker)[0] == "no_face_detected"


def test_a_photo_with_sound_is_refused_however_it_is_moved(made, talker):
    still = [moved(talker[60], 20 * np.sin(i / 9), 10 * np.cos(i / 7), 1 + 0.002 * i) for i in range(COUNT)]
    for pictures in (talker[60:61] * COUNT, still):
        assert refused(made, pictures)[0] == "face_does_not_move"


def test_four_black_frames_are_bridged(made, talker):
    data, report = made([f * 0 if 50 <= i < 54 else f for i, f in enumerate(talker)])
    assert len(data) == COUNT and np.isfinite(data.points).all()
    assert not data.trainable[50:54].any() and data.trainable.sum() >= COUNT - 6
    assert report["quality"]["bridged"]["frames"] == 4 and report["quality"]["dark"]["where"] == [[50, 54]]


def test_a_lit_face_before_a_black_wall_is_not_dark(talker):
    watch = Watch()
    night = np.zeros_like(talker[0])
    watch.see(night, None)
    night[150:330, 170:340] = talker[0][150:330, 170:340] // 2
    watch.see(night, None)
    watch.see(talker[0] // 20, None)
    assert (watch.measures().light < quality.DARK).tolist() == [True, False, True]


def test_twenty_black_frames_are_named_in_the_middle_and_cut_off_near_the_end(made, talker):
    code, words = refused(made, [f * 0 if 60 <= i < 80 else f for i, f in enumerate(talker)])
    assert code == "face_missing_in_frames" and "2.4–3.2 s" in words
    data, report = made([f * 0 if 110 <= i < 120 else f for i, f in enumerate(talker)])
    assert len(data) == 110 and report["dropped_frames"] == 15


def test_a_face_that_leaves_the_picture(made, talker):
    code, words = refused(made, [moved(f, -max(0, i - 50) * 12) for i, f in enumerate(talker)])
    assert code == "face_leaves_picture" and "–5.0 s" in words


def test_a_cut_in_the_middle_is_refused_and_one_near_the_end_is_the_end(made, talker):
    code, words = refused(made, [f if i < 62 else moved(f, -150, -100, 1.5) for i, f in enumerate(talker)])
    assert code == "scene_cut" and "2.5 s" in words
    data, _ = made([f if i < 112 else 255 - f[:, ::-1] for i, f in enumerate(talker)])
    assert len(data) == 112


def test_somebody_for_a_second(made, talker):
    wide = [moved(f, 60, 0, 1.0, (1280, 512)) for f in talker]
    for number in range(50, 70):
        wide[number][150:450, 950:1250] = cv2.resize(talker[number - 30][:, ::-1], (300, 300))
    data, report = made(wide)
    assert len(data) == COUNT and data.trainable.sum() >= COUNT - 4
    assert report["quality"]["second_face"]["frames"] > 10
    assert np.ptp(data.points[:, 4, 0]) < 60


def test_a_wandering_speaker_is_followed(made, talker):
    places = [100 + 500 * (0.5 - 0.5 * np.cos(i / 40)) for i in range(COUNT)]
    data, report = made([moved(f, x, 60, 0.6, (1280, 512)) for f, x in zip(talker, places, strict=True)])
    assert report["followed"] and len(report["crop_path"]) == 5
    centre = data.points[:, 4, :2]
    assert np.abs(centre - 256).max() < 90, "in the middle"
    assert 150 < report["face_width"] < 260, "and large"
    assert np.abs(np.diff(centre, 2, axis=0)).mean() < 1.0, "without tremble"
    assert data.trainable.mean() > 0.9


def test_a_few_pictures_a_second_are_too_few(tmp_path, talker, sound):
    path = film(tmp_path / "slow.mp4", talker[:50], sound, fps=10)
    with pytest.raises(InputError) as raised:
        preprocess.preprocess(path, tmp_path / "data", Reporter(io.StringIO()))
    assert raised.value.code == "frame_rate_too_low" and "10.0 pictures" in str(raised.value)


@pytest.fixture(scope="module")
def mesh(talker):
    return faces.landmarks(talker[:50]).points


def turned(points, degrees, axis):
    angle = np.radians(degrees)
    matrix = np.eye(3)
    first, second = [number for number in range(3) if number != axis]
    matrix[[first, first, second, second], [first, second, first, second]] = (
        np.cos(angle),
        -np.sin(angle),
        np.sin(angle),
        np.cos(angle),
    )
    centre = points.mean(1, keepdims=True)
    return ((points - centre) @ matrix.T + centre).astype(np.float32)


def marks_of(points, **kinds):
    count = len(points)
    found = Landmarks(points, np.ones(count, bool), np.zeros(count, bool))
    look = {"change": np.zeros(count), "light": np.full(count, 90.0), "sharpness": np.ones(count)}
    return quality.flags(
        found, patches=np.random.default_rng(0).integers(90, 99, (count, 1728), np.uint8), side=512, **{**look, **kinds}
    )


def test_profiles_are_named(mesh):
    for axis, degrees in ((1, 50), (1, -50), (0, 50), (0, -50)):
        marks = marks_of(np.concatenate([mesh[:20], turned(mesh[:30], degrees, axis)]))
        assert ((marks & Flag.TURNED.value) > 0).tolist() == [False] * 20 + [True] * 30
        with pytest.raises(InputError) as raised:
            judging.require_trainable("v", marks)
        assert raised.value.code == "face_turned_away" and "0.8–2.0 s" in str(raised.value)
    judging.require_trainable("v", marks_of(turned(mesh, 20, 1)))


def test_what_spoils_most_frames_is_named(mesh):
    marks = marks_of(mesh)
    assert quality.trainable(marks).all() and quality.summary(marks) == {}
    for flag, code in ((Flag.COVERED, "mouth_covered"), (Flag.OUTSIDE, "face_leaves_picture"), (Flag.DARK, "frames_unusable")):
        spoilt = marks.copy()
        spoilt[10:40] |= flag.value
        with pytest.raises(InputError) as raised:
            judging.require_trainable("v", spoilt)
        assert raised.value.code == code and "0.4–1.6 s" in str(raised.value)
    marks[:] |= Flag.SECOND_FACE.value
    judging.require_trainable("v", marks)


def test_a_mesh_that_is_no_face_is_not_believed(mesh):
    broken = mesh.copy()
    broken[20] = broken[20] * [1.4, 0.6, 1.0] + np.random.default_rng(0).normal(0, 12, (478, 3))
    marked = quality.crumpled(broken, np.ones(len(broken), bool))
    assert np.flatnonzero(marked).tolist() == [20]


def test_bad_frames_are_bridged_cut_or_refused():
    face = np.zeros((478, 3), np.float32)
    assert judging.usable_stretch("v", bridge([face] * 100 + [None] * 5 + [face] * 100)) == (0, 205)
    assert judging.usable_stretch("v", bridge([None] * 9 + [face] * 200)) == (9, 209)
    assert judging.usable_stretch("v", bridge([face] * 300), [100]) == (100, 300)
    for pattern in ([face] * 100 + [None] * 100, [face] * 110 + [None] * 6 + [face] * 110):
        with pytest.raises(FaceMissingInFrames):
            judging.usable_stretch("v", bridge(pattern))
    for pattern, cut_at, code in (
        ([face] * 50, [], "video_too_short"), ([face] * 200, [100], "scene_cut"), ([None] * 200, [], "no_face_detected"),
    ):  # fmt: skip
        with pytest.raises(InputError) as raised:
            judging.usable_stretch("v", bridge(pattern), cut_at)
        assert raised.value.code == code


def test_only_a_wandering_face_is_followed():
    sitting = Survey(
        np.random.default_rng(0).uniform(-20, 20, (50, 4)) + np.array([400, 300, 200, 200]), 1, 0, 50, np.arange(50.0)
    )
    assert not framing.wanders(sitting)
    walking = Survey(sitting.boxes + np.linspace(0, 600, 50)[:, None] * [1, 0, 0, 0], 1, 0, 50, np.arange(50.0))
    assert framing.wanders(walking)
    path = framing.followed(walking, 1225, 1280, 720)
    assert path.shape == (1225, 3)
    assert (path[:, :2] >= 0).all() and (path[:, 0] + path[:, 2] <= 1280).all() and (path[:, 1] + path[:, 2] <= 720).all()
    centre = path[:, 0] + path[:, 2] / 2
    assert abs(centre[612] - 800) < 30 and np.abs(np.diff(centre[:1000], 2)).max() < 0.1
