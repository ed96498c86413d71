"""Checkpoints: folders of safetensors and JSON that appear whole or not at all."""

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from steps.progress import Reporter

STATE = "state.json"
KEPT = 2

Tensors = dict[str, Tensor]


@dataclass
class Checkpoint:
    """What a training needs to go on from here: `state` (JSON) and named groups of tensors."""

    stage: str
    step: int
    state: dict[str, Any]
    groups: dict[str, Tensors] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The folder's name; names sort in the order of the training within a stage."""
        return f"{self.stage}-{self.step:07d}"


def save(folder: Path, checkpoint: Checkpoint) -> Path:
    """Writes `folder/<stage>-<step>/` under a temporary name, syncs it, renames it, and keeps the last two. Returns the
    folder written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target, partial = folder / checkpoint.name, folder / f".partial-{checkpoint.name}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for name, tensors in checkpoint.groups.items():
        save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, partial / f"{name}.safetensors")
    state = {"stage": checkpoint.stage, "step": checkpoint.step, "groups": sorted(checkpoint.groups), **checkpoint.state}
    (partial / STATE).write_text(json.dumps(state, indent=1) + "\n", "utf-8")
    for path in (*partial.iterdir(), partial):
        _sync(path)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    _sync(folder)
    _prune(folder)
    return target


def newest(folder: Path, stages: tuple[str, ...], reporter: Reporter | None = None) -> Checkpoint | None:
    """The newest whole checkpoint in `folder` (a later stage is newer), or None. One that cannot be read is told of and passed
    over.
    """
    for path in reversed(_ordered(folder, stages)):
        try:
            state = json.loads((path / STATE).read_text("utf-8"))
            groups = {name: load_file(path / f"{name}.safetensors") for name in state["groups"]}
            return Checkpoint(state.pop("stage"), state.pop("step"), state, groups)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            if reporter:
                reporter.message(f"the checkpoint {path.name} cannot be read and is passed over: {error!r}", level="warning")
    return None


def resumable(folder: Path, stages: tuple[str, ...], plan: dict[str, Any], reporter: Reporter) -> Checkpoint | None:
    """The newest whole checkpoint when it belongs to this plan (its state's `plan`); all checkpoints of another are removed, lest
    the next search finds them. What is found is told.
    """
    found = newest(folder, stages, reporter)
    if found is None:
        return None
    if found.state.get("plan") != plan:
        reporter.message("the checkpoint found belongs to other data or settings: starting anew", level="warning")
        shutil.rmtree(folder)
        return None
    reporter.message(f"going on from {found.name}")
    return found


def forget(folder: Path, stage: str, beyond: int) -> None:
    """Removes the checkpoints of `stage` after the step `beyond`: a training that went back to it does not lead to them."""
    for path in _ordered(folder, (stage,)):
        if int(path.name.rsplit("-", 1)[1]) > beyond:
            shutil.rmtree(path)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> Tensors:
    """An optimiser's moments as flat named tensors; its hyper-parameters follow from the step and are not kept."""
    return {f"{i}.{key}": value for i, state in optimizer.state_dict()["state"].items() for key, value in state.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    """The inverse of `optimizer_tensors`."""
    state: dict[int, Tensors] = {}
    for name, value in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _ordered(folder: Path, stages: tuple[str, ...]) -> list[Path]:
    def place(path: Path) -> tuple[int, str]:
        return stages.index(path.name.rsplit("-", 1)[0]), path.name

    if not folder.is_dir():
        return []
    return sorted((p for p in folder.iterdir() if p.is_dir() and p.name.rsplit("-", 1)[0] in stages), key=place)


def _prune(folder: Path) -> None:
    whole = sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=lambda p: p.stat().st_mtime_ns)
    for path in whole[:-KEPT]:
        shutil.rmtree(path, ignore_errors=True)
    for path in folder.glob(".partial-*"):
        shutil.rmtree(path, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
