"""The stage `preprocess`: a video in, a dataset folder out. The only stage that needs a landmark library."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geneface import following, judging
from geneface.dataset import (
    ACCOUNT,
    FRAMES,
    HELD_OUT,
    LANDMARKS,
    LAYERS,
    PLATE,
    REPORT,
    SOUND,
    account_of,
    training_frames,
    write_json,
)  # fmt: skip
from geneface.errors import frame_rate_too_low, video_too_short
from geneface.face import eyes, quality
from geneface.face.framing import SIDE, SMALLEST_FACE, crop_of, face_width, followed, wanders
from geneface.face.geometry import median_shape
from geneface.face.layers import SIDE as LAYERS_SIDE
from geneface.face.person import pose_free
from geneface.judging import LEAST_SECONDS
from geneface.layering import Samples, write_layers
from geneface.watching import Watch
from media import audio, faces, mesh, video
from media.clock import FPS, SAMPLE_RATE
from media.errors import AudioMissing, FaceTooSmall, VideoMissing
from media.files import written
from media.frames import Frame
from media.mesh import MAX_GAP
from media.probe import probe
from media.writer import Writer
from steps.program import check_stop
from steps.progress import Reporter

VERSION = 2
"""Rises whenever the same video would give another dataset."""
LEAST_RATE = 15.0
"""Pictures a second of the source."""
OPTIONS: dict[str, Any] = {
    "size": SIDE, "fps": FPS, "sample_rate": SAMPLE_RATE, "held_out": HELD_OUT, "max_gap": MAX_GAP, "layers": LAYERS_SIDE,
}  # fmt: skip
"""The same for every profile, so that their trainings share one dataset."""


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
    if kept and (kept["version"], kept["options_hash"], kept["video_sha256"]) == (VERSION, options_hash(), digest):
        reporter.message(f"{folder} holds this dataset already")
        return {"dataset": str(folder), "unchanged": True, **kept}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ACCOUNT).unlink(missing_ok=True)
    sound = audio.read(source)
    audio.require_sound(source, sound)
    return _make(source, folder, sound, digest, reporter)


def _make(source: Path, folder: Path, sound: np.ndarray, digest: str, reporter: Reporter) -> dict[str, Any]:
    stream = probe(source).video
    assert stream is not None  # noqa: S101 - preprocess() has looked
    expected = round(stream.seconds * FPS)
    reporter.progress("survey", 0, 1)
    survey = faces.survey(source)
    follow = wanders(survey)
    if follow:
        survey = faces.survey(source, samples=expected)
    reporter.progress("survey", 1, 1)
    width = face_width(survey)
    if width < SMALLEST_FACE:
        raise FaceTooSmall(source.name, width=width, limit=int(SMALLEST_FACE))
    crop = crop_of(survey, stream.width, stream.height)
    if follow:
        path = followed(survey, expected, stream.width, stream.height)
        pictures = following.pictures(source, path)
    else:
        path = np.repeat(np.float32([crop[:3]]), expected, 0)
        pictures = video.frames(source, (SIDE, SIDE), crop)
    samples, watch = Samples(expected), Watch()
    with written(folder / FRAMES) as partial:
        seen = _watched(samples.pass_on(pictures), partial, watch, expected, reporter)
        measures = watch.measures()
        found, wrong = judging.believed(seen, measures)
        path = path[np.minimum(np.arange(len(seen)), len(path) - 1)]
        marks = judging.marks_of(found, wrong, measures, SIDE, _others(survey, len(seen)))
        cut_at = quality.cuts(found, measures.change)
        touching = judging.leaving(found, path, stream.width, stream.height)
        first, last = judging.usable_stretch(source.name, found, cut_at, touching)
        judging.require_trainable(source.name, marks[first:last])
        if last - first < len(seen):
            _cut(partial, first, last, reporter)
    kept = slice(first, last)
    heard = fitted(sound, first, last)
    audio.require_sound(source, heard)
    audio.write_wav(folder / SOUND, heard)
    points, marks, path = found.points[kept], marks[kept], path[kept]
    good = quality.trainable(marks)
    write_layers(folder / FRAMES, points, samples.chosen(good, first), folder / LAYERS, folder / PLATE, reporter)
    pose, _ = pose_free(points, median_shape(points))
    opened = eyes.aperture(points, pose)
    with written(folder / LANDMARKS) as partial, partial.open("wb") as file:
        np.savez(file, points=points, eyes=opened, trainable=good, flags=marks, crop=path, interpolated=found.interpolated[kept])
    account = {
        **describe(), "video_sha256": digest, "video": source.name, "frames": last - first, "first_frame": first,
        "trained": training_frames(last - first), "size": SIDE, "fps": FPS, "source_size": [stream.width, stream.height],
        "source_fps": round(stream.fps, 3), "face_width": round(float(np.median(width * SIDE / path[:, 2])), 1),
        "source_face_width": round(width, 1), "followed": follow, "crop": None if follow else list(crop),
        "interpolated_frames": int(found.interpolated[kept].sum()), "dropped_frames": len(seen) - (last - first),
        "trainable_frames": int(good.sum()), "blinks": eyes.statistics(opened).described(),
    }  # fmt: skip
    if follow:
        account["crop_path"] = [[round(float(value), 1) for value in square] for square in path[::FPS]]
    write_json(folder / REPORT, {**account, "quality": quality.summary(marks)})
    write_json(folder / ACCOUNT, account)
    return {"dataset": str(folder), **account}


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


def _others(survey: faces.Survey, frames: int) -> NDArray[np.bool_]:
    """Frames [T] about which the survey saw another face."""
    near = np.zeros(frames, bool)
    for time in survey.second_times:
        near[max(0, round((time - survey.step / 2) * FPS)) : round((time + survey.step / 2) * FPS) + 1] = True
    return near


def _cut(path: Path, first: int, last: int, reporter: Reporter) -> None:
    """Leaves only frames first to last - 1 in the packed file."""
    reporter.message(f"keeping frames {first} to {last - 1}: the longest stretch that can be used", level="warning")
    shorter: Writer = video.pack(path.with_name(f".cut-{path.name}"), SIDE, SIDE)
    with shorter as writer:
        for frame in video.frames(path, start=first / FPS, seconds=(last - first) / FPS):
            writer.write(frame)
    shorter.path.replace(path)


def fitted(sound: np.ndarray, first: int, last: int) -> np.ndarray:
    """The samples of frames first to last - 1, silence where the track ends before them."""
    step = SAMPLE_RATE // FPS
    samples = np.zeros((last - first) * step, np.float32)
    piece = sound[first * step : last * step]
    samples[: len(piece)] = piece
    return samples


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
