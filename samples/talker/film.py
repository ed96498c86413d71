"""Film: frames and sound into one small mp4."""

import subprocess
import tempfile
import wave
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from samples.talker.speech import FPS, RATE

TITLE = "Vera, a sample talker"
COMMENT = "AI-generated: a synthetic person who does not exist"


def write_wav(path: Path, samples: NDArray[np.float32]) -> None:
    """Mono 16 bit at 16 kHz; written beside the goal and renamed."""
    unfinished = path.with_name(f".{path.name}")
    with wave.open(str(unfinished), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    unfinished.rename(path)


def write_film(path: Path, frames: Iterator[NDArray[np.uint8]], size: int, samples: NDArray[np.float32], quality: int) -> None:
    """H.264 at x264's crf `quality` and AAC, 25 frames a second, moov first; written beside the goal and renamed."""
    unfinished = path.with_name(f".{path.name}")
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "sound.wav"
        write_wav(sound, samples)
        command = [
            imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-nostdin",
            "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size}x{size}", "-r", str(FPS), "-i", "-", "-i", str(sound),
            "-vf", "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p",
            "-c:v", "libx264", "-preset", "slower", "-crf", str(quality), "-threads", "1", "-g", "125",
            "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv",
            "-c:a", "aac", "-b:a", "64k", "-ac", "1", "-map_metadata", "-1", "-fflags", "+bitexact", "-flags", "+bitexact",
            "-metadata", f"title={TITLE}", "-metadata", f"comment={COMMENT}", "-movflags", "+faststart",
            "-f", "mp4", str(unfinished),
        ]  # fmt: skip
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
            if process.stdin is None:
                raise RuntimeError("ffmpeg has no pipe to read frames from")
            for frame in frames:
                process.stdin.write(frame.tobytes())
            process.stdin.close()
            if process.wait() != 0:
                raise RuntimeError("ffmpeg could not write the film; its own words stand above")
    unfinished.rename(path)
