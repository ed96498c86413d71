"""Whisper checkpoints of several makers, brought under the names of OpenAI's own state dict.

The names and what they mean are those of openai-whisper's `model.py`: `encoder.blocks.N.attn.query.weight`, `decoder.ln.bias`, …
"""

import json
import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Tensors = dict[str, np.ndarray]

CTRANSLATE2_VERSION = 6
CTRANSLATE2_TYPES = ("float32", "int8", "int16", "int32", "float16")


@dataclass(frozen=True)
class Dimensions:
    """The sizes that a checkpoint was made with (openai-whisper's `ModelDimensions`)."""

    n_mels: int
    n_audio_ctx: int
    n_audio_state: int
    n_audio_head: int
    n_audio_layer: int
    n_vocab: int
    n_text_ctx: int
    n_text_state: int
    n_text_head: int
    n_text_layer: int


def write_safetensors(form: str, source: Path, out: Path) -> None:
    """Reads the checkpoint `source` of the format `form` and writes it to `out`; its metadata has `dims`, a JSON of `Dimensions`.

    The same values give the same bytes (hence one key of metadata: safetensors shuffles several).
    Raises ValueError when the file does not hold what its format says, KeyError for a format that is not in `READERS`.
    """
    from safetensors.numpy import save_file  # noqa: PLC0415 - only who fetches weights needs it

    dims, tensors = READERS[form](source)
    save_file(tensors, out, metadata={"dims": json.dumps(asdict(dims))})


def read_published(path: Path) -> "tuple[Dimensions, Tensors]":
    """OpenAI's own `.pt`, read without its pickle being able to run anything."""
    torch: Any = import_module("torch")
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    tensors = {name: tensor.contiguous().numpy() for name, tensor in checkpoint["model_state_dict"].items()}
    return Dimensions(**checkpoint["dims"]), tensors


def read_ctranslate2(path: Path) -> "tuple[Dimensions, Tensors]":
    """CTranslate2's `model.bin` (binary version 6, WhisperSpec).

    Queries, keys and values are stacked there, and keys have a bias, which must be zero.
    """
    variables = _variables(memoryview(path.read_bytes()))
    dims = _dimensions(variables)
    tensors: Tensors = {}
    for side, layers in (("encoder", dims.n_audio_layer), ("decoder", dims.n_text_layer)):
        for layer in range(layers):
            _block(variables, f"{side}/layer_{layer}/", f"{side}.blocks.{layer}.", tensors)
        tensors[f"{side}.positional_embedding"] = variables[f"{side}/position_encodings/encodings"]
    for name in ("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias"):
        tensors[f"encoder.{name}"] = variables[f"encoder/{name.replace('.', '/')}"]
    tensors["decoder.token_embedding.weight"] = variables["decoder/embeddings/weight"]
    _norm(variables, "encoder/", "encoder.ln_post", tensors)
    _norm(variables, "decoder/", "decoder.ln", tensors)
    return dims, tensors


READERS: "dict[str, Callable[[Path], tuple[Dimensions, Tensors]]]" = {
    "openai-whisper": read_published,
    "ctranslate2-whisper": read_ctranslate2,
}


def _block(variables: "Tensors", old: str, new: str, tensors: "Tensors") -> None:
    query, key, value = _split(variables, f"{old}self_attention/linear_0", 3)
    attentions = [("attn", f"{old}self_attention/", query, key, value, "linear_1")]
    if f"{old}attention/linear_0/weight" in variables:
        (query,) = _split(variables, f"{old}attention/linear_0", 1)
        key, value = _split(variables, f"{old}attention/linear_1", 2)
        attentions.append(("cross_attn", f"{old}attention/", query, key, value, "linear_2"))
    for name, prefix, query, key, value, out in attentions:
        if key[1].any():
            raise ValueError(f"{prefix} has a key bias, which Whisper has not")
        tensors[f"{new}{name}.key.weight"] = key[0]
        for part, (weight, bias) in (("query", query), ("value", value), ("out", _split(variables, prefix + out, 1)[0])):
            tensors[f"{new}{name}.{part}.weight"], tensors[f"{new}{name}.{part}.bias"] = weight, bias
        _norm(variables, prefix, f"{new}{name}_ln", tensors)
    for old_name, new_name in (("linear_0", "mlp.0"), ("linear_1", "mlp.2")):
        weight, bias = _split(variables, f"{old}ffn/{old_name}", 1)[0]
        tensors[f"{new}{new_name}.weight"], tensors[f"{new}{new_name}.bias"] = weight, bias
    _norm(variables, f"{old}ffn/", f"{new}mlp_ln", tensors)


def _split(variables: "Tensors", name: str, count: int) -> "list[tuple[np.ndarray, np.ndarray]]":
    """The `count` linear layers stacked under `name`, each as weight [out, in] and bias [out]."""
    weight, bias = variables[f"{name}/weight"], variables[f"{name}/bias"]
    rows = len(weight) // count
    return [(weight[i * rows : (i + 1) * rows], bias[i * rows : (i + 1) * rows]) for i in range(count)]


def _norm(variables: "Tensors", old: str, new: str, tensors: "Tensors") -> None:
    tensors[f"{new}.weight"] = variables[f"{old}layer_norm/gamma"]
    tensors[f"{new}.bias"] = variables[f"{old}layer_norm/beta"]


def _dimensions(variables: "Tensors") -> Dimensions:
    def layers(side: str) -> int:
        return len(
            {name for name in variables if name.startswith(f"{side}/layer_") and name.endswith("self_attention/linear_0/weight")}
        )

    audio = variables["encoder/position_encodings/encodings"].shape
    text = variables["decoder/position_encodings/encodings"].shape
    return Dimensions(
        n_mels=variables["encoder/conv1/weight"].shape[1],
        n_audio_ctx=audio[0],
        n_audio_state=audio[1],
        n_audio_head=int(variables["encoder/num_heads"]),
        n_audio_layer=layers("encoder"),
        n_vocab=variables["decoder/embeddings/weight"].shape[0],
        n_text_ctx=text[0],
        n_text_state=text[1],
        n_text_head=int(variables["decoder/num_heads"]),
        n_text_layer=layers("decoder"),
    )


def _variables(data: memoryview) -> "Tensors":
    """All variables of a CTranslate2 model.

    u32 version, name of the specification, u32 revision, u32 count; then per variable its name, u8 rank, u32 sizes, u8 type,
    u32 bytes, the bytes. A string is its u16 length with the NUL, then its bytes. All little-endian.
    """
    import numpy as np  # noqa: PLC0415 - a worker without numpy imports this room too

    fields = _Fields(data)
    version, specification, _revision = fields.number("I"), fields.text(), fields.number("I")
    if version != CTRANSLATE2_VERSION or specification != "WhisperSpec":
        raise ValueError(f"not a CTranslate2 Whisper of version {CTRANSLATE2_VERSION}: {specification!r}, version {version}")
    variables: Tensors = {}
    for _ in range(fields.number("I")):
        name = fields.text()
        shape = tuple(fields.number("I") for _ in range(fields.number("B")))
        dtype = CTRANSLATE2_TYPES[fields.number("B")]
        variables[name] = np.frombuffer(fields.take(fields.number("I")), dtype=dtype).reshape(shape)
    return variables


class _Fields:
    """Little-endian fields, read one after the other."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> memoryview:
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, form: str) -> int:
        value: Any = struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0]
        return int(value)

    def text(self) -> str:
        return str(self.take(self.number("H"))[:-1], "utf-8")
