"""A small dataset and a model trained on it, made once for this room's tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as geneface/__init__.py has it, which comes after torch here

import torch
from geneface_person import write_dataset

from geneface import train
from geneface.profiles import MotionTraining, Profile
from geneface.renderers.plane.training import PlaneSettings
from media import ffmpeg
from steps.progress import Reporter

TALKER = Path(__file__).resolve().parents[2] / "samples" / "talker.mp4"
TINY = Profile("tiny", "mel", MotionTraining(12, batch=4, frames=48))
TINY_PLANE = PlaneSettings(32, (40,), 8, 5e-3, widths=(8, 16))


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny():
    """Options of a training that takes seconds."""
    return train.Options(TINY, device="cpu", settings=TINY_PLANE)


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("geneface") / "data")


@pytest.fixture(scope="session")
def model(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("geneface") / "model"
    train.train(data, folder, train.Options(TINY, device="cpu", settings=TINY_PLANE), Reporter())
    return folder


@pytest.fixture(scope="session")
def talker_clip(tmp_path_factory):
    """The first six seconds of the sample talker."""
    path = tmp_path_factory.mktemp("clip") / "talker.mp4"
    command = [ffmpeg.binary(), "-nostdin", "-loglevel", "error", "-i", str(TALKER), "-t", "6", "-c", "copy", str(path)]
    subprocess.run(command, check=True, timeout=60)
    return path


@pytest.fixture(scope="session")
def talker_film():
    return TALKER
