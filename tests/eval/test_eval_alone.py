import json

import numpy as np
import pytest
from eval_videos import noise, opening, talking, write

from eval import __main__ as command
from eval import alone
from eval.alone import Speaker
from eval.motion import Motion

RATE = 16_000
FRAMES = 250


def speaker(aperture, sound=None, lips=None, lids=None):
    frames = len(aperture)
    lips = np.zeros((frames, 40, 2)) if lips is None else lips
    lids = np.full((frames, 2), 0.3, np.float32) if lids is None else lids
    return Speaker(Motion(aperture, np.full(frames, 60.0), lips, np.zeros((frames, 23, 2))), lids, sound)


def noise_with_a_silence(first, last, frames=FRAMES):
    sound = np.random.default_rng(0).normal(0, 0.1, frames * RATE // 25).astype(np.float32)
    sound[first * RATE // 25 : last * RATE // 25] *= 1e-4
    return sound


def test_a_mouth_that_closes_in_half_of_the_silence():
    aperture = 8 + np.random.default_rng(1).normal(0, 1, FRAMES)
    aperture[120:140] = 0.8
    said = alone.figures(speaker(aperture, noise_with_a_silence(100, 140)))
    assert said["closed_in_silence"][0] == pytest.approx(0.5, abs=0.03)


def test_a_mouth_that_always_stands_open_is_never_closed():
    assert alone.figures(speaker(np.full(FRAMES, 6.0), noise_with_a_silence(100, 140)))["closed_in_silence"] == (
        0.0,
        "no_silence",
    )


def test_reasons():
    aperture = np.full(FRAMES, 6.0)
    deaf = alone.figures(speaker(aperture))
    assert {name: why for name, (value, why) in deaf.items() if value is None} == {
        "closed_in_silence": "no_audio", "loudness_r": "no_audio", "loudness_lag": "no_audio",
    }  # fmt: skip
    assert alone.figures(speaker(aperture, noise_with_a_silence(100, 110)))["closed_in_silence"] == (None, "no_silence")
    assert alone.figures(speaker(aperture[:50]))["blinks_per_minute"] == (None, "too_short")
    assert set(alone.figures(speaker(np.full(9, np.nan))).values()) == {(None, "no_face_in_this_video")}


@pytest.mark.parametrize("late", [-3, 0, 4])
def test_lips_that_move_when_it_is_loud(late):
    random = np.random.default_rng(2)
    level = np.repeat(random.uniform(0.01, 0.3, FRAMES // 5), 5)
    sound = (random.normal(0, 1, FRAMES * 640) * np.repeat(level, 640)).astype(np.float32)
    lips = np.zeros((FRAMES, 40, 2))
    speed = np.roll(20 * np.log10(level) + 40, late)
    lips[:, :, 1] = (np.cumsum(speed) - speed / 2)[:, None]
    said = alone.figures(speaker(np.full(FRAMES, 6.0), sound, lips))
    assert said["loudness_lag"][0] == late
    assert said["loudness_r"][0] > 0.8


def test_blinks_are_counted_where_the_face_was_lost_for_a_moment():
    lids = np.full((FRAMES, 2), 0.3, np.float32)
    lids[50:54], lids[150:154], lids[200:210] = 0.03, 0.03, np.nan
    assert alone.figures(speaker(np.full(FRAMES, 6.0), lids=lids))["blinks_per_minute"][0] == pytest.approx(12)


def test_rates_are_brought_to_25():
    assert alone._at_rate(100, 50.0).tolist() == list(range(0, 100, 2))
    assert alone._at_rate(30, 12.5).tolist() == [frame for frame in range(30) for _ in range(2)]
    assert alone._at_rate(1, 25.0).tolist() == [0]


def scored(folder, capsys, *words):
    assert command.main([*map(str, words), "--out_json", str(folder / "j.json")]) == 0
    result = json.loads((folder / "j.json").read_text(), parse_constant=pytest.fail)
    assert json.loads(capsys.readouterr().out) == result
    return result


def test_a_video_without_a_true_one(tmp_path, capsys):
    film = write(tmp_path / "b.mp4", talking(opening(80)))
    page, table = tmp_path / "report.html", tmp_path / "metrics.csv"
    result = scored(tmp_path, capsys, "--pred_video", film, "--out_html", page, "--out_csv", table)
    assert result["niqe"] > 0
    assert result["alone"]["jitter"] > 0 and result["alone"]["blinks_per_minute"] is not None
    absent = ("psnr", "ssim", "fid", "lpips", "lmd")
    assert {name: (result[name], result["errors"][name]) for name in absent} == dict.fromkeys(absent, (None, "no_ground_truth"))
    assert not {"mouth", "face", "truth_alone"} & set(result)
    assert len(table.read_text().splitlines()) == 81
    assert 'id="own"' in page.read_text() and 'id="truth"' not in page.read_text()


def test_no_face_and_no_true_video(tmp_path, capsys):
    result = scored(tmp_path, capsys, "--pred_video", write(tmp_path / "b.mp4", noise(5, 96, 192)))
    assert result["niqe"] > 0
    assert set(result["alone"].values()) == {None}
    assert result["errors"]["alone.jitter"] == "no_face_detected"


def test_controls_need_a_true_video(tmp_path, capsys):
    with pytest.raises(SystemExit):
        command.main(["--pred_video", "b.mp4", "--constant_video", "c.mp4", "--out_json", str(tmp_path / "j.json")])
    assert "--constant_video needs --gt_video" in capsys.readouterr().err
