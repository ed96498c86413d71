"""The stage `render`: a model folder and a recording in, a video of that person saying it out."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
SHOWN_RATE = 48_000


@dataclass(frozen=True)
class Scene:
    """What is to be drawn: base frame numbers [T], the normalised lower face [t, 111] of one window after the other (at least T
    frames), and what a report says about it when all is drawn.
    """

    numbers: np.ndarray
    windows: Iterable[Array]
    notes: Callable[[], dict[str, Any]]


def render_audio(
    model: Path, recording: Path, out: Path, seed: int, device: str, reporter: Reporter, background: str = SOURCE,
    preview: float | None = None, subtitles: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The person says `recording`, or its first `preview` seconds, before `background` (`Background.named`), `subtitles` (SRT)
    drawn into the picture. Returns the report.
    Raises InputError of `media`, of `Avatar.load` and of `Background.named`.
    """
    loaded = Avatar.load(model, device_named(device))
    composer = _composer(loaded, background)
    if probe(recording).audio is None:
        raise AudioMissing(recording.name)
    sound = audio.read(recording)
    audio.require_sound(recording, sound)
    label = os.environ.get("GENEFACE_VISIBLE_LABEL", "on").lower() not in ("off", "0", "false", "no")
    scene = _speaking(loaded, sound, seed)
    if preview is None:
        return _film(loaded, scene, composer, recording, out, reporter, label, None, subtitles)
    scene = replace(scene, numbers=scene.numbers[: max(1, round(preview * FPS))])
    heard = audio.read(recording, SHOWN_RATE, seconds=len(scene.numbers) / FPS)
    with _as_file(heard, SHOWN_RATE) as beginning:
        return _film(loaded, scene, composer, beginning, out, reporter, label, None, subtitles)


def _speaking(loaded: Avatar, sound: Array, seed: int) -> Scene:
    """The person's own head motion from a random moment on, with a mouth that follows the sound."""
    first, last = base_frames.good_stretch(loaded.dataset.trainable)
    start = int(np.random.default_rng(seed).integers(0, max(1, last - first - frame_count(len(sound)))))
    prediction = driving.Prediction(loaded, sound, seed)
    numbers = first + base_frames.schedule(last - first, start, prediction.guard.shut > 0.5)
    start += first
    return Scene(numbers, prediction, lambda: {"motion": "predicted", "base_start": start, **prediction.report()})


def render_held_out(
    model: Path, motion: str, out: Path, seed: int, device: str, reporter: Reporter, background: str = SOURCE
) -> dict[str, Any]:
    """The held-out tail, driven as `motion` says; also OUT.truth.mp4, and for `swap` OUT.driver.mp4. Returns the report."""
    loaded = Avatar.load(model, device_named(device))
    composer = _composer(loaded, background)
    data = loaded.dataset
    numbers = np.arange(data.trained, len(data))
    sound = data.sound(data.trained)
    if not len(numbers):
        raise InputError("video_too_short", "the video has no held-out part to render.")
    lower, notes = driving.held_out(loaded, motion, sound, seed)
    scene = Scene(numbers, [lower], lambda: {"motion": motion, "split": "val", **notes})
    _copy(data.frames, numbers, sound, out.with_suffix(".truth.mp4"))
    if motion == "swap":
        driver = np.arange(len(numbers)) + notes["driver_start"]
        heard = data.sound(driver[0], driver[-1] + 1)
        _copy(data.frames, driver, heard, out.with_suffix(".driver.mp4"))
    with _as_file(sound) as file:
        return _film(loaded, scene, composer, file, out, reporter, label=False, crf=SCORED_CRF)


def _composer(loaded: Avatar, background: str) -> Composer:
    named = Background.named(background, loaded.dataset)
    return Composer.of(loaded.renderer, named, loaded.dataset, loaded.person.shape)


def _film(
    loaded: Avatar, scene: Scene, composer: Composer, sound: Path, out: Path, reporter: Reporter, label: bool, crf: int | None,
    subtitles: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    size, count = loaded.dataset.size, len(scene.numbers)
    pasted = composer.background.ground is None
    tags = {"pasted_back": json.dumps(pasted)}
    with video.Writer(out, size, size, audio=sound, crf=crf, label=label, tags=tags, subtitles=subtitles) as writer:
        for frame in reporter.track(drawn(loaded, scene, composer), "render", count):
            check_stop()
            writer.write(frame)
    report = {
        "video": str(out), "frames": count, "seconds": count / FPS, "size": size, "pasted_back": pasted,
        "background": composer.background.name, "visible_label": label, "renderer": loaded.renderer.name, **scene.notes(),
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
    pose, done = pose.smoothed(), 0
    frames = base_frames.read(data.frames, scene.numbers) if composer.needs_frames else repeat(np.zeros((1, 1, 3), np.uint8))
    layers = base_frames.read(data.layers, scene.numbers) if composer.needs_layers else None
    for window in scene.windows:
        numbers = scene.numbers[done : done + len(window)]
        views = Views(pose[numbers], loaded.emphasis * window[: len(numbers)], data.eyes[numbers])
        for start in range(0, len(views), BATCH):
            part = views[start : start + BATCH]
            yield from composer(part, _taken(frames, len(part)), None if layers is None else _taken(layers, len(part)))
        done += len(numbers)
        if done == len(scene.numbers):
            return


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
def _as_file(samples: Array, rate: int = SAMPLE_RATE) -> Iterator[Path]:
    """The samples as a wav that is gone after the block."""
    with TemporaryDirectory(prefix="geneface-") as folder:
        path = Path(folder) / "sound.wav"
        audio.write_wav(path, samples, rate)
        yield path


def write_sheet(film: Path, target: Path) -> None:
    """A contact sheet of the finished video as PNG."""
    sheet.contact_sheet(target, film)
