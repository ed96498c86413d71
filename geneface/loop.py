"""The training loop, apart from what is trained: seeds, learning rate, checkpoints by the clock, SIGTERM, the best weights by
validation, numbers that are not finite, memory that runs out.
"""

import math
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from geneface import checkpoints
from geneface.checkpoints import Checkpoint, Tensors
from media.png import write_png
from steps.errors import InputError, StoppedError, TryAgainError
from steps.program import stop_requested
from steps.progress import Reporter

CHECKPOINT_SECONDS = 40.0
"""Between two checkpoints of a stage; the contract allows 60."""
CLIP = 1.0
"""Largest gradient norm."""
MAX_SKIPPED = 20
"""Updates in a row with a loss that is not finite, after which training goes back to the last good weights."""
RESCUES, CALMER = 2, 0.3
"""How often it goes back before it gives up, and by how much the learning rate falls each time."""
GOOD_EVERY = 200
"""Steps between the weights that it can go back to."""
WARM_UP = 0.05
VALIDATIONS = 6
"""Looks at the validation frames, evenly over the second half of the steps."""


class Trained(Protocol):
    """A network being trained."""

    name: str
    steps: int
    learning_rate: float
    batch: int
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    """A parameter group with a `relative` learns at this multiple of the learning rate."""

    def loss(self, rng: np.random.Generator) -> torch.Tensor:
        """The loss of one batch drawn with `rng`."""
        ...

    def validate(self) -> float | None:
        """How far from the truth on frames kept from the training, smaller is better; None where none are kept: then the last
        weights are the best.
        """
        return None

    def sample(self) -> NDArray[np.uint8] | None:
        """A picture [H, W, 3] of what the network does on frames kept from the training; None where there is nothing to see."""
        return None

    def conclude(self) -> dict[str, Any]:
        """Called once after the last step; returns what a report says about the network."""
        ...


@dataclass(frozen=True)
class Checkpointing:
    """Where checkpoints go, and what each holds besides the network being trained: `state` and the finished stages' `groups`."""

    folder: Path
    state: dict[str, Any]
    groups: dict[str, Tensors]
    samples: Path | None = None
    """Folder for pictures of what the network does."""


def train(
    trained: Trained, target: Checkpointing, reporter: Reporter, seed: int, resumed: Checkpoint | None = None
) -> dict[str, Any]:
    """Runs all steps, from `resumed` when it is a checkpoint of this stage, and leaves the best weights in the model. Returns
    what a report says about it.

    Every step draws from generators seeded by (seed, stage, step): a resumed training is the same training.
    Raises StoppedError after SIGTERM (checkpoint written), TryAgainError `training_diverged`, InputError `out_of_memory`.
    """
    run = _Run(trained, target, reporter, seed)
    start = run.restore(resumed)
    trained.model.train()
    saved = began = time.monotonic()
    step = start
    while step < trained.steps:
        if stop_requested():
            run.save(step)
            raise StoppedError
        step = run.advance(step)
        run.validate(step)
        shown = {"loss": float(np.mean(run.losses))} if run.losses else {}  # JSON knows no NaN
        reporter.progress(f"train {trained.name}", step, trained.steps, **shown)
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            run.save(step)
            saved = time.monotonic()
    run.keep_best()
    trained.model.eval()
    seconds = time.monotonic() - began
    losses = run.losses
    return {
        "steps": trained.steps, "resumed_at": start, "loss": round(float(np.mean(losses)), 5) if losses else None,
        "seconds": round(seconds, 1), "steps_per_second": round((trained.steps - start) / max(seconds, 1e-6), 2),
        "parameters": sum(p.numel() for p in trained.model.parameters()), **run.notes,
    }  # fmt: skip


def rate(step: int, steps: int, peak: float) -> float:
    """Learning rate at a step: a linear warm-up, then half a cosine down to 1 % of the peak."""
    warm = max(1, int(steps * WARM_UP))
    if step < warm:
        return peak * (step + 1) / warm
    progress = (step - warm) / max(1, steps - warm)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


def rng_of(seed: int, stage: str, step: int) -> np.random.Generator:
    """The generator of one step; torch's is seeded from the same words."""
    rng = np.random.default_rng([seed, *stage.encode(), step])
    torch.manual_seed(int(rng.integers(2**62)))
    return rng


