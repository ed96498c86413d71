"""Where torch computes."""

import math
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from steps.errors import InputError

MAX_THREADS = 8
"""Networks this small gain nothing from more."""
QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""A container's CPU limit (cgroup v2): microseconds of CPU time, or `max`, in each period of microseconds."""


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
        torch.set_num_threads(min(usable_cores(), MAX_THREADS))
    try:
        return torch.device(name)
    except RuntimeError:
        raise InputError("device_unavailable", f"There is no device called {name!r}; use auto, cpu or cuda.") from None


def usable_cores(quota: Path = QUOTA) -> int:
    """Cores that this process may run on, less where its container is limited to the time of fewer."""
    cores = len(os.sched_getaffinity(0))
    try:
        time, period = quota.read_text("ascii").split()
        return max(1, min(cores, math.ceil(int(time) / int(period))))
    except (OSError, ValueError):
        return cores


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 where a GPU computes in it, nothing elsewhere."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def compiled(module: torch.nn.Module, device: torch.device) -> Callable[..., Any]:
    """The module fused by torch.compile on CUDA (Triton comes with torch there); as it is elsewhere."""
    return torch.compile(module) if device.type == "cuda" and find_spec("triton") else module
