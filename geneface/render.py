"""The stage `render`: a model folder and a recording in, a video of that person saying it out."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice, repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from geneface.avatar import Avatar
from geneface.dataset import write_json
from geneface.devices import device_named
from geneface.face.geometry import Array
from geneface.face.person import pose_free
from geneface.motion import driving
from geneface.renderers import Views, base_frames
from geneface.renderers.compose import SOURCE, Background, Composer
from media import audio, sheet, video
from media.clock import FPS, SAMPLE_RATE, frame_count
from media.errors import AudioMissing
from media.probe import probe
from steps.errors import InputError
from steps.program import check_stop
from steps.progress import Reporter

BATCH = 8
SCORED_CRF = 12
"""Quality of held-out renderings: what is judged is the model, not the coder."""
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS


@dataclass(frozen=True)
class Scene:
    """What is to be drawn: base frame numbers [T], the normalised lower face for each [T, 111], and notes for the report."""

    numbers: np.ndarray
    lower: Array
    notes: dict[str, Any]


def render_audio(
    model: Path, recording: Path, out: Path, seed: int, device: str, reporter: Reporter, background: str = SOURCE
) -> dict[str, Any]:
    """The person says `recording` before `background` (`Background.named`). Returns the report. Raises InputError of `media`,
    of `Avatar.load` and of `Background.named`.
    """
    loaded = Avatar.load(model, device_named(device))
    composer = _composer(loaded, background)
    if probe(recording).audio is None:
        raise AudioMissing(recording.name)
    sound = audio.read(recording)
    audio.require_sound(recording, sound)
    rng = np.random.default_rng(seed)
    count, total = frame_count(len(sound)), len(loaded.dataset)
    start = int(rng.integers(0, max(1, total - count)))
    lower, notes = driving.predicted(loaded, sound, seed)
    scene = Scene(base_frames.mirrored(total, start, count), lower, {"motion": "predicted", "base_start": start, **notes})
    label = os.environ.get("GENEFACE_VISIBLE_LABEL", "on").lower() not in ("off", "0", "false", "no")
    return _film(loaded, scene, composer, recording, out, reporter, label=label, crf=None)


def render_held_out(
    model: Path, motion: str, out: Path, seed: int, device: str, reporter: Reporter, background: str = SOURCE
) -> dict[str, Any]:
    """The held-out tail, driven as `motion` says; also OUT.truth.mp4, and for `swap` OUT.driver.mp4. Returns the report."""
    loaded = Avatar.load(model, device_named(device))
    composer = _composer(loaded, background)
    data = loaded.dataset
    numbers = np.arange(data.trained, len(data))
    sound = data.sound()[data.trained * SAMPLES_PER_FRAME : len(data) * SAMPLES_PER_FRAME]
    if not len(numbers):
        raise InputError("video_too_short", "the video has no held-out part to render.")
    lower, notes = driving.held_out(loaded, motion, sound, seed)
    scene = Scene(numbers, lower, {"motion": motion, "split": "val", **notes})
    _copy(data.frames, numbers, sound, out.with_suffix(".truth.mp4"))
    if motion == "swap":
        driver = np.arange(len(numbers)) + notes["driver_start"]
        heard = data.sound()[driver[0] * SAMPLES_PER_FRAME : (driver[-1] + 1) * SAMPLES_PER_FRAME]
        _copy(data.frames, driver, heard, out.with_suffix(".driver.mp4"))
    with _as_file(sound) as heard:
        return _film(loaded, scene, composer, heard, out, reporter, label=False, crf=SCORED_CRF)


def _composer(loaded: Avatar, background: str) -> Composer:
    named = Background.named(background, loaded.dataset)
    return Composer.of(loaded.renderer, named, loaded.dataset, loaded.person.shape)


def _film(
    loaded: Avatar, scene: Scene, composer: Composer, sound: Path, out: Path, reporter: Reporter, label: bool, crf: int | None
) -> dict[str, Any]:
    size, count = loaded.dataset.size, len(scene.numbers)
    pasted = composer.background.ground is None
    tags = {"pasted_back": json.dumps(pasted)}
    with video.Writer(out, size, size, audio=sound, crf=crf, label=label, tags=tags) as writer:
        for frame in reporter.track(drawn(loaded, scene, composer), "render", count):
            check_stop()
            writer.write(frame)
    report = {
        "video": str(out), "frames": count, "seconds": count / FPS, "size": size, "pasted_back": pasted,
        "background": composer.background.name, "visible_label": label, "renderer": loaded.renderer.name, **scene.notes,
    }  # fmt: skip
    write_json(out.with_name(f"{out.stem}.report.json"), report)
    return report


def drawn(loaded: Avatar, scene: Scene, composer: Composer | None = None) -> Iterator[np.ndarray]:
    """The finished frames, uint8 [H, W, 3], one after the other; holds one batch of them at a time. Pasted back when no
    `composer` says otherwise.
    """
    composer = composer or _composer(loaded, SOURCE)
    data = loaded.dataset
    pose, _ = pose_free(data.points, loaded.person.shape)
    views = Views(pose.smoothed()[scene.numbers], scene.lower, data.eyes[scene.numbers])
    frames = base_frames.read(data.frames, scene.numbers) if composer.needs_frames else repeat(np.zeros((1, 1, 3), np.uint8))
    layers = base_frames.read(data.layers, scene.numbers) if composer.needs_layers else None
    for start in range(0, len(views), BATCH):
        part = views[start : start + BATCH]
        yield from composer(part, _taken(frames, len(part)), None if layers is None else _taken(layers, len(part)))


def _taken(pictures: Iterator[np.ndarray], count: int) -> np.ndarray:
    return np.stack(list(islice(pictures, count)))


def _copy(frames: Path, numbers: np.ndarray, sound: Array, out: Path) -> None:
    """The real frames of these numbers with their sound."""
    pictures = base_frames.read(frames, numbers)
    first = next(pictures)
    height, width = first.shape[:2]
    with _as_file(sound) as heard, video.Writer(out, width, height, audio=heard, crf=SCORED_CRF, generated=False) as writer:
        for frame in chain([first], pictures):
            writer.write(frame)


@contextmanager
def _as_file(samples: Array) -> Iterator[Path]:
    """The samples as a wav that is gone after the block."""
    with TemporaryDirectory(prefix="geneface-") as folder:
        path = Path(folder) / "sound.wav"
        audio.write_wav(path, samples)
        yield path


def write_sheet(film: Path, target: Path) -> None:
    """A contact sheet of the finished video as PNG."""
    sheet.contact_sheet(target, film)
