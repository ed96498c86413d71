"""The stage `train`: a dataset folder in, a finished model folder out; goes on from the newest checkpoint by itself."""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from geneface import avatar, checkpoints, loop
from geneface.checkpoints import Checkpoint
from geneface.dataset import REPORT, Dataset, write_json
from geneface.devices import device_named
from geneface.face.person import COMPONENTS, Person, pose_free
from geneface.face.region import anchor, place
from geneface.motion.model import AudioToMotion, MotionDims
from geneface.motion.training import MotionTrainer, Speech
from geneface.profiles import Profile
from geneface.renderers.plane.model import Plane, PlaneDims
from geneface.renderers.plane.training import PlaneTrainer, Views, unpack_regions
from geneface.sound.features import AudioFeatures, features_named
from media.clock import FPS, SAMPLE_RATE
from steps.errors import InputError
from steps.progress import Reporter

STAGES = (MotionTrainer.name, PlaneTrainer.name)
CHECKPOINTS = "checkpoints"
WORK = "work"
NARROW_CONTEXT, WIDE_CONTEXT, WIDE = 3, 5, 128
"""Frames that the linear part hears on either side: fewer when features have more than 128 numbers and a reach of their own."""


@dataclass(frozen=True)
class Options:
    """What `train` was asked for."""

    profile: Profile
    epochs: int | None = None
    device: str = "auto"
    seed: int = 0
    audio: str | None = None


def train(data: Path, out: Path, options: Options, reporter: Reporter) -> dict[str, Any]:
    """Trains both networks and writes the model to `out`. Returns the report.

    Raises InputError (`epochs_invalid`, `dataset_incomplete`, `weights_missing`, `device_unavailable`), StoppedError,
    TryAgainError.
    """
    dataset = Dataset.load(data)
    profile = options.profile.with_epochs(options.epochs, dataset.trained)
    device = device_named(options.device)
    features, fallback = choose_features(options.audio or profile.audio)
    plan = plan_of(dataset, profile, options.seed, features)
    finished = avatar.manifest_of(out)
    if finished and finished.get("plan") == plan:
        reporter.message(f"{out} holds this model already")
        _clean(out)
        return {"model": str(out), "unchanged": True}
    out.mkdir(parents=True, exist_ok=True)
    (out / avatar.MANIFEST).unlink(missing_ok=True)
    resumed = _resumable(out / CHECKPOINTS, plan, reporter)
    if fallback:
        reporter.message(fallback, level="warning")
    training = _Training(dataset, profile, device, features, plan, out, options.seed, resumed, reporter)
    report = {**training.run(), "fallbacks": [fallback] if fallback else []}
    write_json(out / REPORT, report)
    avatar.save(out, dataset, training.person, training.motion, training.plane, plan)
    _clean(out)
    return {"model": str(out), **report}


