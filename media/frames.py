"""Frames out of a file: RGB, on the container's clock at a constant rate, decoded while the caller works."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from media import ffmpeg
from media.clock import FPS
from media.errors import MediaTruncated, UnsupportedMedia, VideoMissing
from media.limits import DEFAULT, Limits
from media.probe import VideoStream, probe

Frame = NDArray[np.uint8]
"""One picture, [H, W, 3], RGB."""

Box = tuple[int, int, int, int]
"""x, y, width, height in pixels of the picture as shown."""

_SCALER = "flags=bicubic+accurate_rnd+full_chroma_int"
_AHEAD_BYTES = 48 << 20
_SEEK_MARGIN = 2
"""Seconds decoded before the first wanted frame, so that it is the same frame as when decoding from the beginning."""

_HDR = {"smpte2084", "arib-std-b67"}
_HDR_TO_BT709 = (
    "setparams=color_primaries=bt2020:colorspace=bt2020nc,zscale=t=linear:npl=203,format=gbrpf32le,zscale=p=bt709,"
    "tonemap=mobius:desat=0,zscale=t=bt709:m=bt709:r=tv,format=yuv444p"
)


def frames(
    path: Path,
    size: tuple[int, int] | None = None,
    crop: Box | None = None,
    fps: int = FPS,
    limits: Limits = DEFAULT,
    start: float | None = None,
    seconds: float | None = None,
) -> Iterator[Frame]:
    """Decodes the first picture track, frame by frame.

    Frame n shows what is on display at n / `fps` s of the container's clock (time stamps rounded to the nearest frame), so
    that it belongs to the sound's samples from there on; a track that starts late shows its first picture until then.
    Rotation flags, non-square pixels, colour matrix and range are applied; HDR is mapped to bt709; interlaced pictures are
    joined.

    Args:
        path: the file.
        size: (width, height) of the frames handed out; default that of the crop, or of the picture as shown.
        crop: what to cut out, in pixels of the picture as shown, before scaling to `size`.
        fps: frames a second.
        limits: bounds for the file.
        start: first moment wanted, in seconds (rounded to a frame); default the beginning.
        seconds: length wanted (rounded to frames); default up to the end.

    Returns:
        An iterator of writable uint8 [H, W, 3], RGB; each frame is its own memory. Closing it ends ffmpeg.

    Raises:
        MediaError: at once what `probe` raises, and `video_missing`; while iterating `media_truncated` when the pictures stop
            well before the track's end, `unsupported_media` when they cannot be decoded.
        ValueError: the crop is not inside the picture.
    """
    path = Path(path)
    info = probe(path, limits)
    if info.video is None:
        raise VideoMissing(path.name)
    video = info.video
    if crop and not (0 <= crop[0] < crop[0] + crop[2] <= video.width and 0 <= crop[1] < crop[1] + crop[3] <= video.height):
        raise ValueError(f"crop {crop} is not inside {video.width}×{video.height}")
    first = round((start or 0.0) * fps)
    count = None if seconds is None else round(seconds * fps)
    size = size or (crop[2:] if crop else (video.width, video.height))
    seek = max(0, first // fps - _SEEK_MARGIN)
    options = ["-t", str(limits.max_seconds)]
    if seek:
        options = ["-ss", str(seek), *options]
    chain = filter_chain(video, size, crop, fps, first - seek * fps)
    arguments = [*ffmpeg.source(path, limits, options), "-loglevel", "error", "-map", f"0:{video.index}", "-vf", chain]
    if count is not None:
        arguments += ["-frames:v", str(count)]
    wanted = max(0, round(video.seconds * fps) - first)
    expected = wanted if count is None else min(count, wanted)
    return _decode(path.name, [*arguments, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], size, expected, fps, limits)


def filter_chain(video: VideoStream, size: tuple[int, int], crop: Box | None, fps: int, skip: int) -> str:
    """ffmpeg's filters from the stored picture to the frames wanted, of which the first `skip` are dropped."""
    chain = ["yadif=deint=interlaced"] if video.interlaced else []
    chain.append(f"fps={fps}:start_time=0")
    if skip:
        chain.append(f"trim=start_frame={skip}")
    hdr = video.transfer in _HDR
    if hdr:
        chain.append(_HDR_TO_BT709)
    scaler = f"{_SCALER}:in_color_matrix={'bt709' if hdr else matrix(video)}"
    shown = (video.width, video.height)
    if crop is None:
        return ",".join([*chain, f"scale={size[0]}:{size[1]}:{scaler}", "format=rgb24"])
    if not video.square:
        chain += [f"scale={shown[0]}:{shown[1]}:{scaler}", "format=rgb24"]
    x, y, width, height = crop
    if not video.square or not any(side % 2 for side in crop):
        chain.append(f"crop={width}:{height}:{x}:{y}:exact=1")
    else:
        chain += _odd_crop(crop, shown, scaler)
    return ",".join([*chain, f"scale={size[0]}:{size[1]}:{scaler}", "format=rgb24"])


def _odd_crop(crop: Box, shown: tuple[int, int], scaler: str) -> list[str]:
    """Chroma samples cover 2×2 pixels: cut on even edges first, and to the pixel only in RGB."""
    x, y, width, height = crop
    left, top = x - x % 2, y - y % 2
    right, bottom = min(x + width + (x + width) % 2, shown[0]), min(y + height + (y + height) % 2, shown[1])
    outer = (right - left, bottom - top)
    return [
        f"crop={outer[0]}:{outer[1]}:{left}:{top}:exact=1", f"scale={outer[0]}:{outer[1]}:{scaler}", "format=rgb24",
        f"crop={width}:{height}:{x - left}:{y - top}:exact=1",
    ]  # fmt: skip


def matrix(video: VideoStream) -> str:
    """The colour matrix to decode with: as tagged; otherwise, like players do, bt709 for HD sizes and bt601 below."""
    if video.matrix:
        return "auto"
    return "bt709" if max(video.width, video.height) >= 1280 or min(video.width, video.height) > 576 else "bt601"


def _decode(name: str, arguments: list[str], size: tuple[int, int], expected: int, fps: int, limits: Limits) -> Iterator[Frame]:
    width, height = size
    frame_bytes = width * height * 3
    ahead = max(2, min(32, _AHEAD_BYTES // frame_bytes))
    done = 0
    try:
        for chunk in ffmpeg.chunks(arguments, frame_bytes, ahead, limits.stall_seconds):
            if len(chunk) < frame_bytes:
                break
            done += 1
            yield np.frombuffer(chunk, np.uint8).reshape(height, width, 3)
    except (ffmpeg.FfmpegError, ffmpeg.StalledError) as error:
        raise UnsupportedMedia(name, reason=error.reason) from None
    if expected and not done:
        raise UnsupportedMedia(name, reason="not one picture could be decoded")
    if expected - done > max(fps / 2, 0.05 * expected):
        raise MediaTruncated(name, reason=f"only {done} of {expected} pictures can be decoded")
