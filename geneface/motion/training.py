"""Fits the audio-to-motion model to one person's speech: ridge regression in closed form, then the network on what ridge
could not have seen.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geneface.face.geometry import Array
from geneface.motion.model import STRIDE, AudioToMotion, MotionDims, stacked
from geneface.profiles import MotionTraining

FOLDS = 8
PENALTIES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
"""Ridge penalties tried, as shares of the kernel's mean diagonal times the number of frames."""
HELD = 0.12
"""Share of the training part, its end, on which the network has to prove itself."""
TRUSTS = (0.0, 0.25, 0.5, 0.75, 1.0)
CONTINUITY, KL, PRIOR = 3.0, 0.02, 0.5
"""Weights of the loss on frame differences, of the KL term, and of the loss on the prior's own prediction."""
GAIN_RANGE = (1.0, 2.5)


@dataclass(frozen=True)
class Speech:
    """Training pairs of one person: audio [2T, dim] and coefficients [T, K]."""

    audio: Array
    coefficients: Array


def ridge(inputs: Array, targets: Array, penalty: float) -> tuple[Array, Array]:
    """Weights [D, K] and bias [K] of the ridge regression of targets [N, K] on inputs [N, D], in whichever of the two forms
    is smaller.
    """
    mean, level = inputs.mean(0, dtype=np.float64), targets.mean(0, dtype=np.float64)
    x, y = inputs - mean, targets - level
    strength = penalty * float((x * x).sum())
    if len(x) <= x.shape[1]:
        weights = x.T @ np.linalg.solve(x @ x.T + strength * np.eye(len(x)), y)
    else:
        weights = np.linalg.solve(x.T @ x + strength * np.eye(x.shape[1]), x.T @ y)
    return weights.astype(np.float32), (level - mean @ weights).astype(np.float32)


def out_of_fold(inputs: Array, targets: Array, penalty: float, margin: int) -> Array:
    """Predictions [N, K] for each of 8 stretches by a ridge that knows the others, less `margin` frames at the cuts."""
    predicted = np.zeros_like(targets)
    for fold in np.array_split(np.arange(len(inputs)), FOLDS):
        known = np.ones(len(inputs), bool)
        known[max(0, fold[0] - margin) : fold[-1] + margin + 1] = False
        weights, bias = ridge(inputs[known], targets[known], penalty)
        predicted[fold] = inputs[fold] @ weights + bias
    return predicted


class MotionTrainer:
    """`loop.Trained` for the audio-to-motion model."""

    name = "motion"

    def __init__(self, speech: Speech, dims: MotionDims, settings: MotionTraining, device: torch.device) -> None:
        self.speech, self.settings, self.device = speech, settings, device
        self.steps, self.learning_rate = settings.steps, settings.learning_rate
        self.model = AudioToMotion(dims).to(device)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), settings.learning_rate, weight_decay=0.05)
        self.held = int(len(speech.coefficients) * HELD)
        self.fitted: dict[str, Any] = {}
        self._fit_linear()

    def loss(self, rng: np.random.Generator) -> Tensor:
        """Reconstruction, its frame differences, KL, and the same for the prior's prediction, on random stretches of speech."""
        audio, linear, truth = self._batch(rng)
        whole, predicted, kl = self.model.training_terms(audio, linear, truth)
        return _distance(whole, truth) + PRIOR * _distance(predicted, truth) + KL * kl

    def conclude(self) -> dict[str, Any]:
        """Sets trust and gain from the held end of the training part; returns what a report says about it."""
        start = len(self.speech.coefficients) - self.held
        truth, line = self.speech.coefficients[start:], self.oof[start:]
        audio = torch.from_numpy(self.speech.audio[2 * start :])[None].to(self.device)
        with torch.inference_mode():
            whole = self.model.refine(audio, torch.from_numpy(line)[None].to(self.device))[0].cpu().numpy()
        errors = {trust: float(np.square(line + trust * (whole - line) - truth).mean()) for trust in TRUSTS}
        trust = min(errors, key=errors.__getitem__)
        gain = self._gain(line + trust * (whole - line))
        self.model.trust.fill_(trust)
        self.model.gain.copy_(torch.from_numpy(gain))
        held_errors = {str(share): round(error, 4) for share, error in errors.items()}
        return {**self.fitted, "trust": trust, "held_errors": held_errors, "gain": [round(float(g), 2) for g in gain]}

    def _fit_linear(self) -> None:
        dims, targets = self.model.dims, self.speech.coefficients
        inputs = stacked(torch.from_numpy(self.speech.audio)[None], dims.context)[0].numpy()
        margin = dims.context + 12
        tried = {penalty: out_of_fold(inputs, targets, penalty, margin) for penalty in PENALTIES}
        errors = {penalty: float(np.square(found - targets).mean()) for penalty, found in tried.items()}
        best = min(errors, key=errors.__getitem__)
        weights, bias = ridge(inputs, targets, best)
        self.oof = tried[best]
        self.model.linear_weight.copy_(torch.from_numpy(weights))
        self.model.linear_bias.copy_(torch.from_numpy(bias))
        r = [float(np.corrcoef(self.oof[:, k], targets[:, k])[0, 1]) for k in range(4)]
        self.fitted = {"penalty": best, "out_of_fold_r": [round(value, 3) for value in r]}

    def _gain(self, predicted: Array) -> Array:
        """Restores the amplitude that least squares takes (moment matching), less for what is hardly predicted at all."""
        both, real = np.concatenate([self.oof[: -len(predicted)], predicted]), self.speech.coefficients
        ratio = real.std(0) / np.maximum(both.std(0), 1e-4)
        r = np.nan_to_num([np.corrcoef(both[:, k], real[:, k])[0, 1] for k in range(real.shape[1])])
        share = np.clip(r / 0.4, 0, 1)
        return np.clip(1 + (ratio - 1) * share, *GAIN_RANGE).astype(np.float32)

    def _batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Random stretches from before the held end; their sound is varied in loudness and has bands and moments blanked
        (SpecAugment).
        """
        last = len(self.speech.coefficients) - self.held
        length = min(self.settings.frames, last - last % STRIDE) // STRIDE * STRIDE
        starts = rng.integers(0, last - length + 1, self.settings.batch)
        audio = np.stack([self.speech.audio[2 * s : 2 * (s + length)] for s in starts])
        for row in audio:
            band, moment = rng.integers(0, row.shape[1] - row.shape[1] // 8), rng.integers(0, len(row) - 8)
            row[:, band : band + row.shape[1] // 8] = 0
            row[moment : moment + 8] = 0
        audio += rng.normal(0, 0.15, (len(audio), 1, 1)) + rng.normal(0, 0.1, audio.shape)
        linear, truth = (np.stack([array[s : s + length] for s in starts]) for array in (self.oof, self.speech.coefficients))
        heard, guessed, known = (torch.from_numpy(a.astype(np.float32)).to(self.device) for a in (audio, linear, truth))
        return heard, guessed, known


def _distance(predicted: Tensor, truth: Tensor) -> Tensor:
    difference = predicted - truth
    return difference.square().mean() + CONTINUITY * (difference[:, 1:] - difference[:, :-1]).square().mean()
