"""The stage `preprocess`: a video in, a dataset folder out. The only stage that needs a landmark library."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geneface import judging
from geneface.dataset import (
    ACCOUNT,
    FRAMES,
    HELD_OUT,
    LANDMARKS,
    LAYERS,
    LAYERS_SIDE,
    PLATE,
    REPORT,
    SOUND,
    account_of,
    training_frames,
    write_json,
)  # fmt: skip
from geneface.errors import audio_out_of_sync, frame_rate_too_low, video_too_short
from geneface.face import quality
from geneface.face.framing import SIDE
from geneface.face.geometry import Array, from_the_front
from geneface.judging import LEAST_SECONDS, Kept
from geneface.layering import Samples, write_layers
from geneface.sound import offset
from geneface.sound.offset import Offset
from geneface.view import View, view_of
from geneface.watching import Watch
from media import audio, eyes, mesh, video
from media.clock import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from media.errors import AudioMissing, VideoMissing
from media.files import sha256, written
from media.frames import Frame
from media.mesh import MAX_GAP
from media.probe import probe
from media.writer import Writer
from steps.errors import InputError
from steps.program import check_stop
from steps.progress import Reporter

VERSION = 2
"""Rises whenever the same video would give another dataset."""
LEAST_RATE = 14.9
"""Pictures a second of the source: 15, less what time stamps are rounded by."""
OPTIONS: dict[str, Any] = {
    "size": SIDE, "fps": FPS, "sample_rate": SAMPLE_RATE, "held_out": HELD_OUT, "max_gap": MAX_GAP, "layers": LAYERS_SIDE,
}  # fmt: skip
"""The same for every profile, so that their trainings share one dataset."""

OFFSET_UNKNOWN = (
    "Whether sound and picture belong together could not be told: too little speech, or noise or music over it. "
    "The sound was left where it is."
)


def options_hash() -> str:
    """Names the options in the platform's table of datasets."""
    return hashlib.sha256(json.dumps(OPTIONS, sort_keys=True).encode()).hexdigest()


def describe() -> dict[str, Any]:
    """What decides, beside the video, which dataset comes out."""
    return {"version": VERSION, "options": OPTIONS, "options_hash": options_hash()}


def preprocess(source: Path, folder: Path, reporter: Reporter) -> dict[str, Any]:
    """Cuts, follows, packs and accounts for one clip. A folder that holds the same already is left alone. Returns the account.

    Raises InputError: `no_face_detected`, `multiple_faces`, `face_missing_in_frames`, `face_too_small`, `video_too_short`,
    `audio_missing`, `audio_silent`, what `geneface.errors` lists and what `media` finds wrong with the file.
    """
    info = probe(source)
    if info.video is None:
        raise VideoMissing(source.name)
    if info.audio is None:
        raise AudioMissing(source.name)
    if info.video.seconds < LEAST_SECONDS:
        raise video_too_short(source.name, info.video.seconds, LEAST_SECONDS)
    if info.video.fps < LEAST_RATE:
        raise frame_rate_too_low(source.name, info.video.fps, LEAST_RATE)
    digest = sha256(source)
    kept = account_of(folder)
    if kept and tuple(map(kept.get, ("version", "options_hash", "video_sha256"))) == (VERSION, options_hash(), digest):
        reporter.message(f"{folder} holds this dataset already")
        return {"dataset": str(folder), "unchanged": True, **kept}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ACCOUNT).unlink(missing_ok=True)
    sound = audio.read(source)
    audio.require_sound(source, sound)
    return _make(source, folder, sound, digest, reporter)


def preprocess_folder(videos: Path, reporter: Reporter) -> Path:
    """Preprocesses every video of a folder, one speaker each, into `videos`/datasets; those at fault are named and left out.
    Returns that folder.
    """
    datasets = videos / "datasets"
    for source in sorted(path for path in videos.iterdir() if path.is_file()):
        try:
            preprocess(source, datasets / source.name, reporter)
        except InputError as error:
            reporter.message(f"left out: {error.message} [{error.code}]", level="warning")
    return datasets


