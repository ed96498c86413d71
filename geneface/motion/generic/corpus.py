"""What the generic model learns from: speakers, each a folder with audio.wav and landmarks.npz, as preprocessing leaves it.

Motion is brought to *generic coefficients*, the same for everybody: each speaker's lower face is normalised with its own mean and
deviation (face/person.py), and written in the principal directions of the whole corpus.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geneface.dataset import FRAMES, LANDMARKS, SOUND, account_of
from geneface.face.geometry import Array
from geneface.face.person import Person, lower_weights, pose_free
from geneface.sound.features import AudioFeatures
from media import audio
from media.mesh import runs
from steps.errors import InputError
from steps.program import check_stop
from steps.progress import Reporter

COMPONENTS = 12
STRETCH = 96
"""Frames of the stretches that are learned from: the least of a speaker."""


@dataclass(frozen=True)
class Speaker:
    """Training pairs of one speaker: audio features [2T, dim] and the normalised lower face [T, 111]."""

    name: str
    audio: Array
    lower: Array


@dataclass(frozen=True)
class Basis:
    """Generic coefficients of the normalised lower face: directions [111, K] (orthonormal) and scale [1]."""

    directions: Array
    scale: Array

    @classmethod
    def of(cls, speakers: Sequence[Speaker]) -> "Basis":
        """Principal directions of all speakers together; the first coefficient has deviation 1."""
        weighted = np.concatenate([speaker.lower for speaker in speakers]) * lower_weights()
        _, directions = np.linalg.eigh((weighted.T @ weighted).astype(np.float64))
        found = directions[:, : -COMPONENTS - 1 : -1]
        found = found * np.sign(found[np.abs(found).argmax(0), np.arange(COMPONENTS)])
        return cls(found.astype(np.float32), (weighted @ found[:, :1]).std(0).astype(np.float32))

    def coefficients(self, lower: Array) -> Array:
        """Normalised lower face [T, 111] to generic coefficients [T, K]."""
        return (lower * lower_weights() @ self.directions / self.scale).astype(np.float32)


def read(folder: Path, features: AudioFeatures, reporter: Reporter) -> list[Speaker]:
    """All speakers below `folder`, in the order of their paths in it, by which they are named: of each the longest stretch of
    frames that may be learned from. A preprocessing that did not end and too short a stretch are told of and left out.

    Raises InputError `corpus_empty`: fewer than two are left.
    """
    folders = sorted(path.parent for path in folder.rglob(LANDMARKS) if (path.parent / SOUND).is_file())
    speakers = []
    for done, path in enumerate(folders, 1):
        check_stop()
        name = path.relative_to(folder).as_posix()
        if (path / FRAMES).exists() and account_of(path) is None:
            reporter.message(f"left out: the preprocessing of {name} did not end", level="warning")
            continue
        with np.load(path / LANDMARKS, allow_pickle=False) as arrays:
            points = arrays["points"].astype(np.float32)
            good = arrays["trainable"].astype(bool) if "trainable" in arrays else np.ones(len(points), bool)
        heard = features(audio.read(path / SOUND))
        stretches = runs(good[: len(heard) // 2])
        first, last = max(stretches, key=lambda stretch: stretch[1] - stretch[0], default=(0, 0))
        if last - first < STRETCH:
            reporter.message(f"left out: {name} has {last - first} good frames in a row; {STRETCH} are needed", level="warning")
            continue
        person = Person.of(points[good])
        _, motion = pose_free(points[first:last], person.shape)
        speakers.append(Speaker(name, heard[2 * first : 2 * last], person.lower(motion)))
        reporter.progress("read corpus", done, len(folders))
    if len(speakers) < 2:
        raise InputError(
            "corpus_empty", f"{folder} holds {len(speakers)} speakers to learn from ({SOUND} and {LANDMARKS}); two are needed."
        )
    return speakers
