"""What a media file holds, found out without decoding it and without trusting its name.

imageio-ffmpeg's wheel carries no ffprobe. Two short runs of ffmpeg tell as much: its own description of the input, and a
pass over the packets (`framecrc`, copied, not decoded), which knows every time stamp and so sees cuts and uneven rates.
"""

import re
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from media import completeness, ffmpeg
from media.describe import AudioLine, Description, VideoLine, describe, read_tags
from media.errors import (
    AudioEmpty,
    FileEmpty,
    FileMissing,
    MediaTooLarge,
    MediaTruncated,
    TooManyStreams,
    UnsupportedMedia,
)
from media.limits import DEFAULT, Limits

_OPEN_SECONDS = 60.0
_CUT = re.compile(r"partial file|ended prematurely|Truncat|truncated", re.IGNORECASE)
_ESTIMATED = "Estimating duration from bitrate"
_CUT_SECONDS = 0.5
_CUT_SHARE = 0.05
_TAGGED = ("mov", "matroska")
"""Containers whose tags are read."""
_SIZED = ("wav", "w64", "avi")
"""Containers that say how many bytes they have."""


@dataclass(frozen=True)
class VideoStream:
    """The picture track. Sizes are those of the picture as it is shown: turned upright, with square pixels."""

    index: int
    codec: str
    width: int
    height: int
    fps: float
    """Mean rate of the frames that are there."""
    frames: int
    start: float
    """Seconds from the container's time 0 to the first frame."""
    seconds: float
    """Seconds from the container's time 0 to the end of the last frame."""
    rotation: int
    """Degrees clockwise by which the stored picture is turned for showing: 0, 90, 180 or 270 (others rounded)."""
    vfr: bool
    """Whether frames come at uneven times."""
    pixel_format: str
    matrix: str | None
    """Colour matrix as tagged (bt709, smpte170m, …); None when the file does not say."""
    transfer: str | None
    interlaced: bool
    square: bool
    """Whether the stored pixels are square."""


@dataclass(frozen=True)
class AudioStream:
    """The sound track."""

    index: int
    codec: str
    rate: int
    channels: int
    start: float
    seconds: float
    """Seconds from the container's time 0 to the end of the last packet."""


@dataclass(frozen=True)
class MediaInfo:
    """A file that can be read."""

    format: str
    seconds: float
    """Length on the container's clock: the end of whichever track is longer."""
    video: VideoStream | None
    audio: AudioStream | None
    tags: Mapping[str, str] = field(default_factory=dict)
    """The metadata of an mp4, mov, mkv or webm."""


@dataclass
class _Track:
    """Time stamps of one stream, in seconds on the file's own clock."""

    base: float = 0.0
    ends: float = float("-inf")
    times: "array[float]" = field(default_factory=lambda: array("d"))


def probe(path: Path, limits: Limits = DEFAULT) -> MediaInfo:
    """Describes the file, or says what is wrong with it.

    Raises:
        MediaError: `file_missing`, `file_empty`, `unsupported_media`, `media_truncated`, `media_too_large`,
            `too_many_streams`, `audio_empty`.
    """
    path = Path(path)
    try:
        stat = path.stat()
    except OSError:
        raise FileMissing(path.name) from None
    if not path.is_file():
        raise UnsupportedMedia(path.name, reason="not a file")
    if stat.st_size == 0:
        raise FileEmpty(path.name)
    return _probe(path.resolve(), (stat.st_mtime_ns, stat.st_size, stat.st_ino), limits)


@lru_cache(maxsize=64)
def _probe(path: Path, _version: tuple[int, ...], limits: Limits) -> MediaInfo:
    described = _describe(path, limits)
    video, audio = described.video, described.audio
    if video is None and audio is None:
        raise UnsupportedMedia(path.name, reason="it holds no track of picture or sound that can be decoded")
    if video and video.width * video.height > limits.max_pixels:
        raise MediaTooLarge(path.name, what=f"a picture of {video.width}×{video.height}", limit=f"{limits.max_pixels:,} pixels")
    if described.seconds and described.seconds > limits.max_seconds:
        raise MediaTooLarge(path.name, what=f"a length of {described.seconds:.0f} s", limit=f"{limits.max_seconds:.0f} s")
    if described.format == "mov" and completeness.ends_in_a_fragment(path):
        raise MediaTruncated(path.name, reason="its last fragment is not all there")
    indices = [stream.index for stream in (video, audio) if stream]
    tracks, stderr = _scan(path, indices, limits)
    info = _assemble(path, described, [tracks[index] for index in indices], stderr, limits)
    return replace(info, tags=_tags(path, limits)) if described.format in _TAGGED else info


def _describe(path: Path, limits: Limits) -> Description:
    try:
        stderr = ffmpeg.run(ffmpeg.source(path, limits), _OPEN_SECONDS).stderr.replace(str(path), "input")
    except ffmpeg.StalledError as error:
        raise UnsupportedMedia(path.name, reason=str(error)) from None
    if "exceeds max_streams" in stderr:
        raise TooManyStreams(path.name, limit=limits.max_streams)
    described = describe(stderr)
    if described is None:
        raise _unreadable(path, stderr)
    if described.streams > limits.max_streams:
        raise TooManyStreams(path.name, limit=limits.max_streams)
    if described.oversized and described.video is None:
        raise MediaTooLarge(path.name, what="the picture", limit=f"{limits.max_pixels:,} pixels")
    return described


def _tags(path: Path, limits: Limits) -> dict[str, str]:
    arguments = [*ffmpeg.source(path, limits), "-loglevel", "error", "-f", "ffmetadata", "-"]
    return read_tags(ffmpeg.run(arguments, _OPEN_SECONDS).stdout)


