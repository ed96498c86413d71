"""Resemblyzer's speaker encoder out of its published checkpoint: the tensors of the network alone, without the optimizer's."""

from importlib import import_module
from pathlib import Path
from typing import Any

SHAPES = {
    **{f"lstm.weight_ih_l{layer}": (1024, 256 if layer else 40) for layer in range(3)},
    **{f"lstm.weight_hh_l{layer}": (1024, 256) for layer in range(3)},
    **{f"lstm.bias_{side}_l{layer}": (1024,) for layer in range(3) for side in ("ih", "hh")},
    "linear.weight": (256, 256),
    "linear.bias": (256,),
}
"""Of a torch.nn.LSTM of three layers of 256 over 40 bands, and the linear layer after it."""


def write_safetensors(source: Path, out: Path) -> None:
    """Reads the checkpoint `source`, its pickle unable to run anything, and writes the tensors of `SHAPES`.

    Raises ValueError when it holds another network.
    """
    from safetensors.numpy import save_file  # noqa: PLC0415 - only who fetches weights needs it

    torch: Any = import_module("torch")
    state = torch.load(source, map_location="cpu", weights_only=True).get("model_state", {})
    for name, shape in SHAPES.items():
        if name not in state or tuple(state[name].shape) != shape:
            raise ValueError(f"{source.name} is no speaker encoder: {name} of {shape} is not there")
    save_file({name: state[name].float().contiguous().numpy() for name in SHAPES}, out)
