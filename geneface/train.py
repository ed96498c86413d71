"""The stage `train`: a dataset folder in, a finished model folder out; goes on from the newest checkpoint by itself."""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from geneface import avatar, checkpoints, emphasis, held_out, loop
from geneface.avatar import Avatar
from geneface.checkpoints import Checkpoint, Tensors
from geneface.dataset import REPORT, Dataset, write_json
from geneface.devices import device_named
from geneface.face.person import COMPONENTS, Person, pose_free
from geneface.loop import Trained
from geneface.motion.generic import prior
from geneface.motion.model import AudioToMotion, MotionDims
from geneface.motion.training import MotionTrainer, Speech
from geneface.profiles import FEATURES, Profile
from geneface.renderers import Material, Renderer, Settings, Views, named
from geneface.sound.features import AudioFeatures, features_named
from media.files import sha256
from steps.errors import InputError
from steps.progress import Reporter

CHECKPOINTS = "checkpoints"
WORK = "work"
SAMPLES = "samples"


@dataclass(frozen=True)
class Options:
    """What `train` was asked for."""

    profile: Profile
    epochs: int | None = None
    device: str = "auto"
    seed: int = 0
    audio: str | None = None
    renderer: str = "plane"
    settings: Settings | None = None
    """Instead of those that the renderer has for the profile."""


def train(data: Path, out: Path, options: Options, reporter: Reporter) -> dict[str, Any]:
    """Trains audio-to-motion and the renderer, and writes the model to `out`. Returns the report.

    Raises InputError (`epochs_invalid`, `dataset_incomplete`, `weights_missing`, `device_unavailable`, `renderer_unknown`),
    StoppedError, TryAgainError.
    """
    dataset = Dataset.load(data)
    kind = named(options.renderer)
    settings = (options.settings or kind.settings(options.profile.name)).with_epochs(options.epochs, dataset.trained)
    device = device_named(options.device)
    features, fallback = choose_features(options.audio or options.profile.audio)
    plan = plan_of(dataset, options.profile, kind.name, settings, options.seed, features)
    finished = avatar.manifest_of(out)
    if finished and finished.get("plan") == plan:
        reporter.message(f"{out} holds this model already")
        _clean(out)
        return {"model": str(out), "unchanged": True}
    out.mkdir(parents=True, exist_ok=True)
    (out / avatar.MANIFEST).unlink(missing_ok=True)
    resumed = checkpoints.resumable(out / CHECKPOINTS, (MotionTrainer.name, *kind.stages), plan, reporter)
    if fallback:
        reporter.message(fallback, level="warning")
    training = _Training(dataset, options, kind, settings, device, features, plan, out, resumed, reporter)
    fallbacks = [fallback] if fallback else []
    report = {**training.run(), "fallbacks": fallbacks}
    reporter.progress("held-out scores", 0, 1)
    trained = training.trained()
    told = emphasis.measured(trained)
    if not told:
        fallbacks.append(
            "How much of a motion shows was not measured (few frames, or no landmark library): it is drawn as it is."
        )
    trained = replace(trained, emphasis=emphasis.best(told))
    report["emphasis"] = {"chosen": trained.emphasis, "lmd_motion": {str(choice): round(lmd, 3) for choice, lmd in told.items()}}
    report["held_out"] = held_out.scores(trained, options.seed)
    reporter.progress("held-out scores", 1, 1)
    write_json(out / REPORT, report)
    avatar.save(out, trained, {"name": kind.name, "dims": training.dims}, training.done, plan)
    _clean(out)
    return {"model": str(out), **report}


