"""What moves the face: motion predicted from sound, or one of those that a held-out rendering is checked with."""

from typing import Any

import numpy as np
import torch

from geneface.avatar import Avatar
from geneface.face.geometry import Array
from geneface.face.person import aperture, pose_free
from geneface.motion.postnet import guard
from geneface.sound.features import features_named
from steps.errors import InputError

TEMPERATURE = 0.2
"""Spread of the latent drawn from the flow prior, as in GeneFace++."""
CANDIDATES = 12
"""Stretches of the training part that the swap control chooses among."""


def predicted(loaded: Avatar, sound: Array, seed: int) -> tuple[Array, dict[str, Any]]:
    """The normalised lower face [T, 111] that belongs to this sound. Raises InputError `audio_features_mismatch`."""
    dims = loaded.motion.dims
    features = features_named(dims.audio)
    if features.dim != dims.audio_dim:
        raise InputError(
            "audio_features_mismatch",
            f"The model was trained on {dims.audio} features of {dims.audio_dim} numbers; those here have {features.dim}.",
        )
    torch.manual_seed(seed)
    with torch.inference_mode():
        coefficients = loaded.motion(torch.from_numpy(features(sound))[None], TEMPERATURE)[0].numpy()
    guarded = guard(coefficients, loaded.person, sound)
    return guarded.lower, {"audio_features": dims.audio, "postnet": guarded.report}


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
    relation = [abs(np.corrcoef(real[s : s + length], real[trained:])[0, 1]) for s in starts]
    return int(starts[int(np.nanargmin(relation))])


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
