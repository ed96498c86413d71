"""`python -m eval` from files to JSON."""

import json
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from eval_videos import Frames, noise, opening, talking, worsened, write
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from eval import __main__ as command
from eval import report

MOUTH = {
    "psnr", "ssim", "sharpness_ratio", "aperture_r", "aperture_amplitude", "aperture_lag", "width_r", "lmd_motion", "frozen_lmd",
    "jitter_ratio",
}  # fmt: skip


def evaluate(folder: Path, capsys: pytest.CaptureFixture[str], *flags: str, **videos: Path) -> dict[str, Any]:
    """Runs the command in this process; what it wrote, what it printed and strict JSON must agree."""
    out = folder / "scores.json"
    words = [word for role, path in videos.items() for word in (f"--{role}", str(path))]
    assert command.main([*words, *flags, "--out_json", str(out)]) == 0
    result: dict[str, Any] = json.loads(out.read_text(), parse_constant=pytest.fail)
    assert json.loads(capsys.readouterr().out) == result
    return result


def skimage_scores(truth: Frames, other: Frames) -> tuple[float, float]:
    pairs = list(zip(truth, other, strict=False))
    ssims = [
        structural_similarity(a, b, data_range=255, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
        for a, b in pairs
    ]
    return float(np.mean([peak_signal_noise_ratio(a, b, data_range=255) for a, b in pairs])), float(np.mean(ssims))


def test_whole_frame_scores_are_scikit_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = noise()
    other = worsened(truth)
    result = evaluate(tmp_path, capsys, gt_video=write(tmp_path / "a.mp4", truth), pred_video=write(tmp_path / "b.mp4", other))
    psnr, ssim = skimage_scores(truth, other)
    assert abs(result["psnr"] - psnr) < 1e-9
    assert abs(result["ssim"] - ssim) < 1e-9
    assert {result[name] for name in ("niqe", "fid", "lse_c", "lse_d")} == {None}
    missing = dict.fromkeys(("fid", "lse_c", "lse_d"), "weights_missing")
    assert {name: result["errors"][name] for name in ("niqe", *missing)} == {"niqe": "frame_too_small", **missing}
    assert result["details"]["gt_video"] | {"codec": ""} == {
        "frames": 12, "fps": 25.0, "vfr": False, "width": 96, "height": 72, "codec": "",
    }  # fmt: skip
    assert not result["details"]["pasted_back"] and not result["details"]["resized"]
    assert result["details"]["paired_by"] == "index"
    assert result["details"]["versions"]["ffmpeg"]


def test_without_a_face_the_mouth_is_null_and_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = write(tmp_path / "a.mp4", noise())
    other = write(tmp_path / "b.mp4", worsened(noise()))
    controls = dict.fromkeys(("constant_video", "swap_video", "driver_video"), other)
    result = evaluate(tmp_path, capsys, gt_video=video, pred_video=other, **controls)
    assert {result["mouth"][name] for name in MOUTH} == {result["face"]["psnr"]} == {result["swap"]["driver_r"]} == {None}
    reasons = {name: reason for name, reason in result["errors"].items() if "." in name}
    assert reasons.pop("mouth.gain_over_constant") == "no_psnr"
    assert set(reasons.values()) == {"no_face_detected"}


def test_identical_frames_are_left_out_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = noise()
    other = [*truth[:5], *worsened(truth)[5:]]
    video = write(tmp_path / "a.mp4", truth)
    result = evaluate(tmp_path, capsys, gt_video=video, pred_video=write(tmp_path / "b.mp4", other))
    assert result["psnr"] == pytest.approx(skimage_scores(truth[5:], other[5:])[0], abs=1e-9)
    assert result["details"]["psnr_identical_frames"] == 5 and result["details"]["psnr_infinite"] is False
    result = evaluate(tmp_path, capsys, gt_video=video, pred_video=video)
    assert result["psnr"] is None and result["errors"]["psnr"] == "identical" and result["details"]["psnr_infinite"] is True
    assert result["ssim"] == pytest.approx(1)


def test_frames_under_11_px_have_no_ssim(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = noise(height=10, width=16)
    paths = write(tmp_path / "a.mp4", truth), write(tmp_path / "b.mp4", worsened(truth))
    result = evaluate(tmp_path, capsys, gt_video=paths[0], pred_video=paths[1])
    assert result["psnr"] > 0 and result["ssim"] is None and result["errors"]["ssim"] == "frame_too_small"


def test_other_size_rate_and_count_follow_the_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth, small = noise(), noise(10, 36, 48)
    twice = [frame for frame in small for _ in range(2)]
    paths = write(tmp_path / "a.mp4", truth), write(tmp_path / "b.mp4", twice, fps=50)
    result = evaluate(tmp_path, capsys, gt_video=paths[0], pred_video=paths[1])
    enlarged = [cv2.resize(frame, (96, 72), interpolation=cv2.INTER_CUBIC) for frame in small]
    assert result["psnr"] == pytest.approx(skimage_scores(truth, enlarged)[0], abs=1e-9)
    assert result["details"]["resized"] and result["details"]["paired_by"] == "time"
    assert result["details"]["frames_compared"] == 20 and result["details"]["pred_video"]["fps"] == 50


@pytest.mark.parametrize("missing", ["gt_video", "pred_video"])
def test_a_missing_input_or_one_without_pictures_exits_64(tmp_path: Path, missing: str) -> None:
    video = write(tmp_path / "a.mp4", noise(3))
    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setparams((1, 2, 16000, 0, "NONE", ""))
        sound.writeframes(b"\0\0" * 1600)
    for path, code in ((tmp_path / "nothing.mp4", "file_missing"), (tmp_path / "sound.wav", "video_missing")):
        paths = {"gt_video": video, "pred_video": video, missing: path}
        words = [word for role, name in paths.items() for word in (f"--{role}", str(name))]
        done = subprocess.run(
            [sys.executable, "-m", "eval", *words, "--out_json", str(tmp_path / "j")], capture_output=True, text=True, check=False
        )
        assert done.returncode == 64 and done.stdout == ""
        assert json.loads(done.stderr.splitlines()[-1])["code"] == code
        assert not (tmp_path / "j").exists()


def test_a_talking_face_with_all_controls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth, other = opening(36), opening(36, seed=2)
    late = np.concatenate([truth[:1], truth[:1], truth[:-2]])
    videos = {
        "gt_video": truth, "pred_video": late, "constant_video": np.full(36, truth.mean()),
        "truth_driven_video": truth, "swap_video": other, "driver_video": other,
    }  # fmt: skip
    lossy = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "14", "-pix_fmt", "yuv420p"]
    paths = {role: write(tmp_path / f"{role}.mp4", talking(mouth), options=lossy) for role, mouth in videos.items()}
    paths["truth_driven_video"] = write(tmp_path / "again.mp4", talking(truth), options=[*lossy, "-crf", "18"])
    pasted = ["-movflags", "use_metadata_tags", "-metadata", "pasted_back=true"]
    paths["pred_video"] = write(tmp_path / "pasted.mp4", talking(late), options=[*lossy, *pasted])
    result = evaluate(tmp_path, capsys, **paths)
    late_mouth, exact, still = result["mouth"], result["truth_driven"], result["constant_mouth"]
    assert set(still) == MOUTH and set(late_mouth) == set(exact) == MOUTH | {"gain_over_constant"}
    assert late_mouth["aperture_lag"] == 2 and 0.7 < late_mouth["aperture_amplitude"] < 1.3
    assert exact["aperture_lag"] == 0 and exact["aperture_r"] > 0.93 and exact["lmd_motion"] < 0.6 * exact["frozen_lmd"]
    assert exact["gain_over_constant"] == exact["psnr"] - still["psnr"] > 3 > late_mouth["gain_over_constant"]
    assert still["aperture_amplitude"] < 0.5 and still["lmd_motion"] > exact["lmd_motion"]
    assert result["swap"]["driver_r"] > 0.95 and abs(result["swap"]["truth_r"]) < 0.6
    assert result["face"]["psnr"] > late_mouth["psnr"]
    assert result["details"]["pasted_back"] is True
    assert set(result["details"]["frames_without_face"].values()) == {0}
    unknown = {"blinks_per_minute": "too_short", **dict.fromkeys(("closed_in_silence", "loudness_r", "loudness_lag"), "no_audio")}
    silent = {f"{block}.{name}": why for block in ("alone", "truth_alone") for name, why in unknown.items()}
    assert result["errors"] == dict.fromkeys(("fid", "lpips", "lmd", "lse_c", "lse_d"), "weights_missing") | silent


def test_a_swap_of_another_size_is_still_followed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth, other = opening(24), opening(24, seed=2)
    lossy = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "14", "-pix_fmt", "yuv420p"]
    aside = [np.pad(frame, ((0, 0), (400, 0), (0, 0)), constant_values=128) for frame in talking(truth)]
    whole = write(tmp_path / "truth.mp4", aside, options=lossy)
    driver = write(tmp_path / "driver.mp4", talking(other), options=lossy)
    small = write(tmp_path / "swap.mp4", [cv2.resize(frame, (300, 300)) for frame in talking(other)], options=lossy)
    result = evaluate(tmp_path, capsys, gt_video=whole, pred_video=whole, swap_video=small, driver_video=driver)
    assert result["swap"]["driver_r"] > 0.95
    assert result["details"]["frames_without_face"]["swap_video"] == 0


def test_the_table_shows_every_block_and_the_missing(capsys: pytest.CaptureFixture[str]) -> None:
    block = dict.fromkeys(sorted(MOUTH), 0.5)
    result = {
        "psnr": 30.0, "ssim": None, "face": {"psnr": 31.0, "ssim": 0.9}, "mouth": {**block, "gain_over_constant": None},
        "constant_mouth": block, "swap": {"driver_r": 0.9, "truth_r": 0.1}, "details": {"pasted_back": True},
        "niqe": 5.5, "fid": 12.25, "lse_c": None, "lse_d": None, "errors": {"lse_c": "no_audio", "lse_d": "no_audio"},
        "lpips": 0.1, "lmd": None, "alone": {"jitter": 0.25, "loudness_r": None},
    }  # fmt: skip
    report.show(result, report.Console(width=100))
    shown = capsys.readouterr().out
    assert "constant mouth" in shown and "pasted back" in shown and "SSIM –" in shown and "r to its driver 0.900" in shown
    assert "FID 12.250" in shown and "LSE-C – (no_audio)" in shown
    assert "by itself: jitter 0.250" in shown
