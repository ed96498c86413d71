"""Whatever is fed to `python -m eval`: exit 64 and a sentence, or exit 0 and strict JSON with a reason for every null."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from eval_networks import save_alexnet, save_inception, save_syncnet
from eval_runs import OUT, Capture, refusal, scores
from eval_videos import Frames, noise, opening, talking, worsened, write

from eval import __main__ as command
from eval import lse, report
from eval.clips import Clip
from eval.niqe import niqe
from eval.s3fd import S3FD
from eval.syncnet import SyncNet
from eval.weights import Weights
from media import ffmpeg

Give = Callable[..., Path]

LOSSY = ("-c:v", "libx264", "-g", "5", "-pix_fmt", "yuv420p")
WHOLE = ("--lse_crop", "none")


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with weights for everything; the S3FD in it sees no face anywhere."""
    folder = tmp_path_factory.mktemp("weights")
    blind = S3FD()
    for head in blind.conf:
        head.weight.data.zero_()
        head.bias.data.zero_()
    torch.save(blind.state_dict(), folder / "sfd_face.pth")
    return save_syncnet(save_inception(save_alexnet(folder)))


@pytest.fixture
def give(networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Give:
    """Hands the command those of the weights that a test needs, by the beginnings of their names: all cost seconds."""
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setenv("EVAL_WEIGHTS_DIR", str(folder))

    def given(*names: str) -> Path:
        for name in names:
            (found,) = networks.glob(f"{name}*")
            (folder / found.name).symlink_to(found)
        return folder

    return given


def film(path: Path, frames: Frames, fps: float = 25, sound: float | None = None, codec: str = "libx264") -> Path:
    """With `sound` seconds of rushing; by default as much as there are pictures."""
    seconds = len(frames) / fps if sound is None else sound
    rushing = ["-f", "lavfi", "-i", f"anoisesrc=seed=1:amplitude=0.3:sample_rate=16000:duration={seconds}"]
    return write(path, frames, fps, [*rushing, "-map", "0:v", "-map", "1:a", *LOSSY, "-c:v", codec, "-c:a", "aac"])


def spoilt(path: Path, source: Path, stream: str, packets: str = "1") -> Path:
    """The file with garbage in place of the `packets` (an expression in n) of its stream `v` or `a`; its header is whole."""
    garbage = f"noise=amount=if({packets}\\,1\\,0)"
    done = ffmpeg.run(["-y", "-i", str(source), "-map", "0", "-c", "copy", f"-bsf:{stream}", garbage, str(path)])
    assert done.code == 0, done.stderr
    return path


def sound_only(path: Path, _: Path) -> None:
    ffmpeg.run(["-y", "-f", "lavfi", "-i", "sine=duration=0.5", "-c:a", "aac", str(path)])


def half(path: Path, good: Path) -> None:
    content = good.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def zeros_for_frames(path: Path, good: Path) -> None:
    content = bytearray(good.read_bytes())
    start = content.index(b"mdat") + 4
    size = int.from_bytes(content[start - 8 : start - 4], "big") - 8
    content[start : start + size] = bytes(size)
    path.write_bytes(content)


def garbage_for_frames(path: Path, good: Path) -> None:
    """An AVI of MPEG-4 Part 2, whatever its name says: there garbage passes for frames until it is decoded."""
    spoilt(path.with_suffix(".avi"), film(good.with_suffix(".avi"), noise(8), codec="mpeg4"), "v").rename(path)


UNREADABLE = {
    "sound alone in an mp4": (sound_only, "video_missing"),
    "nothing": (lambda path, _: None, "file_missing"),
    "no bytes": (lambda path, _: path.write_bytes(b""), "file_empty"),
    "a text": (lambda path, _: path.write_text("no film"), "unsupported_media"),
    "a folder": (lambda path, _: path.mkdir(), "unsupported_media"),
    "half a file": (half, "media_truncated"),
    "a header and zeros": (zeros_for_frames, "media_truncated"),
    "a header and garbage": (garbage_for_frames, "unsupported_media"),
}


@pytest.mark.parametrize("role", ["gt_video", "pred_video", "alone"])
@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_shows_no_picture_is_refused(kind: str, role: str, tmp_path: Path, capsys: Capture, give: Give) -> None:
    give("syncnet")
    make, code = UNREADABLE[kind]
    good = film(tmp_path / "good.mp4", noise(8))
    bad = tmp_path / "bad.mp4"
    make(bad, good)
    videos = {"pred_video": bad} if role == "alone" else {"gt_video": good, "pred_video": good, role: bad}
    assert refusal(tmp_path, capsys, *WHOLE, **videos) == code


def test_one_frame_has_psnr_and_ssim_but_no_spread_and_no_lips(tmp_path: Path, capsys: Capture, give: Give) -> None:
    give("syncnet", "pt_inception", "alexnet")
    truth, other = film(tmp_path / "a.mp4", noise(1)), film(tmp_path / "b.mp4", worsened(noise(1)))
    result, _ = scores(tmp_path, capsys, *WHOLE, gt_video=truth, pred_video=other)
    assert result["psnr"] > 20 and 0 < result["ssim"] < 1 and result["lpips"] > 0
    assert {name: result["errors"][name] for name in ("fid", "lse_c", "lse_d")} == {
        "fid": "too_few_frames", "lse_c": "too_short", "lse_d": "too_short",
    }  # fmt: skip


@pytest.mark.parametrize("frames", [1, 2])
def test_a_face_seen_for_a_moment_is_found_and_does_not_move(frames: int, tmp_path: Path, capsys: Capture) -> None:
    faces = talking(opening(3))[:frames]
    paths = film(tmp_path / "a.mp4", faces, sound=1), film(tmp_path / "b.mp4", worsened(faces), sound=1)
    result, _ = scores(tmp_path, capsys, gt_video=paths[0], pred_video=paths[1])
    assert result["mouth"]["psnr"] > 20 and result["mouth"]["lmd_motion"] < 5
    assert {result["errors"][f"mouth.{name}"] for name in ("aperture_r", "aperture_lag", "jitter_ratio")} == {"no_motion"}
    result, _ = scores(tmp_path, capsys, pred_video=paths[0])
    assert result["errors"]["alone.jitter"] == result["errors"]["alone.blinks_per_minute"] == "too_short"


def test_eight_by_eight_pixels_are_scored_as_far_as_they_go(tmp_path: Path, capsys: Capture, give: Give) -> None:
    give("syncnet", "pt_inception", "alexnet")
    frames = noise(7, 8, 8)
    truth, other = film(tmp_path / "a.mp4", frames), film(tmp_path / "b.mp4", worsened(frames))
    result, _ = scores(tmp_path, capsys, *WHOLE, gt_video=truth, pred_video=other)
    assert result["psnr"] > 10 and result["fid"] > 0 and result["lse_d"] > 0
    assert {result["errors"][name] for name in ("niqe", "ssim", "lpips")} == {"frame_too_small"}


@pytest.mark.parametrize(("true_frames", "frames"), [(5, 3), (3, 5)])
def test_of_two_lengths_the_shorter_is_compared_and_fid_and_niqe_see_all(
    true_frames: int, frames: int, tmp_path: Path, capsys: Capture, give: Give
) -> None:
    give("pt_inception")
    truth, other = noise(5, 96, 192)[:true_frames], worsened(noise(5, 96, 192))[:frames]
    paths = {"gt_video": write(tmp_path / "a.mp4", truth), "pred_video": write(tmp_path / "b.mp4", other)}
    result, said = scores(tmp_path, capsys, **paths)
    details = result["details"]
    assert details["frames_compared"] == 3 and details["niqe_frames"] == frames
    assert details["fid_frames"] == list(details["frames_decoded"].values()) == [true_frames, frames]
    assert "differ by 2 frames in length" in said
    assert result["niqe"] == pytest.approx(np.mean([niqe(frame) for frame in other]))


def test_another_rate_and_another_size_are_scored(tmp_path: Path, capsys: Capture, give: Give) -> None:
    give("syncnet")
    truth, other = film(tmp_path / "a.mp4", noise(10)), film(tmp_path / "b.mp4", noise(12, 40, 120), fps=30)
    result, said = scores(tmp_path, capsys, *WHOLE, gt_video=truth, pred_video=other)
    details = result["details"]
    assert (details["paired_by"], details["resized"], details["frames_compared"]) == ("time", True, 12)
    assert result["psnr"] > 0 and result["lse_d"] > 0 and "warning" not in said


@pytest.mark.parametrize("crop", ["none", "track"])
def test_a_silent_film_has_no_lse_alone(crop: str, tmp_path: Path, capsys: Capture, give: Give) -> None:
    give("syncnet", "sfd_face")
    truth, other = film(tmp_path / "a.mp4", noise(8)), write(tmp_path / "b.mp4", noise(8), options=LOSSY)
    result, _ = scores(tmp_path, capsys, "--lse_crop", crop, gt_video=truth, pred_video=other)
    assert result["errors"]["lse_c"] == result["errors"]["lse_d"] == "no_audio"
    assert result["ssim"] > 0.9


def test_a_film_without_faces_has_no_track(tmp_path: Path, capsys: Capture, give: Give) -> None:
    give("syncnet", "sfd_face")
    video = film(tmp_path / "a.mp4", noise(8))
    result, _ = scores(tmp_path, capsys, gt_video=video, pred_video=video)
    assert result["errors"]["lse_c"] == result["errors"]["lse_d"] == "no_face_track"


@pytest.mark.parametrize("crop", ["none", "track"])
def test_sound_that_cannot_be_decoded_costs_lse_alone(crop: str, tmp_path: Path, capsys: Capture, give: Give) -> None:
    give("syncnet", "sfd_face")
    truth = film(tmp_path / "a.mp4", noise(8))
    other = spoilt(tmp_path / "b.mp4", truth, "a")
    result, said = scores(tmp_path, capsys, "--lse_crop", crop, gt_video=truth, pred_video=other)
    assert result["errors"]["lse_c"] == result["errors"]["lse_d"] == "unreadable"
    assert result["ssim"] == 1 and "b.mp4: no LSE" in said


def test_sound_that_ends_early_is_scored_up_to_its_end(tmp_path: Path, capsys: Capture, give: Give) -> None:
    """As 4 s of sound under 10 s of video, five times as short."""
    weights = give("syncnet")
    video = film(tmp_path / "a.mp4", noise(50), sound=0.8)
    result, _ = scores(tmp_path, capsys, *WHOLE, gt_video=video, pred_video=video)
    clip, network = Clip.open(video), Weights((weights,)).load(SyncNet, "syncnet_v2.model")
    samples = lse.sound(clip, clip.sound or 0)
    expected = lse.score(iter(list(lse.pictures(video))[: len(samples) // 640]), samples, network)
    assert expected and 14 <= expected.windows <= 17
    assert (result["lse_d"], result["lse_c"]) == pytest.approx((expected.distance, expected.confidence), abs=1e-6)


@pytest.mark.parametrize("role", ["gt_video", "pred_video"])
def test_a_damaged_middle_is_scored_and_told(role: str, tmp_path: Path, capsys: Capture, give: Give) -> None:
    give("syncnet")
    frames = noise(16, 96, 192)
    videos = {"gt_video": film(tmp_path / "a.mp4", frames), "pred_video": film(tmp_path / "b.mp4", worsened(frames))}
    videos[role] = spoilt(tmp_path / "damaged.mp4", videos[role], "v", "between(n\\,7\\,11)")
    result, said = scores(tmp_path, capsys, *WHOLE, **videos)
    assert result["details"]["frames_decoded"] == {"gt_video": 16, "pred_video": 16, role: 11}
    assert result["details"]["frames_compared"] == 11
    assert all(result[name] is not None for name in ("psnr", "ssim", "niqe", "lse_c", "lse_d"))
    assert f"only 11 of the 16 frames of {role} can be decoded" in said


def test_a_damaged_end_of_the_true_film_costs_the_face_alone(tmp_path: Path, capsys: Capture) -> None:
    whole = film(tmp_path / "a.mp4", noise(30))
    damaged = spoilt(tmp_path / "b.mp4", whole, "v", "gt(n\\,14)")
    result, _ = scores(tmp_path, capsys, gt_video=damaged, pred_video=whole)
    assert result["details"]["psnr_identical_frames"] == result["details"]["frames_compared"] == 15
    assert result["errors"]["mouth.psnr"] == "media_truncated"


def damaged(path: Path) -> Path:
    return spoilt(path, film(path.with_name("whole.mp4"), noise(16, 96, 192)), "v", "between(n\\,7\\,11)")


BAD_BY_ITSELF = {
    "one frame": (lambda path: film(path, noise(1)), 1, "too_short"),
    "8 x 8": (lambda path: film(path, noise(7, 8, 8)), 7, None),
    "no sound": (lambda path: write(path, noise(7), options=LOSSY), 7, "no_audio"),
    "a damaged middle": (damaged, 11, None),
}


@pytest.mark.parametrize("kind", BAD_BY_ITSELF)
def test_a_film_without_a_truth_beside_it(kind: str, tmp_path: Path, capsys: Capture, give: Give) -> None:
    give("syncnet")
    make, decoded, no_lse = BAD_BY_ITSELF[kind]
    result, said = scores(tmp_path, capsys, *WHOLE, pred_video=make(tmp_path / "a.mp4"))
    assert {result["errors"][name] for name in ("psnr", "ssim", "fid", "lpips")} == {"no_ground_truth"}
    assert result["details"]["frames_decoded"] == {"pred_video": decoded}
    assert result["errors"].get("lse_d") == no_lse and (no_lse or result["lse_d"] > 0)
    assert ("only 11 of the 16" in said) == (kind == "a damaged middle")


def test_a_film_beside_itself(tmp_path: Path, capsys: Capture, give: Give) -> None:
    give("syncnet", "pt_inception", "alexnet")
    video = film(tmp_path / "a.mp4", noise(6))
    result, _ = scores(tmp_path, capsys, *WHOLE, gt_video=video, pred_video=video)
    assert result["errors"]["psnr"] == "identical" and result["details"]["psnr_infinite"] is True
    assert result["ssim"] == pytest.approx(1) and result["lpips"] == 0 and abs(result["fid"]) < 1e-6


def test_names_with_blanks_and_chinese_and_percent_signs(tmp_path: Path, give: Give) -> None:
    """A process of its own: nothing but the JSON may come out of it, whoever writes."""
    give("syncnet")
    folder = tmp_path / "我的 视频 100%d"
    folder.mkdir()
    truth, other = film(folder / "真 的.mp4", noise(8)), film(folder / "'预测' 50%.mp4", worsened(noise(8)))
    outs = [folder / "新 的" / name for name in ("分 数.json", "页 面.html", "帧 %d.csv")]
    words = [f"--{role}={path}" for role, path in (("gt_video", truth), ("pred_video", other))]
    words += [f"--out_{path.suffix[1:]}={path}" for path in outs]
    done = subprocess.run([sys.executable, "-m", "eval", *words, *WHOLE], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == json.loads(outs[0].read_text("utf-8"))
    assert json.loads(done.stdout)["lse_d"] > 0
    assert sorted(path.name for path in outs[0].parent.iterdir()) == sorted(path.name for path in outs)


@pytest.fixture(scope="module")
def long_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More than a second's work."""
    path = tmp_path_factory.mktemp("long") / "a.mp4"
    options = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    done = ffmpeg.run(["-y", "-f", "lavfi", "-i", "testsrc2=size=640x480:rate=25:duration=30", *options, str(path)])
    assert done.code == 0, done.stderr
    return path


@pytest.mark.parametrize(("sent", "code", "earlier"), [("SIGTERM", 143, b'{"psnr": 1}'), ("SIGKILL", -9, None)])
def test_a_run_that_is_ended_leaves_no_figures(
    sent: str, code: int, earlier: bytes | None, tmp_path: Path, long_film: Path
) -> None:
    out, table = tmp_path / OUT, tmp_path / "metrics.csv"
    if earlier:
        out.write_bytes(earlier)
    words = [f"--gt_video={long_film}", f"--pred_video={long_film}", f"--out_json={out}", f"--out_csv={table}"]
    with subprocess.Popen([sys.executable, "-m", "eval", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        begun = next(line for line in process.stderr if b'"compare"' in line)
        assert json.loads(begun)["done"] < json.loads(begun)["total"] / 2
        os.kill(process.pid, getattr(signal, sent))
        assert process.stdout.read() == b""
        process.stderr.read()
    assert process.returncode == code
    assert (out.read_bytes() if out.exists() else None) == earlier
    assert {path.name for path in tmp_path.iterdir()} == ({OUT} if earlier else set())


def test_figures_of_an_earlier_run_are_replaced_whole_or_stay(tmp_path: Path, capsys: Capture) -> None:
    """Also where a killed run left half a file."""
    half_written = tmp_path / f".{OUT}.partial"
    video = write(tmp_path / "a.mp4", noise(3))
    (tmp_path / OUT).write_text("[" * 100_000)
    half_written.write_text('{"psnr": ')
    scores(tmp_path, capsys, gt_video=video, pred_video=video)
    assert not half_written.exists()
    before = (tmp_path / OUT).read_bytes()
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="JSON"):
            report.write({"psnr": wrong}, tmp_path / OUT)
    assert (tmp_path / OUT).read_bytes() == before and not half_written.exists()


def test_where_nothing_can_be_written_nothing_is_measured(tmp_path: Path, capsys: Capture) -> None:
    film = write(tmp_path / "a.mp4", noise(3))
    (tmp_path / "folder").mkdir()
    for place in (tmp_path / "folder", film / "scores.json"):
        assert command.main(["--pred_video", str(film), "--out_json", str(place)]) == 64
        told = capsys.readouterr()
        assert told.out == "" and json.loads(told.err.splitlines()[-1])["code"] == "output_unwritable"
        assert '"compare"' not in told.err
