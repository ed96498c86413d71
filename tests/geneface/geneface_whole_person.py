"""The made-up speaker with head, neck and shoulders before a plate: for renderers that draw all of the person."""

from pathlib import Path

import numpy as np
from geneface_person import SIDE, landmarks, signal, write_dataset

from geneface import dataset
from geneface.dataset import LAYERS_SIDE
from media import video
from media.mesh import MESH_TO_68
from media.png import write_png

FRAMES = 66
SKIN, SHIRT, LIP = (205, 160, 130), (40, 110, 120), (40, 10, 10)


def plate() -> np.ndarray:
    """uint8 [SIDE, SIDE, 3]: a soft pattern."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    return np.stack([90 + 40 * np.sin(x / 19), 110 + 30 * np.cos(y / 17), 130 + 20 * np.sin((x + y) / 21)], -1).astype(np.uint8)


def shares(points: np.ndarray, side: int = SIDE) -> np.ndarray:
    """[side, side, 3], 0-1: head (an ellipse that goes with the bones), neck and torso of one frame's landmarks [478, 3]."""
    y, x = (np.mgrid[:side, :side].astype(np.float32) + 0.5) * (SIDE / side) - 0.5
    bones = points[[234, 454, 2], :2].mean(0)
    head = _soft(1 - np.hypot((x - bones[0]) / 32, (y - bones[1] + 3) / 37), 32)
    neck = _soft(1 - np.abs(x - bones[0]) / 14, 14) * _soft(y - bones[1] - 20, 1) * _soft(SIDE * 0.82 - y, 1)
    torso = _soft(1 - np.hypot((x - SIDE / 2) / 56, (y - SIDE) / 32), 32)
    return np.stack([head, (1 - head) * neck * (1 - torso), (1 - head) * torso], -1)


def picture(points: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """uint8 [SIDE, SIDE, 3]: skin with a shade, shirt with stripes, and a mouth as open as the landmarks say."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    share = shares(points)
    lips = points[MESH_TO_68[60:68], :2]
    centre, half = lips.mean(0), np.maximum(np.ptp(lips, axis=0) / 2, 0.7)
    mouth = _soft(1 - np.hypot((x - centre[0]) / half[0], (y - centre[1]) / half[1]), 3)[..., None]
    skin = np.float32(SKIN) * (1 - 0.2 * np.sin((y - centre[1]) / 11))[..., None]
    face = skin + mouth * (np.float32(LIP) - skin)
    shirt = np.float32(SHIRT) * (1 + 0.3 * np.sin(x / 5))[..., None]
    person = share[..., :1] * face + share[..., 1:2] * skin * 0.8 + share[..., 2:] * shirt
    return (person + (1 - share.sum(-1, keepdims=True)) * ground).clip(0, 255).round().astype(np.uint8)


def write_whole_dataset(folder: Path, frames: int = FRAMES, seed: int = 0) -> Path:
    """A whole dataset folder of this speaker, with layers and plate."""
    write_dataset(folder, frames, seed)
    points, ground = landmarks(signal(frames, seed), seed), plate()
    with video.pack(folder / dataset.FRAMES, SIDE, SIDE) as film:
        for frame in points:
            film.write(picture(frame, ground))
    with video.pack(folder / dataset.LAYERS, LAYERS_SIDE, LAYERS_SIDE) as film:
        for frame in points:
            film.write((shares(frame, LAYERS_SIDE) * 255).round().astype(np.uint8))
    write_png(folder / dataset.PLATE, ground)
    return folder


def _soft(inside: np.ndarray, pixels: float) -> np.ndarray:
    """0-1 over about one pixel; `inside` is positive inside and grows by 1 over `pixels` pixels."""
    return np.clip(inside * pixels + 0.5, 0, 1)
