"""How fast media decodes, follows a face and encodes here, beside a bare ffmpeg: `python benchmarks/media_speed.py [video]`."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np

from media import faces, ffmpeg, video
from media.probe import probe

SAMPLE = Path(__file__).resolve().parents[1] / "samples" / "talker.mp4"
FRAMES, ROUNDS = 300, 3


def best(work: Callable[[], object]) -> float:
    """Seconds of the fastest of three runs: neighbours only ever slow one down."""
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return min(taken)


def bare(*arguments: str, given: bytes | None = None) -> bytes:
    """What ffmpeg alone makes of it."""
    command = [ffmpeg.binary(), "-loglevel", "error", "-threads", str(ffmpeg.THREADS), *arguments]
    return subprocess.run(command, input=given, capture_output=True, check=True).stdout


def decode(path: Path) -> int:
    """Counts the frames of the clip's first seconds."""
    return sum(1 for _ in video.frames(path, seconds=FRAMES / video.FPS))


def encode(target: Path, pictures: np.ndarray) -> None:
    """Writes [T, H, W, 3] as an mp4 that any player takes."""
    with video.Writer(target, pictures.shape[2], pictures.shape[1]) as writer:
        for picture in pictures:
            writer.write(picture)


def main(path: Path) -> None:
    """Prints one line for each of the three."""
    info = probe(path).video
    assert info is not None
    count = min(FRAMES, round(info.seconds * video.FPS))
    print(f"{path.name}: {count} frames of {info.width}x{info.height}, {info.codec}")
    own = best(lambda: decode(path))
    pipe = best(lambda: bare("-i", str(path), "-frames:v", str(count), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"))
    print(f"decode: {count / own:.0f} frames/s; ffmpeg into a pipe: {count / pipe:.0f} frames/s; ratio {pipe / own:.2f}")
    pictures = np.stack(list(islice(video.frames(path), count)))
    began = time.perf_counter()
    found = faces.landmarks(pictures)
    each = (time.perf_counter() - began) / count
    print(f"landmarks: {1000 * each:.1f} ms a frame ({each * count / own:.1f} times decoding), {found.found.sum()} faces")
    with tempfile.TemporaryDirectory() as folder:
        own = best(lambda: encode(Path(folder) / "own.mp4", pictures))
        raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{info.width}x{info.height}", "-r", str(video.FPS), "-i", "-"]
        coder = ["-c:v", "libx264", "-preset", "faster", "-crf", "18", "-pix_fmt", "yuv420p", "-threads", str(ffmpeg.THREADS)]
        target, data = str(Path(folder) / "bare.mp4"), pictures.tobytes()
        pipe = best(lambda: bare("-y", *raw, *coder, target, given=data))
    print(f"encode: {count / own:.0f} frames/s; ffmpeg from a pipe: {count / pipe:.0f} frames/s; ratio {pipe / own:.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLE)
