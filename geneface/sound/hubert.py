"""HuBERT-large (Hsu et al. 2021) as GeneFace hears it: the last hidden state of facebook/hubert-large-ls960-ft, 1024 wide.

Forward pass only, from a folder in Hugging Face's layout: `model.safetensors` or `pytorch_model.bin` under
`GENEFACE_WEIGHTS_DIR/hubert-large/`, put there by hand. Its shapes are read off the weights.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from geneface.face.geometry import Array
from geneface.sound.features import Reader, chunked
from media.clock import SAMPLE_RATE, frame_count
from steps import weights
from steps.errors import InputError

FOLDER = "hubert-large"
FILES = ("model.safetensors", "pytorch_model.bin")
KERNELS, STRIDES = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)
"""Of the convolutions that bring 16 kHz down to 50 a second."""
HEAD = 64
CHUNK, OVERLAP = 20 * SAMPLE_RATE, 2 * SAMPLE_RATE
"""Samples that are heard at once (GeneFace's 20 s), and how many of them the next chunk hears again."""
HOP = 320


class ConvLayer(nn.Module):
    """A strided convolution with layer norm over its channels."""

    def __init__(self, inside: int, outside: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inside, outside, kernel, stride)
        self.layer_norm = nn.LayerNorm(outside)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inside, N] to [B, outside, N / stride]."""
        return functional.gelu(self.layer_norm(self.conv(x).transpose(1, 2)).transpose(1, 2))


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, state: int) -> None:
        super().__init__()
        self.q_proj, self.k_proj = nn.Linear(state, state), nn.Linear(state, state)
        self.v_proj, self.out_proj = nn.Linear(state, state), nn.Linear(state, state)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, state] to the same."""
        batch, length, state = x.shape
        parts = (self.q_proj, self.k_proj, self.v_proj)
        q, k, v = (part(x).view(batch, length, max(1, state // HEAD), -1).transpose(1, 2) for part in parts)
        return self.out_proj(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, length, state))


class FeedForward(nn.Module):
    """Two linear layers."""

    def __init__(self, state: int, wide: int) -> None:
        super().__init__()
        self.intermediate_dense, self.output_dense = nn.Linear(state, wide), nn.Linear(wide, state)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, state] to the same."""
        return self.output_dense(functional.gelu(self.intermediate_dense(x)))


class EncoderLayer(nn.Module):
    """One pre-norm transformer layer."""

    def __init__(self, state: int, wide: int) -> None:
        super().__init__()
        self.attention, self.layer_norm = Attention(state), nn.LayerNorm(state)
        self.feed_forward, self.final_layer_norm = FeedForward(state, wide), nn.LayerNorm(state)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, state] to the same."""
        x = x + self.attention(self.layer_norm(x))
        return x + self.feed_forward(self.final_layer_norm(x))


class Extractor(nn.Module):
    """The convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inside = (1, *[channels] * (len(KERNELS) - 1))
        self.conv_layers = nn.ModuleList(ConvLayer(i, channels, k, s) for i, k, s in zip(inside, KERNELS, STRIDES, strict=True))

    def forward(self, samples: Tensor) -> Tensor:
        """[B, N] to [B, (N - 80) // 320, channels]."""
        x = samples[:, None]
        for layer in self.conv_layers:
            x = layer(x)
        return x.transpose(1, 2)


class Projection(nn.Module):
    """From the convolutions' channels to the states."""

    def __init__(self, channels: int, state: int) -> None:
        super().__init__()
        self.layer_norm, self.projection = nn.LayerNorm(channels), nn.Linear(channels, state)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, channels] to [B, T, state]."""
        return self.projection(self.layer_norm(x))


class Place(nn.Module):
    """What tells where in time a state stands."""

    def __init__(self, state: int, reach: int, groups: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(state, state, reach, padding=reach // 2, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, state] to the same."""
        return functional.gelu(self.conv(x.transpose(1, 2))[:, :, : x.shape[1]]).transpose(1, 2)


class Transformer(nn.Module):
    """The layers over the states."""

    def __init__(self, state: int, wide: int, layers: int, reach: int, groups: int) -> None:
        super().__init__()
        self.pos_conv_embed = Place(state, reach, groups)
        self.layers = nn.ModuleList(EncoderLayer(state, wide) for _ in range(layers))
        self.layer_norm = nn.LayerNorm(state)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, state] to the same."""
        x = x + self.pos_conv_embed(x)
        for layer in self.layers:
            x = layer(x)
        return self.layer_norm(x)


class Encoder(nn.Module):
    """Waveform in, hidden states at 50 Hz out; names as in the published file, less `hubert.`."""

    def __init__(self, channels: int, state: int, wide: int, layers: int, reach: int, groups: int) -> None:
        super().__init__()
        self.feature_extractor = Extractor(channels)
        self.feature_projection = Projection(channels, state)
        self.encoder = Transformer(state, wide, layers, reach, groups)

    def forward(self, samples: Tensor) -> Tensor:
        """[B, N] to [B, (N - 80) // 320, state]."""
        return self.encoder(self.feature_projection(self.feature_extractor(samples)))


class Hubert:
    """`AudioFeatures` of HuBERT."""

    name = "hubert"

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder.eval().requires_grad_(False)
        self.dim = int(encoder.encoder.layer_norm.weight.numel())

    @classmethod
    def load(cls) -> Self:
        """From GENEFACE_WEIGHTS_DIR. Raises InputError `weights_missing` or `weights_invalid`."""
        folder = weights.folder() / FOLDER
        if not any((folder / name).is_file() for name in FILES):
            names = " or ".join(FILES)
            raise InputError("weights_missing", f"put {names} of facebook/hubert-large-ls960-ft into {folder}, or use whisper")
        return cls.read(folder)

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a file in Hugging Face's layout, or the folder it lies in. Raises InputError `weights_invalid`."""
        if path.is_dir():
            path = next((path / name for name in FILES if (path / name).exists()), path / FILES[0])
        try:
            if path.suffix == ".safetensors":
                tensors = load_file(path)
            else:
                tensors = torch.load(path, map_location="cpu", weights_only=True)
            return cls(_encoder({key.removeprefix("hubert."): value.float() for key, value in tensors.items()}))
        except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
            raise InputError("weights_invalid", f"{path} holds no HuBERT-large in Hugging Face's layout: {error}") from error

    def reader(self, samples: Array) -> Reader:
        """See AudioFeatures; the level is the whole recording's."""
        count = 2 * frame_count(len(samples))
        mean, deviation = float(samples.mean()), float(np.sqrt(samples.var() + 1e-7))
        starts = range(0, max(1, len(samples) - OVERLAP), CHUNK - OVERLAP)
        firsts = [(start + OVERLAP // 2 * bool(start)) // HOP for start in starts]

        @torch.inference_mode()
        def rows(number: int) -> Array:
            levelled = (samples[starts[number] : starts[number] + CHUNK] - mean) / deviation
            piece = np.pad(levelled, (0, 640)).astype(np.float32)  # the last window needs what lies behind it
            states = self.encoder(torch.from_numpy(piece)[None])[0, firsts[number] - starts[number] // HOP :].numpy()
            missing = count - firsts[number] - len(states) if number == len(starts) - 1 else 0
            return np.pad(states, ((0, max(0, missing)), (0, 0)), mode="edge")

        return chunked(firsts, rows)

    def __call__(self, samples: Array) -> Array:
        return self.reader(samples)(0, frame_count(len(samples)))


def _encoder(tensors: Mapping[str, Tensor]) -> Encoder:
    """The network that these weights fit. Raises KeyError or RuntimeError when they fit none."""
    conv = "encoder.pos_conv_embed.conv"
    known = {key: value for key, value in tensors.items() if not key.startswith(("lm_head", "masked_spec_embed", conv))}
    known[f"{conv}.weight"], known[f"{conv}.bias"] = _positional(tensors, conv), tensors[f"{conv}.bias"]
    state, inside, reach = known[f"{conv}.weight"].shape
    layers = len({key.split(".")[2] for key in known if key.startswith("encoder.layers.")})
    channels = known["feature_projection.layer_norm.weight"].numel()
    wide = known["encoder.layers.0.feed_forward.intermediate_dense.weight"].shape[0]
    encoder = Encoder(channels, state, wide, layers, reach, state // inside)
    encoder.load_state_dict(known)
    return encoder


def _positional(tensors: Mapping[str, Tensor], conv: str) -> Tensor:
    """The positional convolution's weight out of its length and direction (weight norm over the kernel's places)."""
    old = f"{conv}.weight_g" in tensors
    names = ("weight_g", "weight_v") if old else ("parametrizations.weight.original0", "parametrizations.weight.original1")
    length, direction = (tensors[f"{conv}.{name}"] for name in names)
    return length * direction / direction.norm(dim=(0, 1), keepdim=True)
