"""Priors: trained generic models, one for each kind of audio features; those of this folder are shipped."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from geneface import checkpoints, loop
from geneface.dataset import SOUND, write_json
from geneface.loop import Checkpointing
from geneface.motion.generic.corpus import COMPONENTS, Basis, read
from geneface.motion.generic.model import Generic, GenericDims
from geneface.motion.generic.sync import SyncExpert
from geneface.motion.generic.training import GenericTrainer, GenericTraining, Pairs, SyncTrainer
from geneface.sound.features import HOP, AudioFeatures
from geneface.sound.whisper import Levels, Whisper
from media import audio
from media.files import written
from steps import weights
from steps.errors import InputError
from steps.program import check_stop
from steps.progress import Reporter

VERSION = 1
SHIPPED = Path(__file__).parent
HELD_EVERY = 8
"""One speaker in this many is not trained on, but told apart in the report."""


def path_of(features: str) -> Path:
    """Where the shipped prior for these features lies, if there is one."""
    return SHIPPED / f"prior_{features}.safetensors"


def load(path: Path) -> Generic:
    """A trained prior. Raises InputError `prior_invalid`."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("version") != str(VERSION):
                version = metadata.get("version")
                raise InputError("prior_invalid", f"{path} is a prior of version {version}; this program reads {VERSION}.")
            model = Generic(GenericDims(**json.loads(metadata["dims"])))
            model.load_state_dict({key: file.get_tensor(key).float() for key in file.keys()})  # noqa: SIM118 - not a dict
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError("prior_invalid", f"{path} is not a prior: {error}") from error
    return model.eval().requires_grad_(False)


def train(
    corpus: Path, out: Path, features: AudioFeatures, settings: GenericTraining, seed: int, device: torch.device,
    reporter: Reporter,
) -> dict[str, Any]:  # fmt: skip
    """Trains a prior on the speakers below `corpus` and writes it to `out` (and OUT.report.json). Goes on where it was stopped.

    Raises InputError `corpus_empty`, StoppedError, TryAgainError `training_diverged`.
    """
    speakers = read(corpus, features, reporter)
    basis = Basis.of(speakers)
    held = speakers[HELD_EVERY - 1 :: HELD_EVERY]
    known = [speaker for number, speaker in enumerate(speakers) if number % HELD_EVERY != HELD_EVERY - 1]
    dims = GenericDims(features.name, features.dim, COMPONENTS)
    pairs, unknown = Pairs(known, basis), Pairs(held, basis) if held else None
    folder = out.with_name(f".{out.name}.checkpoints")
    frames = {speaker.name: len(speaker.lower) for speaker in speakers}
    plan = {"dims": asdict(dims), "settings": asdict(settings), "seed": seed, "speakers": frames}
    resumed = checkpoints.resumable(folder, (SyncTrainer.name, GenericTrainer.name), plan, reporter)
    torch.manual_seed(seed)
    report: dict[str, Any] = dict(resumed.state["report"]) if resumed else {}
    expert = SyncExpert(dims.audio_dim, dims.components)
    if resumed and resumed.stage == GenericTrainer.name:
        expert.load_state_dict(resumed.groups[SyncTrainer.name])
    else:
        sync = SyncTrainer(pairs, dims, settings, device)
        report["sync"] = loop.train(sync, Checkpointing(folder, {"plan": plan, "report": report}, {}), reporter, seed, resumed)
        report["sync"] |= sync.conclude()
        expert = sync.model.cpu()
    torch.manual_seed(seed + 1)
    trainer = GenericTrainer(pairs, unknown, dims, settings, expert, device)
    target = Checkpointing(folder, {"plan": plan, "report": report}, {SyncTrainer.name: expert.state_dict()})
    report["generic"] = loop.train(trainer, target, reporter, seed, resumed) | trainer.conclude()
    metadata = {"version": str(VERSION), "dims": json.dumps(asdict(dims)), "plan": json.dumps(plan)}
    with written(out) as partial:
        save_file({key: value.cpu().half().contiguous() for key, value in trainer.model.state_dict().items()}, partial, metadata)
    report |= {"prior": str(out), "bytes": out.stat().st_size, "speakers": len(speakers)}
    write_json(out.with_name(f"{out.stem}.report.json"), report)
    shutil.rmtree(folder, ignore_errors=True)
    return report


def measure_levels(corpus: Path, out: Path, reporter: Reporter) -> dict[str, Any]:
    """Writes mean and deviation of what Whisper's blocks leave over all sound below `corpus` (sound/whisper.py).

    Raises InputError `corpus_empty`, `weights_missing`, StoppedError.
    """
    files = sorted(corpus.rglob(SOUND))
    if not files:
        raise InputError("corpus_empty", f"{corpus} holds no sound ({SOUND}).")
    whisper = Whisper.read(weights.path("whisper-base"), None)
    count, total, squares = 0, torch.zeros(1), torch.zeros(1)
    for done, path in enumerate(files, 1):
        check_stop()
        samples = audio.read(path)
        for first, states in whisper.states(samples):
            heard = states[:, : max(0, len(samples) // HOP - first)].double()
            count += heard.shape[1]
            total, squares = total + heard.sum(1), squares + heard.square().sum(1)
        reporter.progress("measure levels", done, len(files))
    if count == 0:
        raise InputError("corpus_empty", f"The sound below {corpus} is too short to measure.")
    mean = total / count
    levels = Levels(mean, (squares / count - mean**2).sqrt())
    with written(out) as partial, partial.open("wb") as file:
        np.savez_compressed(file, mean=levels.mean.half().numpy(), deviation=levels.deviation.half().numpy())
    return {"levels": str(out), "files": len(files), "bytes": out.stat().st_size}
