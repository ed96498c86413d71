"""A made-up speaker with known motion: 478 points whose lips follow a signal, pictures in which the mouth is a dark ellipse,
a noise as loud as it is open.
"""

import json
from pathlib import Path

import numpy as np

from geneface import dataset
from geneface.dataset import LAYERS_SIDE
from media import audio, video
from media.mesh import MESH_TO_68
from media.mouth import BONY
from media.png import write_png

SIDE = 128
FACE = 0.22
"""Pixels for each face unit."""


def shape() -> np.ndarray:
    """[478, 3] in face units, mouth closed."""
    k = np.arange(478)
    turn, height = k * 2.399963, 1 - 2 * (k + 0.5) / 478
    ring = np.sqrt(1 - height**2)
    points = np.stack([110 * ring * np.cos(turn), -60 + 90 * height, -50 + 60 * ring * np.sin(turn)], 1)
    jaw = np.linspace(np.pi, 0, 17)
    points[MESH_TO_68[:17]] = np.stack([128 * np.cos(jaw), 40 + 180 * np.sin(jaw), 90 - 80 * np.sin(jaw)], 1)
    for first, count, wide, high in ((48, 12, 42, 12), (60, 8, 38, 0)):
        around = np.pi - 2 * np.pi * np.arange(count) / count
        points[MESH_TO_68[first : first + count]] = np.stack(
            [wide * np.cos(around), 143 - high * np.sin(around), np.full(count, -20.0)], 1
        )
    points[2], points[152], points[234], points[454] = (0, 105, -40), (0, 220, 10), (-128, 40, 90), (128, 40, 90)
    return points.astype(np.float32)


def signal(frames: int, seed: int = 0) -> np.ndarray:
    """How far the mouth is open, 0-1, with pauses; [frames]."""
    rng = np.random.default_rng(seed)
    knots = rng.uniform(0, 1, frames // 4 + 2) * (rng.uniform(0, 1, frames // 4 + 2) > 0.25)
    return np.interp(np.arange(frames) / 4, np.arange(len(knots)), knots).astype(np.float32)


def landmarks(opening: np.ndarray, seed: int = 0) -> np.ndarray:
    """Picture landmarks [T, 478, 3] in pixels, head swaying."""
    rng = np.random.default_rng(seed)
    frames = len(opening)
    points = np.repeat(shape()[None], frames, 0)
    for index, share in ((MESH_TO_68[61:64], -0.3), (MESH_TO_68[65:68], 1.0), (MESH_TO_68[55:60], 1.0), (MESH_TO_68[4:13], 0.8)):
        points[:, index, 1] += 22 * share * opening[:, None]
    time = np.arange(frames) / 25
    angle = 0.05 * np.sin(time)
    turn = np.zeros((frames, 3, 3))
    turn[:, 0, 0], turn[:, 0, 1], turn[:, 1, 0], turn[:, 1, 1], turn[:, 2, 2] = (
        np.cos(angle),
        -np.sin(angle),
        np.sin(angle),
        np.cos(angle),
        1,
    )
    centre = np.stack([SIDE / 2 + 2 * np.sin(0.7 * time), SIDE * 0.4 + np.cos(time), np.zeros(frames)], 1)
    placed = FACE * np.einsum("tij,tnj->tni", turn, points) + centre[:, None]
    return (placed + rng.normal(0, 0.02, placed.shape)).astype(np.float32)


def pictures(points: np.ndarray):
    """Frames uint8 [SIDE, SIDE, 3] that show the mouth of each frame's landmarks."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    ground = np.stack([90 + 40 * np.sin(x / 9), 110 + 30 * np.cos(y / 7), 130 + 20 * np.sin((x + y) / 11)], -1)
    for frame in points:
        lips = frame[MESH_TO_68[60:68], :2]
        centre, half = lips.mean(0), np.maximum(np.ptp(lips, axis=0) / 2, 0.7)
        inside = ((x - centre[0]) / half[0]) ** 2 + ((y - centre[1]) / half[1]) ** 2 < 1
        yield np.where(inside[..., None], np.float32([40, 10, 10]), ground).round().astype(np.uint8)


def layers(points: np.ndarray):
    """Layers uint8 [256, 256, 3]: an ellipse of head, a column of neck under it, a torso below."""
    y, x = (np.mgrid[:LAYERS_SIDE, :LAYERS_SIDE].astype(np.float32) + 0.5) * (SIDE / LAYERS_SIDE) - 0.5
    for frame in points:
        chin, (centre, _) = frame[152, 1], frame[BONY, :2].mean(0)
        head = ((x - centre) / 30) ** 2 + ((y - chin + 38) / 38) ** 2 < 1
        torso = ~head & (y > chin + 14)
        neck = ~head & ~torso & (y > chin - 20) & (np.abs(x - centre) < 16)
        yield np.stack([head, neck, torso], -1).astype(np.uint8) * 255


def sound(opening: np.ndarray, seed: int = 0) -> np.ndarray:
    """Noise through which the opening can be heard, 16 kHz."""
    level = np.interp(np.arange(len(opening) * 640) / 640, np.arange(len(opening)) + 0.5, opening)
    return (0.3 * level * np.random.default_rng(seed).normal(0, 0.4, len(level))).astype(np.float32)


def write_dataset(folder: Path, frames: int = 220, seed: int = 0) -> Path:
    """A whole dataset folder of this speaker."""
    folder.mkdir(parents=True)
    opening = signal(frames, seed)
    points = landmarks(opening, seed)
    with video.pack(folder / dataset.FRAMES, SIDE, SIDE) as writer:
        for picture in pictures(points):
            writer.write(picture)
    with video.pack(folder / dataset.LAYERS, LAYERS_SIDE, LAYERS_SIDE) as writer:
        for picture in layers(points):
            writer.write(picture)
    write_png(folder / dataset.PLATE, np.full((SIDE, SIDE, 3), (90, 110, 130), np.uint8))
    audio.write_wav(folder / dataset.SOUND, sound(opening, seed))
    whole = {"interpolated": np.zeros(frames, bool), "trainable": np.ones(frames, bool)}
    np.savez(folder / dataset.LANDMARKS, points=points, eyes=np.full((frames, 2), 0.3, np.float32), **whole)
    account = {"version": 2, "options_hash": "test", "video_sha256": str(seed), "frames": frames, "size": SIDE}
    (folder / dataset.ACCOUNT).write_text(json.dumps(account))
    return folder


assert set(BONY) - set(MESH_TO_68[48:68]) == set(BONY)
