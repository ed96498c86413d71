"""PSNR, SSIM, NIQE and FID are those of other people's code, and not what each of the protocol's rules would make of them if it
were forgotten: the wrong figure is worked out too, and must lie farther off than the tolerance.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from eval_networks import inception_weights, save_inception
from eval_runs import Capture, scores
from eval_videos import TALKER, Frame, Frames, noise, worsened, write
from numpy.typing import NDArray
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from eval import niqe, quality
from eval.clips import Clip
from media import video

LUMA = np.array([65.481, 128.553, 24.966]) / 255


def decibels(error: float) -> float:
    return float(10 * np.log10(255**2 / error))


def squared(truth: NDArray[np.generic], other: NDArray[np.generic]) -> float:
    return float(np.square(truth.astype(float) - other.astype(float)).mean())


def mean_psnr(pairs: Sequence[tuple[Frame, Frame]]) -> float:
    """scikit-image's, of each frame by itself."""
    return float(np.mean([peak_signal_noise_ratio(truth, other, data_range=255) for truth, other in pairs]))


def scaled(frames: Frames, factor: float, way: int) -> Frames:
    return [np.asarray(cv2.resize(frame, None, fx=factor, fy=factor, interpolation=way), np.uint8) for frame in frames]


@pytest.fixture(scope="module")
def talker() -> Frames:
    """Six frames of the sample talker, 512 px."""
    return list(video.frames(TALKER, seconds=2))[::9]


def test_psnr_is_the_mean_of_the_frames_decibels(tmp_path: Path, capsys: Capture) -> None:
    truth = noise()
    other = worsened(truth)
    result, _ = scores(tmp_path, capsys, gt_video=write(tmp_path / "a.mp4", truth), pred_video=write(tmp_path / "b.mp4", other))
    pairs = list(zip(truth, other, strict=True))
    wrong = {
        "pooled error": decibels(float(np.mean([squared(*pair) for pair in pairs]))),
        "studio luma": float(np.mean([decibels(squared(a @ LUMA, b @ LUMA)) for a, b in pairs])),
        "differences that wrap": float(np.mean([decibels(float(np.square(a - b, dtype=np.uint8).mean())) for a, b in pairs])),
    }
    assert abs(result["psnr"] - mean_psnr(pairs)) < 1e-9
    assert all(abs(result["psnr"] - figure) > 0.5 for figure in wrong.values()), (result["psnr"], wrong)


def test_identical_frames_count_for_nothing_in_psnr(tmp_path: Path, capsys: Capture) -> None:
    truth = noise()
    other = [*truth[:3], *worsened(truth)[3:]]
    result, _ = scores(tmp_path, capsys, gt_video=write(tmp_path / "a.mp4", truth), pred_video=write(tmp_path / "b.mp4", other))
    left = list(zip(truth, other, strict=True))[3:]
    capped = (3 * 100 + mean_psnr(left) * len(left)) / len(truth)
    assert abs(result["psnr"] - mean_psnr(left)) < 1e-9
    assert abs(result["psnr"] - capped) > 5
    assert result["details"]["psnr_identical_frames"] == 3


