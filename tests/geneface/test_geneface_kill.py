"""A training that is killed again and again ends as one that was left alone."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from geneface import checkpoints

ROOT = Path(__file__).resolve().parents[2]
KILLS = 5
TRAINING = """
import sys
from geneface import loop, profiles
from geneface.__main__ import main
from geneface.renderers.plane import renderer, training
loop.CHECKPOINT_SECONDS = 0.1
profiles.PROFILES["quick"] = profiles.Profile("quick", "mel", profiles.MotionTraining(40, batch=4, frames=48))
renderer.PROFILES["quick"] = training.PlaneSettings(32, (400,), 8, 5e-3, widths=(8, 16))
sys.exit(main(["train", "--data", sys.argv[1], "--out", sys.argv[2], "--device", "cpu"]))
"""


def start(data, out):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", TRAINING, str(data), str(out)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def written(out):
    """Names of the checkpoints there."""
    folder = out / "checkpoints"
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")} if folder.is_dir() else set()


def test_five_kills_change_nothing(data, tmp_path):
    assert start(data, tmp_path / "whole").wait(timeout=120) == 0
    rng, out, killed = np.random.default_rng(6), tmp_path / "killed", 0
    for _ in range(KILLS):
        before, process = written(out), start(data, out)
        while process.poll() is None and written(out) <= before:
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.25))
        process.kill()
        killed += process.wait() < 0
        assert not (out / "model.json").exists()
    assert killed == KILLS and checkpoints.newest(out / "checkpoints", ("motion", "plane"))
    assert start(data, out).wait(timeout=120) == 0
    for name in ("motion.safetensors", "plane.safetensors", "person.safetensors"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
