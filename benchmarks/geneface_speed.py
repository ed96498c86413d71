"""How fast the renderer trains and draws here, without video coding: `python benchmarks/geneface_speed.py [profile…]`."""

import sys
import time

import numpy as np
import torch

from geneface.face.person import LOWER
from geneface.renderers.plane.maps import LINES
from geneface.renderers.plane.model import PlaneDims
from geneface.renderers.plane.renderer import PROFILES
from geneface.renderers.plane.training import PlaneTrainer, Seen

STEPS, FRAMES = 12, 64


def measure(name: str) -> str:
    """One line: training steps and drawn regions a second."""
    settings, rng = PROFILES[name], np.random.default_rng(0)
    regions = rng.integers(0, 255, (FRAMES, 3, settings.size, settings.size), np.uint8)
    points = rng.uniform(-0.5, 0.5, (FRAMES, 68, 2)).astype(np.float32)
    motion = rng.normal(size=(FRAMES, 3 * len(LOWER))).astype(np.float32)
    dims = PlaneDims(settings.size, settings.widths)
    trainer = PlaneTrainer(Seen(regions, points, motion, np.arange(FRAMES)), dims, settings, torch.device("cpu"))
    for step in range(STEPS + 2):
        if step == 2:
            began = time.perf_counter()
        trainer.optimizer.zero_grad()
        trainer.loss(rng).backward()
        trainer.optimizer.step()
    training = STEPS / (time.perf_counter() - began)
    with torch.inference_mode():
        half = settings.size // 2
        picture, maps = torch.zeros(8, 3, settings.size, settings.size), torch.zeros(8, LINES + 2, half, half)
        began = time.perf_counter()
        for _ in range(STEPS):
            trainer.model(picture, maps, torch.zeros(8, dims.motion))
        drawing = 8 * STEPS / (time.perf_counter() - began)
    return f"{name}: {training:.1f} training steps/s of {settings.batch}, {drawing:.0f} regions/s of {settings.size} px"


if __name__ == "__main__":
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    for profile in sys.argv[1:] or ("quick", "cpu"):
        print(measure(profile))
