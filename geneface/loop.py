"""The training loop, apart from what is trained: seeds, learning rate, checkpoints by the clock, SIGTERM, numbers that are
not finite.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from geneface import checkpoints
from geneface.checkpoints import Checkpoint, Tensors
from steps.errors import StoppedError, TryAgainError
from steps.program import stop_requested
from steps.progress import Reporter

CHECKPOINT_SECONDS = 40.0
"""Between two checkpoints of a stage; the contract allows 60."""
CLIP = 1.0
"""Largest gradient norm."""
MAX_SKIPPED = 20
"""Updates in a row with a loss that is not finite, after which training gives up."""
WARM_UP = 0.05


class Trained(Protocol):
    """A network being trained."""

    name: str
    steps: int
    learning_rate: float
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    """A parameter group with a `relative` learns at this multiple of the learning rate."""

    def loss(self, rng: np.random.Generator) -> torch.Tensor:
        """The loss of one batch drawn with `rng`."""
        ...

    def conclude(self) -> dict[str, Any]:
        """Called once after the last step; returns what a report says about the network."""
        ...


@dataclass(frozen=True)
class Place:
    """Where checkpoints go, and what each holds besides the network being trained: `state` and the finished stages' `groups`."""

    folder: Path
    state: dict[str, Any]
    groups: dict[str, Tensors]


def train(trained: Trained, place: Place, reporter: Reporter, seed: int, resumed: Checkpoint | None = None) -> dict[str, Any]:
    """Runs all steps, from `resumed` when it is a checkpoint of this stage. Returns what a report says about it.

    Every step draws from generators seeded by (seed, stage, step): a resumed training is the same training.
    Raises StoppedError after SIGTERM (checkpoint written), TryAgainError `training_diverged`.
    """
    start = _restore(trained, resumed)
    save = _saver(trained, place, reporter)
    losses: deque[float] = deque(maxlen=50)
    skipped, total_skipped, saved, began = 0, 0, time.monotonic(), time.monotonic()
    trained.model.train()
    for step in range(start, trained.steps):
        if stop_requested():
            save(step)
            raise StoppedError
        loss = _update(trained, step, seed)
        skipped = 0 if loss is not None else skipped + 1
        total_skipped += loss is None
        if skipped >= MAX_SKIPPED:
            raise TryAgainError(
                "training_diverged", f"{trained.name}: the loss was not finite {skipped} times in a row at step {step}."
            )
        if loss is not None:
            losses.append(loss)
        shown = {"loss": float(np.mean(losses))} if losses else {}  # JSON knows no NaN
        reporter.progress(f"train {trained.name}", step + 1, trained.steps, **shown)
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            save(step + 1)
            saved = time.monotonic()
    trained.model.eval()
    seconds = time.monotonic() - began
    return {
        "steps": trained.steps, "resumed_at": start, "loss": round(float(np.mean(losses)), 5) if losses else None,
        "seconds": round(seconds, 1), "steps_per_second": round((trained.steps - start) / max(seconds, 1e-6), 2),
        "updates_skipped": total_skipped, "parameters": sum(p.numel() for p in trained.model.parameters()),
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


def _update(trained: Trained, step: int, seed: int) -> float | None:
    """One step; None when the loss or its gradient was not finite and nothing was changed."""
    for group in trained.optimizer.param_groups:
        group["lr"] = group.get("relative", 1.0) * rate(step, trained.steps, trained.learning_rate)
    loss = trained.loss(rng_of(seed, trained.name, step))
    trained.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(trained.model.parameters(), CLIP)
    if not (torch.isfinite(loss) and torch.isfinite(norm)):
        return None
    trained.optimizer.step()
    return float(loss.detach())


def _restore(trained: Trained, resumed: Checkpoint | None) -> int:
    if resumed is None or resumed.stage != trained.name:
        return 0
    trained.model.load_state_dict(resumed.groups[trained.name])
    checkpoints.restore_optimizer(trained.optimizer, resumed.groups["optimizer"])
    return resumed.step


def _saver(trained: Trained, place: Place, reporter: Reporter) -> Callable[[int], None]:
    def save(step: int) -> None:
        groups = {
            **place.groups,
            trained.name: trained.model.state_dict(),
            "optimizer": checkpoints.optimizer_tensors(trained.optimizer),
        }
        written = checkpoints.save(place.folder, Checkpoint(trained.name, step, place.state, groups))
        reporter.checkpoint(str(written))

    return save
