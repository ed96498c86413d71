"""The stage `preprocess`: a video in, a dataset folder out. The only stage that needs a landmark library."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

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
from geneface.errors import video_too_short
from geneface.face import eyes
from geneface.face.framing import SIDE, SMALLEST_FACE, crop_of, face_width
from geneface.face.geometry import median_shape
from geneface.face.layers import SIDE as LAYERS_SIDE
from geneface.face.person import pose_free
from geneface.layering import Samples, write_layers
from media import audio, faces, video
from media.clock import FPS, SAMPLE_RATE
from media.errors import AudioMissing, FaceMissingInFrames, FaceTooSmall, VideoMissing
from media.faces import Landmarks
from media.files import written
from media.frames import Frame
from media.mesh import MAX_GAP, runs
from media.probe import probe
from media.writer import Writer
from steps.program import check_stop
from steps.progress import Reporter

VERSION = 2
"""Rises whenever the same video would give another dataset."""
LEAST_SECONDS = 4.0
FACE_SHARE = 0.9
"""Share of the frames that must show the face."""
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
    `audio_missing`, `audio_silent` and what `media` finds wrong with the file.
    """
    info = probe(source)
    if info.video is None:
        raise VideoMissing(source.name)
    if info.audio is None:
        raise AudioMissing(source.name)
    if info.video.seconds < LEAST_SECONDS:
        raise video_too_short(source.name, info.video.seconds, LEAST_SECONDS)
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
    reporter.progress("survey", 0, 1)
    survey = faces.survey(source)
    reporter.progress("survey", 1, 1)
    width = face_width(survey)
    if width < SMALLEST_FACE:
        raise FaceTooSmall(source.name, width=width, limit=int(SMALLEST_FACE))
    crop = crop_of(survey, stream.width, stream.height)
    expected = round(stream.seconds * FPS)
    samples = Samples(expected)
    with written(folder / FRAMES) as partial:
        pictures = _packed(samples.pass_on(video.frames(source, (SIDE, SIDE), crop)), partial, expected, reporter)
        found = faces.landmarks(pictures)
        first, last = usable_stretch(source.name, found)
        if last - first < len(found.found):
            _cut(partial, first, last, reporter)
    heard = fitted(sound, first, last)
    audio.require_sound(source, heard)
    audio.write_wav(folder / SOUND, heard)
    points = found.points[first:last]
    write_layers(folder / FRAMES, points, samples.within(first, last), folder / LAYERS, folder / PLATE, reporter)
    pose, _ = pose_free(points, median_shape(points))
    opened = eyes.aperture(points, pose)
    with written(folder / LANDMARKS) as partial, partial.open("wb") as file:
        np.savez(file, points=points, eyes=opened, interpolated=found.interpolated[first:last])
    account = {
        **describe(), "video_sha256": digest, "video": source.name, "frames": last - first, "first_frame": first,
        "trained": training_frames(last - first), "size": SIDE, "fps": FPS, "crop": list(crop), "source_size": [stream.width,
        stream.height],
        "source_fps": round(stream.fps, 3), "face_width": round(width * SIDE / crop[2], 1), "source_face_width": round(width, 1),
        "interpolated_frames": int(found.interpolated[first:last].sum()), "dropped_frames": len(found.found) - (last - first),
        "blinks": eyes.statistics(opened).described(),
    }  # fmt: skip
    write_json(folder / REPORT, account)
    write_json(folder / ACCOUNT, account)
    return {"dataset": str(folder), **account}


def _packed(pictures: Iterator[Frame], target: Path, expected: int, reporter: Reporter) -> Iterator[Frame]:
    """Hands the frames on while they are written to `target`."""
    with video.pack(target, SIDE, SIDE) as writer:
        for done, frame in enumerate(pictures, 1):
            check_stop()
            writer.write(frame)
            yield frame
            reporter.progress("landmarks", min(done, expected), expected)


def _cut(path: Path, first: int, last: int, reporter: Reporter) -> None:
    """Leaves only frames first to last - 1 in the packed file."""
    reporter.message(
        f"keeping frames {first} to {last - 1}: the longest stretch that shows the face all the time", level="warning"
    )
    shorter: Writer = video.pack(path.with_name(f".cut-{path.name}"), SIDE, SIDE)
    with shorter as writer:
        for frame in video.frames(path, start=first / FPS, seconds=(last - first) / FPS):
            writer.write(frame)
    shorter.path.replace(path)


def usable_stretch(name: str, found: Landmarks) -> tuple[int, int]:
    """First and one-past-last frame of the longest stretch in which every frame has a face (gaps of up to 5 frames are bridged).

    Raises FaceMissingInFrames when the face is away too often, InputError `video_too_short` when the stretch is.
    """
    faces.require_face(name, found, FACE_SHARE)
    first, last = max(runs(found.usable), key=lambda run: run[1] - run[0])
    if (last - first) / FPS < LEAST_SECONDS:
        raise video_too_short(name, (last - first) / FPS, LEAST_SECONDS)
    if last - first < 0.6 * len(found.found):
        gaps = ", ".join(f"{start / FPS:.1f}–{stop / FPS:.1f} s" for start, stop in found.gaps()[:6])
        missing = int((~found.usable).sum())
        raise FaceMissingInFrames(name, missing=missing, total=len(found.found), seconds=gaps)
    return first, last


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
