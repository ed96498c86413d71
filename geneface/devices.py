"""Where torch computes."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch

from steps import cores
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
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError("device_unavailable", f"There is no device called {name!r}; use auto, cpu or cuda.") from None
    if (device.index or 0) >= _count(device.type):
        seen = f"torch sees {_count('cuda')} CUDA devices"
        raise InputError("device_unavailable", f"There is no device {name!r} here ({seen}); use auto, cpu or cuda.")
    if device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(min(cores.usable(), MAX_THREADS))
    return device


def _count(kind: str) -> int:
    """Devices of this type that can be used here; torch knows more types than this package computes on."""
    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    return 1 if kind == "cpu" else 0


@contextmanager
def enough_memory() -> Iterator[None]:
    """Raises InputError `out_of_memory` when the GPU's memory runs out within."""
    try:
        yield
    except (torch.OutOfMemoryError, torch.AcceleratorError) as error:
        if isinstance(error, torch.AcceleratorError) and "out of memory" not in str(error):
            raise  # another fault; a GPU that is full from the start says it with this error too
        raise InputError(
            "out_of_memory", "The GPU's memory is too small, or others fill it; take a smaller profile or a larger GPU."
        ) from error


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 where a GPU computes in it, nothing elsewhere."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def compiled(module: torch.nn.Module, device: torch.device) -> Callable[..., Any]:
    """The module fused by torch.compile on CUDA (Triton comes with torch there); as it is elsewhere."""
    return torch.compile(module) if device.type == "cuda" and find_spec("triton") else module
