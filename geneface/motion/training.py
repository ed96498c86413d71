"""Makes anybody's motion one person's: ridge regression in closed form, then the post-net on what ridge could not have seen."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geneface.face.geometry import Array
from geneface.face.person import Person, aperture, mouth_width
from geneface.loop import Trained
from geneface.motion import ridge
from geneface.motion.generic.model import Generic
from geneface.motion.model import CONTEXT, AudioToMotion, MotionDims
from geneface.profiles import MotionTraining

PENALTIES = (3e-4, 1e-3, 3e-3, 1e-2)
SHARES = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Of the generic motion beside the sound's features (1.0); the first is a person without a prior."""
MARGIN = 12
HELD = 0.12
"""Share of the training part, its end, on which the post-net has to prove itself."""
TRUSTS = (0.0, 0.25, 0.5, 0.75, 1.0)
WORTH = 0.6
"""Over the root of the frames there: the share of the error that the post-net must save to be trusted at all. Less is chance, and
chance is large on the end of a short clip.
"""
VELOCITY, MOMENTS = 3.0, 0.3
"""Weights of the loss on frame differences, and on mean and deviation over a stretch beside the truth's (moment matching)."""
AMPLITUDE, GAIN_RANGE = 0.9, (1.0, 2.0)
"""Of the aperture, beside the person's own: least squares shrinks what it is unsure of. The opening of the mouth is brought back,
all else stays as sure as it is: one gain for all costs LMD, a gain for each raises most what is hardly predicted at all.
"""


@dataclass(frozen=True)
class Speech:
    """Training pairs of one person: audio [2T, dim], coefficients [T, K], and which frames [T] may be learned from."""

    audio: Array
    coefficients: Array
    usable: ridge.Mask


