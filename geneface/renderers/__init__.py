"""Motion to pixels. A renderer is trained on one person's frames, and then draws a *layer* for any motion and head pose; the
layer is laid over the source frame (paste-back), or over another background (compose.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from geneface.checkpoints import Tensors
from geneface.dataset import Dataset
from geneface.face.geometry import Array, Pose
from geneface.face.person import Person
from geneface.face.region import Placement
from geneface.loop import Trained
from steps.errors import InputError
from steps.progress import Reporter

MAX_EPOCHS = 100_000
KEPT = 0.04
"""Share of the training part, its end, that a renderer's best weights are chosen with."""
MOTION_NOISE = 0.05
"""Deviation of the noise on normalised motion while training: predicted motion is not as clean as true motion."""


@dataclass(frozen=True)
class Views:
    """How T frames are to look."""

    pose: Pose
    """Of the head, steadied, in pixels of the dataset's frames."""
    lower: Array
    """[T, 111] normalised motion of jaw and lips (face/person.py)."""
    eyes: Array
    """[T, 2] lid gap over eye width of each eye (media/eyes.py)."""

    def __len__(self) -> int:
        return len(self.lower)

    def __getitem__(self, index: slice | np.ndarray) -> Self:
        return replace(self, pose=self.pose[index], lower=self.lower[index], eyes=self.eyes[index])


@dataclass(frozen=True)
class Settings:
    """How a renderer is trained; a renderer with more to set extends it."""

    size: int
    """Side of the pictures that it draws, in pixels."""
    steps: tuple[int, ...]
    """Updates of each of its stages."""
    batch: int
    """Frames looked at in one update."""
    learning_rate: float
    most_passes: int | None = None
    """Over the frames, however many steps there are: beyond, a short clip is learned by heart."""

    def with_epochs(self, epochs: int | None, frames: int) -> Self:
        """The same with every stage trained for `epochs` passes over `frames` frames; None: for its steps, or `most_passes`.
        Raises InputError `epochs_invalid`.
        """
        passing = -(-frames // self.batch)
        if epochs is None:
            most = self.most_passes and self.most_passes * passing
            return replace(self, steps=tuple(min(steps, most or steps) for steps in self.steps))
        if not 1 <= epochs <= MAX_EPOCHS:
            raise InputError("epochs_invalid", f"epochs must be 1 to {MAX_EPOCHS:,}, not {epochs}.")
        return replace(self, steps=tuple(epochs * passing for _ in self.steps))


@dataclass(frozen=True)
class Material:
    """What a renderer is trained on: the training part of a dataset. `work` is a folder for what only the training needs; it
    survives a restart of the same training.
    """

    dataset: Dataset
    person: Person
    views: Views
    work: Path
    device: torch.device
    reporter: Reporter

    @property
    def usable(self) -> np.ndarray:
        """Numbers of the frames whose pictures may be learned from."""
        return np.flatnonzero(self.dataset.trainable[: len(self.views)])


@dataclass(frozen=True)
class Layer:
    """Drawn pictures and where they lie in the frames."""

    colour: Tensor
    """[T, 3, size, size], 0-1."""
    alpha: Tensor
    """[T or 1, 1, size, size], 0-1: what lies under is seen through the rest."""
    placement: Placement


class Renderer(Protocol):
    """One way from motion to pixels."""

    name: ClassVar[str]
    stages: ClassVar[tuple[str, ...]]
    """What is trained, in this order; also the names of the files with the trained tensors."""
    whole: ClassVar[bool]
    """Whether head and torso are drawn, so that no source frame is needed under them."""

    @classmethod
    def settings(cls, profile: str) -> Settings:
        """The training of this profile (`quick`, `cpu`, `gpu`)."""
        ...

    @classmethod
    def dims_of(cls, person: Person, settings: Settings, frame_size: int) -> dict[str, Any]:
        """What the shapes of the trained tensors depend on, for JSON."""
        ...

    @classmethod
    def trainer(
        cls, stage: str, material: Material, settings: Settings, dims: Mapping[str, Any], done: Mapping[str, Tensors]
    ) -> Trained:
        """The training of one stage; `done` holds the tensors of those before it."""
        ...

    @classmethod
    def load(cls, dims: Mapping[str, Any], tensors: Mapping[str, Tensors], person: Person, device: torch.device) -> Self:
        """A trained renderer from the tensors of all its stages. Raises what torch raises when they do not fit."""
        ...

    def layer(self, views: Views, frames: np.ndarray) -> Layer:
        """Draws a few frames. `frames`, uint8 [T, H, W, 3], are the source frames of the same head poses; a renderer that is
        `whole` does not look at them.
        """
        ...


NAMES = ("plane", "nerf", "gs")


def named(name: str) -> type[Renderer]:
    """The renderer of this name. Raises InputError `renderer_unknown`."""
    if name not in NAMES:
        raise InputError("renderer_unknown", f"There is no renderer {name!r}; there are {', '.join(NAMES)}.")
    found: type[Renderer] = import_module(f"geneface.renderers.{name}.renderer").RENDERER
    return found
