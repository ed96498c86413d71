"""What preprocessing leaves behind: a folder with packed frames, sound, landmarks and an account of itself."""

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from geneface.face.geometry import Array
from media import audio, pictures
from media.clock import SAMPLES_PER_FRAME
from media.files import written
from steps.errors import InputError

FRAMES, SOUND, LANDMARKS, ACCOUNT = "frames.mp4", "audio.wav", "landmarks.npz", "dataset.json"
LAYERS, PLATE = "layers.mp4", "plate.png"
LAYERS_SIDE = 256
"""Pixels of the layers' sides."""
REPORT = "report.json"
FILES = (FRAMES, SOUND, LANDMARKS, LAYERS, PLATE, ACCOUNT)
HELD_OUT = 11
"""One frame in this many, at the end, is held out and never trained on."""


@dataclass(frozen=True)
class Dataset:
    """A preprocessed clip of T frames at 25 a second; its sound covers the same T frames."""

    folder: Path
    account: dict[str, Any]
    points: Array
    """[T, 478, 3] picture landmarks in pixels of the packed frames."""
    eyes: Array
    """[T, 2] lid gap over eye width of the eye on the picture's left and of the other, free of the head's pose."""
    trainable: NDArray[np.bool_]
    """[T] frames that a model may learn from: the face was seen, whole, clear and from the front."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Raises InputError `dataset_incomplete` when the folder is not a whole dataset."""
        account = account_of(folder)
        if account is None:
            raise InputError(
                "dataset_incomplete", f"{folder} holds no complete dataset; run `python -m geneface preprocess` first."
            )
        try:
            with np.load(folder / LANDMARKS, allow_pickle=False) as arrays:
                points, eyes = (arrays[name].astype(np.float32) for name in ("points", "eyes"))
                trainable = arrays["trainable"].astype(bool)
        except (BadZipFile, EOFError, KeyError, OSError, RuntimeError, ValueError, zlib.error) as error:
            raise InputError(
                "dataset_incomplete",
                f"{folder / LANDMARKS} is damaged ({error}); remove {folder} and run `python -m geneface preprocess` again.",
            ) from error
        return cls(folder, account, points, eyes, trainable)

    def __len__(self) -> int:
        return len(self.points)

    @property
    def trained(self) -> int:
        """Frames of the training part; the others are held out."""
        return training_frames(len(self))

    @property
    def size(self) -> int:
        """Side of the square frames in pixels."""
        return int(self.account["size"])

    @property
    def frames(self) -> Path:
        """The packed pictures."""
        return self.folder / FRAMES

    @property
    def layers(self) -> Path:
        """The packed layers: T pictures of 256×256 whose R, G and B are the shares (0–255) of head, neck and torso in each
        pixel (to a few levels, as coded); what is missing to 255 is background.
        """
        return self.folder / LAYERS

    def plate(self) -> NDArray[np.uint8]:
        """The background without the person, uint8 [size, size, 3]."""
        return pictures.read(self.folder / PLATE, self.size, self.size)

    def sound(self, first: int = 0, last: int | None = None) -> Array:
        """16 kHz mono, of the frames `first` to `last` - 1 (all)."""
        last = len(self) if last is None else last
        return audio.read(self.folder / SOUND)[first * SAMPLES_PER_FRAME : last * SAMPLES_PER_FRAME]


def training_frames(frames: int) -> int:
    """How many of a clip's frames are trained on."""
    return frames - frames // HELD_OUT


def account_of(folder: Path) -> dict[str, Any] | None:
    """dataset.json of a whole dataset, otherwise None: it is written last."""
    if not all((folder / name).is_file() for name in FILES):
        return None
    try:
        account = json.loads((folder / ACCOUNT).read_text("utf-8"))
    except ValueError:
        return None
    return account if isinstance(account, dict) else None


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Whole or not at all. Raises ValueError for a number that is not finite: JSON has none."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    with written(path) as partial:
        partial.write_text(f"{text}\n", "utf-8")
