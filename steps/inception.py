"""FID's Inception network out of a TorchScript, brought under the names of pytorch-fid's checkpoint."""

from importlib import import_module
from pathlib import Path
from typing import Any

_STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")
_DOUBLE3 = ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")
_A = ("branch1x1", "branch5x5_1", "branch5x5_2", *_DOUBLE3, "branch_pool")
_B = ("branch3x3", *_DOUBLE3)
_C = ("branch1x1", *(f"branch7x7_{n}" for n in (1, 2, 3)), *(f"branch7x7dbl_{n}" for n in (1, 2, 3, 4, 5)), "branch_pool")
_D = ("branch3x3_1", "branch3x3_2", *(f"branch7x7x3_{n}" for n in (1, 2, 3, 4)))
_E = (
    "branch1x1", *(f"branch3x3_{n}" for n in ("1", "2a", "2b")), *(f"branch3x3dbl_{n}" for n in ("1", "2", "3a", "3b")),
    "branch_pool",
)  # fmt: skip
_MIXED = {
    "5b": _A, "5c": _A, "5d": _A, "6a": _B, "6b": _C, "6c": _C, "6d": _C, "6e": _C, "7a": _D, "7b": _E, "7c": _E,
}  # fmt: skip
CONVOLUTIONS = (*_STEM, *(f"Mixed_{block}.{branch}" for block, branches in _MIXED.items() for branch in branches))
"""In the order in which the network has them."""


def write_checkpoint(source: Path, out: Path) -> None:
    """Reads a TorchScript of the 2015 network, whose convolutions have `weight`, `beta`, `mean` and `var`, and writes a state
    dict as pytorch-fid's, without a classifier. Raises ValueError when it holds another network.
    """
    torch: Any = import_module("torch")
    try:
        tensors = torch.jit.load(source, map_location="cpu").state_dict()
    except RuntimeError as error:
        raise ValueError(f"{source.name} is no TorchScript: {error}") from None
    own = list(dict.fromkeys(name.rpartition(".")[0] for name in tensors))
    if len(own) != len(CONVOLUTIONS):
        raise ValueError(f"{source.name} has {len(own)} convolutions, not {len(CONVOLUTIONS)}")
    found = {}
    for name, prefix in zip(CONVOLUTIONS, own, strict=True):
        beta = tensors[f"{prefix}.beta"]
        found[f"{name}.conv.weight"] = tensors[f"{prefix}.weight"]
        found[f"{name}.bn.weight"] = torch.ones_like(beta)
        found[f"{name}.bn.bias"] = beta
        found[f"{name}.bn.running_mean"] = tensors[f"{prefix}.mean"]
        found[f"{name}.bn.running_var"] = tensors[f"{prefix}.var"]
        found[f"{name}.bn.num_batches_tracked"] = torch.zeros((), dtype=torch.long)
    torch.save({key: value.clone() for key, value in found.items()}, out)
