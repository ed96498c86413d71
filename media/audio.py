"""Sound: read at any rate and channel count, written as wav, measured."""

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from media import ffmpeg
from media.clock import FPS, SAMPLE_RATE
from media.errors import AudioEmpty, AudioMissing, AudioSilent, MediaTruncated, UnsupportedMedia
from media.files import written
from media.limits import DEFAULT, Limits
from media.probe import AudioStream, probe

SILENCE_DB = -60.0
"""Sound whose loudest frames stay under this many dB below full scale counts as silent."""

_FLOOR_DB = -120.0
_AT_ONCE = 5_000
"""Frames whose loudness is measured at once, so that an hour of sound needs little memory."""
_DEAD = 1e-4
"""Energy of a channel over the other's under which it is dead (40 dB)."""


def read(
    path: Path, rate: int = SAMPLE_RATE, limits: Limits = DEFAULT, seconds: float | None = None
) -> NDArray[np.float32]:  # fmt: skip
    """The first sound track as float32 [N] in −1…1: mono (mean of the channels; of a pair of which one is dead, the other), at
    `rate`, on the container's clock.

    Sample 0 is at the container's time 0: a track that starts late is padded, gaps and a short end are filled with silence, so
    that N / `rate` is the track's length, or `seconds`, when only so much of it is wanted.

    Raises:
        MediaError: what `probe` raises, and `audio_missing`, `audio_empty`, `media_truncated` when the sound stops well before
            the track's end.
    """
    path = Path(path)
    info = probe(path, limits)
    if info.audio is None:
        raise AudioMissing(path.name)
    wanted = limits.max_seconds if seconds is None else seconds
    arguments = [
        *ffmpeg.source(path, limits, ["-t", str(wanted)]), "-loglevel", "error", "-map", f"0:{info.audio.index}",
        "-af", f"{_living(path, info.audio, limits)}{on_clock(rate)}:ochl=mono:rematrix_maxval=1", "-f", "f32le", "-",
    ]  # fmt: skip
    track = np.zeros(round(min(info.audio.seconds, wanted) * rate), np.float32)  # filled in place: an hour is 230 MB
    room, filled = track.view(np.uint8), 0
    try:
        for block in ffmpeg.chunks(arguments, 1 << 18, stall_seconds=limits.stall_seconds):
            part = block[: len(room) - filled]  # a codec's last block is padded
            room[filled : filled + len(part)] = np.frombuffer(part, np.uint8)
            filled += len(part)
    except (ffmpeg.FfmpegError, ffmpeg.StalledError) as error:
        raise UnsupportedMedia(path.name, reason=error.reason) from None
    count, there = len(track), filled // track.itemsize
    if not there:
        raise AudioEmpty(path.name)
    if count - there > max(rate / 2, 0.05 * count):
        raise MediaTruncated(path.name, reason=f"only {there / rate:.1f} s of {count / rate:.1f} s of sound can be decoded")
    np.nan_to_num(track, copy=False)
    np.clip(track, -1.0, 1.0, out=track)
    return track


def _living(path: Path, track: AudioStream, limits: Limits) -> str:
    """The filter that picks the living channel of a pair whose other one is dead (a microphone plugged into one side), which
    the mean would make 6 dB quieter; nothing for other tracks.
    """
    if track.channels != 2:
        return ""
    arguments = [
        *ffmpeg.source(path, limits, ["-t", str(limits.max_seconds)]), "-loglevel", "error", "-map", f"0:{track.index}",
        "-f", "f32le", "-ar", str(SAMPLE_RATE), "-ac", "2", "-",
    ]  # fmt: skip
    energy = np.zeros(2)
    try:
        for block in ffmpeg.chunks(arguments, 1 << 18, stall_seconds=limits.stall_seconds):
            pairs = np.frombuffer(block, np.float32, len(block) // 8 * 2).reshape(-1, 2)
            energy += np.square(np.nan_to_num(pairs), dtype=np.float64).sum(0)
    except (ffmpeg.FfmpegError, ffmpeg.StalledError) as error:
        raise UnsupportedMedia(path.name, reason=error.reason) from None
    if not energy.any() or energy.min() > _DEAD * energy.max():
        return ""
    return f"pan=mono|c0=c{int(energy.argmax())},"


def on_clock(rate: int) -> str:
    """ffmpeg's filter that brings sound to `rate` with its first sample at the container's time 0 and no gaps."""
    return f"aresample={rate}:async=1:first_pts=0:osf=flt"


def write_wav(path: Path, samples: NDArray[np.floating], rate: int = SAMPLE_RATE) -> None:
    """Writes mono [N] in −1…1 (clipped) as 16-bit wav, whole or not at all.

    Raises:
        DiskFull: no room.
    """
    pcm = np.round(np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2")
    with written(Path(path)) as partial, wave.open(str(partial), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm.tobytes())


def loudness(samples: NDArray[np.floating], fps: int = FPS, rate: int = SAMPLE_RATE) -> NDArray[np.float32]:
    """Loudness of every video frame's stretch of sound: RMS in dB below full scale, [T], T = ceil(N · fps / rate), floor −120."""
    count = -(-len(samples) * fps // rate)
    edges = np.minimum(np.arange(count + 1) * rate // fps, len(samples))
    decibels = np.empty(count, np.float32)
    for start in range(0, count, _AT_ONCE):
        part = edges[start : start + _AT_ONCE + 1]
        energy = np.concatenate([[0.0], np.cumsum(np.square(samples[part[0] : part[-1]], dtype=np.float64))])
        mean = np.diff(energy[part - part[0]]) / np.maximum(np.diff(part), 1)
        decibels[start : start + _AT_ONCE] = 10.0 * np.log10(np.maximum(mean, 10.0 ** (_FLOOR_DB / 10.0)))
    return decibels


def is_silent(samples: NDArray[np.floating], rate: int = SAMPLE_RATE) -> bool:
    """Whether nothing can be heard: even the loudest 2 % of 40 ms stretches stay under −60 dB."""
    if not len(samples):
        return True
    return float(np.percentile(loudness(samples, FPS, rate), 98)) < SILENCE_DB


def require_sound(path: Path, samples: NDArray[np.floating], rate: int = SAMPLE_RATE) -> None:
    """Raises AudioSilent when nothing can be heard in `samples`, which came from `path`."""
    if is_silent(samples, rate):
        raise AudioSilent(Path(path).name)
