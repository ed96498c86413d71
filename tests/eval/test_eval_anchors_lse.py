"""LSE is syncnet-python's, and not what each of its rules would make of it if it were forgotten.

On a network that takes the sound and the pictures of one clip for one: there the figures react as a trained network's would.
"""

import wave
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from eval_networks import fitted_syncnet, save_syncnet, syncnet_pythons
from eval_runs import Capture, scores
from eval_videos import LOSSLESS, write
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from eval import lse, sync
from eval.cepstra import cepstra
from eval.clips import Clip
from eval.sync import listen
from eval.syncnet import SyncNet
from eval.weights import Weights
from media import ffmpeg
from steps.progress import Reporter

TOLERANCE = 1e-3
"""Between two implementations of one rule, in float32."""
FRAMES = 48
Samples = NDArray[np.int16]
Pictures = list[NDArray[np.uint8]]


def rush(seed: int) -> Samples:
    """Noise whose loudness changes every 10 ms."""
    random = np.random.default_rng(seed)
    loudness = random.uniform(200, 6_000, FRAMES * 4).repeat(160)
    return np.clip(random.normal(size=FRAMES * 640) * loudness, -32_000, 32_000).astype(np.int16)


def late(samples: Samples, frames: int) -> Samples:
    """The sound later by so many frames, or earlier; silence fills the gap."""
    moved = np.zeros_like(samples)
    shift = abs(frames) * 640
    if frames > 0:
        moved[shift:] = samples[:-shift]
    elif frames < 0:
        moved[:-shift] = samples[shift:]
    else:
        moved[:] = samples
    return moved


