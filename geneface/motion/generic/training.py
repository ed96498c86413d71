"""Trains the sync expert and then the generic model on a corpus of speakers (research 1.3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geneface.face.geometry import Array
from geneface.loop import Trained
from geneface.motion.generic.corpus import STRETCH, Basis, Speaker
from geneface.motion.generic.model import Generic, GenericDims
from geneface.motion.generic.sync import SyncExpert
from geneface.motion.ridge import pearson

CONTINUITY, KL, PRIOR, SYNC = 3.0, 0.02, 0.5, 0.01
"""Weights of the loss on frame differences, of the KL term, of the loss on the prior mode's prediction, of the sync loss."""
SHIFTS = (3, 40)
"""Frames by which a false pair of the same speaker is apart."""


@dataclass(frozen=True)
class GenericTraining:
    """How much work the prior gets."""

    steps: int = 3000
    sync_steps: int = 600
    learning_rate: float = 1e-3
    batch: int = 24


class Pairs:
    """Random stretches of a corpus: audio [B, 2T, dim] and generic coefficients [B, T, K]."""

    def __init__(self, speakers: Sequence[Speaker], basis: Basis) -> None:
        self.audio = [speaker.audio for speaker in speakers]
        self.motion = [basis.coefficients(speaker.lower) for speaker in speakers]

    def draw(self, rng: np.random.Generator, batch: int, frames: int = STRETCH) -> tuple[Array, Array, Array]:
        """A batch, and the motion of another moment for each of its stretches. Sound is varied: noise, level, blanked bands and
        moments (SpecAugment, Park et al. 2019).
        """
        audio, motion, others = [], [], []
        for _ in range(batch):
            who = int(rng.integers(len(self.audio)))
            start = int(rng.integers(0, len(self.motion[who]) - frames + 1))
            heard = self.audio[who][2 * start : 2 * (start + frames)].copy()
            band, moment = rng.integers(0, heard.shape[1] - heard.shape[1] // 8), rng.integers(0, len(heard) - 8)
            heard[:, band : band + heard.shape[1] // 8] = 0
            heard[moment : moment + 8] = 0
            audio.append(heard + rng.normal(0, 0.15) + rng.normal(0, 0.1, heard.shape))
            motion.append(self.motion[who][start : start + frames])
            others.append(self._other(rng, who, start, frames))
        return tuple(np.stack(part).astype(np.float32) for part in (audio, motion, others))  # type: ignore[return-value]

    def _other(self, rng: np.random.Generator, who: int, start: int, frames: int) -> Array:
        """Half a second or so away in the same speech, or somebody else's."""
        if rng.random() < 0.3:
            who = int(rng.integers(len(self.motion)))
            start = int(rng.integers(0, len(self.motion[who]) - frames + 1))
        else:
            shift = int(rng.integers(*SHIFTS)) * (1 if rng.random() < 0.5 else -1)
            start = int(np.clip(start + shift, 0, len(self.motion[who]) - frames))
        return self.motion[who][start : start + frames]


class SyncTrainer(Trained):
    """`loop.Trained` for the sync expert."""

    name = "sync"

    def __init__(self, pairs: Pairs, dims: GenericDims, settings: GenericTraining, device: torch.device) -> None:
        self.pairs, self.device, self.batch = pairs, device, settings.batch
        self.steps, self.learning_rate = settings.sync_steps, 5e-4
        self.model = SyncExpert(dims.audio_dim, dims.components).to(device)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), self.learning_rate)

    def loss(self, rng: np.random.Generator) -> Tensor:
        """Cross-entropy of true and false pairs."""
        return self.model.loss(*(torch.from_numpy(part).to(self.device) for part in self.pairs.draw(rng, self.batch)))

    def conclude(self) -> dict[str, Any]:
        """Share of true and false pairs told apart on fresh stretches."""
        rng = np.random.default_rng(1)
        with torch.inference_mode():
            audio, motion, others = (torch.from_numpy(part).to(self.device) for part in self.pairs.draw(rng, self.batch))
            true, false = self.model.agreement(audio, motion), self.model.agreement(audio, others)
        return {"told_apart": round(float((true > false).float().mean()), 3)}


class GenericTrainer(Trained):
    """`loop.Trained` for the generic model; `expert` judges its motion and is not trained any more."""

    name = "generic"

    def __init__(
        self, pairs: Pairs, held: Pairs | None, dims: GenericDims, settings: GenericTraining, expert: SyncExpert,
        device: torch.device,
    ) -> None:  # fmt: skip
        self.pairs, self.held, self.device, self.batch = pairs, held, device, settings.batch
        self.expert = expert.to(device).eval().requires_grad_(False)
        self.steps, self.learning_rate = settings.steps, settings.learning_rate
        self.model = Generic(dims).to(device)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), self.learning_rate, weight_decay=0.02)

    def loss(self, rng: np.random.Generator) -> Tensor:
        """Reconstruction with its frame differences, KL on the flow, the same distance for the prior's mode, and sync."""
        audio, truth = (torch.from_numpy(part).to(self.device) for part in self.pairs.draw(rng, self.batch)[:2])
        whole, predicted, kl = self.model.training_terms(audio, truth)
        sync = -torch.log(self.expert.agreement(audio, predicted)).mean()
        return _distance(whole, truth) + PRIOR * _distance(predicted, truth) + KL * kl + SYNC * sync

    def conclude(self) -> dict[str, Any]:
        """Correlation of the first coefficients with the truth for speakers that were not trained on."""
        if self.held is None:
            return {}
        self.model.eval()
        with torch.inference_mode():
            found = [self.model(torch.from_numpy(audio)[None].to(self.device))[0][0].cpu().numpy() for audio in self.held.audio]
        pairs = list(zip(found, self.held.motion, strict=True))
        r = [np.mean([pearson(a[:, k], b[:, k]) for a, b in pairs]) for k in range(6)]
        return {"held_out_r": [round(float(value), 3) for value in r]}


def _distance(predicted: Tensor, truth: Tensor) -> Tensor:
    difference = predicted - truth
    return difference.square().mean() + CONTINUITY * (difference[:, 1:] - difference[:, :-1]).square().mean()
