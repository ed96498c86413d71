"""Still pictures into RGB, by ffmpeg: what a video is put in front of."""

from pathlib import Path

import numpy as np

from media import ffmpeg
from media.errors import FileMissing, UnsupportedPicture
from media.frames import Frame
from media.limits import DEFAULT

_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "png_pipe", b"\xff\xd8\xff": "jpeg_pipe", b"BM": "bmp_pipe"}
_SECONDS = 60.0


def read(path: Path, width: int, height: int) -> Frame:
    """The picture (PNG, JPEG or BMP), scaled to cover `width` x `height` and cut around its middle: uint8 [height, width, 3].

    Raises FileMissing, UnsupportedPicture.
    """
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        raise FileMissing(path.name) from None
    kind = next((kind for signature, kind in _SIGNATURES.items() if head.startswith(signature)), None)
    if kind is None:
        raise UnsupportedPicture(path.name, reason="its first bytes are not those of one")
    cover = f"scale={width}:{height}:force_original_aspect_ratio=increase:flags=bicubic+accurate_rnd,crop={width}:{height}"
    arguments = [
        "-nostdin", "-protocol_whitelist", "file,pipe", "-format_whitelist", kind, "-max_pixels", str(DEFAULT.max_pixels),
        "-f", kind, "-i", f"file:{path}", "-loglevel", "error", "-frames:v", "1", "-vf", f"{cover},format=rgb24",
        "-f", "rawvideo", "-",
    ]  # fmt: skip
    try:
        data = b"".join(ffmpeg.chunks(arguments, width * height * 3, stall_seconds=_SECONDS))
    except (ffmpeg.FfmpegError, ffmpeg.StalledError) as error:
        raise UnsupportedPicture(path.name, reason=error.reason) from None
    if len(data) != width * height * 3:
        raise UnsupportedPicture(path.name, reason="it cannot be decoded")
    return np.frombuffer(bytearray(data), np.uint8).reshape(height, width, 3)
