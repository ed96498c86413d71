"""What moves the face: motion predicted from sound, or one of those that a held-out rendering is checked with."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from geneface.avatar import Avatar
from geneface.face.geometry import Array
from geneface.face.person import aperture, pose_free
from geneface.motion.generic.model import STRIDE
from geneface.motion.postnet import Guard
from geneface.sound.features import features_named
from media.clock import frame_count
from steps.errors import InputError

TEMPERATURE = 0.1
"""Spread of the latent drawn from the flow prior: motion's r on the sample talker at 0, 0.1, 0.2 (GeneFace++) and 0.4 is .640,
.637, .634 and .619.
"""
FIRST, LATER, CONTEXT = 100, 500, 100
"""Frames of the first window and of those after it, and what each hears on either side: more than the networks reach."""
CANDIDATES = 12
"""Stretches of the training part that the swap control chooses among."""


class Prediction:
    """A recording's motion, made window by window while it is drawn: memory and the wait for the first frame do not grow with
    its length. The windows join without a seam: each hears what lies around it.
    """

    def __init__(self, loaded: Avatar, sound: Array, seed: int) -> None:
        """Raises InputError `audio_features_mismatch`, `weights_missing`."""
        dims = loaded.motion.dims
        features = features_named(dims.audio)
        if features.dim != dims.audio_dim:
            raise InputError(
                "audio_features_mismatch",
                f"The model was trained on {dims.audio} features of {dims.audio_dim} numbers; those here have {features.dim}.",
            )
        self.model, self.frames = loaded.motion, frame_count(len(sound))
        self.features = features.reader(sound)
        self.latent = self.model.latent(self.frames, TEMPERATURE, seed)
        self.guard = Guard(loaded.person, sound, self.frames)

    def __iter__(self) -> Iterator[Array]:
        """The normalised lower face of one window after the other, [t, 111]. Once: the guards remember what they saw."""
        start = 0
        while start < self.frames:
            stop = min(self.frames, start + (LATER if start else FIRST))
            yield self.guard(self._heard(start, stop))
            start = stop

    def report(self) -> dict[str, Any]:
        """What was done so far."""
        return {"audio_features": self.model.dims.audio, "postnet": self.guard.report()}

    @torch.inference_mode()
    def _heard(self, start: int, stop: int) -> Array:
        """Coefficients [stop - start, K] of these frames; `start` and CONTEXT are multiples of the latent's stride."""
        first, last = max(0, start - CONTEXT), min(self.frames, stop + CONTEXT)
        heard = self.features(first, last)
        latent = None if self.latent is None else self.latent[:, :, first // STRIDE : -(-last // STRIDE)]
        return self.model(torch.from_numpy(heard)[None], latent)[0, start - first : stop - first].numpy()


def predicted(loaded: Avatar, sound: Array, seed: int) -> tuple[Array, dict[str, Any]]:
    """The normalised lower face [T, 111] that belongs to this sound, at once, and what a report says about it."""
    prediction = Prediction(loaded, sound, seed)
    lower = np.concatenate(list(prediction))
    return lower, prediction.report()


def truth(loaded: Avatar) -> Array:
    """The normalised lower face [T, 111] of the whole dataset, as filmed."""
    _, motion = pose_free(loaded.dataset.points, loaded.person.shape)
    person = loaded.person
    return person.lower(motion)


def swap_driver(real: Array, trained: int) -> int:
    """First frame of the training stretch whose aperture [T] has least to do with that of the held-out tail: the control
    needs a driver of its own.
    """
    length = len(real) - trained
    starts = np.linspace(0, trained - length, CANDIDATES).astype(int)
    with np.errstate(invalid="ignore"):
        relation = [abs(np.corrcoef(real[s : s + length], real[trained:])[0, 1]) for s in starts]
    return int(starts[int(np.nan_to_num(relation, nan=np.inf).argmin())])  # a mouth that rests has nothing to do with any


def held_out(loaded: Avatar, motion: str, sound: Array, seed: int) -> tuple[Array, dict[str, Any]]:
    """The normalised lower face [tail, 111] for the held-out tail and what a report says about it; `motion` is one of
    profiles.MOTIONS.

    `constant` is the mean; `swap` is the true motion of another stretch.
    """
    trained, total = loaded.dataset.trained, len(loaded.dataset)
    if motion == "predicted":
        return predicted(loaded, sound, seed)
    if motion == "constant":
        return np.zeros((total - trained, len(loaded.person.low)), np.float32), {}
    real = truth(loaded)
    if motion == "truth":
        return real[trained:], {}
    start = swap_driver(aperture(loaded.person.motion(real)), trained)
    return real[start : start + total - trained], {"driver_start": start}
