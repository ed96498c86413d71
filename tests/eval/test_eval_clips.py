"""Every frame, decoded as OpenCV does, and paired as the protocol says."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from eval_videos import Frames, noise, write

from eval.clips import Clip, Pairing, pairs
from media.errors import MediaError


def opencv_frames(path: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    return frames


def same(frames: Frames, others: Frames) -> bool:
    return len(frames) == len(others) and all(np.array_equal(a, b) for a, b in zip(frames, others, strict=True))


def test_lossless_frames_come_back_bit_for_bit(tmp_path: Path) -> None:
    frames = noise()
    path = write(tmp_path / "a.mp4", frames)
    assert same(list(Clip.open(path).frames()), frames)
    assert same(opencv_frames(path), frames)


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", None])
def test_the_matrix_is_bt601_whatever_the_file_says(tmp_path: Path, matrix: str | None) -> None:
    tag = ["-colorspace", matrix] if matrix else []
    path = write(tmp_path / "a.mp4", noise(), options=["-pix_fmt", "yuv420p", "-c:v", "libx264", "-crf", "12", *tag])
    assert same(list(Clip.open(path).frames()), opencv_frames(path))


@pytest.mark.parametrize("name", ["b.mp4", "b.mkv", "b.avi"])
@pytest.mark.parametrize("fps", [24, 25, 30, 30000 / 1001, 50])
def test_the_same_rate_is_known_again_however_coarse_the_time_stamps(tmp_path: Path, name: str, fps: float) -> None:
    truth, other = (Clip.open(write(tmp_path / file, noise(9), fps=fps)) for file in ("a.mp4", name))
    assert truth.fps == pytest.approx(fps, abs=1e-6)
    assert other.fps == pytest.approx(fps, abs=0.04)
    assert not Pairing(truth, other).by_time and not Pairing(other, truth).by_time


def test_same_rates_pair_by_index_up_to_the_shorter_end(tmp_path: Path) -> None:
    truth, other = Clip.open(write(tmp_path / "a.mp4", noise(12))), Clip.open(write(tmp_path / "b.mkv", noise(9)))
    assert [index for index, _, _ in pairs(truth, other)] == list(range(9))
    assert [index for index, _, _ in pairs(other, truth)] == list(range(9))
    assert not Pairing(truth, other).by_time


@pytest.mark.parametrize(
    ("true_fps", "fps", "indices"), [(25, 50, [0, 0, 1, 1, 2, 2, 3, 3]), (50, 25, [0, 2, 4, 6]), (30, 25, [0, 1, 2, 3, 4, 6, 7])]
)
def test_other_rates_pair_by_time(tmp_path: Path, true_fps: int, fps: int, indices: list[int]) -> None:
    frames = noise(8)
    truth, other = Clip.open(write(tmp_path / "a.mp4", frames, true_fps)), Clip.open(write(tmp_path / "b.mp4", frames, fps))
    paired = list(pairs(truth, other))
    assert [index for index, _, _ in paired] == indices
    assert all(np.array_equal(frame, frames[index]) for index, frame, _ in paired)
    assert all(np.array_equal(frame, frames[number]) for number, (_, _, frame) in enumerate(paired))


def test_the_other_clip_is_brought_to_the_true_size(tmp_path: Path) -> None:
    truth = Clip.open(write(tmp_path / "a.mp4", noise()))
    small = noise(height=36, width=48)
    other = Clip.open(write(tmp_path / "b.mp4", small))
    enlarged = [frame for _, _, frame in pairs(truth, other)]
    assert same(enlarged, [cv2.resize(frame, (96, 72), interpolation=cv2.INTER_CUBIC) for frame in small])


def test_what_is_no_video_says_so(tmp_path: Path) -> None:
    with pytest.raises(MediaError) as missing:
        Clip.open(tmp_path / "nothing.mp4")
    assert missing.value.code == "file_missing"