def film(path: Path, samples: Samples) -> Path:
    """Flashing squares, 224 px, and this sound; both without loss."""
    squares = np.random.default_rng(0).integers(0, 256, (FRAMES, 14, 14, 3), dtype=np.uint8)
    with wave.open(str(path.with_suffix(".wav")), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    sound = ["-i", str(path.with_suffix(".wav")), "-map", "0:v", "-map", "1:a", "-c:a", "pcm_s16le"]
    return write(path, list(squares.repeat(16, 1).repeat(16, 2)), options=[*sound, *LOSSLESS])


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """The one that the network knows."""
    return Clip.open(film(tmp_path_factory.mktemp("clip") / "together.mkv", rush(1)))


@pytest.fixture(scope="module")
def network(clip: Clip) -> SyncNet:
    return fitted_syncnet(clip)


@pytest.fixture
def weights(network: SyncNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command finds the network."""
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setenv("EVAL_WEIGHTS_DIR", str(save_syncnet(folder, network)))


@pytest.mark.parametrize(("frames", "offset"), [(5, -5), (-3, 3), (0, 0)])
def test_sound_five_frames_late_and_three_early(
    frames: int, offset: int, network: SyncNet, tmp_path: Path, capsys: Capture, weights: None, reference: None
) -> None:
    video = film(tmp_path / "moved.mkv", late(rush(1), frames))
    result, _ = scores(tmp_path, capsys, "--lse_crop", "none", gt_video=video, pred_video=video)
    (tmp_path / "theirs").mkdir()
    expected = syncnet_pythons(video, network, tmp_path / "theirs")
    assert result["details"]["lse_offset"] == expected[0] == offset
    capsys.readouterr()
    assert (result["lse_c"], result["lse_d"]) == pytest.approx(expected[1:], abs=TOLERANCE)
    assert result["lse_c"] > 10 and result["lse_d"] < 3


def test_another_speakers_sound_does_not_fit(network: SyncNet, clip: Clip) -> None:
    pictures = list(lse.pictures(clip.path))
    own, other = (lse.score(iter(pictures), samples, network) for samples in (rush(1), rush(2)))
    assert own and other
    assert other.distance > own.distance + 5 and other.confidence < own.confidence / 5


def heard(samples: NDArray[np.generic]) -> Tensor:
    """Windows of cepstra, [W, 13, 20]."""
    return torch.from_numpy(cepstra(samples).astype(np.float32)).unfold(0, 20, 4)  # type: ignore[arg-type]


def seen(pictures: Pictures) -> Tensor:
    """Frames in a row."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()


def without_silence(lips: Tensor, sounds: Tensor) -> list[float]:
    """The mean distances where the ends are left out."""
    found = []
    for shift in range(-15, 16):
        part = slice(max(0, -shift), min(len(lips), len(lips) - shift))
        found.append(float(functional.pairwise_distance(lips[part], sounds.roll(-shift, 0)[part]).mean()))
    return found


def test_every_rule_moves_lse_by_more_than_the_tolerance(network: SyncNet, clip: Clip, tmp_path: Path, reference: None) -> None:
    from SyncNetInstance import calc_pdist

    offset, confidence, distance = syncnet_pythons(clip.path, network, tmp_path)
    pictures, samples = list(lse.pictures(clip.path)), lse.sound(clip, clip.sound or 0)
    clean = [cv2.cvtColor(frame, cv2.COLOR_RGB2BGR) for frame in clip.frames()]
    swapped = [frame[..., ::-1].copy() for frame in pictures]
    with torch.inference_mode():
        lips, unspoilt, red = (network.lips(seen(frames)) for frames in (pictures, clean, swapped))
        sounds, quiet = network.sounds(heard(samples)), network.sounds(heard(samples / 32_768))
        longer = network.sounds(heard(np.append(samples, np.zeros(160))))
    windows = FRAMES - 5

    def figures(lips: Tensor, sounds: Tensor, windows: int = windows) -> tuple[float, float]:
        found = lse.Sync(lse.curve(lips[:windows], sounds[:windows]), windows)
        return found.confidence, found.distance

    def theirs(shift: int) -> tuple[float, float]:
        means = torch.stack(calc_pdist(lips[:windows], sounds[:windows], shift), 1).mean(1)
        return float(means.median() - means.min()), float(means.min())

    trimmed = without_silence(lips[:windows], sounds[:windows])
    assert offset == 0
    assert figures(lips, sounds) == pytest.approx((confidence, distance), abs=TOLERANCE)
    assert theirs(15) == pytest.approx((confidence, distance), abs=TOLERANCE)
    wrong = {
        "frames without JPEG": figures(unspoilt, sounds),
        "RGB for BGR": figures(red, sounds),
        "sound over 32768": figures(lips, quiet),
        "n - 4 windows": figures(lips, longer, windows + 1),
        "normalised embeddings": figures(functional.normalize(lips), functional.normalize(sounds)),
        "no silence around the sound": (float(np.median(trimmed)) - min(trimmed), min(trimmed)),
        "shifts up to 10": theirs(10),
    }
    for rule, found in wrong.items():
        assert max(abs(found[0] - confidence), abs(found[1] - distance)) > 10 * TOLERANCE, rule


def test_frames_are_brought_to_25_a_second_first(network: SyncNet, tmp_path: Path) -> None:
    """As `-r 25` in run_pipeline.py: a film of 30 frames a second is not scored by its frames' numbers."""
    squares = np.random.default_rng(0).integers(0, 256, (30, 14, 14, 3), dtype=np.uint8).repeat(16, 1).repeat(16, 2)
    video = write(tmp_path / "a.mkv", list(squares), fps=30)
    done = ffmpeg.run(["-i", str(video), "-r", "25", "-threads", "1", "-f", "image2", str(tmp_path / "%06d.jpg")])
    assert done.code == 0, done.stderr
    right, files = list(lse.pictures(video)), [cv2.imread(str(file)) for file in sorted(tmp_path.glob("*.jpg"))]
    assert len(files) < 28 and np.array_equal(np.stack(right), np.stack(files))
    samples = rush(1)[: 25 * 640]
    resampled = lse.score(iter(right), samples, network)
    by_number = lse.score((frame[..., ::-1].copy() for frame in squares), samples, network)
    assert resampled and by_number and abs(resampled.distance - by_number.distance) > 10 * TOLERANCE


@pytest.mark.parametrize(
    ("version", "reason"),
    [((4, 1), "ffmpeg_version"), ((4, 2), "weights_missing"), ((7, 0), "weights_missing"), ((7, 1), "ffmpeg_version")],
)
def test_only_an_ffmpeg_of_the_same_jpeg_is_asked(
    version: tuple[int, int], reason: str, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "ffmpeg_version", lambda: version)
    assert listen(clip, "none", Weights((tmp_path,)), Reporter()).reason == reason
