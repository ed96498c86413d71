"""Audio to motion over 11 blocks of a clip, each held out once: `python benchmarks/blocks.py DATASET [--audio_features mel] …`.

Everything that is learned of the person, statistics and directions too, comes from the other ten blocks. Prints one row for each
way to get from sound to lips; figures as in the yardstick: r and amplitude of the aperture over all held-out frames together,
mean r of the blocks, r of the mouth's width, LMD-motion over that of a frozen mouth.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from geneface import loop
from geneface.dataset import Dataset
from geneface.face.geometry import Array
from geneface.face.person import COMPONENTS, Person, aperture, lip_motion, mouth_width, pose_free
from geneface.motion import ridge
from geneface.motion.generic import prior
from geneface.motion.model import MotionDims
from geneface.motion.postnet import guard
from geneface.motion.ridge import Mask
from geneface.motion.training import MotionTrainer, Speech
from geneface.profiles import PROFILES
from geneface.sound.features import AudioFeatures, features_named
from media.clock import SAMPLES_PER_FRAME

BLOCKS, MARGIN = 11, 12
Predictor = Callable[[Person, Array, Array, Mask, Array], Array]
"""(person, audio features [2T, dim] and normalised lower face [T, 111] of the known frames, which of them [T] teach,
sound of the held ones) to the normalised lower face of the held ones.
"""


@dataclass(frozen=True)
class Score:
    """One row."""

    r: float
    block_r: float
    amplitude: float
    lag: int
    width_r: float
    lmd_share: float


def product(features: AudioFeatures, with_prior: bool, guarded: bool, seed: int) -> Predictor:
    """The product's own way, with or without the generic prior and the guards."""
    shipped = prior.path_of(features.name)
    generic = prior.load(shipped) if with_prior and shipped.exists() else None
    dims = MotionDims(features.name, features.dim, COMPONENTS, generic.dims if generic else None)

    def predict(person: Person, heard: Array, lower: Array, usable: Mask, sound: Array) -> Array:
        torch.manual_seed(seed)
        settings = PROFILES["cpu"].motion
        speech = Speech(heard, person.coefficients(lower), usable)
        trainer = MotionTrainer(speech, person, dims, generic, settings, torch.device("cpu"))
        trainer.model.train()
        for step in range(settings.steps):
            loop._update(trainer, step, seed)
        trainer.conclude()
        with torch.inference_mode():
            found = trainer.model(torch.from_numpy(features(sound))[None])[0].numpy()
        return guard(found, person, sound) if guarded else person.lower_of(found)

    return predict


def ridge_on(features: AudioFeatures, context: int = 5) -> Predictor:
    """Baseline: ridge regression on the features of 11 frames, as they come."""

    def stacked(heard: Array) -> Array:
        frames = heard.reshape(len(heard) // 2, -1)
        padded = np.pad(frames, ((context, context), (0, 0)), mode="edge")
        return np.concatenate([padded[i : i + len(frames)] for i in range(2 * context + 1)], 1)

    def predict(person: Person, heard: Array, lower: Array, usable: Mask, sound: Array) -> Array:
        weight, bias = ridge.solve(stacked(heard)[usable], lower[usable], 1e-3)
        return stacked(features(sound)) @ weight + bias

    return predict


def convolutional(features: AudioFeatures, seed: int, steps: int = 300) -> Predictor:
    """Baseline: a small convolutional net trained by least squares."""

    def predict(person: Person, heard: Array, lower: Array, usable: Mask, sound: Array) -> Array:
        torch.manual_seed(seed)
        coefficients, rng = torch.from_numpy(person.coefficients(lower)), np.random.default_rng(seed)
        net = torch.nn.Sequential(
            torch.nn.Conv1d(features.dim, 64, 4, 2, 1), torch.nn.ReLU(), torch.nn.Dropout(0.3),
            torch.nn.Conv1d(64, 64, 9, padding=4), torch.nn.ReLU(), torch.nn.Dropout(0.3),
            torch.nn.Conv1d(64, coefficients.shape[1], 5, padding=2),
        )  # fmt: skip
        optimizer = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=0.05)
        audio, length = torch.from_numpy(heard), min(96, len(lower))
        for _ in range(steps):
            starts = rng.integers(0, len(lower) - length + 1, 16)
            batch = torch.stack([audio[2 * s : 2 * (s + length)] for s in starts]).transpose(1, 2)
            truth = torch.stack([coefficients[s : s + length] for s in starts]).transpose(1, 2)
            counts = torch.from_numpy(np.stack([usable[s : s + length] for s in starts]))[:, None]
            optimizer.zero_grad()
            ((net(batch) - truth) * counts).square().mean().backward()
            optimizer.step()
        with torch.inference_mode():
            found = net.eval()(torch.from_numpy(features(sound))[None].transpose(1, 2))[0].T.numpy()
        return person.lower_of(found)

    return predict


def score(dataset: Dataset, features: AudioFeatures, predictor: Predictor) -> Score:
    """Rotates the blocks."""
    points, sound, heard = dataset.points, dataset.sound(), features(dataset.sound())
    truths, founds = [], []
    for block in np.array_split(np.arange(len(points)), BLOCKS):
        known = np.ones(len(points), bool)
        known[max(0, block[0] - MARGIN) : block[-1] + MARGIN + 1] = False
        person = Person.of(points[known & dataset.trainable])
        _, motion = pose_free(points, person.shape)
        held_sound = sound[block[0] * SAMPLES_PER_FRAME : (block[-1] + 1) * SAMPLES_PER_FRAME]
        known_heard, usable = heard[: 2 * len(points)][np.repeat(known, 2)], dataset.trainable[known]
        found = predictor(person, known_heard, person.lower(motion[known]), usable, held_sound)
        truths.append(motion[block])
        founds.append(person.motion(found[: len(block)]))
    return _scored(truths, founds)


def _scored(truths: list[Array], founds: list[Array]) -> Score:
    truth, found = np.concatenate(truths), np.concatenate(founds)
    true_gap, gap = aperture(truth), aperture(found)
    shifted = {k: _r(np.roll(gap, -k)[10:-10], true_gap[10:-10]) for k in range(-10, 11)}
    return Score(
        _r(gap, true_gap),
        float(np.mean([_r(aperture(a), aperture(b)) for a, b in zip(founds, truths, strict=True)])),
        float(gap.std() / true_gap.std()),
        max(shifted, key=shifted.__getitem__),
        _r(mouth_width(found), mouth_width(truth)),
        float(
            np.linalg.norm(lip_motion(found) - lip_motion(truth), axis=-1).mean()
            / np.linalg.norm(lip_motion(truth), axis=-1).mean()
        ),
    )


def _r(a: Array, b: Array) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--audio_features", nargs="+", default=["mel", "whisper"])
    parser.add_argument("--rows", nargs="+", default=["ridge", "conv", "without", "with", "guarded"])
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    dataset = Dataset.load(asked.dataset)
    for name in asked.audio_features:
        features = features_named(name)
        rows = {
            "ridge": ridge_on(features), "conv": convolutional(features, asked.seed),
            "without": product(features, False, False, asked.seed), "with": product(features, True, False, asked.seed),
            "guarded": product(features, True, True, asked.seed),
        }  # fmt: skip
        for row in asked.rows:
            found = {key: round(value, 3) for key, value in asdict(score(dataset, features, rows[row])).items()}
            print(json.dumps({"features": name, "row": row, **found}), flush=True)


if __name__ == "__main__":
    main()
