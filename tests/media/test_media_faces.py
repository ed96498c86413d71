"""Real detectors on a real (public domain) portrait, set into made-up frames."""

import subprocess
import sys

import numpy as np
import pytest
from skimage.data import astronaut

from media import faces, video
from media.resize import resized
from steps.errors import InputError

PORTRAIT = astronaut()[0:240, 100:340]
"""240×240; the face is about 100 px wide around (125, 125)."""


def scene(width, height, *places):
    """A frame of soft noise with the portrait at each (x, y, side)."""
    generator = np.random.default_rng(5)
    frame = resized(generator.integers(60, 160, (12, 12, 3), np.uint8), (width, height))
    for x, y, side in places:
        frame[y : y + side, x : x + side] = resized(PORTRAIT, (side, side))
    return frame


def film(path, frames):
    frames = list(frames)
    with video.Writer(path, frames[0].shape[1], frames[0].shape[0], generated=False) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def test_detect():
    one = faces.detect(scene(480, 360, (120, 60, 240)))
    assert len(one) == 1
    x, y, width, height = one[0].box
    assert 200 < x + width / 2 < 290
    assert 150 < y + height / 2 < 220
    assert faces.detect(scene(480, 360)) == []
    assert len(faces.detect(scene(640, 360, (0, 60, 240), (380, 60, 240)))) == 2


def test_a_small_face_in_a_tall_frame():
    found = faces.detect(scene(540, 960, (200, 180, 120)))
    assert len(found) == 1
    assert 235 < found[0].box[0] + found[0].box[2] / 2 < 290


def test_track_in_a_tall_frame(tmp_path):
    """The face wanders a little; its landmarks follow, in pixels of the whole picture."""
    steps = [(300 + 4 * number, 400 + 2 * number) for number in range(12)]
    path = film(tmp_path / "tall.mp4", (scene(1080, 1920, (x, y, 300)) for x, y in steps))
    track = faces.track(path)
    assert track.landmarks.points.shape == (12, 478, 3)
    assert track.landmarks.found.all()
    x, y, side, _ = track.crop
    assert side < 800
    assert (track.width, track.height) == (1080, 1920)
    centre = track.landmarks.points[:, 4, :2]
    assert np.allclose(np.diff(centre, axis=0).mean(axis=0), (4, 2), atol=0.5)
    assert np.all(centre > (x, y))
    assert np.all(centre < (x + side, y + side))
    order = track.landmarks.points[0, [33, 263, 61, 291, 152], :]
    assert order[0, 0] < order[1, 0]
    assert order[2, 0] < order[3, 0]
    assert order[4, 1] > order[:4, 1].max()
    faces.require_face(path.name, track.landmarks)


def test_two_people_are_refused(tmp_path):
    both = scene(640, 360, (20, 60, 240), (380, 80, 200))
    path = film(tmp_path / "two.mp4", [both] * 15)
    with pytest.raises(InputError, match="more than one face") as refused:
        faces.survey(path)
    assert refused.value.code == "multiple_faces"


def test_somebody_passing_is_not_a_second_speaker():
    alone, both = scene(640, 360, (20, 60, 240)), scene(640, 360, (20, 60, 240), (380, 80, 200))
    seen = faces.look([alone] * 9 + [both] + [alone] * 2, step=0.2)
    assert seen.second == pytest.approx(1 / 12)
    assert seen.second_times == pytest.approx([1.8])
    assert seen.times == pytest.approx(np.arange(12) * 0.2)
    assert seen.found == 1.0
    assert np.ptp(seen.boxes[:, 0]) < 30


def test_a_face_that_only_the_detector_sees_does_not_count(monkeypatch):
    """What it takes for one is put beside the real one in every frame: no mesh, so no second person."""
    alone = scene(640, 360, (20, 60, 240))
    real = faces.detect(alone)
    monkeypatch.setattr(faces, "detect", lambda _: [*real, faces.Face((430.0, 140.0, 90.0, 90.0), 0.6)])
    assert faces.look([alone] * 3).second == 0.0


def test_nobody(tmp_path):
    with pytest.raises(InputError) as refused:
        faces.survey(film(tmp_path / "empty.mp4", [scene(320, 240)] * 10))
    assert refused.value.code == "no_face_detected"


def test_a_face_in_half_of_the_frames(tmp_path):
    face, empty = scene(320, 240, (40, 0, 240)), scene(320, 240)
    path = film(tmp_path / "half.mp4", [face] * 20 + [empty] * 20)
    track = faces.track(path)
    assert 0.4 < track.survey.found < 0.65
    assert abs(int(track.landmarks.found.sum()) - 20) <= 1
    with pytest.raises(InputError, match=r"0\.8–1\.6 s") as refused:
        faces.require_face(path.name, track.landmarks)
    assert refused.value.code == "face_missing_in_frames"


def test_the_crop_is_square_even_and_inside():
    boxes = np.array([[900.0, 100.0, 200.0, 200.0]] * 50 + [[0.0, 1700.0, 200.0, 200.0]])
    x, y, width, height = faces.face_crop(boxes, 1080, 1920)
    assert width == height
    assert [side % 2 for side in (x, y, width, height)] == [0, 0, 0, 0]
    assert x + width <= 1080
    assert y >= 0
    assert x <= 900
    assert height < 600
    assert faces.face_crop(np.array([[0.0, 0.0, 900.0, 900.0]]), 512, 512) == (0, 0, 512, 512)


def test_nothing_but_ours_on_stderr(tmp_path):
    """JSON lines belong there: mediapipe, TFLite and absl must be quiet in a fresh process, matplotlib not needed."""
    np.save(tmp_path / "frame.npy", scene(480, 360, (120, 60, 240)))
    program = (
        "import sys, numpy as np; sys.modules['matplotlib'] = None; sys.modules.pop('matplotlib');"
        "from media import faces; frame = np.load(sys.argv[1]);"
        "print(len(faces.detect(frame)), int(faces.landmarks([frame] * 3).found.sum()), 'matplotlib' in sys.modules);"
        "print('ours', file=sys.stderr)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "frame.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "1 3 False\n"
    assert done.stderr == "ours\n"


def test_the_rest_of_the_room_needs_neither_mediapipe_nor_opencv():
    program = (
        "import sys; from media import audio, ffmpeg, label, mouth, probe, sheet, video;"
        "print([name for name in ('mediapipe', 'cv2', 'scipy', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