class _Run:
    """One training under way: what it has seen, what it can go back to, what it tells afterwards."""

    def __init__(self, trained: Trained, target: Checkpointing, reporter: Reporter, seed: int) -> None:
        self.trained, self.target, self.reporter, self.seed = trained, target, reporter, seed
        self.losses: deque[float] = deque(maxlen=50)
        self.skipped = 0
        self.notes: dict[str, Any] = {"updates_skipped": 0, "rescues": 0, "batch": trained.batch, "validation": []}
        self.best: Tensors = {}
        self.good: tuple[int, Tensors, Tensors] | None = None
        half = trained.steps - trained.steps // 2
        self.looks = {trained.steps - half * k // VALIDATIONS for k in range(VALIDATIONS)}

    def restore(self, resumed: Checkpoint | None) -> int:
        """Takes over a checkpoint of this stage. Returns the step to go on from."""
        trained = self.trained
        if resumed is None or resumed.stage != trained.name:
            return 0
        trained.model.load_state_dict(resumed.groups[trained.name])
        checkpoints.restore_optimizer(trained.optimizer, resumed.groups["optimizer"])
        self.notes, self.best = dict(resumed.state["course"]), resumed.groups.get("best", {})
        self.losses.extend(resumed.state["losses"])
        self.skipped = resumed.state["skipped"]
        self.good = self._now(resumed.step)
        if self.skipped:
            self.good = resumed.state["good_step"], resumed.groups["good"], resumed.groups["good_optimizer"]
        trained.batch = self.notes["batch"]
        return resumed.step

    def save(self, step: int) -> None:
        """Writes a checkpoint and says so."""
        groups = {
            **self.target.groups, self.trained.name: self.trained.model.state_dict(),
            "optimizer": checkpoints.optimizer_tensors(self.trained.optimizer),
        }  # fmt: skip
        state = {**self.target.state, "course": self.notes, "losses": list(self.losses), "skipped": self.skipped}
        if self.best:
            groups["best"] = self.best
        if self.skipped and self.good:  # the weights of now may be the ones that do not work
            state["good_step"], groups["good"], groups["good_optimizer"] = self.good
        written = checkpoints.save(self.target.folder, Checkpoint(self.trained.name, step, state, groups))
        self.reporter.checkpoint(str(written))

    def advance(self, step: int) -> int:
        """One update. Returns the step that comes next: an earlier one after a way back."""
        if step % GOOD_EVERY == 0 and not self.skipped:
            self.good = self._now(step)
        try:
            loss = _update(self.trained, step, self.seed, CALMER ** self.notes["rescues"])
        except torch.OutOfMemoryError as error:
            self._smaller(error)
            return step
        if loss is not None:
            self.skipped = 0
            self.losses.append(loss)
            return step + 1
        self.skipped += 1
        self.notes["updates_skipped"] += 1
        return step + 1 if self.skipped < MAX_SKIPPED else self._go_back(step)

    def validate(self, step: int) -> None:
        """Looks at the validation frames when it is time to, and keeps the weights when they are the best so far."""
        if step not in self.looks:
            return
        self.trained.model.eval()
        with torch.inference_mode():
            score = self.trained.validate()
            picture = self.trained.sample() if self.target.samples else None
        self.trained.model.train()
        if picture is not None and self.target.samples:
            self.target.samples.mkdir(parents=True, exist_ok=True)
            path = self.target.samples / f"{self.trained.name}-{step:07d}.png"
            write_png(path, picture)
            self.reporter.sample(str(path))
        if score is None or not math.isfinite(score):
            return
        if all(score < other for _, other in self.notes["validation"]):
            self.best = _copy(self.trained.model.state_dict())
        self.notes["validation"] = [*self.notes["validation"], [step, round(score, 6)]]

    def keep_best(self) -> None:
        """The best weights take the place of the last."""
        if self.best:
            self.trained.model.load_state_dict(self.best)
            self.notes["best_step"] = min(self.notes["validation"], key=lambda look: look[1])[0]

    def _go_back(self, step: int) -> int:
        name = self.trained.name
        if self.good is None or self.notes["rescues"] == RESCUES:
            raise TryAgainError(
                "training_diverged", f"{name}: the loss was not finite {MAX_SKIPPED} times in a row at step {step}."
            )
        self.notes["rescues"] += 1
        self.skipped = 0
        back, weights, moments = self.good
        self.trained.model.load_state_dict(weights)
        checkpoints.restore_optimizer(self.trained.optimizer, moments)
        self.reporter.message(f"{name}: not finite at step {step}; back to step {back}, learning more slowly", level="warning")
        self.save(back)
        checkpoints.forget(self.target.folder, name, beyond=back)
        return back

    def _now(self, step: int) -> tuple[int, Tensors, Tensors]:
        """The step, copies of the weights and of the optimiser's moments."""
        trained = self.trained
        return step, _copy(trained.model.state_dict()), _copy(checkpoints.optimizer_tensors(trained.optimizer))

    def _smaller(self, error: torch.OutOfMemoryError) -> None:
        """Halves the batch, once."""
        trained = self.trained
        if trained.batch < 2 or self.notes.get("smaller_batch"):
            raise InputError(
                "out_of_memory",
                f"{trained.name}: the GPU's memory is too small, with a batch of {trained.batch} too; take a smaller profile "
                "or a larger GPU.",
            ) from error
        trained.batch //= 2
        self.notes |= {"batch": trained.batch, "smaller_batch": True}
        torch.cuda.empty_cache()
        self.reporter.message(f"{trained.name}: out of memory; going on with a batch of {trained.batch}", level="warning")


def _update(trained: Trained, step: int, seed: int, calm: float = 1.0) -> float | None:
    """One step; None when the loss or its gradient was not finite and nothing was changed."""
    for group in trained.optimizer.param_groups:
        group["lr"] = calm * group.get("relative", 1.0) * rate(step, trained.steps, trained.learning_rate)
    loss = trained.loss(rng_of(seed, trained.name, step))
    trained.optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    norm = torch.nn.utils.clip_grad_norm_(trained.model.parameters(), CLIP)
    if not (torch.isfinite(loss) and torch.isfinite(norm)):
        return None
    trained.optimizer.step()
    return float(loss.detach())


def _copy(tensors: Tensors) -> Tensors:
    return {key: value.detach().clone() for key, value in tensors.items()}
