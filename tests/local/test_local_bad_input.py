"""Bad videos by REST, with the real method: each fails with its own code, and nothing half-made is left."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from running import Up, platforms
from skimage import data, transform

from media import ffmpeg

pytestmark = pytest.mark.slow


def make(*arguments: str | Path) -> None:
    subprocess.run([ffmpeg.binary(), "-y", "-loglevel", "error", *map(str, arguments)], check=True)


def film(file: Path, frames: list[np.ndarray], sound: str | None = "sine=frequency=200") -> Path:
    """25 frames a second of pictures [H, W, 3], with a sound of lavfi."""
    height, width = frames[0].shape[:2]
    heard = ["-f", "lavfi", "-i", sound, "-shortest", "-c:a", "aac"] if sound else []
    command = [
        ffmpeg.binary(),
        "-y",
        "-loglevel",
        "error",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        f"{width}x{height}",
        "-r",
        "25",
    ]
    subprocess.run(
        [*command, "-i", "-", *heard, "-pix_fmt", "yuv420p", str(file)],
        input=b"".join(frame.tobytes() for frame in frames),
        check=True,
    )
    return file


FACE = data.astronaut()
"""A public-domain portrait that scikit-image carries."""
EMPTY = np.full_like(FACE, 90)
TWO = np.concatenate([FACE[:, 90:346], FACE[:, 90:346]], axis=1)


def moving(picture: np.ndarray, count: int) -> list[np.ndarray]:
    """The picture, shaken a little, so that no frame is like the last."""
    shifts = [transform.AffineTransform(translation=(3 * np.sin(i / 5), 2 * np.cos(i / 7))) for i in range(count)]
    return [(transform.warp(picture, shift, mode="edge") * 255).astype(np.uint8) for shift in shifts]


def truncated(file: Path) -> Path:
    whole = film(file.with_name("whole.mp4"), moving(FACE, 250))
    moved = file.with_name("fast.mp4")
    make("-i", whole, "-c", "copy", "-movflags", "+faststart", moved)
    file.write_bytes(moved.read_bytes()[: moved.stat().st_size // 2])
    return file


def huge(file: Path) -> Path:
    make("-f", "lavfi", "-i", "color=s=8192x8192:r=1:d=1", "-c:v", "mjpeg", "-vf", "scale=16000:16000", file.with_suffix(".mkv"))
    return file.with_suffix(".mkv")


def many_streams(file: Path) -> Path:
    make("-f", "lavfi", "-i", "anullsrc=d=1:r=8000:cl=mono", *["-map", "0"] * 500, "-c:a", "aac", file)
    return file


CASES: dict[str, Callable[[Path], Path]] = {
    "media_truncated": truncated,
    "media_too_large": huge,
    "too_many_streams": many_streams,
    "no_face_detected": lambda file: film(file, [EMPTY] * 250),
    "multiple_faces": lambda file: film(file, moving(TWO, 250)),
    "face_missing_in_frames": lambda file: film(file, [*moving(FACE, 125), *[EMPTY] * 125]),
    "video_too_short": lambda file: film(file, moving(FACE, 25)),
    "audio_missing": lambda file: film(file, moving(FACE, 250), sound=None),
    "audio_silent": lambda file: film(file, moving(FACE, 250), sound="anullsrc"),
}


@pytest.fixture(scope="module")
def real_up():
    """The platform with the real method."""
    with platforms() as make_up:
        one = make_up(PYTHONPATH="", GENEFACE_STEP_ENVIRONMENT="{}")
        one.start()
        yield one


@pytest.mark.parametrize("code", CASES)
def test_each_has_its_own_code(real_up: Up, tmp_path: Path, code: str) -> None:
    file = CASES[code](tmp_path / "我 的 video.mp4")
    with file.open("rb") as stream:
        answer = httpx.post(f"{real_up.url}/v1/assets", files={"file": (file.name, stream)}, timeout=60)
    assert answer.status_code == 201, answer.text
    request = real_up.training("bad", answer.json()["id"])
    row = real_up.final(request, 120)
    assert (row["state"], row["error"] and row["error"]["code"]) == ("failed", code), row
    assert file.name in row["error"]["message"] or "video" in row["error"]["message"], row["error"]
    assert row["attempt"] == 1, "the same input would fail again"
    folder = real_up.home / "objects" / "geneface" / "requests" / request
    assert real_up.wait(
        lambda: not [w for w, _, files in os.walk(folder) if files and not w.endswith("/log")], 20, "nothing but its log"
    )
