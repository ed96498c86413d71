"""Regions of a film's frames as an uncompressed, memory-mapped file that a training draws from."""

from pathlib import Path

import numpy as np
import torch

from geneface.face.region import Placement, extract
from media import video
from steps.program import check_stop
from steps.progress import Reporter

CHUNK = 16
"""Frames taken out of the video at once."""


def unpack(film: Path, placement: Placement, size: int, target: Path, reporter: Reporter) -> np.ndarray:
    """Cuts the region out of the first len(placement) frames of a film into the .npy file `target` (kept from an earlier try
    when it fits). Returns it memory-mapped: uint8 [T, 3, size, size].
    """
    count = len(placement)
    shape = (count, 3, size, size)
    if target.is_file():
        found = np.load(target, mmap_mode="r")
        if found.shape == shape:
            return found
    partial = target.with_name(f".{target.name}")
    store = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)
    pictures = video.frames(film, seconds=count / video.FPS)
    for start in range(0, count, CHUNK):
        check_stop()
        part = placement[start : start + CHUNK]
        chunk = np.stack([frame for _, frame in zip(range(len(part)), pictures, strict=False)])
        store[start : start + len(part)] = extract(torch.from_numpy(chunk), part, size).round().byte().numpy()
        reporter.progress("unpack regions", start + len(part), count)
    store.flush()
    del store
    partial.rename(target)
    return np.load(target, mmap_mode="r")