def _make(source: Path, folder: Path, sound: np.ndarray, digest: str, reporter: Reporter) -> dict[str, Any]:
    reporter.progress("survey", 0, 1)
    view = view_of(source)
    reporter.progress("survey", 1, 1)
    samples, watch = Samples(len(view.path)), Watch()
    with written(folder / FRAMES) as partial:
        seen = _watched(samples.pass_on(view.pictures()), partial, watch, len(view.path), reporter)
        kept = judging.kept(view, seen, watch.measures())
        if kept.last - kept.first < kept.total:
            _cut(partial, kept.first, kept.last, reporter)
    front, good = from_the_front(kept.points), quality.trainable(kept.marks)
    judging.require_movement(source.name, front[good])
    apart = offset.measure(front, fitted(sound, kept.first, kept.last), good)
    later = offset.to_remove(apart)
    if abs(later) > offset.MOST:
        raise audio_out_of_sync(source.name, later)
    span = (kept.first + later, kept.last + later)
    heard = fitted(sound, *span)
    audio.require_sound(source, heard)
    audio.write_wav(folder / SOUND, heard)
    good &= _has_sound(len(sound), *span)
    write_layers(folder / FRAMES, kept.points, samples.chosen(good, kept.first), folder / LAYERS, folder / PLATE, reporter)
    opened, path = eyes.aperture(front), view.squares(kept.total)[kept.first : kept.last]
    arrays: dict[str, Any] = {"points": kept.points, "eyes": opened, "trainable": good, "flags": kept.marks, "crop": path}
    with written(folder / LANDMARKS) as partial, partial.open("wb") as file:
        np.savez(file, interpolated=kept.interpolated, **arrays)
    account = {
        **describe(), "video_sha256": digest, **_account(view, kept, path), "trainable_frames": int(good.sum()),
        "audio_moved_frames": later, "blinks": eyes.statistics(opened).described(),
    }  # fmt: skip
    _report(folder, account, kept, apart, reporter)
    write_json(folder / ACCOUNT, account)
    return {"dataset": str(folder), **account}


def _account(view: View, kept: Kept, path: Array) -> dict[str, Any]:
    """What the dataset's pictures are and where they come from."""
    count, stream = kept.last - kept.first, view.stream
    told = {
        "video": view.source.name, "frames": count, "first_frame": kept.first, "trained": training_frames(count), "size": SIDE,
        "fps": FPS, "source_size": [stream.width, stream.height], "source_fps": round(stream.fps, 3),
        "face_width": round(float(np.median(view.face_width * SIDE / path[:, 2])), 1),
        "source_face_width": round(view.face_width, 1), "followed": view.crop is None, "crop": view.crop and list(view.crop),
        "interpolated_frames": int(kept.interpolated.sum()), "dropped_frames": kept.total - count,
    }  # fmt: skip
    if view.crop is None:
        told["crop_path"] = [[round(float(value), 1) for value in square] for square in path[::FPS]]
    return told


def _report(folder: Path, account: dict[str, Any], kept: Kept, apart: Offset | None, reporter: Reporter) -> None:
    """The account, with what every frame's judgement adds up to, in report.json."""
    warnings = [] if apart and apart.sure else [OFFSET_UNKNOWN]
    for warning in warnings:
        reporter.message(warning, level="warning")
    measured = apart and asdict(apart)
    write_json(
        folder / REPORT, {**account, "quality": quality.summary(kept.marks), "audio_offset": measured, "warnings": warnings}
    )


def _watched(
    pictures: Iterator[Frame], target: Path, watch: Watch, expected: int, reporter: Reporter
) -> list[NDArray[np.float32] | None]:
    """Writes the frames to `target` while they are followed and measured; their landmarks."""
    seen = []
    with video.pack(target, SIDE, SIDE) as writer:
        for frame, points in mesh.follow(pictures):
            check_stop()
            writer.write(frame)
            watch.see(frame, points)
            seen.append(points)
            reporter.progress("landmarks", min(len(seen), expected), expected)
    return seen


def _cut(path: Path, first: int, last: int, reporter: Reporter) -> None:
    """Leaves only frames first to last - 1 in the packed file."""
    reporter.message(f"keeping frames {first} to {last - 1}: the longest stretch that can be used", level="warning")
    shorter: Writer = video.pack(path.with_name(f".cut-{path.name}"), SIDE, SIDE)
    with shorter as writer:
        for frame in video.frames(path, start=first / FPS, seconds=(last - first) / FPS):
            check_stop()
            writer.write(frame)
    shorter.path.replace(path)


def fitted(sound: np.ndarray, first: int, last: int) -> np.ndarray:
    """The samples of frames first to last - 1, silence before the track's begin (first < 0) and after its end."""
    samples = np.zeros((last - first) * SAMPLES_PER_FRAME, np.float32)
    piece = sound[max(first, 0) * SAMPLES_PER_FRAME : max(last, 0) * SAMPLES_PER_FRAME]
    start = max(-first, 0) * SAMPLES_PER_FRAME
    samples[start : start + len(piece)] = piece
    return samples


def _has_sound(samples: int, first: int, last: int) -> NDArray[np.bool_]:
    """Which of the frames first to last - 1 of the sound lie within its samples, [T]; a last frame may be cut short."""
    frames = np.arange(first, last)
    return (frames >= 0) & (frames * SAMPLES_PER_FRAME < samples)
