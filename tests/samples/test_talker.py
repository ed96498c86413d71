"""The committed sample talker keeps what it promises: sound and mouth belong together, yet loudness alone tells little."""

import shutil
import subprocess
import wave
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from numpy.typing import NDArray

from samples.talker import behaviour, mouth, script, speech, truth
from samples.talker.rig import Rig

FOLDER = Path(truth.__file__).parent.parent
FILM, LANDMARKS, SENTENCE = (FOLDER / name for name in ("talker.mp4", "talker.landmarks.npz", "sentence.wav"))
SIDE = 512
CLOSED = 3.0  # px at face width 256
SILENT = 35.0  # dB under the clip's loud frames


def decoded(*options: str) -> bytes:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-i", str(FILM), *options, "-"]
    return subprocess.run(command, check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def sound() -> NDArray[np.float64]:
    """The film's sound in frames of 40 ms: [T, 640]."""
    pcm = np.frombuffer(decoded("-vn", "-f", "s16le", "-ac", "1", "-ar", "16000"), np.int16) / 32768
    return pcm[: len(pcm) // 640 * 640].reshape(-1, 640)


@pytest.fixture(scope="module")
def aperture() -> NDArray[np.float64]:
    return truth.read(LANDMARKS)[2]


def loudness(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(20 * np.log10(np.sqrt((sound**2).mean(1)) + 1e-6))


def correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    length = min(len(a), len(b))
    return float(np.corrcoef(a[:length], b[:length])[0, 1])


def silent(sound: NDArray[np.float64]) -> NDArray[np.bool_]:
    level = loudness(sound)
    return np.asarray(level < np.percentile(level, 95) - SILENT)


def log_mel(sound: NDArray[np.float64], bands: int = 40) -> NDArray[np.float64]:
    """Log-mel windows around every frame: [T, bands * 15], 20 ms apart."""
    samples = np.pad(sound.reshape(-1), (2560, 2560))
    edges = 700 * (10 ** (np.linspace(75, 2800, bands + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(512, 1 / 16000)
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    filters = np.clip(np.minimum(rising, falling), 0, None)
    starts = 2560 + np.arange(len(sound))[:, None] * 640 + 320 + (np.arange(15) - 7) * 320 - 256
    pieces = samples[starts[..., None] + np.arange(512)] * np.hanning(512)
    return np.asarray(np.log(np.abs(np.fft.rfft(pieces)) ** 2 @ filters + 1e-6)).reshape(len(sound), -1)


def test_film_is_small_and_long_enough(sound: NDArray[np.float64], aperture: NDArray[np.float64]) -> None:
    told = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(FILM)], capture_output=True, text=True, check=False).stderr
    assert FILM.stat().st_size <= 3 * 2**20
    assert "h264" in told
    assert "512x512" in told
    assert "25 fps" in told
    assert "aac" in told
    assert "AI-generated: a synthetic person who does not exist" in told
    assert 60 <= len(aperture) / 25 <= 75
    assert abs(len(sound) - len(aperture)) <= 2


def test_loudness_does_not_give_the_mouth_away(sound: NDArray[np.float64], aperture: NDArray[np.float64]) -> None:
    assert abs(correlation(aperture, loudness(sound))) <= 0.4
    assert abs(correlation(aperture, np.sqrt((sound**2).mean(1)))) <= 0.4


def test_mouth_is_closed_in_some_silences_only(sound: NDArray[np.float64], aperture: NDArray[np.float64]) -> None:
    quiet = silent(sound)[: len(aperture)]
    assert 0.1 <= quiet.mean() <= 0.4
    assert 0.2 <= (aperture[: len(quiet)][quiet] < CLOSED).mean() <= 0.5


def test_sound_foretells_the_held_out_mouth(sound: NDArray[np.float64], aperture: NDArray[np.float64]) -> None:
    length = min(len(sound), len(aperture))
    features, goal = log_mel(sound[:length]), aperture[:length]
    cut = length - length // 11
    assert silent(sound)[cut:length].mean() < 0.4
    assert goal[cut:].std() > 3
    features = (features - features[:cut].mean(0)) / features[:cut].std(0)
    known = features[:cut]
    weights = np.linalg.solve(known.T @ known + 100 * np.eye(known.shape[1]), known.T @ (goal[:cut] - goal[:cut].mean()))
    assert correlation(features[cut:] @ weights, goal[cut:]) >= 0.5


def detected(step: int, tracking: bool) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Every step-th frame's number [K], its detected points [K, 468, 2] and the faces found by both detectors [K, 2]."""
    from mediapipe.python.solutions.face_detection import FaceDetection
    from mediapipe.python.solutions.face_mesh import FaceMesh

    raw = decoded("-vf", f"select=not(mod(n\\,{step}))", "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24")
    pictures = np.frombuffer(raw, np.uint8).reshape(-1, SIDE, SIDE, 3)
    found, counts = [], []
    with (
        FaceMesh(static_image_mode=not tracking, refine_landmarks=True, max_num_faces=1 if tracking else 2) as mesh,
        FaceDetection() as finder,
    ):
        for picture in pictures:
            frame = np.ascontiguousarray(picture)
            faces = mesh.process(frame).multi_face_landmarks or []
            counts.append((len(faces), len(finder.process(frame).detections or [])))
            found.append([(p.x * SIDE, p.y * SIDE) for p in faces[0].landmark[:468]] if faces else np.full((468, 2), np.nan))
    return np.arange(len(pictures)) * step, np.array(found), np.array(counts)


def agrees(step: int, tracking: bool) -> None:
    points, index, aperture = truth.read(LANDMARKS)
    number, found, counts = detected(step, tracking)
    assert len(number) == len(range(0, len(aperture), step))
    assert (counts == 1).all(), np.flatnonzero((counts != 1).any(1)) * step
    assert correlation(truth.aperture(found), aperture[number]) >= 0.95
    away = np.linalg.norm(found[:, index[:68]] - points[number, :68, :2], axis=-1)
    assert np.median(away[:, 48:]) < 3
    assert np.median(away[:, 36:48]) < 5


def test_detectors_agree_on_every_tenth_frame() -> None:
    agrees(10, tracking=False)


@pytest.mark.slow
def test_detectors_agree_on_every_frame() -> None:
    agrees(1, tracking=True)


def test_sentence_has_one_clear_pause() -> None:
    with wave.open(str(SENTENCE), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32768
    assert 5 <= len(samples) / 16000 <= 9
    quiet = silent(samples[: len(samples) // 640 * 640].reshape(-1, 640))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet, [0]])))
    inner = [(start, end) for start, end in edges.reshape(-1, 2) if start > 0 and end < len(quiet)]
    assert sum(end - start >= 15 for start, end in inner) == 1
    assert not {line.text for line in script.SENTENCE} & {line.text for line in script.FILM}


def test_landmarks_stay_in_the_picture() -> None:
    points, index, _ = truth.read(LANDMARKS)
    assert index[:68].tolist() == truth.POINTS_68
    assert points[..., :2].min() > 0
    assert points[..., :2].max() < SIDE


def test_head_and_blinks_do_not_listen(sound: NDArray[np.float64]) -> None:
    lively = behaviour.behave(len(sound))
    for curve in (*lively.turn.T, *lively.shift.T, lively.blink, lively.brow):
        assert abs(correlation(curve, loudness(sound))) < 0.25
    blinks = np.sum(np.diff((lively.blink > 0.5).astype(int)) == 1)
    assert 10 <= blinks / (len(sound) / 25 / 60) <= 30


def test_rig_opens_shuts_and_tucks() -> None:
    rig = Rig()

    def gap(**controls: float) -> float:
        shape = rig.pose(np.array([controls.get(name, 0.0) for name in mouth.CONTROLS]), 0, 0, 0, 0)
        return float(np.mean([shape[a, 1] - shape[b, 1] for a, b in truth.GAPS]))

    assert 0 <= gap(press=1) < 0.1
    assert 0 <= gap(jaw=0.4, press=1) < 0.15
    assert gap(jaw=0.9) > gap(jaw=0.4) + 0.4
    assert gap(jaw=0.15, tuck=1) < 0.5 * gap(jaw=0.15)
    shut = rig.pose(np.zeros(8), 1, 0, 0, 0)
    assert shut[159, 1] - shut[145, 1] < 0.3


@pytest.mark.skipif(shutil.which("flite") is None, reason="needs Debian's flite")
def test_lips_meet_for_every_bilabial(aperture: NDArray[np.float64]) -> None:
    spoken = speech.speak(script.FILM)
    assert spoken.frames == len(aperture)
    middles = [((p.start + p.end) / 2 - mouth.LEAD) * speech.FPS for p in spoken.phones if p.name in "pbm"]
    assert len(middles) > 30
    assert np.mean([aperture[int(middle)] < CLOSED for middle in middles]) > 0.95
