"""Clips made from the sample talker: what people's videos have that hers has not."""

import wave
from pathlib import Path

import cv2
import numpy as np

from media import audio, video

SECONDS = 5
COUNT = SECONDS * 25


def frames(source: Path, seconds: int = SECONDS) -> list[np.ndarray]:
    """The talker's first frames."""
    return list(video.frames(source, seconds=seconds))


def voice(source: Path, seconds: int = SECONDS) -> np.ndarray:
    """Her voice, 16 kHz."""
    return audio.read(source)[: seconds * 16_000]


def film(path: Path, pictures: list[np.ndarray], sound: np.ndarray, rate: int = 16_000, fps: int = 25) -> Path:
    """Writes pictures and sound ([N] or [N, channels]) as an mp4."""
    height, width = pictures[0].shape[:2]
    channels = 1 if sound.ndim == 1 else sound.shape[1]
    recording = path.with_suffix(".wav")
    with wave.open(str(recording), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    with video.Writer(path, width, height, fps, audio=recording, generated=False) as writer:
        for picture in pictures:
            writer.write(picture)
    return path


def moved(picture: np.ndarray, x: float, y: float = 0.0, scale: float = 1.0, size: tuple[int, int] = (512, 512)) -> np.ndarray:
    """The picture shifted and scaled on a canvas of `size`, its edge going on."""
    matrix = np.float32([[scale, 0, x], [0, scale, y]])
    return cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)


def hand(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Four fingers of the cheek's colour before the mouth; points [N, 2] with the mouth's corners and lips."""
    covered = picture.copy()
    (left, top), (right, bottom) = points.min(0), points.max(0)
    middle, reach = np.array([(left + right) / 2, (top + bottom) / 2]), right - left
    skin = tuple(int(v) for v in picture[int(top - 0.2 * reach), int(left)])
    for number in range(4):
        centre = (middle[0], middle[1] + (number - 1.5) * 0.3 * reach)
        box = (tuple(float(v) for v in centre), (2.2 * reach, 0.3 * reach), 8.0)
        cv2.ellipse(covered, box, skin, -1, cv2.LINE_AA)
        cv2.ellipse(covered, box, tuple(int(0.7 * v) for v in skin), 2, cv2.LINE_AA)
    return covered
