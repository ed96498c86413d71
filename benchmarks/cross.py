"""A model driven by somebody else's speech, where there is no truth: `python benchmarks/cross.py --model MODEL --audio SPEECH`.

Renders the recording as a user does and looks at the film: length, frames without a face, lip speed beside loudness (r at its
best lag, and what chance gives), the aperture's spread and the blinks beside the person's own, the mouth in silences. JSON on
stdout.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from geneface.dataset import Dataset
from media import audio, eyes, mouth, video
from media.clock import frame_count
from media.mesh import landmarks
from media.silence import silences

LAGS = range(-10, 11)
CLOSED = 2.0
"""Pixels of aperture at face width 256 over the person's closed mouth (its 5 % quantile) up to which a mouth counts as shut."""
FAR = 50
"""Frames by which sound and lips are moved apart, at the least, to see what chance gives."""


def measured(film: Path, sound: np.ndarray, person: Dataset) -> dict[str, Any]:
    """All figures of a film, beside the person's training frames and the sound [N] that drove it."""
    found = landmarks(video.frames(film))
    own = person.points[: person.trained]
    reference = mouth.reference_shape(own)
    lips, true = (mouth.pose_free(points, reference) for points in (found.points, own))
    usable = np.asarray(np.isfinite(lips).all((1, 2)))
    lips = lips[usable]
    gap, true_gap = mouth.aperture(lips), mouth.aperture(true)
    speed = np.linalg.norm(np.diff(lips[:, mouth.LIPS, :2], axis=0), axis=-1).mean(1)
    loud = audio.loudness(sound)[: len(usable)]
    loud = np.pad(loud, (0, len(usable) - len(loud)), mode="edge")[usable][1:]
    heard = {lag: _r(np.roll(speed, -lag)[10:-10], loud[10:-10]) for lag in LAGS}
    lag = max(heard, key=heard.__getitem__)
    chance = [max(_r(np.roll(speed, shift - k)[10:-10], loud[10:-10]) for k in LAGS) for shift in range(FAR, len(speed) - FAR, 5)]
    quiet = np.zeros(len(gap), bool)
    for first, last in silences(sound, len(gap)):
        quiet[first:last] = True
    shut = gap <= np.percentile(true_gap, 5) + CLOSED
    blinks, usual = (eyes.statistics(eyes.aperture(points)) for points in (lips, true))
    return {
        "frames": len(usable), "frames_of_sound": frame_count(len(sound)), "without_face": int((~found.found).sum()),
        "lip_speed_loudness_r": heard[lag], "lag": lag, "chance_r_95": float(np.percentile(chance, 95)) if chance else None,
        "aperture_spread": float(gap.std() / true_gap.std()), "blinks_per_minute": blinks.per_minute,
        "person_blinks_per_minute": usual.per_minute, "silent_frames": int(quiet.sum()),
        "shut_in_silence": float(shut[quiet].mean()) if quiet.any() else None,
    }  # fmt: skip


def _r(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first, second)[0, 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        words = ["render", "--model", asked.model, "--audio", asked.audio, "--seed", asked.seed, "--out", film]
        subprocess.run([sys.executable, "-m", "geneface", *map(str, words)], check=True, stdout=subprocess.DEVNULL)
        print(json.dumps(measured(film, audio.read(asked.audio), Dataset.load(asked.model)), indent=1))


if __name__ == "__main__":
    main()