def test_25_and_50_frames_a_second_are_paired_by_time(tmp_path: Path, capsys: Capture) -> None:
    truth = noise()
    other = [frame for frame in worsened(truth, 4) for _ in range(2)]
    paths = write(tmp_path / "a.mp4", truth), write(tmp_path / "b.mp4", other, fps=50)
    result, _ = scores(tmp_path, capsys, gt_video=paths[0], pred_video=paths[1])
    by_time = mean_psnr([(truth[number // 2], frame) for number, frame in enumerate(other)])
    by_index = mean_psnr(list(zip(truth, other, strict=False))[1:])  # the first pair is the same
    assert abs(result["psnr"] - by_time) < 1e-9
    assert abs(result["psnr"] - by_index) > 5


def test_colours_are_decoded_as_opencv_does_whatever_the_tag_says(tmp_path: Path, talker: Frames) -> None:
    tagged = ["-c:v", "libx264", "-crf", "12", "-pix_fmt", "yuv420p", "-colorspace", "bt709"]
    path = write(tmp_path / "a.mp4", talker, options=tagged)
    frames = list(Clip.open(path).frames())
    capture = cv2.VideoCapture(str(path))
    opencvs = [cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB) for _ in frames]
    assert np.array_equal(frames, opencvs)
    by_its_tag = np.stack(list(video.frames(path)))
    assert np.abs(by_its_tag.astype(int) - np.stack(frames)).mean() > 0.3


@pytest.mark.parametrize(("factor", "right"), [(0.5, cv2.INTER_CUBIC), (3, cv2.INTER_AREA)])
def test_a_small_prediction_is_enlarged_by_cubics_and_a_large_one_averaged(
    factor: float, right: int, tmp_path: Path, capsys: Capture, talker: Frames
) -> None:
    truth = [np.ascontiguousarray(frame[150:342, 150:342]) for frame in talker]
    other = worsened(scaled(truth, factor, cv2.INTER_LINEAR), 4)
    paths = write(tmp_path / "a.mp4", truth), write(tmp_path / "b.mp4", other)
    result, _ = scores(tmp_path, capsys, gt_video=paths[0], pred_video=paths[1])

    def scored(way: int) -> float:
        return mean_psnr(list(zip(truth, scaled(other, 1 / factor, way), strict=True)))

    assert abs(result["psnr"] - scored(right)) < 1e-9
    wrong = {cv2.INTER_LINEAR, cv2.INTER_NEAREST, cv2.INTER_CUBIC, cv2.INTER_AREA} - {right}
    assert all(abs(result["psnr"] - scored(way)) > 0.05 for way in wrong), [scored(way) for way in (right, *wrong)]


GAUSSIAN = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


@pytest.mark.parametrize("damage", ["blur", "noise"])
def test_ssim_is_gaussian_and_of_all_channels(damage: str, talker: Frames) -> None:
    truth = talker[0]
    spoil = np.random.default_rng(0).normal(0, 20, truth.shape)
    other = cv2.GaussianBlur(truth, (0, 0), 1.5) if damage == "blur" else np.clip(truth + spoil, 0, 255).astype(np.uint8)
    gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (truth, other)]

    def skimages(*pictures: Frame, **options: Any) -> float:
        return float(
            structural_similarity(*pictures, data_range=255, channel_axis=2 if pictures[0].ndim == 3 else None, **options)
        )

    _, whole = structural_similarity(truth, other, data_range=255, channel_axis=2, full=True, **GAUSSIAN)
    wrong = {
        "the default window": skimages(truth, other),
        "gray": skimages(*gray, **GAUSSIAN),
        "sample covariance": skimages(truth, other, **GAUSSIAN | {"use_sample_covariance": True}),
        "the border too": float(whole.mean()),
    }
    measured = quality.ssim(truth, other)
    assert measured is not None and abs(measured - skimages(truth, other, **GAUSSIAN)) < 1e-9
    assert all(abs(measured - figure) > 1e-6 for figure in wrong.values()), (measured, wrong)
    assert abs(measured - wrong["the default window"]) > 1e-4 and abs(measured - wrong["gray"]) > 1e-4


def basicsr_pictures(talker: Frames) -> Iterator[tuple[str, Frame, float]]:
    """Pictures, and what calculate_niqe(picture[..., ::-1], 0) of BasicSR 1.4.2 says of them."""
    yield "cat", data.chelsea(), 2.62552
    yield "astronaut, blurred", cv2.GaussianBlur(data.astronaut(), (0, 0), 1.5), 6.53719
    yield "talker", talker[0], 5.51616
    yield "talker, blurred", cv2.GaussianBlur(talker[0], (0, 0), 1.5), 8.39143


def test_niqe_is_basicsrs_of_rounded_studio_luma(talker: Frames, monkeypatch: pytest.MonkeyPatch) -> None:
    """The talker's are farther off: her background is smooth, and float32 rounds differently there."""
    tolerance = {"cat": 1e-4, "astronaut, blurred": 1e-4, "talker": 4e-3, "talker, blurred": 4e-3}
    gray = np.array([0.299, 0.587, 0.114])
    wrong: dict[str, Callable[[Frame], NDArray[np.generic]]] = {
        "full-range gray": lambda frame: np.round(frame @ gray),
        "channels swapped": lambda frame: np.round(16 + frame[..., ::-1] @ LUMA),
        "not rounded": lambda frame: 16 + frame @ LUMA,
    }
    for name, frame, expected in basicsr_pictures(talker):
        measured = niqe.niqe(frame)
        assert measured is not None and abs(measured - expected) < tolerance[name]
        for rule, luma in wrong.items():
            with monkeypatch.context() as patch:
                patch.setattr(niqe, "luma", lambda seen, luma=luma: luma(seen).astype(np.float32))
                other = niqe.niqe(frame)
            assert other is not None and abs(other - expected) > 1.5 * tolerance[name], (name, rule, other)


@pytest.fixture(scope="module")
def inception_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_inception(tmp_path_factory.mktemp("weights"))


@pytest.mark.filterwarnings("ignore:The `disp` argument", "ignore:Matrix is ill-conditioned")
def test_fid_is_pytorch_fids(
    inception_files: Path, talker: Frames, tmp_path: Path, capsys: Capture, reference: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own reading of PNG files, resizing, network and distance; on weights made here."""
    from pytorch_fid import fid_score, inception

    monkeypatch.setattr(inception, "load_state_dict_from_url", lambda *_, **__: inception_weights())
    network = inception.InceptionV3([3]).eval()
    other = worsened(talker)[::-1]
    files = {name: [tmp_path / f"{name}{number}.png" for number in range(len(talker))] for name in ("a", "b")}
    for name, frames in (("a", talker), ("b", other)):
        for file, frame in zip(files[name], frames, strict=True):
            cv2.imwrite(str(file), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    features = [fid_score.get_activations(files[name], network, num_workers=0) for name in ("a", "b")]

    def frechet(first: NDArray[np.float64], second: NDArray[np.float64], ddof: int = 1) -> float:
        """pytorch-fid's own, in the few dimensions that the features span: its root of a 2048 x 2048 matrix takes minutes."""
        both = np.concatenate([first, second])
        basis = np.linalg.qr((both - both.mean(0)).T)[0]
        parts = [(rows - both.mean(0)) @ basis for rows in (first, second)]
        moments = [part for rows in parts for part in (rows.mean(0), np.cov(rows, rowvar=False, ddof=ddof))]
        return float(fid_score.calculate_frechet_distance(*moments))

    def changed(change: Callable[[torch.Tensor], torch.Tensor]) -> float:
        with torch.inference_mode():
            seen = [torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2) / 255 for frames in (talker, other)]
            return frechet(*(network(change(frames))[0].flatten(1).double().numpy() for frames in seen))

    expected = frechet(*features)
    wrong = {
        "antialiased": changed(lambda x: torch.nn.functional.interpolate(x, (299, 299), mode="bilinear", antialias=True)),
        "BGR": changed(lambda x: x.flip(1)),
        "ddof 0": frechet(*features, ddof=0),
    }
    monkeypatch.setenv("EVAL_WEIGHTS_DIR", str(inception_files))
    capsys.readouterr()
    paths = write(tmp_path / "a.mp4", talker), write(tmp_path / "b.mp4", other)
    result, _ = scores(tmp_path, capsys, gt_video=paths[0], pred_video=paths[1])
    assert result["fid"] == pytest.approx(expected, rel=1e-3) == changed(lambda x: x)
    assert all(abs(result["fid"] - figure) > 5e-3 * expected for figure in wrong.values()), (expected, wrong)