class _Training:
    """The stages one after the other, over one person's numbers."""

    motion: AudioToMotion

    def __init__(
        self, dataset: Dataset, options: Options, kind: type[Renderer], settings: Settings, device: torch.device,
        features: AudioFeatures, plan: dict[str, Any], out: Path, resumed: Checkpoint | None, reporter: Reporter,
    ) -> None:  # fmt: skip
        self.dataset, self.options, self.kind, self.settings = dataset, options, kind, settings
        self.device, self.features, self.plan, self.out = device, features, plan, out
        self.resumed, self.reporter = resumed, reporter
        points = dataset.points[: dataset.trained]
        self.person = Person.of(points[dataset.trainable[: dataset.trained]])
        pose, motion = pose_free(points, self.person.shape)
        self.views = Views(pose.smoothed(), self.person.lower(motion), dataset.eyes[: dataset.trained])
        self.dims = kind.dims_of(self.person, settings, dataset.size)
        self.reports: dict[str, dict[str, Any]] = dict(resumed.state["reports"]) if resumed else {}
        self.done: dict[str, Tensors] = {}

    def run(self) -> dict[str, Any]:
        """All stages. Returns the report."""
        self._train_motion()
        for stage in self.kind.stages:
            self._train_stage(stage)
        return {
            "profile": self.options.profile.name, "renderer": self.kind.name, "seed": self.options.seed,
            "device": str(self.device), "audio_features": self.features.name, "frames_trained": self.dataset.trained,
            "frames_held_out": len(self.dataset) - self.dataset.trained, "threads": torch.get_num_threads(),
            "torch": torch.__version__, **self.reports,
        }  # fmt: skip

    def trained(self) -> Avatar:
        """What was trained."""
        renderer = self.kind.load(self.dims, self.done, self.person, self.device)
        return Avatar(self.dataset, self.person, self.motion.requires_grad_(False), renderer, {})

    def _train_motion(self) -> None:
        name = MotionTrainer.name
        shipped = prior.path_of(self.features.name)
        generic = prior.load(shipped) if shipped.exists() else None
        dims = MotionDims(self.features.name, self.features.dim, COMPONENTS, generic.dims if generic else None)
        torch.manual_seed(self.options.seed)
        if self.resumed and self.resumed.stage != name:
            self.motion = AudioToMotion(dims).eval()
            self.motion.load_state_dict(self.resumed.groups[name])
            return
        self.reporter.progress("audio features", 0, 1)
        sound = self.dataset.sound(last=self.dataset.trained)
        heard = self.features(sound)[: 2 * self.dataset.trained]
        self.reporter.progress("audio features", 1, 1)
        usable = self.dataset.trainable[: self.dataset.trained]
        speech = Speech(heard, self.person.coefficients(self.views.lower), usable)
        trainer = MotionTrainer(speech, self.person, dims, generic, self.options.profile.motion, self.device, self._fitted)
        self.reports[name] = self._trained(trainer, {})
        self.motion = trainer.model.cpu().eval()

    def _fitted(self, done: int, total: int) -> None:
        self.reporter.progress("fit motion", done, total)

    def _train_stage(self, stage: str) -> None:
        order = self.kind.stages
        if self.resumed and self.resumed.stage in order[order.index(stage) + 1 :]:
            self.done[stage] = self.resumed.groups[stage]
            return
        torch.manual_seed(self.options.seed + 1 + order.index(stage))
        work = self.out / WORK / _digest(self.plan["dataset"])
        work.mkdir(parents=True, exist_ok=True)
        material = Material(self.dataset, self.person, self.views, work, self.device, self.reporter)
        trainer = self.kind.trainer(stage, material, self.settings, self.dims, self.done)
        self.reports[stage] = self._trained(trainer, {MotionTrainer.name: self.motion.state_dict(), **self.done})
        self.done[stage] = {key: value.detach().cpu() for key, value in trainer.model.state_dict().items()}

    def _trained(self, trainer: MotionTrainer | Trained, groups: dict[str, Tensors]) -> dict[str, Any]:
        state = {"plan": self.plan, "reports": self.reports}
        target = loop.Checkpointing(self.out / CHECKPOINTS, state, groups, self.out / WORK / SAMPLES)
        report = loop.train(trainer, target, self.reporter, self.options.seed, self.resumed)
        return {**report, **trainer.conclude()}


def plan_of(
    dataset: Dataset, profile: Profile, renderer: str, settings: Settings, seed: int, features: AudioFeatures
) -> dict[str, Any]:
    """All that decides what a training becomes: a checkpoint of another plan is not gone on from."""
    account = dataset.account
    shipped = prior.path_of(features.name)
    return {
        "version": avatar.VERSION, "motion": _plain(asdict(profile.motion)), "renderer": {"name": renderer,
        **_plain(asdict(settings))}, "seed": seed, "audio": {"name": features.name, "dim": features.dim},
        "prior": sha256(shipped) if shipped.exists() else "none",
        "dataset": {key: account.get(key) for key in ("version", "options_hash", "video_sha256", "frames")},
    }  # fmt: skip


def choose_features(wanted: str) -> tuple[AudioFeatures, str | None]:
    """The extractor, and what it fell back from. `best`: the first of FEATURES whose weights are there; what is named must be."""
    if wanted != "best":
        return features_named(wanted), None
    missing = ""
    for name in FEATURES:
        try:
            return features_named(name), f"audio features: {name} instead of {FEATURES[0]} ({missing})" if missing else None
        except InputError as error:
            if error.code != "weights_missing":
                raise
            missing = missing or error.message
    raise AssertionError("mel needs no weights")


def _clean(out: Path) -> None:
    """Takes away what only an unfinished training needs."""
    for name in (CHECKPOINTS, WORK):
        shutil.rmtree(out / name, ignore_errors=True)


def _digest(values: dict[str, Any]) -> str:
    """Twelve characters that name these values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Tuples as lists, as JSON gives them back."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
