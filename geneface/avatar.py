"""A finished model: one self-contained folder, all that rendering needs."""

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from geneface.checkpoints import Tensors
from geneface.dataset import FILES, Dataset, write_json
from geneface.face.person import Person
from geneface.motion.generic.model import GenericDims
from geneface.motion.model import AudioToMotion, MotionDims
from geneface.renderers import Renderer, named
from media.files import written
from steps.errors import InputError

VERSION = 5
"""Rises whenever a model trained before would be drawn wrongly."""
MANIFEST = "model.json"


@dataclass(frozen=True)
class Avatar:
    """The three parts of a trained model and the dataset whose frames it speaks in."""

    dataset: Dataset
    person: Person
    motion: AudioToMotion
    renderer: Renderer
    manifest: dict[str, Any]
    emphasis: float = 1.0
    """Motion is drawn times this (emphasis.py)."""

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> Self:
        """Raises InputError `model_incomplete` or `model_version_unknown`, and what torch raises when the device fails."""
        manifest = manifest_of(folder)
        if manifest is None:
            raise InputError("model_incomplete", f"{folder} holds no finished model; run `python -m geneface train` first.")
        if manifest.get("version") != VERSION:
            raise InputError(
                "model_version_unknown",
                f"{folder} is a model of version {manifest.get('version')}; this program reads {VERSION}.",
            )
        try:
            motion = AudioToMotion(_motion_dims(manifest["motion"]))
            motion.load_state_dict(load_file(folder / "motion.safetensors"))
            person = Person.from_tensors(load_file(folder / "person.safetensors"))
            kind = named(manifest["renderer"]["name"])
            drawn = {stage: load_file(folder / f"{stage}.safetensors") for stage in kind.stages}
            renderer = kind.load(manifest["renderer"]["dims"], drawn, person, device)
        except (torch.OutOfMemoryError, torch.AcceleratorError):
            raise  # the GPU's fault, though both are RuntimeErrors, as is what torch says of tensors that do not fit
        except (OSError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise InputError("model_incomplete", f"{folder} is not a whole model: {error}") from error
        dataset = Dataset.load(folder)
        return cls(dataset, person, motion.eval().requires_grad_(False), renderer, manifest, manifest.get("emphasis", 1.0))


def manifest_of(folder: Path) -> dict[str, Any] | None:
    """model.json of a finished model, otherwise None: it is written last."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) else None


def save(folder: Path, avatar: Avatar, renderer: dict[str, Any], drawn: dict[str, Tensors], plan: dict[str, Any]) -> None:
    """Writes a finished model, its manifest last; `renderer` is {"name", "dims"}, `drawn` the tensors of its stages."""
    for name in FILES:
        _link(avatar.dataset.folder / name, folder / name)
    parts: dict[str, Tensors] = {"person": avatar.person.tensors(), "motion": avatar.motion.state_dict(), **drawn}
    for name, tensors in parts.items():
        with written(folder / f"{name}.safetensors") as partial:
            save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, partial)
    described = {"motion": asdict(avatar.motion.dims), "renderer": renderer, "emphasis": avatar.emphasis}
    write_json(folder / MANIFEST, {"version": VERSION, "plan": plan, **described})


def _motion_dims(values: dict[str, Any]) -> MotionDims:
    generic = values["prior"]
    return MotionDims(**{**values, "prior": GenericDims(**generic) if generic else None})


def _link(source: Path, target: Path) -> None:
    """The same file under a second name, or a copy where the file system offers none."""
    if target.exists() and source.samefile(target):
        return
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        with written(target) as partial:
            shutil.copyfile(source, partial)