class _Training:
    """The two trainings one after the other, over one person's numbers."""

    motion: AudioToMotion
    plane: Plane

    def __init__(
        self, dataset: Dataset, profile: Profile, device: torch.device, features: AudioFeatures, plan: dict[str, Any], out: Path,
        seed: int, resumed: Checkpoint | None, reporter: Reporter,
    ) -> None:  # fmt: skip
        self.dataset, self.profile, self.device, self.features = dataset, profile, device, features
        self.plan, self.out, self.seed, self.resumed, self.reporter = plan, out, seed, resumed, reporter
        points = dataset.points[: dataset.trained]
        self.person = Person.of(points)
        pose, motion = pose_free(points, self.person.shape)
        self.pose, self.truth = pose.smoothed(), motion
        self.lower = self.person.lower(motion)

    def run(self) -> dict[str, Any]:
        """Both stages. Returns the report."""
        torch.manual_seed(self.seed)
        motion_report = self._train_motion()
        torch.manual_seed(self.seed + 1)
        plane_report = self._train_plane(motion_report)
        return {
            "profile": self.profile.name, "seed": self.seed, "device": str(self.device), "audio_features": self.features.name,
            "frames_trained": self.dataset.trained, "frames_held_out": len(self.dataset) - self.dataset.trained,
            "threads": torch.get_num_threads(), "torch": torch.__version__, "motion": motion_report, "plane": plane_report,
        }  # fmt: skip

    def _train_motion(self) -> dict[str, Any]:
        context = NARROW_CONTEXT if self.features.dim > WIDE else WIDE_CONTEXT
        dims = MotionDims(self.features.name, self.features.dim, context, COMPONENTS)
        if self.resumed and self.resumed.stage == PlaneTrainer.name:
            self.motion = AudioToMotion(dims).eval()
            self.motion.load_state_dict(self.resumed.groups[MotionTrainer.name])
            return dict(self.resumed.state["motion_report"])
        self.reporter.progress("audio features", 0, 1)
        sound = self.dataset.sound()[: self.dataset.trained * SAMPLE_RATE // FPS]
        heard = self.features(sound)[: 2 * self.dataset.trained]
        self.reporter.progress("audio features", 1, 1)
        trainer = MotionTrainer(Speech(heard, self.person.coefficients(self.lower)), dims, self.profile.motion, self.device)
        place_ = loop.Place(self.out / CHECKPOINTS, {"plan": self.plan}, {})
        report = loop.train(trainer, place_, self.reporter, self.seed, self.resumed)
        report |= trainer.conclude()
        self.motion = trainer.model.cpu().eval()
        return report

    def _train_plane(self, motion_report: dict[str, Any]) -> dict[str, Any]:
        settings = self.profile.renderer
        placement = place(self.pose, anchor(self.person.shape))
        points = placement.to_region(self.pose.project(self.person.motion(self.lower))[..., :2])
        (self.out / WORK).mkdir(exist_ok=True)
        store = self.out / WORK / f"regions-{settings.size}-{_digest(self.plan['dataset'])}.npy"
        regions = unpack_regions(self.dataset.frames, placement, settings.size, store, self.reporter)
        dims = PlaneDims(settings.size, settings.widths, motion=self.lower.shape[1])
        trainer = PlaneTrainer(Views(regions, points, self.lower), dims, settings, self.device)
        state = {"plan": self.plan, "motion_report": motion_report}
        place_ = loop.Place(self.out / CHECKPOINTS, state, {MotionTrainer.name: self.motion.state_dict()})
        report = loop.train(trainer, place_, self.reporter, self.seed, self.resumed)
        report |= trainer.conclude()
        self.plane = trainer.model.eval()
        return report


def plan_of(dataset: Dataset, profile: Profile, seed: int, features: AudioFeatures) -> dict[str, Any]:
    """All that decides what a training becomes: a checkpoint of another plan is not gone on from."""
    account = dataset.account
    return {
        "version": avatar.VERSION, "profile": {**profile.described(), "renderer": _plain(asdict(profile.renderer))}, "seed": seed,
        "audio": {"name": features.name, "dim": features.dim},
        "dataset": {key: account.get(key) for key in ("version", "options_hash", "video_sha256", "frames")},
    }  # fmt: skip


def choose_features(wanted: str) -> tuple[AudioFeatures, str | None]:
    """The extractor, and what it fell back from. `best` is whisper or else mel; what is named must be there."""
    if wanted != "best":
        return features_named(wanted), None
    try:
        return features_named("whisper"), None
    except InputError as error:
        if error.code != "weights_missing":
            raise
        return features_named("mel"), f"audio features: mel instead of whisper ({error.message})"


def _clean(out: Path) -> None:
    """Takes away what only an unfinished training needs."""
    for name in (CHECKPOINTS, WORK):
        shutil.rmtree(out / name, ignore_errors=True)


def _resumable(folder: Path, plan: dict[str, Any], reporter: Reporter) -> Checkpoint | None:
    found = checkpoints.newest(folder, STAGES)
    if found is None:
        return None
    if found.state.get("plan") != plan:
        reporter.message("the checkpoint found belongs to other data or settings: starting anew", level="warning")
        shutil.rmtree(folder)
        return None
    reporter.message(f"going on from {found.name}")
    return found


def _digest(values: dict[str, Any]) -> str:
    """Twelve characters that name these values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Tuples as lists, as JSON gives them back."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