def _unreadable(path: Path, stderr: str) -> Exception:
    with path.open("rb") as file:
        head = file.read(12)
    if "moov atom not found" in stderr and head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
        return MediaTruncated(path.name, reason="its index is missing")
    if "not on whitelist" in stderr:
        return UnsupportedMedia(path.name, reason="this kind of file is not accepted")
    return UnsupportedMedia(path.name, reason="no known container")


def _scan(path: Path, indices: list[int], limits: Limits) -> tuple[dict[int, _Track], str]:
    """Time stamps of the streams `indices`, read from their packets."""
    maps = [word for index in indices for word in ("-map", f"0:{index}")]
    arguments = [*ffmpeg.source(path, limits), "-loglevel", "warning", "-copyts", *maps, "-c", "copy", "-f", "framecrc", "-"]
    tracks = {index: _Track() for index in indices}
    packets, rest = 0, b""
    try:
        with ffmpeg.Process(arguments) as process:
            for block in process.blocks(1 << 16, limits.stall_seconds):
                *lines, rest = (rest + block).split(b"\n")
                for line in lines:
                    packets += _packet(line, indices, tracks)
                if packets > limits.max_packets:
                    raise MediaTooLarge(path.name, what="the number of packets", limit=f"{limits.max_packets:,}")
            process.finish(limits.stall_seconds)
    except (ffmpeg.FfmpegError, ffmpeg.StalledError) as error:
        raise UnsupportedMedia(path.name, reason=error.reason) from None
    return tracks, "\n".join(process.tail)


def _packet(line: bytes, indices: list[int], tracks: dict[int, _Track]) -> bool:
    """Takes one line of framecrc in: `stream, dts, pts, duration, size, checksum`, or `#tb stream: numerator/denominator`."""
    if line.startswith(b"#"):
        if line.startswith(b"#tb "):
            stream, base = line[4:].split(b":")
            numerator, denominator = base.split(b"/")
            tracks[indices[int(stream)]].base = int(numerator) / int(denominator)
        return False
    words = line.split(b",")
    if len(words) < 6:
        return False
    track = tracks[indices[int(words[0])]]
    stamp = words[1] if b"NOPTS" in words[2] else words[2]
    if b"NOPTS" in stamp:
        return True
    time = int(stamp) * track.base
    track.times.append(time)
    track.ends = max(track.ends, time + int(words[3]) * track.base)
    return True


def _assemble(path: Path, described: Description, tracks: list[_Track], stderr: str, limits: Limits) -> MediaInfo:
    name = path.name
    pairs = dict(zip([kind for kind, line in (("v", described.video), ("a", described.audio)) if line], tracks, strict=True))
    if described.video and not len(pairs["v"].times):
        raise MediaTruncated(name, reason="its picture track holds no frames")
    if described.audio and not len(pairs["a"].times):
        if not described.video:
            raise AudioEmpty(name)
        described = replace(described, audio=None)  # a video whose sound was never written has none
        del pairs["a"]
    start = described.start if described.start is not None else min(min(track.times) for track in pairs.values())
    ends = [track.ends - start for track in pairs.values()]
    _check_whole(path, described, ends, stderr)
    if max(ends) > limits.max_seconds:
        raise MediaTooLarge(name, what=f"a length of {max(ends):.0f} s", limit=f"{limits.max_seconds:.0f} s")
    video = _video(described.video, pairs["v"], start) if described.video else None
    audio = _audio(described.audio, pairs["a"], start) if described.audio else None
    return MediaInfo(described.format, max(ends), video, audio)


def _check_whole(path: Path, described: Description, ends: list[float], stderr: str) -> None:
    """A file says how long it is; packets, or bytes, that stop well before that mean that its end is gone."""
    if described.format in _SIZED:
        there, share = max(ends), completeness.share_there(path)
        if share < 1 - _CUT_SHARE or there / share - there > _CUT_SECONDS:
            raise MediaTruncated(path.name, reason=f"{there:.1f} s of about {there / share:.1f} s are there")
    declared = described.seconds
    if not declared or _ESTIMATED in stderr:
        return
    cut = bool(_CUT.search(stderr))
    there = min(ends) if cut else max(ends)
    if declared - there > (_CUT_SECONDS if cut else max(_CUT_SECONDS, _CUT_SHARE * declared)):
        raise MediaTruncated(path.name, reason=f"{there:.1f} s of {declared:.1f} s are there")


def _video(line: VideoLine, track: _Track, start: float) -> VideoStream:
    times = np.sort(np.asarray(track.times)) - start
    steps = np.diff(times)
    span = float(times[-1] - times[0])
    fps = (len(times) - 1) / span if span > 0 else line.fps or 0.0
    step = float(np.median(steps)) if len(steps) else 0.0
    vfr = bool(len(steps)) and bool(np.any(np.abs(steps - step) > max(0.1 * step, 0.0025)))
    return VideoStream(
        index=line.index,
        codec=line.codec,
        width=line.width,
        height=line.height,
        fps=fps,
        frames=len(times),
        start=max(float(times[0]), 0.0),
        seconds=max(track.ends - start, float(times[-1])),
        rotation=line.rotation,
        vfr=vfr,
        pixel_format=line.pixel_format,
        matrix=line.matrix,
        transfer=line.transfer,
        interlaced=line.interlaced,
        square=line.square,
    )


def _audio(line: AudioLine, track: _Track, start: float) -> AudioStream:
    return AudioStream(line.index, line.codec, line.rate, line.channels, max(min(track.times) - start, 0.0), track.ends - start)
