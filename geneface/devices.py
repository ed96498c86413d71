"""Where torch computes."""

import os

import torch

from steps.errors import InputError

MAX_THREADS = 8
"""Networks this small gain nothing from more."""


def device_named(name: str) -> torch.device:
    """`auto` is GENEFACE_DEVICE, or cuda where there is one. On the CPU torch gets all cores that it may use, unless
    OMP_NUM_THREADS says.

    Raises InputError `device_unavailable`.
    """
    if name == "auto":
        name = os.environ.get("GENEFACE_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError("device_unavailable", f"The device {name} was asked for, but torch sees no CUDA device here.")
    if name == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(min(len(os.sched_getaffinity(0)), MAX_THREADS))
    return torch.device(name)
