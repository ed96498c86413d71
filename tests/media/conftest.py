"""Inputs made by ffmpeg itself, in the test's own folder."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from media import ffmpeg

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """make("name.mp4", *arguments): runs ffmpeg with these arguments into that file and returns its path."""

    def run(name: str, *arguments: object) -> Path:
        path = tmp_path / name
        command = [ffmpeg.binary(), "-nostdin", "-loglevel", "error", "-y", *map(str, arguments), str(path)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        return path

    return run


@pytest.fixture
def clip(make: Make) -> Path:
    """Two seconds, 320×240, 25 fps, with a tone."""
    return make(
        "clip.mp4", "-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=2", "-f", "lavfi", "-i", "sine=440:d=2",
        "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-movflags", "+faststart",
    )  # fmt: skip