class MotionTrainer(Trained):
    """`loop.Trained` for one person's audio-to-motion."""

    name = "motion"

    def __init__(
        self, speech: Speech, person: Person, dims: MotionDims, prior: Generic | None, settings: MotionTraining,
        device: torch.device, turn: ridge.Turn = lambda done, total: None,
    ) -> None:  # fmt: skip
        self.speech, self.person, self.settings, self.device = speech, person, settings, device
        self.steps, self.learning_rate, self.batch = settings.steps, settings.learning_rate, settings.batch
        self.model = AudioToMotion(dims)
        if self.model.generic is not None and prior is not None:
            self.model.generic.load_state_dict(prior.state_dict())
            self.model.generic.eval().requires_grad_(False)
        usable = np.flatnonzero(speech.usable)
        held = int(len(usable) * HELD)
        self.last = int(usable[-held]) if held else len(speech.usable)  # where the held end begins
        self._fit_linear(turn)
        self.model = self.model.to(device)
        self.optimizer = torch.optim.AdamW(self.model.post.parameters(), settings.learning_rate, weight_decay=0.05)

    def loss(self, rng: np.random.Generator) -> Tensor:
        """The post-net's distance from the truth on random stretches from before the held end, with velocity and moments; only
        usable frames count, and differences of two such.
        """
        length = min(self.settings.frames, self.last)
        starts = rng.integers(0, self.last - length + 1, self.batch)
        linear, truth, usable = (
            torch.from_numpy(np.stack([array[s : s + length] for s in starts])).to(self.device)
            for array in (self.line.predicted, self.speech.coefficients, self.speech.usable[:, None])
        )
        found = self.model.post(linear)
        error = found - truth
        velocity = _mean(error.diff(dim=1).square(), usable[:, 1:] & usable[:, :-1])
        moments = sum(((a - b).square().mean() for a, b in zip(_moments(found, usable), _moments(truth, usable), strict=True)))
        return _mean(error.square(), usable) + VELOCITY * velocity + MOMENTS * moments

    def validate(self) -> float:
        """Squared error of the post-net on the held end."""
        return self._held_error(self._posted())

    def conclude(self) -> dict[str, Any]:
        """Sets the trust from the held end of the training part, the gain from all of it; returns what a report says about it."""
        usable, line = self.speech.usable, self.line.predicted
        truth = self.speech.coefficients[usable]
        self.model.eval()
        whole = self._posted()
        mixed = {trust: line + trust * (whole - line) for trust in TRUSTS}
        errors = {trust: self._held_error(found) for trust, found in mixed.items()}
        best = min(errors, key=errors.__getitem__)
        worth = WORTH / np.sqrt(max(int(usable[self.last :].sum()), 1))
        trust = best if errors[best] < (1 - worth) * errors[0.0] else 0.0
        gain = float(np.clip(AMPLITUDE * self._spread(truth) / self._spread(mixed[trust][usable]), *GAIN_RANGE))
        self.model.trust.fill_(trust)
        self.model.gain.copy_(torch.from_numpy(np.eye(truth.shape[1]) + (gain - 1) * self.person.opening()))
        r = [ridge.pearson(line[usable, k], truth[:, k]) for k in range(min(4, line.shape[1]))]
        return {
            "penalties": self.line.penalties, "prior_shares": self.line.shares if self.model.generic else None,
            "out_of_fold_r": [round(value, 3) for value in r], "trust": trust,
            "held_errors": {str(share): round(error, 4) for share, error in errors.items()},
            "gain": round(gain, 2), "frames_used": int(usable.sum()),
        }  # fmt: skip

    def _held_error(self, found: Array) -> float:
        """Squared error of coefficients [T, K] on the usable frames of the held end."""
        frames = np.flatnonzero(self.speech.usable[self.last :]) + self.last
        return float(np.square(found[frames] - self.speech.coefficients[frames]).mean())

    @torch.inference_mode()
    def _posted(self) -> Array:
        """The post-net's answer [T, K] to what ridge predicted out of fold."""
        return self.model.post(torch.from_numpy(self.line.predicted)[None].to(self.device))[0].cpu().numpy()

    def _seen(self, coefficients: Array) -> Array:
        """How far the mouth is open and how wide it is [T, 2]: what a viewer reads, and what a choice among fits is made by."""
        motion = self.person.motion(self.person.lower_of(coefficients))
        return np.stack([aperture(motion), mouth_width(motion)], 1)

    def _spread(self, coefficients: Array) -> float:
        """Deviation of the aperture, in face units."""
        return float(aperture(self.person.motion(self.person.lower_of(coefficients))).std())

    def _fit_linear(self, turn: ridge.Turn) -> None:
        with torch.inference_mode():
            parts = self.model.inputs(torch.from_numpy(self.speech.audio)[None])
        heard, generic = (part[0].numpy() for part in parts)
        even = self._even(generic)
        self.line = ridge.fit(
            heard,
            generic * even,
            self.speech.coefficients,
            self.speech.usable,
            PENALTIES,
            SHARES,
            MARGIN + CONTEXT,
            self._seen,
            turn,
        )
        self.model.weight.copy_(
            torch.from_numpy(self.line.weight * np.concatenate([np.ones(heard.shape[1], np.float32), even])[:, None])
        )
        self.model.bias.copy_(torch.from_numpy(self.line.bias))

    def _even(self, generic: Array) -> Array:
        """What the generic motion's columns [T, D] are to be multiplied by, [D], so that its condition varies as much as its
        coefficients do.
        """
        prior = self.model.dims.prior
        if prior is None:
            return np.ones(0, np.float32)
        spread = generic.reshape(len(generic), -1, prior.components + prior.condition).std(0)
        level = [np.sqrt(np.square(part).sum()) for part in np.split(spread, [prior.components], 1)]
        each = np.repeat([1.0, level[0] / max(level[1], 1e-9)], [prior.components, prior.condition])
        return np.tile(each, len(spread)).astype(np.float32)


def _mean(values: Tensor, usable: Tensor) -> Tensor:
    """Mean of values [B, L, K] over the usable frames [B, L, 1]."""
    return (values * usable).sum() / (usable.sum() * values.shape[2]).clamp(min=1)


def _moments(values: Tensor, usable: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation [B, K] of each stretch [B, L, K] over its usable frames [B, L, 1]."""
    count = usable.sum(1)
    mean = (values * usable).sum(1) / count.clamp(min=1)
    around = (values - mean[:, None]) * usable
    squares = around.square().sum(1) / (count - 1).clamp(min=1)
    return mean, squares.clamp(min=1e-12).sqrt()  # the root of 0 has no gradient
